//! Members on loopback, with real certificates; strangers, liars and broken lines between them.

mod authority;
mod broken;
mod certificates;
mod corpus;
mod join;
mod line;
mod members;
mod strangers;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use constellation_core::{Clock, WallTime};
use constellation_tasks::{Schedule, Supervisor, SystemClock};
use tokio::sync::{mpsc, watch};

use super::{
    Admission, ClusterCa, Delivery, Incoming, Peer, PeerIdentity, Roster, TcpTransport, TlsIdentity,
    TransportConfig,
};
use crate::{
    Body, Frame, Transport,
    raft::{RaftId, proto},
};

/// No wait for a state is longer.
const PATIENCE: Duration = Duration::from_secs(20);
const EPOCH: u64 = 3;

fn now() -> WallTime {
    SystemClock::start().wall()
}

fn authority() -> ClusterCa {
    ClusterCa::create("home".parse().unwrap(), now()).unwrap()
}

fn member(id: u64) -> PeerIdentity {
    format!("constellation://home/node-{id}/{id}").parse().unwrap()
}

fn tls(ca: &ClusterCa, id: u64) -> Arc<TlsIdentity> {
    Arc::new(TlsIdentity::new(&ca.credentials(&member(id), now()).unwrap()).unwrap())
}

fn config() -> TransportConfig {
    TransportConfig {
        keepalive: Duration::from_millis(50),
        reconnect: Schedule::new(Duration::from_millis(5), Duration::from_millis(50)),
        ..TransportConfig::at("127.0.0.1:0".parse().unwrap(), EPOCH)
    }
}

/// A running member.
struct Member {
    id: u64,
    transport: TcpTransport,
    deliveries: mpsc::Receiver<Delivery>,
    roster: watch::Sender<Arc<Roster>>,
    identity: watch::Sender<Arc<TlsIdentity>>,
    supervisor: Supervisor,
}

impl Member {
    async fn start(id: u64, tls: Arc<TlsIdentity>, config: TransportConfig) -> Self {
        Self::start_admitting(id, tls, config, None).await
    }

    async fn start_admitting(
        id: u64,
        tls: Arc<TlsIdentity>,
        config: TransportConfig,
        admission: Option<Arc<dyn Admission>>,
    ) -> Self {
        let (identity, identities) = watch::channel(tls);
        let (roster, rosters) = watch::channel(Arc::default());
        let supervisor = Supervisor::new();
        let clock = Arc::new(SystemClock::start());
        let started = TcpTransport::start(config, identities, rosters, admission, clock, &supervisor).await;
        let (transport, deliveries) = started.unwrap();
        Self { id, transport, deliveries, roster, identity, supervisor }
    }

    fn address(&self) -> SocketAddr {
        self.transport.local_addr()
    }

    /// Makes a member known, at an address; frames for it are kept from then on.
    async fn knows(&self, id: u64, address: impl Into<Option<SocketAddr>>) {
        let peer = Peer { node: member(id).node, address: address.into() };
        self.roster.send_modify(|roster| {
            let mut changed = Roster::clone(roster);
            changed.peers.insert(RaftId(id), peer);
            *roster = Arc::new(changed);
        });
        let queued = async {
            while !self.transport.queues_for(RaftId(id)) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, queued).await.expect("the roster is followed");
    }

    fn removes(&self, id: u64) {
        self.roster.send_modify(|roster| {
            let mut changed = Roster::clone(roster);
            changed.peers.remove(&RaftId(id));
            changed.removed.insert(RaftId(id));
            *roster = Arc::new(changed);
        });
    }

    fn send(&self, to: u64, number: u64) {
        self.transport.send(RaftId(to), frame(self.id, to, number));
    }

    /// The next frame; hints are passed over.
    async fn frame(&mut self) -> (PeerIdentity, Frame) {
        let found = async {
            loop {
                if let Incoming::Frame { from, frame } = self.incoming().await {
                    return (from, frame);
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("a frame comes in time")
    }

    async fn number(&mut self) -> u64 {
        number(&self.frame().await.1)
    }

    async fn incoming(&mut self) -> Incoming {
        let delivery = tokio::time::timeout(PATIENCE, self.deliveries.recv()).await;
        delivery.expect("something comes in time").expect("the transport runs").incoming
    }

    /// What the status says of a peer, once it is as wanted.
    async fn status(&self, of: u64, wanted: impl Fn(&super::PeerStatus) -> bool) -> super::PeerStatus {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(status) = self.transport.peers().get(&RaftId(of)).filter(|status| wanted(status))
                {
                    return status.clone();
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        let all: BTreeMap<_, _> = self.transport.peers();
        found.await.unwrap_or_else(|_| panic!("the state never came: {all:?}"))
    }

    /// Says a number again and again until it arrives: what was written to a connection that is dead is lost.
    async fn reaches(&self, to: &mut Member, number: u64) {
        let mut again = tokio::time::interval(Duration::from_millis(20));
        let receiver = to.id;
        let arrives = async { while to.number().await != number {} };
        tokio::pin!(arrives);
        loop {
            tokio::select! {
                () = &mut arrives => return,
                _ = again.tick() => self.send(receiver, number),
            }
        }
    }

    async fn connected(&self, to: u64) {
        self.status(to, |status| status.connected && status.round_trip.is_some()).await;
    }

    async fn failure(&self, to: u64) -> String {
        self.status(to, |status| status.last_error.is_some()).await.last_error.unwrap()
    }

    async fn stop(self) {
        self.supervisor.drain(PATIENCE).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
fn in_background(task: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(task));
}

/// Two members that know each other.
async fn pair(ca: &ClusterCa) -> (Member, Member) {
    let a = Member::start(1, tls(ca, 1), config()).await;
    let b = Member::start(2, tls(ca, 2), config()).await;
    a.knows(2, b.address()).await;
    b.knows(1, a.address()).await;
    (a, b)
}

fn frame(from: u64, to: u64, number: u64) -> Frame {
    let message = proto::Message { from, to, index: number, ..proto::Message::default() };
    Frame { epoch: EPOCH, from, to, body: Some(Body::Raft(message)) }
}

fn number(frame: &Frame) -> u64 {
    match &frame.body {
        Some(Body::Raft(message)) => message.index,
        other => panic!("{other:?}"),
    }
}
