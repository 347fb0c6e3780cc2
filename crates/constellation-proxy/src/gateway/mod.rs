//! The task that keeps one listener for every endpoint that is wanted.

mod config;
mod copy;
mod datagrams;
mod forward;
mod greeting;
mod memory;
mod ports;
mod status;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use constellation_core::{InstanceId, Protocol, ServiceId};
use constellation_tasks::{Early, Supervisor};
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::{Notify, mpsc, oneshot, watch},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use self::{
    config::GatewayConfig,
    greeting::ProxyProtocol,
    ports::{Claim, PortBook, PortRange, PortsExhausted},
    status::GatewayStatus,
};
use self::{
    copy::Pipes,
    forward::{Counters, Limits},
    memory::{remember, remembered},
};

/// An endpoint that is to be forwarded to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Forward {
    /// The service that it belongs to.
    pub service: ServiceId,
    /// The instance.
    pub instance: InstanceId,
    /// The port inside the container.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// Where this machine reaches it.
    pub upstream: SocketAddr,
    /// How the container is greeted. Of TCP alone, and for as long as the endpoint is open: labels of a container never change.
    pub greeting: Option<ProxyProtocol>,
}

impl Forward {
    fn claim(&self) -> Claim {
        let (service, instance) = (self.service.clone(), self.instance.clone());
        Claim { service, port: self.port, protocol: self.protocol, instance }
    }
}

/// Where endpoints are listened for now, and what could not be opened.
#[derive(Debug, Default)]
pub struct Opened {
    /// By instance, protocol and port inside the container.
    pub listening: BTreeMap<(InstanceId, Protocol, u16), SocketAddr>,
    /// What failed. The other endpoints are open nevertheless.
    pub failed: Vec<GatewayError>,
}

/// An endpoint could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// No port is left.
    #[error(transparent)]
    Exhausted(#[from] PortsExhausted),
    /// The port could not be listened on.
    #[error("the mesh gateway could not listen on {address} for {service}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// For which service.
        service: ServiceId,
        /// Why not.
        source: io::Error,
    },
    /// The gateway's task is gone: the process is on its way out.
    #[error("the mesh gateway has been shut down")]
    Closed,
}

/// Commands that wait at most: `sync` has one caller, and people ask for the status now and then.
const COMMANDS_BOUND: usize = 16;

enum Command {
    Sync(BTreeSet<Forward>, oneshot::Sender<Opened>),
    Status(oneshot::Sender<Vec<GatewayStatus>>),
    LetGo(BTreeSet<(ServiceId, InstanceId)>),
}

/// Speaks for the gateway's task.
#[derive(Clone, Debug)]
pub struct GatewayHandle {
    commands: mpsc::Sender<Command>,
}

impl GatewayHandle {
    /// Makes exactly these endpoints reachable, and says where once they are.
    ///
    /// An endpoint that stays is not disturbed; one whose container has a new address keeps its port; one that is not
    /// wanted any more is closed, and its open connections may linger.
    pub async fn sync(&self, wanted: BTreeSet<Forward>) -> Result<Opened, GatewayError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Sync(wanted, reply)).await.map_err(|_| GatewayError::Closed)?;
        answer.await.map_err(|_| GatewayError::Closed)
    }

    /// Gives the connections over TCP that are open now to these instances the time to linger, and then ends them. New ones are
    /// taken as before: whoever asks wants clients to come again, and to be sent elsewhere where there is one.
    pub async fn let_go(&self, of: BTreeSet<(ServiceId, InstanceId)>) -> Result<(), GatewayError> {
        self.commands.send(Command::LetGo(of)).await.map_err(|_| GatewayError::Closed)
    }

    /// Every listener, by service; those that only drain come last.
    pub async fn status(&self) -> Result<Vec<GatewayStatus>, GatewayError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Status(reply)).await.map_err(|_| GatewayError::Closed)?;
        answer.await.map_err(|_| GatewayError::Closed)
    }
}

/// A port that was opened.
enum Listening {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

struct Listener {
    upstream: watch::Sender<SocketAddr>,
    listen: SocketAddr,
    counters: Arc<Counters>,
    let_go: Arc<Notify>,
    closing: CancellationToken,
}

impl Listener {
    /// Its task is the only one that watches where to forward to.
    fn has_ended(&self) -> bool {
        self.upstream.is_closed()
    }
}

/// Keeps the listeners. Started by [`Gateway::start`], owned by the supervisor that it is given.
pub struct Gateway {
    config: GatewayConfig,
    book: PortBook,
    listeners: BTreeMap<Claim, Listener>,
    draining: Vec<(Claim, Listener)>,
    all: Arc<AtomicUsize>,
    all_sessions: Arc<AtomicUsize>,
    pipes: Arc<Pipes>,
    supervisor: Supervisor,
}

impl Gateway {
    /// Starts the gateway without endpoints. A memory that cannot be read is begun anew, and said so.
    pub async fn start(config: GatewayConfig, supervisor: &Supervisor) -> GatewayHandle {
        let book = match &config.memory {
            Some(path) => remembered(path.clone(), config.ports).await,
            None => PortBook::new(config.ports),
        };
        let (commands, inbox) = mpsc::channel(COMMANDS_BOUND);
        let gateway = Self {
            config,
            book,
            listeners: BTreeMap::new(),
            draining: Vec::new(),
            all: Arc::default(),
            all_sessions: Arc::default(),
            pipes: Arc::default(),
            supervisor: supervisor.clone(),
        };
        supervisor.spawn("mesh gateway", Early::Fatal, gateway.run(inbox));
        GatewayHandle { commands }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let shutdown = self.supervisor.shutdown();
        loop {
            let command = tokio::select! {
                () = shutdown.cancelled() => break,
                command = inbox.recv() => command,
            };
            // A caller that went away does not need its answer.
            match command {
                Some(Command::Sync(wanted, reply)) => drop(reply.send(self.sync(wanted).await)),
                Some(Command::Status(reply)) => drop(reply.send(self.status())),
                Some(Command::LetGo(of)) => self.let_go(&of),
                None => {
                    shutdown.cancelled().await;
                    break;
                }
            }
        }
        for listener in self.listeners.values() {
            listener.closing.cancel();
        }
        let (open, linger) = (self.all.load(Ordering::Relaxed), self.config.linger);
        if open > 0 {
            info!(
                open,
                ?linger,
                "the mesh gateway is closed, and open connections may end by themselves for a while"
            );
        }
    }

    fn let_go(&self, of: &BTreeSet<(ServiceId, InstanceId)>) {
        for (claim, listener) in &self.listeners {
            let open = listener.counters.open.load(Ordering::Relaxed);
            let meant = claim.protocol == Protocol::Tcp
                && of.contains(&(claim.service.clone(), claim.instance.clone()));
            if meant && open > 0 {
                info!(service = %claim.service, listen = %listener.listen, open, "the mesh gateway lets connections go");
                listener.let_go.notify_one();
            }
        }
    }

    async fn sync(&mut self, wanted: BTreeSet<Forward>) -> Opened {
        let claims: BTreeSet<Claim> = wanted.iter().map(Forward::claim).collect();
        self.draining.retain(|(_, listener)| !listener.has_ended());
        let unwanted: Vec<Claim> =
            self.listeners.keys().filter(|claim| !claims.contains(*claim)).cloned().collect();
        for claim in unwanted {
            if let Some(listener) = self.listeners.remove(&claim) {
                info!(service = %claim.service, listen = %listener.listen, "the mesh gateway closes an endpoint");
                listener.closing.cancel();
                self.draining.push((claim, listener));
            }
        }
        self.book.release_all_but(&claims);
        let before = self.book.to_json().ok();
        let mut opened = Opened::default();
        for forward in wanted {
            match self.open(&forward).await {
                Ok(listen) => {
                    opened.listening.insert((forward.instance, forward.protocol, forward.port), listen);
                }
                Err(error) => opened.failed.push(error),
            }
        }
        let after = self.book.to_json().ok();
        if before != after
            && let (Some(path), Some(json)) = (self.config.memory.clone(), after)
        {
            remember(path, json).await;
        }
        opened
    }

    async fn open(&mut self, forward: &Forward) -> Result<SocketAddr, GatewayError> {
        let claim = forward.claim();
        if let Some(listener) = self.listeners.get(&claim) {
            listener.upstream.send_if_modified(|upstream| {
                std::mem::replace(upstream, forward.upstream) != forward.upstream
            });
            return Ok(listener.listen);
        }
        let (listener, listen) = self.listen(&claim).await?;
        let protocol = claim.protocol;
        let (upstream, watched) = watch::channel(forward.upstream);
        let (counters, closing) = (Arc::<Counters>::default(), CancellationToken::new());
        let let_go = Arc::new(Notify::new());
        let (name, counted, ending) =
            (format!("mesh gateway {listen}"), Arc::clone(&counters), closing.clone());
        match listener {
            Listening::Tcp(listener) => {
                let limits = Limits {
                    connections_max: self.config.connections_max,
                    connect_timeout: self.config.connect_timeout,
                    linger: self.config.linger,
                    all: Arc::clone(&self.all),
                    all_max: self.config.connections_all_max,
                    greeting: forward.greeting,
                    pipes: Arc::clone(&self.pipes),
                };
                let task = forward::run(listener, watched, limits, counted, Arc::clone(&let_go), ending);
                self.supervisor.spawn(name, Early::Fine, task);
            }
            Listening::Udp(listener) => {
                let limits = datagrams::Limits {
                    sessions_max: self.config.connections_max,
                    idle: self.config.session_idle,
                    all: Arc::clone(&self.all_sessions),
                    all_max: self.config.sessions_all_max,
                };
                let task = datagrams::run(listener, watched, limits, counted, ending);
                self.supervisor.spawn(name, Early::Fine, task);
            }
        }
        info!(service = %claim.service, port = claim.port, ?protocol, %listen, upstream = %forward.upstream, "the mesh gateway opens an endpoint");
        self.listeners.insert(claim, Listener { upstream, listen, counters, let_go, closing });
        Ok(listen)
    }

    async fn listen(&mut self, claim: &Claim) -> Result<(Listening, SocketAddr), GatewayError> {
        loop {
            let address = SocketAddr::new(self.config.mesh, self.book.assign(claim)?);
            let bound = match claim.protocol {
                Protocol::Tcp => TcpListener::bind(address).await.map(Listening::Tcp),
                Protocol::Udp => UdpSocket::bind(address).await.map(Listening::Udp),
            };
            match bound {
                Ok(listener) => return Ok((listener, address)),
                // Somebody else has this port: take the next, and remember that.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    warn!(%address, service = %claim.service, "a port of the mesh gateway is taken by another program");
                    self.book.mark_taken(address.port());
                }
                Err(source) => {
                    return Err(GatewayError::Listen { address, service: claim.service.clone(), source });
                }
            }
        }
    }

    fn status(&self) -> Vec<GatewayStatus> {
        let draining = self.draining.iter().filter(|(_, listener)| !listener.has_ended());
        let all = self.listeners.iter().map(|(claim, listener)| (claim, listener, false));
        all.chain(draining.map(|(claim, listener)| (claim, listener, true)))
            .map(|(claim, listener, draining)| GatewayStatus {
                service: claim.service.clone(),
                instance: claim.instance.clone(),
                port: claim.port,
                protocol: claim.protocol,
                listen: listener.listen,
                upstream: *listener.upstream.borrow(),
                draining,
                open: listener.counters.open.load(Ordering::Relaxed),
                accepted: listener.counters.accepted.load(Ordering::Relaxed),
                refused: listener.counters.refused.load(Ordering::Relaxed),
                unreachable: listener.counters.unreachable.load(Ordering::Relaxed),
            })
            .collect()
    }
}
