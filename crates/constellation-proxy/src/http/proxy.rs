//! Starts the proxy, and speaks for it.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicUsize},
};

use constellation_core::Clock;
use constellation_tasks::{Early, Supervisor};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::{
    compiled::Compiled,
    config::ProxyConfig,
    live::Registry,
    secure::Dialer,
    status::ProxyStatus,
    table::Table,
    worker::{self, Counters, Seat, Shared},
};

/// Connections that the kernel holds for us until they are accepted.
const BACKLOG: i32 = 1024;

/// The proxy could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// An address could not be listened on.
    #[error("could not listen for requests at {address}: is another program there, such as Traefik?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Whoever reaches a listener by header reaches every service.
    #[error("{address} takes the service from a header, so it must be on loopback")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// There is no TLS towards backends.
    #[error("TLS towards backends could not be set up")]
    Tls(#[source] rustls::Error),
    /// A thread could not be started.
    #[error("could not start a thread")]
    Thread(#[source] std::io::Error),
}

/// Starts proxies.
#[derive(Debug)]
pub struct HttpProxy;

impl HttpProxy {
    /// Listens, and routes by the newest table from then on. The supervisor's drain ends it: connections that are idle close, the
    /// others may finish for as long as the configuration says.
    pub fn start(
        config: ProxyConfig,
        mut table: watch::Receiver<Arc<Table>>,
        supervisor: &Supervisor,
        clock: Arc<dyn Clock>,
    ) -> Result<ProxyHandle, ProxyError> {
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for listen in &config.listeners {
            let address = listen.address;
            if listen.by_header && !address.ip().is_loopback() {
                return Err(ProxyError::NotLoopback { address });
            }
            let failed = |source| ProxyError::Listen { address, source };
            let listener = bind(address).map_err(failed)?;
            addresses.push(listener.local_addr().map_err(failed)?);
            listeners.push(listener);
        }
        let mut registry = Registry::new(config.breaker);
        let first = Compiled::new(&table.borrow_and_update(), &mut registry);
        let (compiled, tables) = watch::channel(Arc::new(first));
        let threads = config.threads.max(1);
        let closing = supervisor.shutdown();
        let (seats, handed): (Vec<Seat>, Vec<_>) = (0..threads)
            .map(|_| {
                let (sender, receiver) = mpsc::channel(worker::HANDED_MAX);
                (Seat { open: AtomicUsize::new(0), handed: sender }, receiver)
            })
            .unzip();
        let dialer = Dialer::new(Arc::clone(&config.backend_roots), config.acknowledge_timeout)
            .map_err(ProxyError::Tls)?;
        let shared = Arc::new(Shared { config, clock, dialer, threads: seats, closing: closing.clone() });
        let mut counters = Vec::with_capacity(threads);
        let mut running = Vec::with_capacity(threads);
        let ended = CancellationToken::new();
        for (number, handed) in handed.into_iter().enumerate() {
            let own = Arc::new(Counters::default());
            counters.push(Arc::clone(&own));
            let clones: Result<Vec<_>, _> = listeners.iter().map(std::net::TcpListener::try_clone).collect();
            let clones = clones.map_err(ProxyError::Thread)?;
            let (shared, tables) = (Arc::clone(&shared), tables.clone());
            // However it ends: also a panic drops it.
            let end = ended.clone().drop_guard();
            let thread = std::thread::Builder::new()
                .name(format!("http-proxy-{number}"))
                .spawn(move || {
                    let _end = end;
                    if let Err(error) = worker::run(number, shared, own, tables, clones, handed) {
                        error!(%error, "a thread of the proxy could not run");
                    }
                })
                .map_err(ProxyError::Thread)?;
            running.push(thread);
        }
        let told = closing.clone();
        supervisor.spawn("http proxy", Early::Fatal, async move {
            // One that ends before it is told to takes its connections with it, and nobody else would notice.
            ended.cancelled().await;
            if told.is_cancelled() {
                let all = move || running.into_iter().for_each(|thread| drop(thread.join()));
                // What panicked has said so.
                let _ = tokio::task::spawn_blocking(all).await;
            }
        });
        supervisor.spawn("http proxy table", Early::Fatal, async move {
            loop {
                tokio::select! {
                    () = closing.cancelled() => return,
                    changed = table.changed() => {
                        if changed.is_err() {
                            // Whoever made tables is gone, so the process is on its way out: the last one stays.
                            closing.cancelled().await;
                            return;
                        }
                    }
                }
                let next = Compiled::new(&table.borrow_and_update(), &mut registry);
                compiled.send_replace(Arc::new(next));
            }
        });
        info!(?addresses, threads, "the proxy takes requests");
        Ok(ProxyHandle { addresses: addresses.into(), shared, counters: counters.into(), tables })
    }
}

fn bind(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    // An address that an earlier run has left a moment ago; one that somebody listens on is still refused.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Speaks for a proxy that runs.
#[derive(Clone)]
pub struct ProxyHandle {
    addresses: Arc<[SocketAddr]>,
    shared: Arc<Shared>,
    counters: Arc<[Arc<Counters>]>,
    tables: watch::Receiver<Arc<Compiled>>,
}

impl std::fmt::Debug for ProxyHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxyHandle").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl ProxyHandle {
    /// Where it listens, in the order of the configuration; real ports, also where any was asked for.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How it stands.
    pub fn status(&self) -> ProxyStatus {
        let mut status = ProxyStatus { connections: self.shared.open(), ..ProxyStatus::default() };
        self.counters.iter().for_each(|counters| status.add(counters));
        let table = Arc::clone(&self.tables.borrow());
        status.look_at(&table, self.shared.clock.now());
        status
    }
}
