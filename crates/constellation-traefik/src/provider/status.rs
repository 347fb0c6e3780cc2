//! How a provider stands, for people and for the API.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use constellation_core::WallTime;
use serde::Serialize;

use super::Served;
use crate::{document::DynamicConfig, hold_back::Held, render::RouteProblem};

/// How a provider stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TraefikStatus {
    /// Where Traefik asks.
    pub listen: SocketAddr,
    /// What it is told.
    pub state: ProviderState,
    /// How many routers it is told of, of all protocols.
    pub routers: usize,
    /// How many services.
    pub services: usize,
    /// How many different servers.
    pub servers: usize,
    /// The size of the document in bytes.
    pub bytes: usize,
    /// When the document last changed.
    pub changed: Option<WallTime>,
    /// The version of the view that it was rendered from.
    pub view: u64,
    /// What could not be served as it was asked for.
    pub problems: Vec<RouteProblem>,
    /// What is held back.
    pub held: Option<Held>,
    /// Whether it would survive a restart.
    pub last_known_good: LastKnownGoodStatus,
    /// How often the document was asked for.
    pub polls: u64,
    /// When it was last asked for. Long ago means that no Traefik asks here.
    pub last_poll: Option<WallTime>,
}

/// What Traefik is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderState {
    /// To ask again: nothing is known yet.
    Starting,
    /// What the view says.
    Serving,
    /// What the view says, with what is held back.
    Holding,
}

/// Whether what is served would survive a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastKnownGoodStatus {
    /// It is not wanted.
    Off,
    /// Nothing was written yet.
    Unwritten,
    /// What was written before the start is being served.
    Loaded,
    /// It was written.
    Saved {
        /// When.
        at: WallTime,
    },
    /// It could not be read or written. Routes are served all the same.
    Failed {
        /// Why not, with all causes.
        error: String,
    },
}

/// What the task that renders knows beside the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RoutesState {
    pub(super) changed: Option<WallTime>,
    pub(super) view: u64,
    pub(super) problems: Vec<RouteProblem>,
    pub(super) held: Option<Held>,
}

/// How often Traefik asked.
#[derive(Debug, Default)]
pub(super) struct Polls {
    pub(super) count: AtomicU64,
    /// Milliseconds since the epoch; 0 is never.
    last: AtomicU64,
}

impl Polls {
    pub(super) fn note(&self, now: WallTime) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.last.store(now.0, Ordering::Relaxed);
    }

    pub(super) fn last(&self) -> Option<WallTime> {
        Some(self.last.load(Ordering::Relaxed)).filter(|last| *last != 0).map(WallTime)
    }
}

impl TraefikStatus {
    pub(super) fn new(
        listen: SocketAddr,
        served: &Served,
        state: &RoutesState,
        last_known_good: LastKnownGoodStatus,
        (polls, last_poll): (u64, Option<WallTime>),
    ) -> Self {
        let document = served.document.as_deref();
        let count = |of: fn(&DynamicConfig) -> usize| document.map_or(0, of);
        Self {
            listen,
            state: match (document, &state.held) {
                (None, _) => ProviderState::Starting,
                (Some(_), None) => ProviderState::Serving,
                (Some(_), Some(_)) => ProviderState::Holding,
            },
            routers: count(|it| it.http.routers.len() + it.tcp.routers.len() + it.udp.routers.len()),
            services: count(|it| it.http.services.len() + it.tcp.services.len() + it.udp.services.len()),
            servers: count(|it| it.server_urls().len() + it.l4_servers().collect::<BTreeSet<_>>().len()),
            bytes: served.body.len(),
            changed: state.changed,
            view: state.view,
            problems: state.problems.clone(),
            held: state.held.clone(),
            last_known_good,
            polls,
            last_poll,
        }
    }
}
