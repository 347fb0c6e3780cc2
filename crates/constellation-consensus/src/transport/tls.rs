//! How two members meet: TLS 1.3 with certificates on both sides, nothing remembered from one connection to the next.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName},
    server::{ClientHello, NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::TLS13,
};

use super::{
    certificate,
    error::{LinkError, TransportError},
    identity::PeerIdentity,
    pki::NodeCredentials,
};

/// What both ends say that they speak. Another version of our own protocol gets another name, and then both ends know at
/// the handshake.
const PROTOCOL: &[u8] = b"constellation-raft/1";
/// What a node says that has no certificate yet. Nothing else is said under this name.
pub(super) const JOIN_PROTOCOL: &[u8] = b"constellation-join/1";

/// A node's credentials, made ready for connections.
#[derive(Debug)]
pub struct TlsIdentity {
    pub(super) identity: PeerIdentity,
    pub(super) client: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
    /// For those that say [`JOIN_PROTOCOL`]: the same certificate is shown, and none asked for.
    pub(super) join: Arc<ServerConfig>,
}

impl TlsIdentity {
    /// Makes credentials ready.
    pub fn new(credentials: &NodeCredentials) -> Result<Self, TransportError> {
        let tls = |source| TransportError::Tls { source };
        let provider = provider();
        let mut roots = RootCertStore::empty();
        for authority in &credentials.trusted {
            roots.add(authority.clone()).map_err(tls)?;
        }
        let roots = Arc::new(roots);
        // The authority goes along, so that a node with a join token can compare it with the fingerprint.
        let chain: Vec<CertificateDer<'static>> =
            std::iter::once(&credentials.certificate).chain(credentials.trusted.first()).cloned().collect();

        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|error| tls(rustls::Error::General(error.to_string())))?;
        let server = |protocol: &[u8], verifier: Arc<dyn ClientCertVerifier>| {
            let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[&TLS13])?
                .with_client_cert_verifier(verifier)
                .with_single_cert(chain.clone(), credentials.key.clone_key())?;
            // No tickets and no sessions: each connection shows its certificate anew, so one that was taken back counts at
            // once, and there is nothing that could be replayed.
            server.session_storage = Arc::new(NoServerSessionStorage {});
            server.send_tls13_tickets = 0;
            server.alpn_protocols = vec![protocol.to_vec()];
            Ok(Arc::new(server))
        };
        let join = server(JOIN_PROTOCOL, WebPkiClientVerifier::no_client_auth()).map_err(tls)?;
        let server = server(PROTOCOL, verifier).map_err(tls)?;

        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(tls)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, credentials.key.clone_key())
            .map_err(tls)?;
        client.resumption = Resumption::disabled();
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self { identity: credentials.identity.clone(), client: Arc::new(client), server, join })
    }

    /// Whom the others see.
    pub fn identity(&self) -> &PeerIdentity {
        &self.identity
    }
}

/// How a connection goes on after its first message, by what it says that it wants.
///
/// Whoever does not say that it wants to join is asked for a member's certificate; also who says both, or nothing.
pub(super) fn wants_to_join(hello: &ClientHello<'_>) -> bool {
    let mut protocols = hello.alpn().into_iter().flatten();
    matches!((protocols.next(), protocols.next()), (Some(JOIN_PROTOCOL), None))
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    // Named, not the process's default: whoever embeds this may have set another, or none.
    Arc::new(ring::default_provider())
}

/// The name that TLS is to verify for a member.
pub(super) fn server_name(peer: &PeerIdentity) -> Result<ServerName<'static>, LinkError> {
    ServerName::try_from(peer.server_name())
        .map_err(|error| LinkError::Garbled { why: format!("{peer} has no name: {error}") })
}

/// Who is at the other end, by the certificate that TLS has verified.
pub(super) fn peer(
    certificates: Option<&[CertificateDer<'_>]>,
    protocol: Option<&[u8]>,
) -> Result<PeerIdentity, LinkError> {
    let unwelcome = |found: String, why| LinkError::Unwelcome { found, why };
    if protocol != Some(PROTOCOL) {
        return Err(LinkError::Garbled { why: "it speaks another protocol".to_owned() });
    }
    let Some(certificate) = certificates.and_then(<[_]>::first) else {
        return Err(unwelcome("somebody".to_owned(), "there is no certificate"));
    };
    let facts = certificate::facts(certificate).map_err(|why| LinkError::Garbled { why })?;
    facts
        .member
        .ok_or_else(|| unwelcome(facts.subject, "the certificate is not issued to a member of a cluster"))
}
