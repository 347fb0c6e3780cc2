//! How the proxy works.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use constellation_rules::AddressRange;
use rustls::RootCertStore;

use super::{breaker::BreakerConfig, table::Name};

/// An address to take requests at.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Where; port 0 takes any, which [`ProxyHandle::addresses`](super::ProxyHandle::addresses) tells.
    pub address: SocketAddr,
    /// What routers call it.
    pub entry_point: Name,
    /// The certificates, where TLS ends here. With `h2` and `http/1.1` among its protocols clients choose.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Whether requests say by the header `X-Constellation-Service` where they go, and rules are not asked: for a Traefik on
    /// this machine that sends a service through the proxy. Whoever reaches such an address reaches every service, so it
    /// must be on loopback.
    pub by_header: bool,
}

impl Listen {
    /// Plain HTTP for the entry point `web`.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, entry_point: "web".into(), tls: None, by_header: false }
    }
}

/// What a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; more are closed as soon as they are made.
    pub connections_max: usize,
    /// The longest head of a request over HTTP/1.1, in bytes; 431 beyond it. At least 8 KiB.
    pub head_bytes_max: usize,
    /// Header fields of one request; 431 beyond it.
    pub headers_max: usize,
    /// The longest URI, in bytes; 414 beyond it.
    pub uri_bytes_max: usize,
    /// The longest request body, in bytes; 413 beyond it. `None` for no bound: bodies are streamed, and not kept.
    pub body_bytes_max: Option<u64>,
    /// How long a client may take to send the head of a request, or to send another after the last.
    pub head_timeout: Duration,
    /// How long a client may send nothing of a body that it has begun; 408 beyond it.
    pub body_timeout: Duration,
    /// How long a client may take none of an answer.
    pub write_timeout: Duration,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// Requests at once over one HTTP/2 connection.
    pub streams_max: u32,
    /// Idle connections that each thread keeps to one backend, and as many again for requests that are never cut (see
    /// [`ProxyConfig::acknowledge_timeout`]).
    pub idle_per_backend: usize,
    /// How long an idle connection to a backend is kept: less than backends usually keep theirs.
    pub idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            head_bytes_max: 64 * 1024,
            headers_max: 100,
            uri_bytes_max: 8 * 1024,
            body_bytes_max: None,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(10),
            streams_max: 100,
            idle_per_backend: 128,
            idle_timeout: Duration::from_secs(50),
        }
    }
}

/// How the proxy works.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Where it takes requests.
    pub listeners: Vec<Listen>,
    /// Threads; each serves its connections alone.
    pub threads: usize,
    /// What a client may ask for.
    pub limits: Limits,
    /// When a backend is left alone.
    pub breaker: BreakerConfig,
    /// The authorities that certificates of backends over TLS must come from, where a service takes not any; empty means that none
    /// is believed.
    pub backend_roots: Arc<RootCertStore>,
    /// How long the machine of a backend may acknowledge nothing of a request that another backend can be given: one without a body
    /// that may be repeated. A backend that only takes its time is not meant, because its kernel acknowledges for it. Zero
    /// waits for ever; whole milliseconds count.
    pub acknowledge_timeout: Duration,
    /// Whose `X-Forwarded-*` and `Forwarded` are believed and continued. Everybody else's are replaced.
    pub trusted: Vec<AddressRange>,
    /// How long open requests may go on once the proxy is told to end.
    pub drain: Duration,
    /// Whether every request is written to the log (target `constellation_proxy::access`).
    pub access_log: bool,
}

impl ProxyConfig {
    /// Defaults, for these listeners.
    pub fn for_listeners(listeners: Vec<Listen>) -> Self {
        Self {
            listeners,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            limits: Limits::default(),
            breaker: BreakerConfig::default(),
            backend_roots: Arc::new(RootCertStore::empty()),
            acknowledge_timeout: Duration::from_millis(1500),
            trusted: Vec::new(),
            drain: Duration::from_secs(10),
            access_log: false,
        }
    }
}
