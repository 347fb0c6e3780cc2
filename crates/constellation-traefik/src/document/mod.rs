//! Traefik's dynamic configuration, as far as it is generated here.
//!
//! One document is everything that Traefik knows from this provider. Traefik reads it strictly, so this model can only
//! say what Traefik takes: an unknown field or an empty map anywhere makes it refuse the **whole** document, and a
//! document without content removes every route. What the types cannot promise, [`DynamicConfig::validate`] checks.
//!
//! Equal documents have equal bytes ([`DynamicConfig::to_bytes`]): names are sorted and nothing in it tells the time.
//! Traefik hashes the bytes and does nothing when they are the ones that it has.

mod balancer;
mod duration;
mod l4;
mod server;
mod shared;
mod tls;
mod validate;
mod write;

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::names;

pub use self::{
    balancer::{Cookie, HealthCheck, LoadBalancer, PassiveHealthCheck, ResponseForwarding, Server, Sticky},
    duration::GoDuration,
    l4::{
        L4HealthCheck, L4LoadBalancer, L4Server, L4Service, ProxyProtocol, Tcp, TcpRouter, TcpTls, Udp,
        UdpRouter,
    },
    server::ServerUrl,
    shared::Shared,
    tls::{InlineCertificate, TlsSection},
    validate::{DocumentFault, InvalidDocument, Parts},
};

/// A name of a router, service, middleware or transport. Shared, because most are named in several places.
pub type Name = Arc<str>;

/// A list of names, shared because most routers have the same.
pub type Names = Arc<[Name]>;

/// What names of this document end in, where others name them: the provider that Traefik has them from, and the one that labels were
/// written for.
pub(crate) const PROVIDER_SUFFIXES: [&str; 2] = ["@docker", "@http"];

/// The highest priority that a router may have: Traefik refuses higher ones, which it keeps for its own routers.
pub const PRIORITY_MAX: i64 = i64::MAX - 1000;

/// The whole document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DynamicConfig {
    /// Everything about HTTP.
    #[serde(skip_serializing_if = "Http::is_empty")]
    pub http: Http,
    /// Everything about TCP.
    #[serde(skip_serializing_if = "Tcp::is_empty")]
    pub tcp: Tcp,
    /// Everything about UDP.
    #[serde(skip_serializing_if = "Udp::is_empty")]
    pub udp: Udp,
}

/// HTTP routers and what they refer to, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Http {
    /// Which requests go where.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub routers: BTreeMap<Name, Shared<Router>>,
    /// Load balancers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<Name, Shared<Service>>,
    /// What happens on the way.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub middlewares: BTreeMap<Name, Middleware>,
    /// How servers are connected to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub servers_transports: BTreeMap<Name, ServersTransport>,
}

impl Http {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.routers.is_empty()
            && self.services.is_empty()
            && self.middlewares.is_empty()
            && self.servers_transports.is_empty()
    }
}

/// A router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Router {
    /// Entry points by name; never none, because Traefik would take all.
    pub entry_points: Names,
    /// Middlewares in order: of this document, or `name@provider`.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub middlewares: Names,
    /// The service: of this document, or `name@provider`.
    pub service: Name,
    /// The rule in its canonical form.
    pub rule: String,
    /// The higher number wins. Always given: which of two equal routers without priorities wins changes from one start
    /// of Traefik to the next.
    pub priority: i64,
    /// TLS; `{}` is on with defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<Tls>>,
    /// What is told of its requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observability: Option<Box<Observability>>,
}

/// What is told of a router's requests; what is absent is as Traefik's static configuration has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "Traefik's own fields, described at constellation_core::route::Observability"
)]
pub struct Observability {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_logs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracing: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_verbosity: Option<String>,
}

/// The names of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Domain {
    /// The first.
    pub main: String,
    /// The others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sans: Vec<String>,
}

/// TLS of a router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Tls {
    /// The certificate resolver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_resolver: Option<String>,
    /// The TLS options, as `name@provider`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
    /// The certificates that the resolver is to get.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Domain>,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Service {
    /// Over servers.
    LoadBalancer(LoadBalancer),
    /// Over other services, each in its turn.
    Weighted(Weighted),
    /// One service, and another for what that one fails.
    Failover(Failover),
}

/// Each of several services in its turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weighted {
    /// The services; never none.
    pub services: Vec<WeightedService>,
}

/// A service's part in a [`Weighted`] one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedService {
    /// Which service of this document.
    pub name: Name,
    /// Its share of the requests.
    pub weight: u32,
}

/// One service, and another for what that one fails. Needs Traefik 3.7.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failover {
    /// Asked first; of this document.
    pub service: Name,
    /// Asked where the first answers with one of the errors; of this document.
    pub fallback: Name,
    /// What counts as failed.
    pub errors: FailoverErrors,
}

/// What counts as failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FailoverErrors {
    /// Statuses or ranges of them, such as `502-504`; never none.
    pub status: Names,
    /// The largest body that is kept for the second try. Traefik refuses larger ones with 413.
    pub max_request_body_bytes: u64,
}

/// A middleware.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Middleware {
    /// Tries again.
    Retry(Retry),
    /// What labels define: one kind, as Traefik has it.
    #[serde(untagged)]
    Written(serde_json::Value),
}

impl Middleware {
    /// The middlewares that it is a chain of.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.field("chain", "middlewares")
            .and_then(serde_json::Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(serde_json::Value::as_str)
    }

    /// The service that it asks, for pages in place of errors.
    pub fn service(&self) -> Option<&str> {
        self.field("errors", "service").and_then(serde_json::Value::as_str)
    }

    fn field(&self, kind: &str, field: &str) -> Option<&serde_json::Value> {
        match self {
            Self::Retry(_) => None,
            Self::Written(value) => value.get(kind)?.get(field),
        }
    }
}

/// Tries a request again that no server has received a byte of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Retry {
    /// How often it is tried in all; at least 2.
    pub attempts: u32,
}

/// How servers are connected to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ServersTransport {
    /// How long Traefik waits for a server.
    pub forwarding_timeouts: ForwardingTimeouts,
}

/// How long Traefik waits for a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ForwardingTimeouts {
    /// For the connection.
    pub dial_timeout: GoDuration,
    /// For the beginning of the answer, once the request is sent; absent means without limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_header_timeout: Option<GoDuration>,
}

impl DynamicConfig {
    /// The document as Traefik gets it. Equal documents have equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        write::document(self, &TlsSection::default())
    }

    /// Whether it routes nothing.
    pub fn is_empty(&self) -> bool {
        self.http.is_empty() && self.tcp.is_empty() && self.udp.is_empty()
    }

    /// The document with certificates added. Traefik refuses an empty map, so what says nothing is not there.
    pub fn to_bytes_with(&self, tls: &TlsSection) -> Vec<u8> {
        write::document(self, tls)
    }

    /// How many different servers it leads to.
    pub fn server_urls(&self) -> std::collections::BTreeSet<&str> {
        self.http
            .services
            .values()
            .filter_map(|service| service.as_load_balancer())
            .flat_map(LoadBalancer::urls)
            .collect()
    }
}

impl DynamicConfig {
    /// The load balancer over all servers that a service of a router stands for, and its name: itself, or the one that its failover
    /// pairs were made from. `None` for what is not of this document, or no load balancer.
    pub fn plain_balancer<'d>(&'d self, service: &'d str) -> Option<(&'d str, &'d LoadBalancer)> {
        let marked = [names::FAILOVER, names::PROXY];
        let plain = marked.iter().find_map(|mark| service.strip_suffix(mark)).unwrap_or(service);
        let (name, service) = self.http.services.get_key_value(plain)?;
        service.as_load_balancer().map(|balancer| (&**name, balancer))
    }

    /// Whether a middleware only tries again what no server received.
    pub fn is_retry(&self, middleware: &str) -> bool {
        matches!(self.http.middlewares.get(middleware), Some(Middleware::Retry(_)))
    }

    /// Whether a middleware only says to our own proxy which service is meant. Nobody else can name one so.
    pub fn names_service(middleware: &str) -> bool {
        middleware.ends_with(names::PROXY)
    }
}

fn is_empty(names: &Names) -> bool {
    names.is_empty()
}

impl Service {
    /// The load balancer, where it is one.
    pub const fn as_load_balancer(&self) -> Option<&LoadBalancer> {
        match self {
            Self::LoadBalancer(balancer) => Some(balancer),
            Self::Weighted(_) | Self::Failover(_) => None,
        }
    }

    /// The services that it refers to.
    pub fn references(&self) -> Vec<&Name> {
        match self {
            Self::LoadBalancer(_) => Vec::new(),
            Self::Weighted(weighted) => weighted.services.iter().map(|part| &part.name).collect(),
            Self::Failover(failover) => vec![&failover.service, &failover.fallback],
        }
    }
}

#[cfg(test)]
mod tests;
