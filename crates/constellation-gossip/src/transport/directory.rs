//! Which run of a peer listens at an address, and what waits to be sent until that is known.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    ops::RangeInclusive,
};

use super::frame::Session;

/// How many addresses are remembered. Forgetting one costs a round trip.
const ADDRESSES_MAX: usize = 4096;
/// How many messages wait for an answer to a probe; one per address.
const WAITING_MAX: usize = 64;
/// The largest message that waits. First messages to a peer are small; a large one is sent again by chitchat anyway.
const WAITING_BYTES_MAX: usize = 16 * 1024;
/// How many sent messages are remembered by their counters.
const SENT_MAX: usize = 512;

/// What is known of the peers' sessions.
#[derive(Debug, Default)]
pub(super) struct Directory {
    sessions: HashMap<SocketAddr, (Session, u64)>,
    uses: u64,
    waiting: HashMap<SocketAddr, Vec<u8>>,
    sent: VecDeque<(RangeInclusive<u64>, SocketAddr)>,
}

impl Directory {
    /// The session at an address, where it is known.
    pub(super) fn session_at(&mut self, address: SocketAddr) -> Option<Session> {
        self.uses += 1;
        let (session, used) = self.sessions.get_mut(&address)?;
        *used = self.uses;
        Some(*session)
    }

    /// Notes who is at an address.
    pub(super) fn learn(&mut self, address: SocketAddr, session: Session) {
        self.uses += 1;
        if self.sessions.len() >= ADDRESSES_MAX && !self.sessions.contains_key(&address) {
            let unused = self.sessions.iter().min_by_key(|(_, (_, used))| *used).map(|(address, _)| *address);
            if let Some(unused) = unused {
                self.sessions.remove(&unused);
            }
        }
        self.sessions.insert(address, (session, self.uses));
    }

    /// Keeps a message until its receiver has answered a probe. A newer one takes the place of an older one.
    pub(super) fn wait(&mut self, address: SocketAddr, message: &[u8]) {
        if message.len() > WAITING_BYTES_MAX {
            return;
        }
        if self.waiting.len() >= WAITING_MAX && !self.waiting.contains_key(&address) {
            // Whoever did not answer so far is likely not there.
            let any = self.waiting.keys().next().copied();
            if let Some(any) = any {
                self.waiting.remove(&any);
            }
        }
        self.waiting.insert(address, message.to_vec());
    }

    /// Takes the message that waited for this address.
    pub(super) fn take_waiting(&mut self, address: SocketAddr) -> Option<Vec<u8>> {
        self.waiting.remove(&address)
    }

    /// Notes where the datagrams with these counters went.
    pub(super) fn sent(&mut self, counters: RangeInclusive<u64>, address: SocketAddr) {
        if self.sent.len() >= SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((counters, address));
    }

    /// Where the datagram with this counter went. The answer may come from another address: a machine with several
    /// answers from the one nearest to us.
    pub(super) fn sent_to(&self, counter: u64) -> Option<SocketAddr> {
        self.sent.iter().rev().find(|(counters, _)| counters.contains(&counter)).map(|(_, address)| *address)
    }
}
