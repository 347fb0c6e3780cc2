//! Load balancers over servers, in Traefik's terms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{GoDuration, Name};

/// A load balancer over servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct LoadBalancer {
    /// The servers. Written out even where there is none: `{}` is refused, and `[]` answers 503.
    pub servers: Vec<Server>,
    /// Whether a client stays with one server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Box<Sticky>>,
    /// Traefik's own check of the servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<Box<HealthCheck>>,
    /// Servers that fail requests are taken out for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passive_health_check: Option<Box<PassiveHealthCheck>>,
    /// How a server is chosen; absent means each in its turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// How answers are passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_forwarding: Option<ResponseForwarding>,
    /// Whether the client's `Host` is passed on; absent means yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass_host_header: Option<bool>,
    /// How the servers are connected to: of this document, or `name@provider`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub servers_transport: Option<Name>,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Server {
    /// Scheme, address and port; or what labels give as URL.
    pub url: Name,
    /// Its share of the requests; absent means 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Whether the path of the URL is put before that of requests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preserve_path: bool,
}

impl Server {
    /// One with the usual share.
    pub const fn at(url: Name) -> Self {
        Self { url, weight: None, preserve_path: false }
    }
}

/// When Traefik takes out a server that fails requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "Traefik's own fields, described at constellation_core::route::PassiveHealthCheck"
)]
pub struct PassiveHealthCheck {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_window: Option<GoDuration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failed_attempts: Option<u32>,
}

/// How answers are passed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ResponseForwarding {
    /// How long parts of an answer are kept back, in Go's form; negative means not at all.
    pub flush_interval: String,
}

/// Stickiness; Traefik has cookies alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sticky {
    /// The cookie; `{}` is allowed here.
    pub cookie: Cookie,
}

/// The cookie of a sticky load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[expect(missing_docs, reason = "Traefik's own fields, described at constellation_core::route::StickyCookie")]
pub struct Cookie {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_site: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

/// Traefik's active check of a load balancer's servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "Traefik's own fields, described at constellation_core::route::HttpHealthCheck"
)]
pub struct HealthCheck {
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<GoDuration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_interval: Option<GoDuration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<GoDuration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow_redirects: Option<bool>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

impl LoadBalancer {
    /// The servers' URLs.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.servers.iter().map(|server| server.url.as_ref())
    }
}
