//! Backends that behave as a test wants, clients that see bytes, and a proxy between them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "a test may; not every suite needs all of it"
)]

mod backend;
mod client;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use constellation_core::route::Scheme;
use constellation_proxy::http::{
    Backend as Target_, HttpProxy, Listen, Policy, ProxyConfig, ProxyHandle, Router, Service, Table, Target,
};
use constellation_tasks::{Supervisor, SystemClock};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;

pub(crate) use self::{
    backend::{Backend, Reply},
    client::{Answer, Client},
};

/// How long anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A proxy, and the way to change its table.
pub(crate) struct Proxy {
    pub(crate) handle: ProxyHandle,
    pub(crate) tables: watch::Sender<Arc<Table>>,
    pub(crate) supervisor: Supervisor,
}

/// One backend of the table: where, and its rank.
pub(crate) fn backend(address: SocketAddr, rank: u32) -> Target_ {
    Target_ {
        node: format!("n{rank}").parse().unwrap(),
        instance: format!("i{}", address.port()).parse().unwrap(),
        address,
        scheme: Scheme::Http,
        rank,
    }
}

/// A certificate for a name or an address: for a server that speaks these protocols, and as its clients trust it.
pub(crate) fn certificate(
    name: &str,
    protocols: &[&str],
) -> (Arc<rustls::ServerConfig>, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let der = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    (Arc::new(config), der)
}

/// A table that gives every request to these backends.
pub(crate) fn table(backends: Vec<Target_>, policy: Policy) -> Table {
    let router = Router {
        name: "all".into(),
        rule: "PathPrefix(`/`)".parse().unwrap(),
        priority: 1,
        entry_points: vec![],
        tls: false,
        target: Target::Service("web".into()),
    };
    Table::new(vec![router], vec![Service { name: "web".into(), backends, policy }])
}

impl Proxy {
    pub(crate) fn start(table: Table) -> Self {
        Self::with(table, |_| {})
    }

    pub(crate) fn with(table: Table, change: impl FnOnce(&mut ProxyConfig)) -> Self {
        let mut config = ProxyConfig::for_listeners(vec![Listen::plain(([127, 0, 0, 1], 0).into())]);
        config.threads = 1;
        change(&mut config);
        let (tables, receiver) = watch::channel(Arc::new(table));
        let supervisor = Supervisor::new();
        let handle = HttpProxy::start(config, receiver, &supervisor, Arc::new(SystemClock::start())).unwrap();
        Self { handle, tables, supervisor }
    }

    /// A proxy of these backends, all of one rank.
    pub(crate) fn of(backends: &[&Backend]) -> Self {
        let backends = backends.iter().map(|it| backend(it.address, 0)).collect();
        Self::start(table(backends, Policy::default()))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.handle.addresses()[0]
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address()).await
    }

    /// Sends one request over a connection of its own.
    pub(crate) async fn ask(&self, request: &str) -> Answer {
        let mut client = self.client().await;
        client.send(request).await;
        client.answer().await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: app.test\r\n\r\n")).await
    }

    /// Waits until the proxy's status is so.
    pub(crate) async fn until(
        &self,
        what: &str,
        holds: impl Fn(&constellation_proxy::http::ProxyStatus) -> bool,
    ) {
        let waiting = async {
            while !holds(&self.handle.status()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("not within {PATIENCE:?}: {what}; {:#?}", self.handle.status());
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.supervisor.shutdown().cancel();
    }
}
