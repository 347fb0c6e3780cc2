//! The cluster's own certificate authority, and what it issues.
//!
//! A node makes its key itself and asks with a request, so no private key but the authority's ever travels. The authority
//! signs what *it* knows of the node: what a request says of itself is not looked at.
//!
//! Certificates run for years. A cluster must not die because a machine was off while its certificate ran out; who does not
//! belong any more is kept out by the [`Roster`](super::Roster), which is at hand on every node, and not by waiting.
//! Renewal is issuing again, with the same or a new key; a running transport takes new credentials without a restart. A
//! new authority is brought in by trusting both for a time: [`NodeCredentials::trusted`] is a list.

use std::time::Duration;

use constellation_core::{ClusterId, WallTime};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, pem::PemObject};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::{certificate, error::TransportError, identity::PeerIdentity};

/// How long an authority is good for.
pub const AUTHORITY_LIFETIME: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// How long a node's certificate is good for, unless told otherwise.
pub const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Certificates are good from a day before they are made, because the clocks of a cluster's machines differ.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);

/// The hash of an authority's certificate: what a join token names it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The authority of one cluster: its certificate and the key that signs.
pub struct ClusterCa {
    cluster: ClusterId,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for ClusterCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterCa").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl ClusterCa {
    /// Makes the authority of a new cluster.
    pub fn create(cluster: ClusterId, now: WallTime) -> Result<Self, TransportError> {
        let fail = |source| TransportError::Issue { subject: format!("the cluster `{cluster}`"), source };
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(fail)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(&authority_name(&cluster));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = validity(now, AUTHORITY_LIFETIME);
        let certificate = params.self_signed(&key).map_err(fail)?.der().clone();
        Ok(Self { cluster, certificate, issuer: Issuer::new(params, key) })
    }

    /// Reads an authority back from what [`Self::to_pem`] wrote.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TransportError> {
        let unreadable = |why: String| TransportError::Unreadable { what: "a certificate authority", why };
        let certificate =
            CertificateDer::from_pem_slice(pem).map_err(|error| unreadable(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| unreadable(error.to_string()))?;
        let key = KeyPair::try_from(&key).map_err(|error| unreadable(error.to_string()))?;
        let facts = certificate::facts(&certificate).map_err(unreadable)?;
        let cluster = facts.common_name.as_deref().and_then(cluster_of);
        let cluster = cluster.ok_or_else(|| unreadable("it is not that of a cluster".to_owned()))?;
        if !facts.is_authority || facts.public_key != key.subject_public_key_info() {
            let why = "the key is not that of the certificate, or the certificate not an authority's";
            return Err(unreadable(why.to_owned()));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|source| TransportError::Issue { subject: facts.subject, source })?;
        Ok(Self { cluster, certificate, issuer })
    }

    /// The certificate and the key, for a secret file: whoever has it can be any member of the cluster.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut pem = pem("CERTIFICATE", &self.certificate);
        pem.push_str(&Zeroizing::new(self.issuer.key().serialize_pem()));
        pem
    }

    /// Whose authority it is.
    pub fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// The certificate, which every member trusts.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What a join token names it by.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// Issues a certificate to a member, for the key that the request proves to be its own.
    ///
    /// # Errors
    /// A member of another cluster, and a request that is none or not signed by its own key.
    pub fn issue(
        &self,
        request: &[u8],
        member: &PeerIdentity,
        now: WallTime,
        lifetime: Duration,
    ) -> Result<CertificateDer<'static>, TransportError> {
        if member.cluster != self.cluster {
            let why = format!("this is the authority of `{}`", self.cluster);
            return Err(TransportError::Unfit { found: member.to_string(), why });
        }
        let fail = |source| TransportError::Issue { subject: member.to_string(), source };
        let request = CertificateSigningRequestDer::from(request);
        let request = CertificateSigningRequestParams::from_der(&request).map_err(fail)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(member.node.as_str());
        params.subject_alt_names = vec![
            SanType::URI(member.to_string().try_into().map_err(fail)?),
            SanType::DnsName(member.server_name().try_into().map_err(fail)?),
        ];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = validity(now, lifetime);
        let certificate = params.signed_by(&request.public_key, &self.issuer).map_err(fail)?;
        Ok(certificate.der().clone())
    }

    /// Makes a key and issues the certificate for it: for the node that founds the cluster, and for tests.
    pub fn credentials(
        &self,
        member: &PeerIdentity,
        now: WallTime,
    ) -> Result<NodeCredentials, TransportError> {
        let key = NodeKey::generate()?;
        let certificate = self.issue(&key.request()?, member, now, CERTIFICATE_LIFETIME)?;
        NodeCredentials::new(&key, certificate, vec![self.certificate.clone()])
    }
}

/// A node's private key, before and after it has a certificate.
#[derive(Debug)]
pub struct NodeKey(KeyPair);

impl NodeKey {
    /// Makes a key.
    pub fn generate() -> Result<Self, TransportError> {
        let fail = |source| TransportError::Issue { subject: "a new key".to_owned(), source };
        KeyPair::generate_for(&rcgen::PKCS_ED25519).map(Self).map_err(fail)
    }

    /// A request for a certificate, in DER: proof of having the key, and nothing more.
    pub fn request(&self) -> Result<Vec<u8>, TransportError> {
        let fail = |source| TransportError::Issue { subject: "a request".to_owned(), source };
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        Ok(params.serialize_request(&self.0).map_err(fail)?.der().to_vec())
    }
}

/// What a node shows to the others, and whom it believes.
#[derive(Debug)]
pub struct NodeCredentials {
    pub(super) identity: PeerIdentity,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) trusted: Vec<CertificateDer<'static>>,
    expires: WallTime,
}

impl NodeCredentials {
    /// Puts a key, its certificate and the trusted authorities together.
    ///
    /// # Errors
    /// A certificate that is no member's, or of another key.
    pub fn new(
        key: &NodeKey,
        certificate: CertificateDer<'static>,
        trusted: Vec<CertificateDer<'static>>,
    ) -> Result<Self, TransportError> {
        let key_der = PrivateKeyDer::try_from(key.0.serialize_der())
            .map_err(|why| TransportError::Unreadable { what: "a private key", why: why.to_owned() })?;
        Self::assemble(&key.0, key_der, certificate, trusted)
    }

    fn assemble(
        key: &KeyPair,
        key_der: PrivateKeyDer<'static>,
        certificate: CertificateDer<'static>,
        trusted: Vec<CertificateDer<'static>>,
    ) -> Result<Self, TransportError> {
        let unreadable = |why: String| TransportError::Unreadable { what: "a node's certificate", why };
        let facts = certificate::facts(&certificate).map_err(unreadable)?;
        let unfit = |why: &str| TransportError::Unfit { found: facts.subject.clone(), why: why.to_owned() };
        let identity =
            facts.member.clone().ok_or_else(|| unfit("it is not issued to a member of a cluster"))?;
        if facts.public_key != key.subject_public_key_info() {
            return Err(unfit("it is for another key"));
        }
        if trusted.is_empty() {
            return Err(unfit("no authority is there to trust"));
        }
        Ok(Self { identity, certificate, key: key_der, trusted, expires: facts.expires })
    }

    /// Reads credentials back from what [`Self::to_pem`] wrote: key, certificate, then the trusted authorities.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TransportError> {
        let unreadable = |why: rustls::pki_types::pem::Error| TransportError::Unreadable {
            what: "a node's credentials",
            why: why.to_string(),
        };
        let key_der = PrivateKeyDer::from_pem_slice(pem).map_err(unreadable)?;
        let key = KeyPair::try_from(&key_der)
            .map_err(|error| TransportError::Unreadable { what: "a private key", why: error.to_string() })?;
        let mut certificates =
            CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        if certificates.is_empty() {
            return Err(TransportError::Unreadable {
                what: "a node's credentials",
                why: "there is no certificate".to_owned(),
            });
        }
        let certificate = certificates.remove(0);
        Self::assemble(&key, key_der, certificate, certificates)
    }

    /// All of it in one text, for one secret file: so the key and the certificate are always those of each other.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut text = pem("PRIVATE KEY", self.key.secret_der());
        text.push_str(&pem("CERTIFICATE", &self.certificate));
        for authority in &self.trusted {
            text.push_str(&pem("CERTIFICATE", authority));
        }
        text
    }

    /// Whom they are issued to.
    pub fn identity(&self) -> &PeerIdentity {
        &self.identity
    }

    /// Until when others believe them. Renew long before.
    pub fn expires(&self) -> WallTime {
        self.expires
    }

    /// The authorities whose members this node believes.
    pub fn trusted(&self) -> &[CertificateDer<'static>] {
        &self.trusted
    }
}

fn authority_name(cluster: &ClusterId) -> String {
    format!("constellation cluster {cluster}")
}

/// Whose authority a certificate with this common name is.
pub(super) fn cluster_of(authority: &str) -> Option<ClusterId> {
    authority.strip_prefix("constellation cluster ")?.parse().ok()
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn validity(now: WallTime, lifetime: Duration) -> (OffsetDateTime, OffsetDateTime) {
    let now = i64::try_from(now.0 / 1000).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
    let now = now.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let after = time::Duration::try_from(lifetime).ok().and_then(|lifetime| now.checked_add(lifetime));
    (now - BACKDATED, after.unwrap_or(now))
}

fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    use base64::Engine;
    let text = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(der));
    // Room for all of it at once: a buffer that grows leaves copies of a key behind.
    let mut pem = Zeroizing::new(String::with_capacity(text.len() + text.len() / 64 + 80));
    pem.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}
