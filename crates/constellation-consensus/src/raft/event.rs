//! What a member is told, and what it says.

use super::{
    convert::{Seat, Unsound},
    log::Batch,
    proto::{ConfState, Message, RaftId},
    tickets::{Lost, Ticket},
};
use crate::malformed::Malformed;

/// What a member is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "most are messages, and none is kept")]
pub enum Input {
    /// A tick of [`super::Timing::tick`] has passed.
    Tick,
    /// A peer, whose name has been checked, said this.
    Message(Message),
    /// The batch of this number is on disk, and all before it.
    Persisted(u64),
    /// Put a command to the group. A member that does not lead forwards it.
    Propose(Ticket, Vec<u8>),
    /// Ask for a moment at which this member's machine knows everything that was committed before now.
    Read(Ticket),
    /// Change members; on the leader only.
    Change(Ticket, Vec<(RaftId, Seat)>),
    /// Hand the lead to another voter; on the leader only.
    Transfer(RaftId),
    /// A peer could not be reached.
    Unreachable(RaftId),
    /// A peer's process is proven dead. Where it led, its followers need not wait until they miss it.
    Bereaved(RaftId),
}

/// What a member wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<R> {
    /// Write this down, in the order of the numbers, and say so.
    Persist(Batch),
    /// Send this to the member that it names.
    Send(Message),
    /// The leader or the term changed.
    Role(Role),
    /// The first entry of the own term is applied: this member leads, and knows all that was ever committed.
    Leads,
    /// A command was applied.
    Applied {
        /// Where it stands in the log.
        index: u64,
        /// The ticket, if it was proposed by this process.
        ticket: Option<Ticket>,
        /// What the machine answered.
        reply: R,
    },
    /// The machine was replaced by a snapshot.
    Restored,
    /// The members have changed.
    Members {
        /// To these.
        members: ConfState,
        /// The ticket, if this process asked for it.
        ticket: Option<Ticket>,
    },
    /// A read is good now.
    Readable(Ticket),
    /// A ticket will have no answer.
    Failed(Ticket, Lost),
}

/// Who leads, as this member knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// The term that it is in.
    pub term: u64,
    /// The leader of that term.
    pub leader: Option<RaftId>,
    /// Whether that is this member.
    pub leads: bool,
}

/// This member cannot go on: its process must end.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// What is in the log cannot be applied.
    #[error("could not follow the log at entry {index}")]
    Follow {
        /// Where.
        index: u64,
        /// Why.
        source: Malformed,
    },
    /// What is in the log is not well-formed.
    #[error("could not take over the log")]
    Recover(#[from] Unsound),
    /// The library refused.
    #[error("Raft could not go on")]
    Library(#[from] raft::Error),
    /// The leader knows this member to have more than it has.
    #[error(
        "this member lost what it had promised to keep (its log ends at {last}, and {commit} is committed): remove it \
         from the group and let it join under a new id"
    )]
    Amnesia {
        /// Where its log ends.
        last: u64,
        /// What the leader knows it to have had.
        commit: u64,
    },
}
