//! How two members meet: TLS 1.3 with certificates on both sides, nothing remembered from one connection to the next.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::{Resumption, WebPkiServerVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};

use super::{
    certificate,
    error::{LinkError, TransportError},
    identity::PeerIdentity,
    pki::{Fingerprint, NodeCredentials},
};

/// What both ends say that they speak. Another version of our own protocol gets another name, and then both ends know at
/// the handshake.
const PROTOCOL: &[u8] = b"constellation-raft/1";

/// A node's credentials, made ready for connections.
#[derive(Debug)]
pub struct TlsIdentity {
    pub(super) identity: PeerIdentity,
    pub(super) client: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
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
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(tls)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), credentials.key.clone_key())
            .map_err(tls)?;
        // No tickets and no sessions: each connection shows its certificate anew, so one that was taken back counts at once,
        // and there is nothing that could be replayed.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![PROTOCOL.to_vec()];

        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(tls)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, credentials.key.clone_key())
            .map_err(tls)?;
        client.resumption = Resumption::disabled();
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self {
            identity: credentials.identity.clone(),
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }

    /// Whom the others see.
    pub fn identity(&self) -> &PeerIdentity {
        &self.identity
    }
}

fn provider() -> Arc<CryptoProvider> {
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

/// Believes one authority by its fingerprint: what a node has that only holds a join token.
///
/// The other end must send the authority's certificate behind its own, as members do.
#[derive(Debug)]
pub struct PinnedAuthority {
    fingerprint: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl PinnedAuthority {
    /// Believes the authority with this fingerprint.
    pub fn new(fingerprint: Fingerprint) -> Self {
        Self { fingerprint, provider: provider() }
    }

    /// A client's configuration that believes members of the cluster whose authority has this fingerprint, whatever
    /// address they are met at. It shows no certificate, as there is none yet.
    pub fn client_config(fingerprint: Fingerprint, protocol: &[u8]) -> Result<ClientConfig, TransportError> {
        let verifier = Arc::new(Self::new(fingerprint));
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&verifier.provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|source| TransportError::Tls { source })?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(config)
    }
}

impl rustls::client::danger::ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        use rustls::{CertificateError, Error};
        let authority =
            intermediates.iter().find(|certificate| Fingerprint::of(certificate) == self.fingerprint);
        let authority = authority.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
                .build()
                .map_err(|error| Error::General(error.to_string()))?;
        // Any member will do, so the name to verify is the one that the certificate itself says: it must be a member's.
        let facts = certificate::facts(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let member = facts.member.ok_or(Error::InvalidCertificate(CertificateError::NotValidForName))?;
        let name = ServerName::try_from(member.server_name())
            .map_err(|_| Error::InvalidCertificate(CertificateError::NotValidForName))?;
        rustls::client::danger::ServerCertVerifier::verify_server_cert(
            &*verifier,
            end_entity,
            intermediates,
            &name,
            ocsp_response,
            now,
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
