//! One listener of the gateway and the connections that it forwards.

use std::{
    collections::VecDeque,
    future, io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::JoinSet,
    time::{Sleep, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    copy::{self, Pipes},
    greeting::ProxyProtocol,
};

/// A peer that has been silent for this long is asked whether it is still there: one whose machine is gone would be waited for for ever.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// Between such questions; the kernel gives up after nine (`tcp_keepalive_probes`).
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);

/// What a listener counted since it was opened.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Connections that are open now.
    pub(super) open: AtomicUsize,
    /// Connections that were accepted.
    pub(super) accepted: AtomicU64,
    /// Connections that were closed at once because too many were open.
    pub(super) refused: AtomicU64,
    /// Connections whose container did not answer.
    pub(super) unreachable: AtomicU64,
}

pub(super) struct Limits {
    pub(super) connections_max: usize,
    pub(super) connect_timeout: Duration,
    /// How long open connections may go on after the listener closed.
    pub(super) linger: Duration,
    /// What is open through all listeners together, and how much may be.
    pub(super) all: Arc<AtomicUsize>,
    pub(super) all_max: usize,
    /// How the container is greeted.
    pub(super) greeting: Option<ProxyProtocol>,
    /// For all listeners together.
    pub(super) pipes: Arc<Pipes>,
}

/// A connection's place among those that are open, which ends with it however it ends.
struct Place {
    counters: Arc<Counters>,
    _all: Taken,
}

impl Place {
    /// `None` where too many are open, of this endpoint or of all.
    fn take(counters: &Arc<Counters>, limits: &Limits) -> Option<Self> {
        if counters.open.load(Ordering::Relaxed) >= limits.connections_max {
            return None;
        }
        let all = Taken::of(&limits.all, limits.all_max)?;
        // This listener's task alone counts up.
        counters.open.fetch_add(1, Ordering::Relaxed);
        Some(Self { counters: Arc::clone(counters), _all: all })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counters.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One of the places that all listeners share, given back when it is dropped.
pub(super) struct Taken(Arc<AtomicUsize>);

impl Taken {
    /// `None` where all of them are taken.
    pub(super) fn of(all: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        // Counted before it is asked, because other listeners count at the same time. Dropping it takes it back.
        let before = all.fetch_add(1, Ordering::Relaxed);
        let taken = Self(Arc::clone(all));
        (before < max).then_some(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connections that were let go: they end by themselves, or when their time is up.
#[derive(Default)]
struct LetGo {
    /// Those that were let go together, the first at the front: all have the same time, so theirs is up first.
    batches: VecDeque<(Pin<Box<Sleep>>, JoinSet<()>)>,
}

impl LetGo {
    /// Takes over what is open. What was let go before keeps the time that it was given then.
    fn take(&mut self, connections: &mut JoinSet<()>, linger: Duration) {
        while connections.try_join_next().is_some() {}
        if !connections.is_empty() {
            self.batches.push_back((Box::pin(sleep(linger)), std::mem::take(connections)));
        }
    }

    /// Cuts those whose time is up first, when it is; waits for ever where none were let go.
    async fn cut(&mut self) {
        match self.batches.front_mut() {
            Some((up, _)) => up.await,
            None => future::pending().await,
        }
        self.batches.pop_front();
    }

    /// When all of them have ended by themselves.
    async fn ended(&mut self) {
        for (_, connections) in &mut self.batches {
            while connections.join_next().await.is_some() {}
        }
    }
}

/// Accepts until cancelled, then lets the open connections end by themselves, for a while.
pub(super) async fn run(
    listener: TcpListener,
    upstream: watch::Receiver<SocketAddr>,
    limits: Limits,
    counters: Arc<Counters>,
    let_go: Arc<Notify>,
    closing: CancellationToken,
) {
    // Accepted connections inherit both on Linux, which spares each of them the calls.
    be_prompt_and_alive(&listener);
    let (limits, mut connections, mut leaving) = (Arc::new(limits), JoinSet::new(), LetGo::default());
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => break,
            () = let_go.notified() => {
                leaving.take(&mut connections, limits.linger);
                continue;
            }
            () = leaving.cut() => continue,
            accepted = listener.accept() => accepted,
        };
        // Here and not as they end: each would wake this task once more. Those that wait for it are no more than may be open.
        while connections.try_join_next().is_some() {}
        let client = match accepted {
            Ok((client, _)) => client,
            Err(error) => {
                // Usually no file descriptors are left; trying again at once would only burn the CPU.
                warn!(%error, "the mesh gateway could not accept a connection");
                tokio::select! {
                    () = closing.cancelled() => break,
                    () = sleep(Duration::from_millis(100)) => continue,
                }
            }
        };
        counters.accepted.fetch_add(1, Ordering::Relaxed);
        let Some(place) = Place::take(&counters, &limits) else {
            counters.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let (to, limits) = (*upstream.borrow(), Arc::clone(&limits));
        connections.spawn(async move {
            if let Err(error) = forward(client, to, &limits).await {
                place.counters.unreachable.fetch_add(1, Ordering::Relaxed);
                debug!(%to, %error, "the mesh gateway could not reach a container");
            }
        });
    }
    drop(listener);
    let ended = async {
        while connections.join_next().await.is_some() {}
        leaving.ended().await;
    };
    if tokio::time::timeout(limits.linger, ended).await.is_err() {
        debug!("the mesh gateway closes connections that outlived their endpoint");
    }
}

/// Small messages must not wait for one another, and a peer that is gone must be noticed. Failing to say so costs only that.
fn be_prompt_and_alive<'socket>(socket: impl Into<SockRef<'socket>>) {
    let socket = socket.into();
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    if let Err(error) = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_keepalive(&keepalive)) {
        debug!(%error, "TCP_NODELAY or SO_KEEPALIVE could not be set");
    }
}

/// `Err` only where the container could not be reached: how two ends finish their conversation is their affair.
async fn forward(mut client: TcpStream, to: SocketAddr, limits: &Limits) -> io::Result<()> {
    let connected = tokio::time::timeout(limits.connect_timeout, TcpStream::connect(to)).await;
    let mut server = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    be_prompt_and_alive(&server);
    if let Some(version) = limits.greeting {
        // It fits into an empty send buffer, so nobody is waited for.
        server.write_all(&version.header(client.peer_addr()?, client.local_addr()?)).await?;
    }
    if let Err(error) = copy::both_ways(&mut client, &mut server, &limits.pipes).await {
        debug!(%error, "a forwarded connection broke");
    }
    Ok(())
}
