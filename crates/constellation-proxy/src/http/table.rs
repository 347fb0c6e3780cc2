//! What is routed where: plain values, replaced whole.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use constellation_core::{
    InstanceId, NodeName,
    route::{Failover, Scheme},
};
use constellation_rules::Rule;

use super::secure::BackendTls;

/// A name of a router or service, shared because many things carry it.
pub type Name = Arc<str>;

/// Everything that the proxy routes. Immutable: a change is a new table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The routers, the one that is asked first at the front.
    pub(super) routers: Vec<Router>,
    pub(super) services: Vec<Service>,
}

impl Table {
    /// A table. The router with the higher priority is asked first, and of two alike the first by name. A router whose service is
    /// not there answers 503, as does one whose service has no backend.
    pub fn new(mut routers: Vec<Router>, mut services: Vec<Service>) -> Self {
        routers.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
        services.sort_by(|a, b| a.name.cmp(&b.name));
        services.dedup_by(|later, first| later.name == first.name);
        Self { routers, services }
    }

    /// The routers, the one that is asked first at the front.
    pub fn routers(&self) -> &[Router] {
        &self.routers
    }

    /// The services, by name.
    pub fn services(&self) -> &[Service] {
        &self.services
    }
}

/// Which requests go where.
#[derive(Clone, Debug, PartialEq)]
pub struct Router {
    /// Its name.
    pub name: Name,
    /// Which requests it takes.
    pub rule: Rule,
    /// The higher number is asked first.
    pub priority: i64,
    /// The entry points that it is on, by the names of [`Listen::entry_point`](super::Listen::entry_point); empty means all.
    pub entry_points: Vec<Name>,
    /// Whether it takes requests over TLS, or those in the clear. A router never takes both, as with Traefik.
    pub tls: bool,
    /// Where they go.
    pub target: Target,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To a service.
    Service(Name),
    /// Nowhere: what should guard them cannot be done here, and without it they are not let through.
    Refuse {
        /// What the log and the answer say.
        reason: Name,
    },
}

/// A service with the backends that may be sent requests now.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: Name,
    /// Its backends. Whoever is not healthy is not among them.
    pub backends: Vec<Backend>,
    /// How it is treated.
    pub policy: Policy,
}

/// One place that a request can go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// The node that it runs on.
    pub node: NodeName,
    /// Which instance.
    pub instance: InstanceId,
    /// Where it is reached.
    pub address: SocketAddr,
    /// What it speaks; over TLS it chooses between HTTP/1.1 and HTTP/2.
    pub scheme: Scheme,
    /// Lower ranks get all requests while one of them can take any: whoever makes the table puts this node's own first, then
    /// the others by priority, and cordoned nodes last.
    pub rank: u32,
}

/// How a service's requests are treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether a request that one backend failed may be given to another.
    pub failover: Failover,
    /// The answers that count as failed, so that a request that may be repeated goes elsewhere.
    pub retry_statuses: Vec<u16>,
    /// How many backends one request may be given to.
    pub attempts: u32,
    /// How long a connection may take to be made, with the handshake of one over TLS.
    pub connect_timeout: Duration,
    /// How long one backend may take to begin its answer; `None` for services whose answers may take long to begin.
    pub response_timeout: Option<Duration>,
    /// How long all attempts together may take until an answer begins.
    pub total_timeout: Option<Duration>,
    /// The longest request body, in bytes, that is kept to be sent again; one that is longer is sent once.
    pub replay_bytes_max: usize,
    /// Whether the client's `Host` is passed on; otherwise the backend's address is.
    pub pass_host_header: bool,
    /// The cookie that keeps a client with one backend.
    pub sticky: Option<Name>,
    /// What is asked of backends that speak TLS.
    pub tls: BackendTls,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            failover: Failover::Safe,
            retry_statuses: vec![502, 503, 504],
            attempts: 3,
            connect_timeout: Duration::from_millis(300),
            response_timeout: None,
            total_timeout: None,
            replay_bytes_max: 64 * 1024,
            pass_host_header: true,
            sticky: None,
            tls: BackendTls::default(),
        }
    }
}
