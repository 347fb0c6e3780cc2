//! How the connections are, for people and for choosing a timing profile.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::raft::RaftId;

/// The connection to one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerStatus {
    /// Whether there is one that frames can be sent on.
    pub connected: bool,
    /// Connections of the peer to this node.
    pub inbound: usize,
    /// The last round trip that was measured, on this connection or one before.
    pub round_trip: Option<Duration>,
    /// Failures to connect in a row.
    pub failures: u32,
    /// Why the last connection failed or ended, with its causes.
    pub last_error: Option<String>,
    /// Frames that were sent.
    pub sent: u64,
    /// Frames that came.
    pub received: u64,
    /// Frames that were dropped because the queue was full or they were too large.
    pub dropped: u64,
    /// Frames that wait to be sent.
    pub waiting: usize,
}

/// Where the tasks write it down. Clones are the same board.
#[derive(Clone, Debug, Default)]
pub(super) struct StatusBoard {
    peers: Arc<Mutex<BTreeMap<RaftId, PeerStatus>>>,
}

impl StatusBoard {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<RaftId, PeerStatus>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known of a peer.
    pub(super) fn update(&self, peer: RaftId, change: impl FnOnce(&mut PeerStatus)) {
        change(self.lock().entry(peer).or_default());
    }

    pub(super) fn dropped(&self, peer: RaftId, frames: u64) {
        self.update(peer, |status| status.dropped = status.dropped.saturating_add(frames));
    }

    pub(super) fn forget(&self, peer: RaftId) {
        self.lock().remove(&peer);
    }

    pub(super) fn snapshot(&self, waiting: &BTreeMap<RaftId, usize>) -> BTreeMap<RaftId, PeerStatus> {
        let mut peers = self.lock().clone();
        for (id, status) in &mut peers {
            status.waiting = waiting.get(id).copied().unwrap_or(0);
        }
        peers
    }
}
