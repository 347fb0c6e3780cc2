//! The transport as its user sees it: frames go out by [`TcpTransport`], and come in by a channel.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};

use constellation_core::Clock;
use constellation_tasks::{Early, Supervisor};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::{
    codec,
    config::TransportConfig,
    dialer::Dialer,
    error::TransportError,
    identity::PeerIdentity,
    join::Admission,
    listener::Listener,
    queue::{Dropped, Outbox, Outgoing},
    roster::{Peer, Roster},
    status::{PeerStatus, StatusBoard},
    tls::TlsIdentity,
};
use crate::{Body, Frame, Transport, raft::RaftId};

/// How many deliveries may wait: small ones, that is; large ones are bounded by their bytes.
const DELIVERIES_BOUND: usize = 1024;
/// raft-rs's number for the message that carries a snapshot.
const MSG_SNAPSHOT: i32 = 7;

/// What the transport has to say to the Raft member.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are frames")]
pub enum Incoming {
    /// A frame for this member, of this epoch, from whom it says.
    Frame {
        /// Who sent it, by its certificate; `frame.from` is the same id.
        from: PeerIdentity,
        /// The frame.
        frame: Frame,
    },
    /// A peer could not be reached, a connection to it broke, or a snapshot for it was dropped: Raft sends it less until it
    /// answers, and a snapshot again. It is a hint and proves nothing.
    Unreachable {
        /// Which.
        peer: RaftId,
        /// Whether its machine refused the connection, which a firewall does as well.
        refused: bool,
    },
}

/// Something incoming, with the room that it takes up until it is dropped.
#[derive(Debug)]
pub struct Delivery {
    /// What it is.
    pub incoming: Incoming,
    _room: Option<OwnedSemaphorePermit>,
}

/// Hands incoming things to the member.
#[derive(Clone, Debug)]
pub(super) struct Deliveries {
    sender: mpsc::Sender<Delivery>,
    room: Arc<Semaphore>,
    room_bytes: usize,
    ended: CancellationToken,
}

impl Deliveries {
    /// Waits for room; `false` when nobody takes anything any more.
    pub(super) async fn frame(&self, from: PeerIdentity, frame: Frame) -> bool {
        let bytes = prost::Message::encoded_len(&frame).clamp(1, self.room_bytes);
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let delivered = async {
            let room = Arc::clone(&self.room).acquire_many_owned(permits).await.ok()?;
            let incoming = Incoming::Frame { from, frame };
            self.sender.send(Delivery { incoming, _room: Some(room) }).await.ok()
        };
        self.ended.run_until_cancelled(delivered).await.flatten().is_some()
    }

    /// Tells a small thing, waiting for room.
    pub(super) async fn tell(&self, incoming: Incoming) {
        // Where nobody takes anything any more, nobody misses it.
        let _ = self.ended.run_until_cancelled(self.sender.send(Delivery { incoming, _room: None })).await;
    }
}

/// Carries frames to and from the other members. Clones are the same transport.
///
/// Dropping the last one ends it, as the drain of its supervisor does.
#[derive(Clone, Debug)]
pub struct TcpTransport {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    outboxes: RwLock<BTreeMap<RaftId, Arc<Outbox>>>,
    status: StatusBoard,
    local: SocketAddr,
    ended: CancellationToken,
    losses: mpsc::Sender<RaftId>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl TcpTransport {
    /// Listens, and keeps a connection to each peer of the roster, until the supervisor drains.
    ///
    /// `identity` and `roster` are followed: new credentials count for every connection that is made from then on, and a
    /// peer that leaves the roster or is removed is cut off at once. Without an `admission` no node can join here.
    pub async fn start(
        config: TransportConfig,
        identity: watch::Receiver<Arc<TlsIdentity>>,
        roster: watch::Receiver<Arc<Roster>>,
        admission: Option<Arc<dyn Admission>>,
        clock: Arc<dyn Clock>,
        supervisor: &Supervisor,
    ) -> Result<(Self, mpsc::Receiver<Delivery>), TransportError> {
        let fail = |source| TransportError::Listen { address: config.listen, source };
        let socket = TcpListener::bind(config.listen).await.map_err(fail)?;
        let local = socket.local_addr().map_err(fail)?;
        let (sender, deliveries) = mpsc::channel(DELIVERIES_BOUND);
        let room_bytes = config.inbound_bytes.clamp(1, Semaphore::MAX_PERMITS);
        // One entry for each peer whose snapshot was dropped before it was sent: more news of one peer is no news.
        let (losses, lost) = mpsc::channel(64);
        let ended = supervisor.shutdown().child_token();
        let room = Arc::new(Semaphore::new(room_bytes));
        let sink = Deliveries { sender, room, room_bytes, ended: ended.clone() };
        let inner = Arc::new(Inner {
            outboxes: RwLock::default(),
            status: StatusBoard::default(),
            local,
            ended: ended.clone(),
            losses,
        });
        let listener = Listener {
            socket,
            config: config.clone(),
            identity: identity.clone(),
            roster: roster.clone(),
            admission,
            deliveries: sink.clone(),
            status: inner.status.clone(),
        };
        let stop = ended.clone();
        supervisor.spawn("raft listener", Early::Fatal, async move { listener.run(stop).await });
        let dialers = Dialers {
            // Not the transport itself: whoever drops the last handle ends the tasks, and these must not count.
            inner: Arc::downgrade(&inner),
            config,
            identity,
            roster,
            deliveries: sink,
            status: inner.status.clone(),
            clock,
            lost,
            running: BTreeMap::new(),
        };
        supervisor.spawn("raft dialers", Early::Fatal, async move { dialers.run(ended).await });
        Ok((Self { inner }, deliveries))
    }

    /// Where it listens: the port that was given, or the one that was free where that was zero.
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.local
    }

    /// How the connections to the others are.
    pub fn peers(&self) -> BTreeMap<RaftId, PeerStatus> {
        let waiting = self.outboxes().iter().map(|(id, outbox)| (*id, outbox.len())).collect();
        self.inner.status.snapshot(&waiting)
    }

    /// Whether frames for a member are kept until they can be sent: it is in the roster, and the roster was followed.
    pub fn queues_for(&self, peer: RaftId) -> bool {
        self.outboxes().contains_key(&peer)
    }

    fn outboxes(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<RaftId, Arc<Outbox>>> {
        self.inner.outboxes.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for TcpTransport {
    fn send(&self, to: RaftId, frame: Frame) {
        let snapshot = matches!(&frame.body, Some(Body::Raft(message)) if message.kind == MSG_SNAPSHOT);
        let outbox = self.outboxes().get(&to).cloned();
        let Some(outbox) = outbox else {
            debug!(%to, "a frame for a member that is not in the roster is dropped");
            if snapshot {
                // When this is full the same news are on their way already.
                let _ = self.inner.losses.try_send(to);
            }
            return;
        };
        let dropped = match codec::encode_frame(&frame) {
            Ok(bytes) => outbox.push(Outgoing { bytes, snapshot }),
            Err(too_large) => {
                error!(%to, bytes = too_large.bytes, "a frame is larger than can be carried and is dropped");
                Dropped { frames: 1, snapshots: u64::from(snapshot) }
            }
        };
        if dropped.frames > 0 {
            self.inner.status.dropped(to, dropped.frames);
        }
        if dropped.snapshots > 0 {
            let _ = self.inner.losses.try_send(to);
        }
    }
}

/// Keeps one dialer for each peer of the roster.
struct Dialers {
    inner: std::sync::Weak<Inner>,
    config: TransportConfig,
    identity: watch::Receiver<Arc<TlsIdentity>>,
    roster: watch::Receiver<Arc<Roster>>,
    deliveries: Deliveries,
    status: StatusBoard,
    clock: Arc<dyn Clock>,
    lost: mpsc::Receiver<RaftId>,
    running: BTreeMap<RaftId, Running>,
}

struct Running {
    stop: CancellationToken,
    peer: watch::Sender<Peer>,
}

impl Dialers {
    async fn run(mut self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        // When nobody can change the roster any more, it stays what it is.
        let mut changes = true;
        loop {
            let roster = Arc::clone(&self.roster.borrow_and_update());
            self.follow(&roster, &mut tasks, &stop);
            tokio::select! {
                () = stop.cancelled() => break,
                changed = self.roster.changed(), if changes => changes = changed.is_ok(),
                Some(peer) = self.lost.recv() => {
                    self.deliveries.tell(Incoming::Unreachable { peer, refused: false }).await;
                }
                Some(ended) = tasks.join_next() => if let Err(error) = ended {
                    warn!(%error, "a connection's task panicked");
                    self.forget_all();
                },
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    fn follow(&mut self, roster: &Roster, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        let own = self.identity.borrow().identity.id;
        let wanted =
            |id: &RaftId| *id != own && roster.peers.contains_key(id) && !roster.removed.contains(id);
        let Some(inner) = self.inner.upgrade() else { return };
        let mut outboxes = inner.outboxes.write().unwrap_or_else(PoisonError::into_inner);
        self.running.retain(|id, running| {
            let stays = wanted(id);
            if !stays {
                running.stop.cancel();
                outboxes.remove(id);
                self.status.forget(*id);
            }
            stays
        });
        for (id, peer) in roster.peers.iter().filter(|(id, _)| wanted(id)) {
            if let Some(running) = self.running.get(id) {
                running.peer.send_if_modified(|known| {
                    let changed = known != peer;
                    if changed {
                        known.clone_from(peer);
                    }
                    changed
                });
                continue;
            }
            let outbox = outboxes.entry(*id).or_insert_with(|| {
                Arc::new(Outbox::new(self.config.queue_frames.max(1), self.config.queue_bytes))
            });
            let (sender, receiver) = watch::channel(peer.clone());
            let running = Running { stop: stop.child_token(), peer: sender };
            let dialer = Dialer {
                id: *id,
                peer: receiver,
                outbox: Arc::clone(outbox),
                config: self.config.clone(),
                identity: self.identity.clone(),
                deliveries: self.deliveries.clone(),
                status: self.status.clone(),
                clock: Arc::clone(&self.clock),
            };
            let stopped = running.stop.clone();
            tasks.spawn(async move { dialer.run(stopped).await });
            self.running.insert(*id, running);
        }
    }

    /// After a panic nobody knows whose task it was: all are made anew, on the next round.
    fn forget_all(&mut self) {
        for (_, running) in std::mem::take(&mut self.running) {
            running.stop.cancel();
        }
    }
}
