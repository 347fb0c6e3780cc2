//! One listener of the gateway and the connections that it forwards.

use std::{
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

use crate::{
    copy::{self, Pipes},
    greeting::ProxyProtocol,
};

/// A peer that has been silent for this long is asked whether it is still there: one whose machine is gone would be waited for for ever.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// Between such questions; the kernel gives up after nine (`tcp_keepalive_probes`).
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);

/// What a listener counted since it was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Connections that are open now.
    pub(crate) open: AtomicUsize,
    /// Connections that were accepted.
    pub(crate) accepted: AtomicU64,
    /// Connections that were closed at once because too many were open.
    pub(crate) refused: AtomicU64,
    /// Connections whose container did not answer.
    pub(crate) unreachable: AtomicU64,
}

pub(crate) struct Limits {
    pub(crate) connections_max: usize,
    pub(crate) connect_timeout: Duration,
    /// How long open connections may go on after the listener closed.
    pub(crate) linger: Duration,
    /// What is open through all listeners together, and how much may be.
    pub(crate) all: Arc<AtomicUsize>,
    pub(crate) all_max: usize,
    /// How the container is greeted.
    pub(crate) greeting: Option<ProxyProtocol>,
    /// For all listeners together.
    pub(crate) pipes: Arc<Pipes>,
}

/// A connection's place among those that are open, which ends with it however it ends.
struct Place {
    counters: Arc<Counters>,
    all: Arc<AtomicUsize>,
}

impl Place {
    /// `None` where too many are open, of this endpoint or of all.
    fn take(counters: &Arc<Counters>, limits: &Limits) -> Option<Self> {
        // Counted before it is asked: other listeners count at the same time. Dropping the place takes it back.
        let before = counters.open.fetch_add(1, Ordering::Relaxed);
        let before_in_all = limits.all.fetch_add(1, Ordering::Relaxed);
        let place = Self { counters: Arc::clone(counters), all: Arc::clone(&limits.all) };
        (before < limits.connections_max && before_in_all < limits.all_max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counters.open.fetch_sub(1, Ordering::Relaxed);
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connections that were let go: they end by themselves, or when their time is up.
#[derive(Default)]
struct LetGo {
    connections: JoinSet<()>,
    up: Option<Pin<Box<Sleep>>>,
}

impl LetGo {
    /// Takes over what is open. What was let go before and goes on still has had its time, or most of it.
    fn take(&mut self, connections: &mut JoinSet<()>, linger: Duration) {
        self.connections = std::mem::take(connections);
        self.up = Some(Box::pin(sleep(linger)));
    }

    /// When their time is up, they are cut; for ever where none were let go.
    async fn cut(&mut self) {
        match &mut self.up {
            Some(up) => up.await,
            None => future::pending().await,
        }
        *self = Self::default();
    }
}

/// Accepts until cancelled, then lets the open connections end by themselves, for a while.
pub(crate) async fn run(
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
        while leaving.connections.join_next().await.is_some() {}
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
