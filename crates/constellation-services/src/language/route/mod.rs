//! How requests from outside find a service. A route is born with its port: one without cannot be written.

mod http;

use serde::Serialize;

pub(crate) use self::http::Access;
pub use self::http::HttpRoute;
use super::hosts::Hosts;

/// The beginning of a route.
///
/// ```
/// use constellation_services::prelude::*;
/// # let cfg = Config::example();
/// let blog = Route::http(8080).host(cfg.host("blog")).redirect_from(cfg.host("www")).public("everybody reads it");
/// let admin = Route::http(9000).host(cfg.host("admin")).auth("nginx-auth@file");
/// let db = Route::tcp(27017).sni(cfg.host("mongodb")).entry_point("mongo").tls();
/// let dns = Route::udp(53).entry_point("dns");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Route;

impl Route {
    /// HTTP to this port inside. Without a host it answers to `<service>.<domain>` and `<service>.<node>.<domain>`.
    pub fn http(port: u16) -> HttpRoute {
        HttpRoute::new(port)
    }

    /// TCP to this port inside. TLS connections are told apart by their server name; plain ones only by entry point.
    pub fn tcp(port: u16) -> TcpRoute {
        TcpRoute {
            name: None,
            port,
            sni: Hosts::default(),
            entry_points: Vec::new(),
            tls: TcpTls::None,
            backend_tls: false,
        }
    }

    /// UDP to this port inside. There are no names in UDP: everything that reaches the entry point goes there.
    pub fn udp(port: u16) -> UdpRoute {
        UdpRoute { name: None, port, entry_points: Vec::new() }
    }
}

/// Who ends the TLS of a TCP route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TcpTls {
    /// There is none.
    None,
    /// Traefik ends it.
    Terminate,
    /// The service ends it.
    Passthrough,
}

/// Connections to these server names go to one port of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TcpRoute {
    pub(crate) name: Option<String>,
    pub(crate) port: u16,
    pub(crate) sni: Hosts,
    pub(crate) entry_points: Vec<String>,
    pub(crate) tls: TcpTls,
    pub(crate) backend_tls: bool,
}

impl TcpRoute {
    /// The name of its router and load balancer; the service's name unless said.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Connections whose TLS handshake names one of these.
    #[must_use]
    pub fn sni(mut self, hosts: impl Into<Hosts>) -> Self {
        self.sni = self.sni.and(hosts);
        self
    }

    /// On this entry point of Traefik.
    #[must_use]
    pub fn entry_point(mut self, name: impl Into<String>) -> Self {
        self.entry_points.push(name.into());
        self
    }

    /// Traefik ends the TLS and speaks plain TCP to the service.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = TcpTls::Terminate;
        self
    }

    /// The service ends the TLS: it must have a certificate itself.
    #[must_use]
    pub fn tls_passthrough(mut self) -> Self {
        self.tls = TcpTls::Passthrough;
        self
    }

    /// Traefik speaks TLS to the service, too.
    #[must_use]
    pub fn backend_tls(mut self) -> Self {
        self.backend_tls = true;
        self
    }
}

/// Datagrams to an entry point go to one port of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UdpRoute {
    pub(crate) name: Option<String>,
    pub(crate) port: u16,
    pub(crate) entry_points: Vec<String>,
}

impl UdpRoute {
    /// The name of its router and load balancer; the service's name unless said.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The entry point of Traefik that it takes over.
    #[must_use]
    pub fn entry_point(mut self, name: impl Into<String>) -> Self {
        self.entry_points.push(name.into());
        self
    }
}

/// A route of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AnyRoute {
    /// HTTP. Boxed: it is much larger than the others.
    Http(Box<HttpRoute>),
    /// TCP.
    Tcp(TcpRoute),
    /// UDP.
    Udp(UdpRoute),
}

impl AnyRoute {
    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Http(route) => route.port,
            Self::Tcp(route) => route.port,
            Self::Udp(route) => route.port,
        }
    }
}

impl From<HttpRoute> for AnyRoute {
    fn from(route: HttpRoute) -> Self {
        Self::Http(Box::new(route))
    }
}

impl From<TcpRoute> for AnyRoute {
    fn from(route: TcpRoute) -> Self {
        Self::Tcp(route)
    }
}

impl From<UdpRoute> for AnyRoute {
    fn from(route: UdpRoute) -> Self {
        Self::Udp(route)
    }
}
