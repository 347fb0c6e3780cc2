//! Routes below HTTP: connections by the name in their TLS handshake, and datagrams by their entry point.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    id::RouteName,
    role::Role,
    route::{RouterTls, millis},
};

/// TCP routers and what they lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TcpRoutes {
    /// Routers by name.
    #[serde(rename = "r", skip_serializing_if = "BTreeMap::is_empty")]
    pub routers: BTreeMap<RouteName, TcpRouter>,
    /// Load balancers by name.
    #[serde(rename = "s", skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<RouteName, TcpService>,
    /// Middlewares by name, in Traefik's own JSON.
    #[serde(rename = "m", skip_serializing_if = "BTreeMap::is_empty")]
    pub middlewares: BTreeMap<RouteName, serde_json::Value>,
}

impl TcpRoutes {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.routers.is_empty() && self.services.is_empty() && self.middlewares.is_empty()
    }
}

/// A TCP router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpRouter {
    /// The rule, in Traefik's language for TCP: `HostSNI` and its like.
    #[serde(rename = "r")]
    pub rule: String,
    /// The load balancer: one of its own set, or `name@provider`.
    #[serde(rename = "s")]
    pub service: String,
    /// Entry points by name. There must be one: what is meant for a port of its own would otherwise be on all of them.
    #[serde(rename = "e", default, skip_serializing_if = "Vec::is_empty")]
    pub entry_points: Vec<String>,
    /// Middlewares in order.
    #[serde(rename = "m", default, skip_serializing_if = "Vec::is_empty")]
    pub middlewares: Vec<String>,
    /// The higher number wins; absent means the length of the rule.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Whether the connections are TLS.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TcpTls>,
}

/// TLS of a TCP router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpTls {
    /// What an HTTP router has as well.
    #[serde(flatten)]
    pub ends: RouterTls,
    /// Whether TLS is left to the server.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub passthrough: bool,
}

/// A TCP load balancer over the instances of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpService {
    /// The port inside the container.
    #[serde(rename = "p")]
    pub port: u16,
    /// The version of the PROXY protocol that the servers are greeted with: 1 or 2.
    #[serde(rename = "y", default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<u8>,
    /// How to connect to the servers, as `name@provider`.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub servers_transport: Option<String>,
    /// Whether the servers are spoken to over TLS.
    #[serde(rename = "t", default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
    /// Traefik's own active check.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<TcpHealthCheck>,
    /// Only instances that have this role are servers; absent means all. Agents from before there were roles send to all.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

impl TcpService {
    /// A plain load balancer to a port.
    pub const fn to_port(port: u16) -> Self {
        Self {
            port,
            proxy_protocol: None,
            servers_transport: None,
            tls: false,
            health_check: None,
            role: None,
        }
    }
}

/// Traefik's active check of a TCP load balancer's servers: whether they accept a connection and, where that is said, answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TcpHealthCheck {
    /// What is sent.
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    pub send: Option<String>,
    /// What the answer must be.
    #[serde(rename = "e", skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// Between checks (Traefik's default is 30 s).
    #[serde(rename = "i", with = "millis", skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// Between checks of a server that is out (default: the interval).
    #[serde(rename = "u", with = "millis", skip_serializing_if = "Option::is_none")]
    pub unhealthy_interval: Option<Duration>,
    /// Patience of one check (default 5 s).
    #[serde(rename = "t", with = "millis", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// UDP routers and what they lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UdpRoutes {
    /// Routers by name.
    #[serde(rename = "r", skip_serializing_if = "BTreeMap::is_empty")]
    pub routers: BTreeMap<RouteName, UdpRouter>,
    /// Ports inside the container, by the load balancer's name.
    #[serde(rename = "s", skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<RouteName, u16>,
}

impl UdpRoutes {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.routers.is_empty() && self.services.is_empty()
    }
}

/// A UDP router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UdpRouter {
    /// The load balancer: one of its own set, or `name@provider`.
    #[serde(rename = "s")]
    pub service: String,
    /// Entry points by name; at least one.
    #[serde(rename = "e", default, skip_serializing_if = "Vec::is_empty")]
    pub entry_points: Vec<String>,
}
