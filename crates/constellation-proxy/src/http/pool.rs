//! The connections to backends that wait for the next request, and how long they do.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    task::{Context, Waker},
    time::Duration,
};

use constellation_core::Moment;
use hyper::client::conn::http2;

use super::{body::RequestBody, h1::H1, secure::Peer};

/// Idle connections to one backend that are kept though nobody has needed that many for a while.
const IDLE_SPARED: usize = 8;

/// The connections to one backend that wait for the next request; the last that came is the first to go.
#[derive(Default)]
pub(super) struct Idle {
    pub(super) connections: Vec<H1>,
    /// The fewest that there were since they were last trimmed: as many were not needed in that time.
    fewest: usize,
}

impl Idle {
    pub(super) fn take(&mut self) -> Option<H1> {
        let connection = self.connections.pop();
        self.fewest = self.fewest.min(self.connections.len());
        connection
    }

    /// Gives up half of those that a burst has left behind: each costs its backend a place, and us 25 KiB.
    fn trim(&mut self) {
        let unneeded = self.fewest.min(self.connections.len()).saturating_sub(IDLE_SPARED).div_ceil(2);
        // The oldest are in front.
        drop(self.connections.drain(..unneeded));
        self.fewest = self.connections.len();
    }
}

/// The connections of one thread that wait for the next request.
#[derive(Default)]
pub(super) struct Pool {
    /// Looked up twice for each request, and of a few: there a hash would cost more than it finds.
    pub(super) h1: BTreeMap<Peer, Idle>,
    pub(super) h2: HashMap<Peer, http2::SendRequest<RequestBody>>,
}

impl Pool {
    /// Closes what has been idle for long, and what leads to nobody that is still routed.
    pub(super) fn sweep(&mut self, routed: &HashSet<Peer>, now: Moment, idle: Duration) {
        let cx = Context::from_waker(Waker::noop());
        self.h1.retain(|peer, known| {
            known
                .connections
                .retain_mut(|it| routed.contains(peer) && now.since(it.since) < idle && it.is_ready(&cx));
            !known.connections.is_empty()
        });
        self.h2.retain(|peer, sender| routed.contains(peer) && !sender.is_closed());
    }

    /// Gives up what a burst has left behind, where nobody has needed it since this was last asked for.
    pub(super) fn trim(&mut self) {
        self.h1.values_mut().for_each(Idle::trim);
    }

    /// How many are idle.
    pub(super) fn idle(&self) -> usize {
        self.h1.values().map(|known| known.connections.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::{super::secure::Link, *};

    /// How many are left after trims, before each of which so many were in use at once.
    async fn left(connections: usize, trims: &[usize]) -> usize {
        let mut idle = Idle::default();
        for _ in 0..connections {
            idle.connections.push(connection().await);
        }
        for in_use in trims {
            let taken: Vec<H1> = (0..*in_use).filter_map(|_| idle.take()).collect();
            idle.connections.extend(taken);
            idle.trim();
        }
        idle.connections.len()
    }

    async fn connection() -> H1 {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        H1::open(Link::Plain(stream), Moment::default()).await.unwrap()
    }

    #[tokio::test]
    async fn what_a_burst_has_left_is_given_up_by_and_by_and_a_few_are_kept() {
        // The first trim only learns how many there are.
        assert_eq!(left(40, &[0]).await, 40);
        assert_eq!(left(40, &[0, 0]).await, 24);
        assert_eq!(left(40, &[0; 9]).await, IDLE_SPARED);
        assert_eq!(left(3, &[0; 9]).await, 3);
    }

    #[tokio::test]
    async fn what_is_in_use_again_and_again_stays() {
        assert_eq!(left(40, &[40; 9]).await, 40);
        assert_eq!(left(40, &[32; 9]).await, 40);
        assert_eq!(left(40, &[12; 20]).await, 12 + IDLE_SPARED);
    }
}
