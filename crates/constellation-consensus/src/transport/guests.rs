//! The members that are inside.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::raft::RaftId;

/// A member has one connection to another, and a second while it makes a new one before it noticed the end of the old;
/// and its notary may have one.
const CONNECTIONS_PER_MEMBER: usize = 3;

/// The members that are connected, each with its few newest connections.
#[derive(Debug, Default)]
pub(super) struct Guests {
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    last_number: u64,
    connections: BTreeMap<RaftId, Vec<(u64, CancellationToken)>>,
}

/// One connection of a member.
pub(super) struct Guest {
    id: RaftId,
    number: u64,
    /// Cancelled when the member has made so many newer connections that this one must go.
    pub(super) replaced: CancellationToken,
}

impl Guests {
    pub(super) fn enter(&self, id: RaftId) -> Guest {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.last_number += 1;
        let guest = Guest { id, number: inside.last_number, replaced: CancellationToken::new() };
        let connections = inside.connections.entry(id).or_default();
        connections.push((guest.number, guest.replaced.clone()));
        if connections.len() > CONNECTIONS_PER_MEMBER {
            connections.remove(0).1.cancel();
        }
        guest
    }

    pub(super) fn leave(&self, guest: &Guest) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = inside.connections.get_mut(&guest.id) {
            connections.retain(|(number, _)| *number != guest.number);
            if connections.is_empty() {
                inside.connections.remove(&guest.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_connects_again_and_again_loses_its_oldest_connection() {
        let guests = Guests::default();
        let all: Vec<_> = (0..=CONNECTIONS_PER_MEMBER).map(|_| guests.enter(RaftId(1))).collect();
        let other = guests.enter(RaftId(2));
        assert!(all[0].replaced.is_cancelled());
        assert!(!all[1].replaced.is_cancelled() && !other.replaced.is_cancelled());
        all.iter().chain([&other]).for_each(|guest| guests.leave(guest));
        assert!(guests.inside.lock().unwrap().connections.is_empty());
    }
}
