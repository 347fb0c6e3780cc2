//! The seam to what is replicated.

use super::proto::ConfState;
use crate::malformed::Malformed;

/// A state machine: the same calls in the same order give the same state on every member.
///
/// An error means that this member cannot follow (a command of a newer version, a damaged snapshot): it stops, because a
/// member that skipped a command would be wrong from then on.
pub trait Machine {
    /// What a command answers to whoever proposed it.
    type Reply;

    /// Applies the command that stands at `index`.
    fn apply(&mut self, index: u64, command: &[u8]) -> Result<Self::Reply, Malformed>;

    /// The group's members have changed at `index`.
    fn members(&mut self, index: u64, members: &ConfState);

    /// The state as bytes; the same state gives the same bytes.
    fn snapshot(&self) -> Vec<u8>;

    /// Takes over a state that another member, or an earlier run, wrote down.
    fn restore(&mut self, bytes: &[u8], members: &ConfState) -> Result<(), Malformed>;
}
