//! What is to reach a service: routers and load balancers in Traefik's terms, as typed values.
//!
//! A [`RouteSet`] is made on the node that runs the container (from its labels, or from a service definition) and
//! travels to every other node, where routes of all nodes are joined into one document.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use crate::route_l4::{TcpHealthCheck, TcpRouter, TcpRoutes, TcpService, TcpTls, UdpRouter, UdpRoutes};
use crate::{
    endpoint::Protocol,
    id::{RouteName, RouteSetId},
};

/// The routes of one container. Containers with equal routes share one set, by its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteSet {
    /// Routers by name.
    #[serde(rename = "r", skip_serializing_if = "BTreeMap::is_empty")]
    pub routers: BTreeMap<RouteName, HttpRouter>,
    /// Load balancers by name.
    #[serde(rename = "s", skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<RouteName, HttpService>,
    /// The load balancer behind the generated `<service>.<domain>` and `<service>.<node>.<domain>`; none of them is
    /// generated where it is absent.
    #[serde(rename = "g", skip_serializing_if = "Option::is_none")]
    pub generated: Option<RouteName>,
    /// HTTP middlewares that it defines, by name: one kind each, in Traefik's own JSON.
    #[serde(rename = "m", skip_serializing_if = "BTreeMap::is_empty")]
    pub middlewares: BTreeMap<RouteName, serde_json::Value>,
    /// What is routed by TCP.
    #[serde(rename = "t", skip_serializing_if = "TcpRoutes::is_empty")]
    pub tcp: TcpRoutes,
    /// What is routed by UDP.
    #[serde(rename = "u", skip_serializing_if = "UdpRoutes::is_empty")]
    pub udp: UdpRoutes,
}

impl RouteSet {
    /// The set's content address.
    pub fn id(&self) -> RouteSetId {
        // A value of this shape always serialises; were it not so, equal sets would still get equal ids.
        RouteSetId::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// Whether it routes nothing.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.tcp.services.is_empty() && self.udp.services.is_empty()
    }

    /// The ports inside the container that its routes lead to.
    pub fn ports(&self) -> BTreeSet<(Protocol, u16)> {
        let http = self.services.values().map(|service| (Protocol::Tcp, service.port));
        let tcp = self.tcp.services.values().map(|service| (Protocol::Tcp, service.port));
        let udp = self.udp.services.values().map(|port| (Protocol::Udp, *port));
        http.chain(tcp).chain(udp).collect()
    }
}

/// An HTTP router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRouter {
    /// The rule, in Traefik's rule language.
    #[serde(rename = "r")]
    pub rule: String,
    /// The load balancer: one of its own set, or `name@provider`.
    #[serde(rename = "s")]
    pub service: String,
    /// Entry points by name; empty means the configured default.
    #[serde(rename = "e", default, skip_serializing_if = "Vec::is_empty")]
    pub entry_points: Vec<String>,
    /// Middlewares in order, as `name@provider`.
    #[serde(rename = "m", default, skip_serializing_if = "Vec::is_empty")]
    pub middlewares: Vec<String>,
    /// The higher number wins; absent means the length of the rule, as Traefik has it.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Whether it serves TLS, and with which certificates.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RouterTls>,
    /// What Traefik tells of its requests, where that is not as its static configuration has it.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub observability: Option<Observability>,
}

/// What Traefik tells of a router's requests; what is absent is as its static configuration has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Observability {
    /// Lines in the access log.
    #[serde(rename = "a", skip_serializing_if = "Option::is_none")]
    pub access_logs: Option<bool>,
    /// Metrics.
    #[serde(rename = "m", skip_serializing_if = "Option::is_none")]
    pub metrics: Option<bool>,
    /// Traces.
    #[serde(rename = "t", skip_serializing_if = "Option::is_none")]
    pub tracing: Option<bool>,
    /// `minimal` or `detailed` traces.
    #[serde(rename = "v", skip_serializing_if = "Option::is_none")]
    pub trace_verbosity: Option<String>,
}

/// A certificate that a resolver is to get in place of one for the names of the rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsDomain {
    /// Its first name.
    #[serde(rename = "m")]
    pub main: String,
    /// Its other names.
    #[serde(rename = "s", skip_serializing_if = "Vec::is_empty")]
    pub sans: Vec<String>,
}

/// TLS of a router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterTls {
    /// The certificate resolver of Traefik's static configuration.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub cert_resolver: Option<String>,
    /// TLS options (such as required client certificates), as `name@provider`.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
    /// The certificates that the resolver is to get; none means for the names of the rule.
    #[serde(rename = "d", default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<TlsDomain>,
}

/// Whether a request that one server failed may be given to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Failover {
    /// Wherever that cannot do harm: safe methods always, other methods while no byte of the request was sent.
    #[default]
    Safe,
    /// Never: each request is sent once.
    Off,
}

impl Failover {
    const fn is_safe(&self) -> bool {
        matches!(self, Self::Safe)
    }
}

/// The protocol that a backend speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// HTTP/1.1 in the clear.
    #[default]
    Http,
    /// HTTP over TLS.
    Https,
    /// HTTP/2 in the clear.
    H2c,
}

impl Scheme {
    /// As it stands in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
        }
    }

    const fn is_http(&self) -> bool {
        matches!(self, Self::Http)
    }
}

/// An HTTP load balancer over the instances of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpService {
    /// The port inside the container.
    #[serde(rename = "p")]
    pub port: u16,
    /// The protocol that it speaks.
    #[serde(rename = "x", default, skip_serializing_if = "Scheme::is_http")]
    pub scheme: Scheme,
    /// Traefik's own active check.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HttpHealthCheck>,
    /// Whether a client stays with one server.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<StickyCookie>,
    /// Whether the client's `Host` is passed on; absent means yes, as Traefik has it.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub pass_host_header: Option<bool>,
    /// How long a server may take to begin its answer. Only for services whose answers begin soon: absent means no
    /// limit, because nothing tells a slow answer from a silent host.
    #[serde(rename = "w", default, with = "millis", skip_serializing_if = "Option::is_none")]
    pub response_timeout: Option<Duration>,
    /// Whether a request that one server failed may be given to another.
    #[serde(rename = "f", default, skip_serializing_if = "Failover::is_safe")]
    pub failover: Failover,
    /// How to connect to the servers (certificates, timeouts), as `name@provider`, in place of what is generated.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub servers_transport: Option<String>,
    /// Whether each node's Traefik sends its requests through that node's own failover proxy, where one runs.
    #[serde(rename = "y", default, skip_serializing_if = "std::ops::Not::not")]
    pub proxied: bool,
    /// How Traefik chooses a server: `wrr` (absent), `p2c`, `hrw` or `leasttime`.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Traefik takes out servers that fail requests.
    #[serde(rename = "q", default, skip_serializing_if = "Option::is_none")]
    pub passive_health_check: Option<PassiveHealthCheck>,
    /// How long Traefik keeps parts of an answer back, in milliseconds; negative means not at all.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub flush_interval: Option<i64>,
    /// This instance's share of the requests; absent means 1, and 0 gets none.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Where it is reached, in place of its port: scheme, host, and perhaps port and path.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether the path of the URL is put before that of requests.
    #[serde(rename = "v", default, skip_serializing_if = "std::ops::Not::not")]
    pub preserve_path: bool,
}

/// Traefik takes out a server that failed so many requests within a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PassiveHealthCheck {
    /// The window, and how long it is out (Traefik's default is 10 s).
    #[serde(rename = "w", with = "millis", skip_serializing_if = "Option::is_none")]
    pub failure_window: Option<Duration>,
    /// How many (Traefik's default is 1).
    #[serde(rename = "n", skip_serializing_if = "Option::is_none")]
    pub max_failed_attempts: Option<u32>,
}

impl HttpService {
    /// A plain load balancer to a port.
    pub const fn to_port(port: u16) -> Self {
        Self {
            port,
            scheme: Scheme::Http,
            health_check: None,
            sticky: None,
            pass_host_header: None,
            response_timeout: None,
            failover: Failover::Safe,
            servers_transport: None,
            proxied: false,
            strategy: None,
            passive_health_check: None,
            flush_interval: None,
            weight: None,
            url: None,
            preserve_path: false,
        }
    }
}

/// Traefik's active health check of a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpHealthCheck {
    /// The path that is asked; Traefik requires it.
    #[serde(rename = "p")]
    pub path: String,
    /// Between checks (Traefik's default is 30 s).
    #[serde(rename = "i", with = "millis", skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// Between checks of a server that is out (default: the interval).
    #[serde(rename = "u", with = "millis", skip_serializing_if = "Option::is_none")]
    pub unhealthy_interval: Option<Duration>,
    /// Patience of one check (default 5 s).
    #[serde(rename = "t", with = "millis", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// The `Host` to send.
    #[serde(rename = "n", skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Another scheme than the service's.
    #[serde(rename = "x", skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// `http` (default) or `grpc`.
    #[serde(rename = "m", skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The HTTP method (default GET).
    #[serde(rename = "d", skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The status that is healthy (default: 2xx and 3xx).
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Another port than the service's.
    #[serde(rename = "o", skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Whether redirects are followed (default yes).
    #[serde(rename = "f", skip_serializing_if = "Option::is_none")]
    pub follow_redirects: Option<bool>,
    /// Headers to send.
    #[serde(rename = "e", skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// The cookie that keeps a client with one server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StickyCookie {
    /// Its name; absent lets Traefik derive one.
    #[serde(rename = "n", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Hidden from scripts.
    #[serde(rename = "h", skip_serializing_if = "Option::is_none")]
    pub http_only: Option<bool>,
    /// Only over TLS.
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    pub secure: Option<bool>,
    /// `none`, `lax` or `strict`.
    #[serde(rename = "i", skip_serializing_if = "Option::is_none")]
    pub same_site: Option<String>,
    /// Its life in seconds; 0 is the browser's session, negative is already over.
    #[serde(rename = "a", skip_serializing_if = "Option::is_none")]
    pub max_age: Option<i64>,
    /// The path that it is sent for.
    #[serde(rename = "p", skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The domain that it is sent to.
    #[serde(rename = "d", skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

/// A duration as whole milliseconds: short on the wire, and exact for every duration that a label can name.
pub(crate) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "the signature that serde's `with` calls")]
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}
