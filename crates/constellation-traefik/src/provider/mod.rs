//! The provider: what Traefik polls.
//!
//! One task renders when the view changes, one writes what was served to disk, one answers from memory. Traefik is never
//! made to wait for any of the others.

mod error;
mod http;
mod last_known_good;
mod routes;
mod status;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::body::Bytes;
use constellation_core::{Clock, ClusterView, Governor, error_chain};
use constellation_tasks::{Early, Supervisor};
use tokio::{net::TcpListener, sync::watch};
use tracing::{info, warn};

pub use self::{
    error::{LastKnownGoodError, ProviderError},
    status::{LastKnownGoodStatus, ProviderState, TraefikStatus},
};
use self::{last_known_good::LastKnownGood, routes::Routes, status::Polls};
use crate::{
    document::{DynamicConfig, TlsSection},
    hold_back::HoldBack,
    render::{RenderConfig, Renderer},
};

/// How the provider works.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Where Traefik asks. On loopback by default: the document tells every address in the cluster.
    pub listen: SocketAddr,
    /// Where what was served last is kept over a restart; `None` keeps nothing.
    pub last_known_good: Option<PathBuf>,
    /// How routes are rendered.
    pub render: RenderConfig,
    /// How much may vanish at once while most peers are out of sight.
    pub governor: Governor,
    /// Certificates that this node's Traefik is given with the document; whenever they change. Only where `listen` is on loopback:
    /// whoever reaches that address reads their keys.
    pub certificates: watch::Receiver<Arc<TlsSection>>,
    /// How long after the start nothing is taken away, and `nothing to route` is not said yet. Gossip knows all members
    /// within a second.
    pub grace: Duration,
}

impl Default for ProviderConfig {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8081).into(),
            last_known_good: None,
            render: RenderConfig::default(),
            governor: Governor::default(),
            certificates: watch::channel(Arc::default()).1,
            grace: Duration::from_secs(5),
        }
    }
}

/// What Traefik is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The document; `None` while it is not known yet, which Traefik is told by 503: then it keeps what it has.
    pub document: Option<Arc<DynamicConfig>>,
    /// Its canonical bytes, with the certificates: secret.
    pub body: Bytes,
    /// The same without the certificates, which is what is kept over a restart.
    pub kept: Bytes,
}

impl Served {
    fn new(document: Option<Arc<DynamicConfig>>, tls: &TlsSection) -> Self {
        let kept: Bytes = document.as_ref().map(|document| document.to_bytes().into()).unwrap_or_default();
        let body = match &document {
            Some(document) if !tls.is_empty() => document.to_bytes_with(tls).into(),
            _ => kept.clone(),
        };
        Self { document, body, kept }
    }
}

/// What a view of the cluster led to.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The view.
    pub view: Arc<ClusterView>,
    /// The document that is served since; `None` while it is not known yet.
    pub document: Option<Arc<DynamicConfig>>,
}

/// Starts providers.
#[derive(Debug)]
pub struct Provider;

impl Provider {
    /// Whether Traefik is told the certificates, whose keys are secret, by a provider that listens there: only on loopback.
    pub const fn tells_certificates(listen: SocketAddr) -> bool {
        listen.ip().is_loopback()
    }

    /// Listens, and serves from then on: at first what was served before the last stop, then what the view says.
    ///
    /// A file that cannot be read or is damaged is reported and done without. An address that cannot be listened on is
    /// an error, because Traefik would ask somebody else there.
    pub async fn start(
        config: ProviderConfig,
        view: watch::Receiver<Arc<ClusterView>>,
        supervisor: &Supervisor,
        clock: Arc<dyn Clock>,
    ) -> Result<TraefikHandle, ProviderError> {
        let listen = |source| ProviderError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;

        let file = config.last_known_good.clone().map(|path| LastKnownGood::new(path, Arc::clone(&clock)));
        let (known, kept) = match &file {
            None => (None, LastKnownGoodStatus::Off),
            Some(file) => match file.load().await {
                // That there was nothing is no reason to say so again before it is known.
                Ok(Some(document)) if document.is_empty() => (None, LastKnownGoodStatus::Loaded),
                Ok(Some(document)) => (Some(Arc::new(document)), LastKnownGoodStatus::Loaded),
                Ok(None) => (None, LastKnownGoodStatus::Unwritten),
                Err(error) => {
                    warn!(error = error_chain(&error), "the routes of before the start are not used");
                    (None, LastKnownGoodStatus::Failed { error: error_chain(&error) })
                }
            },
        };
        let mut certificates = config.certificates.clone();
        if !Self::tells_certificates(address) {
            // Not there, rather than there for everybody.
            certificates = watch::channel(Arc::default()).1;
        }
        let tls = Arc::clone(&certificates.borrow_and_update());
        let served = watch::Sender::new(Arc::new(Served::new(known.clone(), &tls)));
        let polls = Arc::new(Polls::default());
        let (state, kept) = (watch::Sender::new(Arc::default()), watch::Sender::new(kept));
        let turns = watch::Sender::new(Turn { view: Arc::clone(&view.borrow()), document: known.clone() });
        let handle = TraefikHandle {
            listen: address,
            served: served.subscribe(),
            turns: turns.subscribe(),
            state: state.subscribe(),
            kept: kept.subscribe(),
            polls: Arc::clone(&polls),
        };
        info!(%address, routes_known = known.is_some(), "Traefik is served");

        if let Some(file) = file {
            let task = file.keep(served.subscribe(), kept, supervisor.shutdown());
            // Without it routes are served all the same; they are only not remembered.
            supervisor.spawn("traefik last-known-good", Early::Fine, task);
        }
        let answers = http::serve(
            listener,
            served.subscribe(),
            Arc::clone(&polls),
            Arc::clone(&clock),
            supervisor.shutdown(),
        );
        supervisor.spawn("traefik provider", Early::Fatal, answers);
        let hold_back = HoldBack::new(config.governor, known, clock.now(), config.grace);
        let renderer = Renderer::new(config.render);
        let routes =
            Routes { renderer, hold_back, view, certificates, served, turns, state, clock, sound: false };
        supervisor.spawn("traefik routes", Early::Fatal, routes.run(supervisor.shutdown()));
        Ok(handle)
    }
}

/// Speaks for a provider that runs.
#[derive(Clone, Debug)]
pub struct TraefikHandle {
    listen: SocketAddr,
    served: watch::Receiver<Arc<Served>>,
    turns: watch::Receiver<Turn>,
    state: watch::Receiver<Arc<status::RoutesState>>,
    kept: watch::Receiver<LastKnownGoodStatus>,
    polls: Arc<Polls>,
}

impl TraefikHandle {
    /// Where Traefik asks; the real port, also where any was asked for.
    pub const fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// What is served, whenever it changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Served>> {
        self.served.clone()
    }

    /// What each view led to, once for each, whether or not the document changed with it: for whoever needs both together.
    pub fn turns(&self) -> watch::Receiver<Turn> {
        self.turns.clone()
    }

    /// How it stands.
    pub fn status(&self) -> TraefikStatus {
        let (served, state) = (Arc::clone(&self.served.borrow()), Arc::clone(&self.state.borrow()));
        let kept = self.kept.borrow().clone();
        let polls = self.polls.count.load(Ordering::Relaxed);
        let last_poll = self.polls.last();
        TraefikStatus::new(self.listen, &served, &state, kept, (polls, last_poll))
    }
}
