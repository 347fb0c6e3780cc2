//! What a cluster agrees on, as Raft's state machine: the leases, and who belongs to it.

use prost::Message as _;

use crate::{
    lease::{Command, LeaseTable, Outcome},
    malformed::Malformed,
    member::{MemberCommand, MemberOutcome, MemberTable},
    mutation::Broken,
    raft::{Machine, proto::ConfState},
};

/// The largest note: what a benchmark or a check writes is no bigger.
pub const NOTE_BYTES_MAX: usize = 4096;

/// A change of what the cluster agrees on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterCommand {
    /// Of the leases.
    Lease(Command),
    /// Of the members.
    Member(MemberCommand),
    /// Of nothing: it is committed like any other, and forgotten. For measuring, and for seeing that the cluster can commit.
    Note(Vec<u8>),
}

impl ClusterCommand {
    /// The command as an entry carries it.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = match self {
            Self::Lease(command) => CommandBytes { lease: Some(command.encode()), ..CommandBytes::default() },
            Self::Member(command) => {
                CommandBytes { member: Some(command.encode()), ..CommandBytes::default() }
            }
            Self::Note(note) => CommandBytes { note: Some(note.clone()), ..CommandBytes::default() },
        };
        bytes.encode_to_vec()
    }
}

/// A command as an entry carries it; each part of the state has its own field, so that parts can be added.
#[derive(Clone, PartialEq, prost::Message)]
struct CommandBytes {
    #[prost(bytes = "vec", optional, tag = "1")]
    lease: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    member: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    note: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StateBytes {
    #[prost(bytes = "vec", tag = "1")]
    leases: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    members: Vec<u8>,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Of one about a lease.
    Lease {
        /// What was asked.
        command: Command,
        /// What came of it.
        outcome: Outcome,
    },
    /// Of one about members.
    Member {
        /// What was asked.
        command: MemberCommand,
        /// What came of it.
        outcome: MemberOutcome,
    },
    /// It is committed.
    Noted,
}

/// The replicated state of a cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterMachine {
    leases: LeaseTable,
    members: MemberTable,
    broken: Broken,
}

impl ClusterMachine {
    /// A cluster that has agreed on nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A cluster with these members, and all leases free.
    pub fn founded(members: MemberTable) -> Self {
        Self { members, ..Self::default() }
    }

    pub(crate) fn with(broken: Broken) -> Self {
        Self { leases: LeaseTable::with(broken), members: MemberTable::new(), broken }
    }

    /// The leases.
    pub fn leases(&self) -> &LeaseTable {
        &self.leases
    }

    /// The members.
    pub fn members(&self) -> &MemberTable {
        &self.members
    }

    /// The members, to be changed outside of the log: by whoever rebuilds a cluster.
    pub fn members_mut(&mut self) -> &mut MemberTable {
        &mut self.members
    }
}

impl Machine for ClusterMachine {
    type Reply = Reply;

    fn apply(&mut self, index: u64, bytes: &[u8]) -> Result<Reply, Malformed> {
        let bytes =
            CommandBytes::decode(bytes).map_err(|error| Malformed::new("a command", error.to_string()))?;
        if let Some(lease) = bytes.lease {
            let command = Command::decode(&lease)?;
            let outcome = self.leases.apply(index, &command);
            return Ok(Reply::Lease { command, outcome });
        }
        if let Some(member) = bytes.member {
            let command = MemberCommand::decode(&member)?;
            let outcome = self.members.apply(index, &command);
            return Ok(Reply::Member { command, outcome });
        }
        if bytes.note.is_some() {
            return Ok(Reply::Noted);
        }
        Err(Malformed::new("a command", "its part is unknown to this version"))
    }

    fn members(&mut self, _: u64, _: &ConfState) {}

    fn snapshot(&self) -> Vec<u8> {
        StateBytes { leases: self.leases.encode(), members: self.members.encode() }.encode_to_vec()
    }

    fn restore(&mut self, bytes: &[u8], _: &ConfState) -> Result<(), Malformed> {
        let bytes = StateBytes::decode(bytes)
            .map_err(|error| Malformed::new("the cluster's state", error.to_string()))?;
        self.leases = LeaseTable::decode(&bytes.leases)?.keep_broken(self.broken);
        self.members = MemberTable::decode(&bytes.members)?;
        Ok(())
    }
}
