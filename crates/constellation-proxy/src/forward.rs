//! One listener of the gateway and the connections that it forwards.

use std::{
    io,
    net::SocketAddr,
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
    sync::watch,
    task::JoinSet,
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
    /// How the container is greeted.
    pub(crate) greeting: Option<ProxyProtocol>,
    /// For all listeners together.
    pub(crate) pipes: Arc<Pipes>,
}

/// A connection's place among those that are open, which ends with it however it ends.
struct Place(Arc<Counters>);

impl Place {
    /// `None` where too many are open. Only the one task that accepts may ask.
    fn take(counters: &Arc<Counters>, most: usize) -> Option<Self> {
        if counters.open.load(Ordering::Relaxed) >= most {
            return None;
        }
        counters.open.fetch_add(1, Ordering::Relaxed);
        Some(Self(Arc::clone(counters)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Accepts until cancelled, then lets the open connections end by themselves, for a while.
pub(crate) async fn run(
    listener: TcpListener,
    upstream: watch::Receiver<SocketAddr>,
    limits: Limits,
    counters: Arc<Counters>,
    closing: CancellationToken,
) {
    // Accepted connections inherit both on Linux, which spares each of them the calls.
    be_prompt_and_alive(&listener);
    let (limits, mut connections) = (Arc::new(limits), JoinSet::new());
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => break,
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
                    () = tokio::time::sleep(Duration::from_millis(100)) => continue,
                }
            }
        };
        counters.accepted.fetch_add(1, Ordering::Relaxed);
        let Some(place) = Place::take(&counters, limits.connections_max) else {
            counters.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let (to, limits) = (*upstream.borrow(), Arc::clone(&limits));
        connections.spawn(async move {
            if let Err(error) = forward(client, to, &limits).await {
                place.0.unreachable.fetch_add(1, Ordering::Relaxed);
                debug!(%to, %error, "the mesh gateway could not reach a container");
            }
        });
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
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
