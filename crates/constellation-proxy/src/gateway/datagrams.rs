//! One listener of the gateway for datagrams, and the sessions of its clients.
//!
//! UDP has no connections, so one is made up for each client's address: a socket of its own to the container, by which answers find
//! back. It ends when neither side has sent anything for a while.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{net::UdpSocket, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::forward::{Counters, Taken};

/// The largest datagram, in bytes.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// After a failed reception: it is told of a datagram that could not be delivered before, or of a lack of memory.
const PAUSE: Duration = Duration::from_millis(10);

pub(super) struct Limits {
    /// Sessions at once; datagrams of further clients are dropped.
    pub(super) sessions_max: usize,
    /// How long a session may be silent in both directions; it ends within twice that.
    pub(super) idle: Duration,
    /// Sessions that all listeners have together, and how many they may have.
    pub(super) all: Arc<AtomicUsize>,
    pub(super) all_max: usize,
}

/// A client's session.
struct Session {
    container: Arc<UdpSocket>,
    /// Datagrams that the client has sent; whether they go on says that it lives.
    sent: Arc<AtomicU64>,
    end: CancellationToken,
    _place: Taken,
}

/// Forwards until cancelled. A container that moves gets new sessions: the old ones have nowhere to go.
pub(super) async fn run(
    listener: UdpSocket,
    mut upstream: watch::Receiver<SocketAddr>,
    limits: Limits,
    counters: Arc<Counters>,
    closing: CancellationToken,
) {
    let listener = Arc::new(listener);
    // One for all sessions: it is held for a reception and a sending, neither of which waits.
    let answers = Arc::new(Mutex::new(vec![0; DATAGRAM_BYTES_MAX]));
    let mut sessions: HashMap<SocketAddr, Session> = HashMap::new();
    let mut answering = JoinSet::new();
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let received = tokio::select! {
            () = closing.cancelled() => break,
            Some(ended) = answering.join_next(), if !answering.is_empty() => {
                // Unless its client has another by now, to where the container has moved.
                if let Ok((client, ended)) = ended
                    && sessions.get(&client).is_some_and(|session| Arc::ptr_eq(&session.container, &ended))
                {
                    sessions.remove(&client);
                }
                counters.open.store(sessions.len(), Ordering::Relaxed);
                continue;
            }
            Ok(()) = upstream.changed() => {
                sessions.values().for_each(|session| session.end.cancel());
                continue;
            }
            received = listener.recv_from(&mut datagram) => received,
        };
        let (bytes, client) = match received {
            Ok((length, client)) => (datagram.get(..length).unwrap_or_default(), client),
            Err(error) => {
                debug!(%error, "the mesh gateway could not receive a datagram");
                tokio::select! {
                    () = closing.cancelled() => break,
                    () = tokio::time::sleep(PAUSE) => continue,
                }
            }
        };
        if sessions.get(&client).is_none_or(|session| session.end.is_cancelled()) {
            // What its client had ends here, and makes room.
            sessions.remove(&client);
            let place = (sessions.len() < limits.sessions_max)
                .then(|| Taken::of(&limits.all, limits.all_max))
                .flatten();
            let Some(place) = place else {
                counters.refused.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let to = *upstream.borrow();
            match connect(to).await {
                Ok(container) => {
                    let session = Session {
                        container: Arc::new(container),
                        sent: Arc::default(),
                        end: CancellationToken::new(),
                        _place: place,
                    };
                    answering.spawn(answer(
                        client,
                        Arc::clone(&session.container),
                        Arc::clone(&listener),
                        Arc::clone(&session.sent),
                        Arc::clone(&answers),
                        limits.idle,
                        session.end.clone(),
                    ));
                    counters.accepted.fetch_add(1, Ordering::Relaxed);
                    sessions.insert(client, session);
                    counters.open.store(sessions.len(), Ordering::Relaxed);
                }
                Err(error) => {
                    counters.unreachable.fetch_add(1, Ordering::Relaxed);
                    warn!(%to, %error, "the mesh gateway could not open a session");
                    continue;
                }
            }
        }
        if let Some(session) = sessions.get(&client) {
            session.sent.fetch_add(1, Ordering::Relaxed);
            // Full, or refused by a container that is down: datagrams get lost, and their senders know that.
            if session.container.try_send(bytes).is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
            {
                counters.unreachable.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    counters.open.store(0, Ordering::Relaxed);
}

async fn connect(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(to).await?;
    // A socket that was just made is not known to be ready, and the datagram that it was made for would be the first to get lost.
    socket.writable().await?;
    Ok(socket)
}

/// Brings what the container says back to its client, until both are silent.
async fn answer(
    client: SocketAddr,
    container: Arc<UdpSocket>,
    listener: Arc<UdpSocket>,
    sent: Arc<AtomicU64>,
    buffer: Arc<Mutex<Vec<u8>>>,
    idle: Duration,
    end: CancellationToken,
) -> (SocketAddr, Arc<UdpSocket>) {
    let mut known = sent.load(Ordering::Relaxed);
    loop {
        let readable = tokio::select! {
            () = end.cancelled() => return (client, container),
            readable = tokio::time::timeout(idle, container.readable()) => readable,
        };
        match readable {
            Err(_) => {
                let now = sent.load(Ordering::Relaxed);
                if now == known {
                    return (client, container);
                }
                known = now;
            }
            Ok(Err(_)) => return (client, container),
            Ok(Ok(())) => {
                let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
                // An error tells that nobody listens at the container's port; it may come back.
                if let Ok(length) = container.try_recv(&mut buffer) {
                    let _ = listener.try_send_to(buffer.get(..length).unwrap_or_default(), client);
                }
            }
        }
    }
}
