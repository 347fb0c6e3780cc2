//! What a node believes of the other end while it has no certificate, and so no authority, of its own.

use std::sync::Arc;

use constellation_core::ClusterId;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::TLS13,
};

use super::{
    certificate,
    error::TransportError,
    identity::PeerIdentity,
    pki::{Fingerprint, cluster_of},
    tls::{self, JOIN_PROTOCOL},
};

/// Which authority the other end's certificate must come from. The other end shows it behind its own, as members do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Belief {
    /// The one with this fingerprint: it came in a token.
    Pinned(Fingerprint),
    /// Any that calls itself this cluster's. That proves nothing yet: what follows on the connection has to.
    Unproven(ClusterId),
}

impl Belief {
    /// The authority, among the certificates that the other end shows.
    pub(super) fn authority<'a, 'c>(
        &self,
        shown: &'a [CertificateDer<'c>],
    ) -> Option<&'a CertificateDer<'c>> {
        shown.iter().find(|certificate| match self {
            Self::Pinned(fingerprint) => Fingerprint::of(certificate) == *fingerprint,
            Self::Unproven(cluster) => certificate::facts(certificate).is_ok_and(|facts| {
                let of = facts.common_name.as_deref().and_then(cluster_of);
                facts.is_authority && of.as_ref() == Some(cluster)
            }),
        })
    }

    /// A client's configuration that believes so, whatever address the other end is met at. It shows no certificate.
    pub(super) fn client_config(self) -> Result<ClientConfig, TransportError> {
        let verifier = NewcomerVerifier::new(self);
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&verifier.provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|source| TransportError::Tls { source })?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![JOIN_PROTOCOL.to_vec()];
        Ok(config)
    }
}

/// Verifies that a certificate was issued to this member by this authority, and is good now.
pub(super) fn verify_member(
    certificate: &CertificateDer<'_>,
    member: &PeerIdentity,
    authority: &CertificateDer<'_>,
    now: UnixTime,
) -> Result<(), Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone().into_owned())?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), tls::provider())
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let name = ServerName::try_from(member.server_name())
        .map_err(|_| Error::InvalidCertificate(CertificateError::NotValidForName))?;
    verifier.verify_server_cert(certificate, &[], &name, &[], now).map(drop)
}

/// Whether a certificate was refused because of this machine's clock, or that of whoever issued it.
pub(super) fn is_about_time(error: &Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(
        error,
        Error::InvalidCertificate(Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
    )
}

#[derive(Debug)]
pub(super) struct NewcomerVerifier {
    belief: Belief,
    provider: Arc<CryptoProvider>,
}

impl NewcomerVerifier {
    pub(super) fn new(belief: Belief) -> Self {
        Self { belief, provider: tls::provider() }
    }
}

impl ServerCertVerifier for NewcomerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let invalid = Error::InvalidCertificate;
        let authority =
            self.belief.authority(intermediates).ok_or(invalid(CertificateError::UnknownIssuer))?;
        // Any member will do, so the name to verify is the one that the certificate itself says: it must be a member's.
        let facts = certificate::facts(end_entity).map_err(|_| invalid(CertificateError::BadEncoding))?;
        let member = facts.member.ok_or(invalid(CertificateError::NotValidForName))?;
        if matches!(&self.belief, Belief::Unproven(cluster) if member.cluster != *cluster) {
            return Err(invalid(CertificateError::NotValidForName));
        }
        verify_member(end_entity, &member, authority, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
