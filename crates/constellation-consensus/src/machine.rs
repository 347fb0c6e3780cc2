//! What a cluster agrees on, as Raft's state machine: the leases.

use prost::Message as _;

use crate::{
    lease::{Command, LeaseTable, Outcome},
    malformed::Malformed,
    mutation::Broken,
    raft::{Machine, proto::ConfState},
};

/// A command as an entry carries it; each part of the state has its own field, so that parts can be added.
#[derive(Clone, PartialEq, prost::Message)]
struct CommandBytes {
    #[prost(bytes = "vec", optional, tag = "1")]
    lease: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StateBytes {
    #[prost(bytes = "vec", tag = "1")]
    leases: Vec<u8>,
}

/// A command and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What was asked.
    pub command: Command,
    /// What came of it.
    pub outcome: Outcome,
}

/// The replicated state of a cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterMachine {
    leases: LeaseTable,
    broken: Broken,
}

impl ClusterMachine {
    /// A cluster that has agreed on nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with(broken: Broken) -> Self {
        Self { leases: LeaseTable::with(broken), broken }
    }

    /// The leases.
    pub fn leases(&self) -> &LeaseTable {
        &self.leases
    }

    /// A lease command as an entry carries it.
    pub fn encode(command: &Command) -> Vec<u8> {
        CommandBytes { lease: Some(command.encode()) }.encode_to_vec()
    }
}

impl Machine for ClusterMachine {
    type Reply = Reply;

    fn apply(&mut self, index: u64, bytes: &[u8]) -> Result<Reply, Malformed> {
        let bytes =
            CommandBytes::decode(bytes).map_err(|error| Malformed::new("a command", error.to_string()))?;
        let lease =
            bytes.lease.ok_or_else(|| Malformed::new("a command", "its part is unknown to this version"))?;
        let command = Command::decode(&lease)?;
        let outcome = self.leases.apply(index, &command);
        Ok(Reply { command, outcome })
    }

    fn members(&mut self, _: u64, _: &ConfState) {}

    fn snapshot(&self) -> Vec<u8> {
        StateBytes { leases: self.leases.encode() }.encode_to_vec()
    }

    fn restore(&mut self, bytes: &[u8], _: &ConfState) -> Result<(), Malformed> {
        let bytes = StateBytes::decode(bytes)
            .map_err(|error| Malformed::new("the cluster's state", error.to_string()))?;
        self.leases = LeaseTable::decode(&bytes.leases)?.keep_broken(self.broken);
        Ok(())
    }
}
