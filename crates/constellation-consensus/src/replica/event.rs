//! What a node is told, and what it wants done.

use constellation_core::{LeaseHolder, LeaseKind, LeaseStatus, NodeName};

use crate::{
    lease::{AskId, Command, Outcome, Sign, Wish},
    machine::{ClusterCommand, Reply},
    raft::{
        Batch, Lost, RaftId, Role, Seat, Ticket,
        proto::{ConfState, Message},
    },
};

/// What a node is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A tick has passed.
    Tick,
    /// A member said this, and was checked to be who it says.
    Message(Message),
    /// A batch is on disk.
    Persisted(u64),
    /// Whether this node would hold a lease.
    Wish(LeaseKind, Wish),
    /// A process is dead: its node said so under its own key.
    Died {
        /// Which process.
        holder: LeaseHolder,
        /// Its member of the Raft group, where that is known.
        member: Option<RaftId>,
    },
    /// A connection to a node failed.
    Hint(NodeName, Sign),
    /// A member could not be reached.
    Unreachable(RaftId),
    /// Ask for a moment at which this node knows everything that was committed before now.
    Read(Ticket),
    /// Put a command to the cluster.
    Propose(Ticket, ClusterCommand),
    /// Change members; on the leader only.
    Change(Ticket, Vec<(RaftId, Seat)>),
    /// Hand Raft's lead to another voter; on the leader only.
    Transfer(RaftId),
}

/// What a node wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write this down, in order, and say so.
    Persist(Batch),
    /// Send this.
    Send(Message),
    /// Tell this node's other parts of a lease.
    Publish(LeaseKind, LeaseStatus),
    /// A keeper asked the cluster for a lease or for more of it, or told it that it let a lease go; for logs and checkers.
    Asked(Command),
    /// The judge of a leader spoke: a tenure is over, or a process is buried; for logs and checkers.
    Judged(Command),
    /// What a keeper asked or told is applied here, maybe once more; for logs and checkers.
    Answered {
        /// Where in the log it stands.
        index: u64,
        /// What the keeper said.
        command: Command,
        /// What came of it.
        outcome: Outcome,
    },
    /// Raft's leader or term changed.
    Role(Role),
    /// The lease table changed; it is [`super::Replica::leases`].
    Table,
    /// The table of members changed; it is [`super::Replica::table_of_members`].
    Roster,
    /// A command that was put under this ticket is applied here.
    Applied {
        /// The ticket.
        ticket: Ticket,
        /// Where in the log it stands.
        index: u64,
        /// What came of it.
        reply: Reply,
    },
    /// Members changed.
    Members {
        /// To these.
        members: ConfState,
        /// The ticket, if this node asked for it.
        ticket: Option<Ticket>,
    },
    /// A read is good now.
    Readable(Ticket),
    /// A ticket will have no answer.
    Failed(Ticket, Lost),
    /// The cluster holds this process for dead: it must end, and come back under a new boot id.
    Dead,
}

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its member of the Raft group.
    pub raft: RaftId,
    /// Its name and this run of its process.
    pub holder: LeaseHolder,
    /// Above every question that an earlier process with the same boot id can have asked.
    pub first_ask: AskId,
}
