//! Certificates for rustls, which may be replaced while it serves.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{SystemTime, UNIX_EPOCH},
};

use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::CertificateStore;

/// Gives each handshake the certificate for its name. Clones share the store; connections that are open keep what they had.
#[derive(Clone, Debug, Default)]
pub struct CertificateResolver(Arc<RwLock<Arc<CertificateStore>>>);

impl CertificateResolver {
    /// A resolver of these.
    pub fn new(store: Arc<CertificateStore>) -> Self {
        Self(Arc::new(RwLock::new(store)))
    }

    /// The store as it is now.
    pub fn current(&self) -> Arc<CertificateStore> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes another store for the handshakes from now on.
    pub fn replace(&self, store: Arc<CertificateStore>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = store;
    }

    /// A server that asks this resolver, and offers these protocols (such as `h2` and `http/1.1`). A client that names no host, or one
    /// that no certificate is for, is refused: nobody is shown the certificate of another site.
    pub fn server_config(&self, protocols: &[&str]) -> Result<Arc<ServerConfig>, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let store = self.current();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        store.pick(hello.server_name()?, now).map(|certificate| certificate.certified())
    }
}
