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

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::greeting::ProxyProtocol;

/// What is on the way in each direction, at most. Larger ones move long answers faster, and make each short connection slower by as
/// much memory that is cleared for it.
const BUFFER_BYTES: usize = 16 * 1024;

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
}

/// Accepts until cancelled, then lets the open connections end by themselves, for a while.
pub(crate) async fn run(
    listener: TcpListener,
    upstream: watch::Receiver<SocketAddr>,
    limits: Limits,
    counters: Arc<Counters>,
    closing: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
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
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            counters.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let (to, counters) = (*upstream.borrow(), Arc::clone(&counters));
        let (patience, greeting) = (limits.connect_timeout, limits.greeting);
        connections.spawn(async move {
            let _place = place;
            counters.open.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = forward(client, to, patience, greeting).await {
                counters.unreachable.fetch_add(1, Ordering::Relaxed);
                debug!(%to, %error, "the mesh gateway could not reach a container");
            }
            counters.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.linger, ended).await.is_err() {
        debug!("the mesh gateway closes connections that outlived their endpoint");
    }
}

/// `Err` only where the container could not be reached: how two ends finish their conversation is their affair.
async fn forward(
    mut client: TcpStream,
    to: SocketAddr,
    patience: Duration,
    greeting: Option<ProxyProtocol>,
) -> io::Result<()> {
    let connected = tokio::time::timeout(patience, TcpStream::connect(to)).await;
    let mut server = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    // Small messages must not wait for one another; failing to say so costs only latency.
    for stream in [&client, &server] {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "TCP_NODELAY could not be set");
        }
    }
    if let Some(version) = greeting {
        // It fits into an empty send buffer, so nobody is waited for.
        server.write_all(&version.header(client.peer_addr()?, client.local_addr()?)).await?;
    }
    let copied =
        tokio::io::copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER_BYTES, BUFFER_BYTES);
    if let Err(error) = copied.await {
        debug!(%error, "a forwarded connection broke");
    }
    Ok(())
}
