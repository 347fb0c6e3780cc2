//! Who waits for what: proposals and reads that this process made.

use std::collections::BTreeMap;

use prost::bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::proto::RaftId;

/// Names one proposal or read of this process. Its owner never uses one twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Proposals that may be unanswered at once. Far above what one node asks; a loop that forgets to wait is stopped here.
const BOUND: usize = 4096;

/// What an entry says of its origin, so that the proposer knows it again when it is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) member: RaftId,
    /// Which run of the member's process: tickets begin anew in each.
    pub(super) run: u64,
    pub(super) ticket: Ticket,
}

impl Origin {
    pub(super) fn encode(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(24);
        bytes.put_u64(self.member.0);
        bytes.put_u64(self.run);
        bytes.put_u64(self.ticket.0);
        bytes.freeze()
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        if bytes.len() != 24 {
            return None;
        }
        let (member, run, ticket) = (bytes.get_u64(), bytes.get_u64(), bytes.get_u64());
        Some(Self { member: RaftId(member), run, ticket: Ticket(ticket) })
    }
}

/// Why a ticket will have no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// No leader is known; nothing was proposed.
    #[error("no leader is known")]
    NoLeader,
    /// Only the leader can do this.
    #[error("this member does not lead")]
    NotLeading,
    /// The leader does not take it now: it hands over, changes members, or has too much to do. Nothing was proposed.
    #[error("the group does not take it now")]
    Busy,
    /// The leader changed or did not answer: it may still happen, or not.
    #[error("the leader changed or did not answer; whether it happens is unknown")]
    Unknown,
    /// The group refused the change of members.
    #[error("the group refused the change of members")]
    Refused,
}

/// What a ticket waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Applied,
    /// The index up to which the machine must be before the read is good; unknown until the leader said so.
    Read(Option<u64>),
}

#[derive(Debug, Default)]
pub(super) struct Tickets {
    waits: BTreeMap<Ticket, (Wait, usize)>,
}

impl Tickets {
    pub(super) fn admit(&mut self, ticket: Ticket) -> bool {
        self.insert(ticket, Wait::Applied)
    }

    pub(super) fn admit_read(&mut self, ticket: Ticket) -> bool {
        self.insert(ticket, Wait::Read(None))
    }

    fn insert(&mut self, ticket: Ticket, wait: Wait) -> bool {
        let room = self.waits.len() < BOUND;
        if room {
            self.waits.insert(ticket, (wait, 0));
        }
        room
    }

    pub(super) fn settle(&mut self, ticket: Ticket) -> bool {
        self.waits.remove(&ticket).is_some()
    }

    pub(super) fn read_at(&mut self, ticket: Ticket, index: u64) {
        if let Some((wait @ Wait::Read(None), _)) = self.waits.get_mut(&ticket) {
            *wait = Wait::Read(Some(index));
        }
    }

    /// Reads that are good once the machine has applied `index`.
    pub(super) fn readable(&mut self, applied: u64) -> Vec<Ticket> {
        let good = |wait: &Wait| matches!(wait, Wait::Read(Some(index)) if *index <= applied);
        let ready: Vec<Ticket> =
            self.waits.iter().filter(|(_, (wait, _))| good(wait)).map(|(ticket, _)| *ticket).collect();
        for ticket in &ready {
            self.waits.remove(ticket);
        }
        ready
    }

    /// Counts a tick, and gives up on whoever waits for more than `patience` of them.
    pub(super) fn tick(&mut self, patience: usize) -> Vec<Ticket> {
        for (_, age) in self.waits.values_mut() {
            *age += 1;
        }
        let over: Vec<Ticket> =
            self.waits.iter().filter(|(_, (_, age))| *age > patience).map(|(ticket, _)| *ticket).collect();
        for ticket in &over {
            self.waits.remove(ticket);
        }
        over
    }

    pub(super) fn drain(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.waits).into_keys().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_reads_back_as_it_was_written_and_anything_else_is_nobody_s() {
        let origin = Origin { member: RaftId(3), run: 99, ticket: Ticket(7) };
        assert_eq!(Origin::decode(&origin.encode()), Some(origin));
        assert_eq!(Origin::decode(b""), None);
    }

    #[test]
    fn a_read_is_good_once_the_machine_is_as_far_as_the_leader_was() {
        let mut tickets = Tickets::default();
        tickets.admit_read(Ticket(1));
        assert_eq!(tickets.readable(100), []);
        tickets.read_at(Ticket(1), 101);
        assert_eq!(tickets.readable(100), []);
        assert_eq!(tickets.readable(101), [Ticket(1)]);
        assert_eq!(tickets.readable(101), []);
    }

    #[test]
    fn whoever_waits_too_long_is_told() {
        let mut tickets = Tickets::default();
        tickets.admit(Ticket(1));
        assert_eq!(tickets.tick(1), []);
        assert_eq!(tickets.tick(1), [Ticket(1)]);
    }
}
