//! What the document says below HTTP.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Domain, DynamicConfig, GoDuration, Name, Names, is_empty};

/// TCP routers and what they refer to, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tcp {
    /// Which connections go where.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub routers: BTreeMap<Name, TcpRouter>,
    /// Load balancers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<Name, L4Service>,
    /// What happens on the way.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub middlewares: BTreeMap<Name, serde_json::Value>,
}

impl Tcp {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.routers.is_empty() && self.services.is_empty() && self.middlewares.is_empty()
    }
}

/// A TCP router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TcpRouter {
    /// Entry points by name; never none.
    pub entry_points: Names,
    /// Middlewares in order.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub middlewares: Names,
    /// The service.
    pub service: Name,
    /// The rule.
    pub rule: String,
    /// The higher number wins. Where none is given Traefik takes the length of the rule, and puts one that takes everything last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// TLS; `{}` is on with defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TcpTls>,
}

/// TLS of a TCP router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TcpTls {
    /// Whether TLS is left to the server.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub passthrough: bool,
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

/// A TCP or UDP load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct L4Service {
    /// Over servers.
    pub load_balancer: L4LoadBalancer,
}

impl L4Service {
    /// The addresses of its servers.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.load_balancer.servers.iter().map(|server| server.address.as_str())
    }
}

/// Servers below HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct L4LoadBalancer {
    /// The servers. Written out even where there is none.
    pub servers: Vec<L4Server>,
    /// How to connect to them, as `name@provider`. TCP's alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub servers_transport: Option<String>,
    /// Traefik's own check of them. TCP's alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<L4HealthCheck>,
    /// How they are greeted. TCP's alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// The PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtocol {
    /// 1 or 2.
    pub version: u8,
}

/// A server below HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L4Server {
    /// Address and port.
    pub address: String,
    /// Whether it is spoken to over TLS. TCP's alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
}

/// Traefik's active check of a TCP load balancer's servers; without fields, whether they accept a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "Traefik's own fields, described at constellation_core::route::TcpHealthCheck"
)]
pub struct L4HealthCheck {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// Always given: Traefik takes an empty check for a mistake.
    pub interval: GoDuration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhealthy_interval: Option<GoDuration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<GoDuration>,
}

/// UDP routers and load balancers, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Udp {
    /// Which entry points go where.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub routers: BTreeMap<Name, UdpRouter>,
    /// Load balancers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<Name, L4Service>,
}

impl Udp {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.routers.is_empty() && self.services.is_empty()
    }
}

/// A UDP router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct UdpRouter {
    /// Entry points by name; never none.
    pub entry_points: Names,
    /// The service.
    pub service: Name,
}

impl DynamicConfig {
    /// Every server below HTTP with its protocol, because a TCP and a UDP server may have the same address.
    pub fn l4_servers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let tcp = self.tcp.services.values().flat_map(L4Service::addresses).map(|address| ("tcp", address));
        let udp = self.udp.services.values().flat_map(L4Service::addresses).map(|address| ("udp", address));
        tcp.chain(udp)
    }
}
