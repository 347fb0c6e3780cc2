//! How routes are rendered.

use std::{net::SocketAddr, time::Duration};

use constellation_core::DomainName;

/// How routes are rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderConfig {
    /// Services are served under `<service>.<domain>` and `<service>.<node>.<domain>`. Without it, only labels make
    /// routes.
    pub domain: Option<DomainName>,
    /// Entry points (of Traefik's static configuration) for generated routers and for those whose labels name none.
    pub entry_points: Vec<String>,
    /// Entry points with TLS, on which generated routers are served as well, with whatever certificate Traefik has for the host.
    pub tls_entry_points: Vec<String>,
    /// The certificate resolver of generated routers; with one they serve TLS, each host with a certificate of its own.
    /// With many services that meets the limits of public authorities: an entry point whose TLS has a wildcard
    /// certificate needs none here.
    pub cert_resolver: Option<String>,
    /// Where this node's own failover proxy takes services by name, for those that ask to go through it.
    pub proxy: Option<SocketAddr>,
    /// How long a connection to a server may take to be made. Shorter loses less time on a host that went silent;
    /// it must be well above the longest round trip between two nodes, and 300 ms suits one continent.
    pub dial_timeout: Duration,
    /// Whether safe requests that one server failed are given to another by Traefik's `failover.errors`. That came with
    /// Traefik 3.7, and **earlier versions refuse the whole document because of it**: switch it off for those.
    pub failover_on_errors: bool,
}

impl Default for RenderConfig {
    fn default() -> Self {
        Self {
            domain: None,
            entry_points: vec!["web".to_owned()],
            tls_entry_points: Vec::new(),
            cert_resolver: None,
            proxy: None,
            dial_timeout: Duration::from_millis(300),
            failover_on_errors: true,
        }
    }
}
