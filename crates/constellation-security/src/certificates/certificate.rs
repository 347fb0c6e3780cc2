//! A certificate chain with its key, checked.

use std::{fmt, path::PathBuf, sync::Arc};

use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Names that one certificate may be for; more are not looked at.
const NAMES_MAX: usize = 100;

/// Why a pair of files is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCertificate {
    /// The chain is not PEM, or has no certificate in it.
    #[error("it has no certificate in PEM (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// The key is not PEM, or of a kind that is not known.
    #[error("it has no private key in PEM (-----BEGIN PRIVATE KEY-----)")]
    NoKey,
    /// The first certificate could not be read.
    #[error("its first certificate cannot be read: {0}")]
    Unreadable(String),
    /// It names no host.
    #[error("it is for no host name: servers need one as a subject alternative name")]
    Nameless,
    /// The key is of another certificate.
    #[error("the key is not that of the first certificate: {0}")]
    Mismatch(String),
}

/// A certificate chain with its key.
pub struct Certificate {
    names: Vec<String>,
    not_before: i64,
    not_after: i64,
    fingerprint: [u8; 32],
    file: PathBuf,
    chain_pem: String,
    key_pem: Zeroizing<String>,
    certified: Arc<CertifiedKey>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("names", &self.names)
            .field("not_after", &self.not_after)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads a chain, the server's own certificate first, and the key of that one. `file` is where the chain is from, for people.
    pub fn from_pem(
        file: PathBuf,
        chain_pem: String,
        key_pem: Zeroizing<String>,
    ) -> Result<Self, InvalidCertificate> {
        let chain: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(chain_pem.as_bytes()).collect();
        let chain = chain.map_err(|_| InvalidCertificate::NoCertificate)?;
        let own = chain.first().ok_or(InvalidCertificate::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|_| InvalidCertificate::NoKey)?;
        let fingerprint = Sha256::digest(own).into();
        let (_, parsed) = x509_parser::parse_x509_certificate(own)
            .map_err(|error| InvalidCertificate::Unreadable(error.to_string()))?;
        let names = names(&parsed);
        if names.is_empty() {
            return Err(InvalidCertificate::Nameless);
        }
        let validity = parsed.validity();
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let certified = CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
            .map_err(|error| InvalidCertificate::Mismatch(error.to_string()))?;
        Ok(Self {
            names,
            not_before,
            not_after,
            fingerprint,
            file,
            chain_pem,
            key_pem,
            certified: Arc::new(certified),
        })
    }

    /// The hosts that it is for, in lower case; `*.` begins a wildcard, which stands for one label.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// From when on it is valid, in seconds since 1970.
    pub const fn not_before(&self) -> i64 {
        self.not_before
    }

    /// Until when it is valid, in seconds since 1970.
    pub const fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Whether it is valid at a time in seconds since 1970.
    pub const fn is_valid_at(&self, now: i64) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// SHA-256 of the server's own certificate.
    pub const fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Where the chain was read.
    pub const fn file(&self) -> &PathBuf {
        &self.file
    }

    /// The chain, for whoever serves it elsewhere.
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// The key, for whoever serves it elsewhere: secret.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    /// How well it fits a host in lower case: by its whole name, by a wildcard, or not.
    pub(super) fn fits(&self, host: &str) -> Option<Fit> {
        if self.names.iter().any(|name| name == host) {
            return Some(Fit::Exact);
        }
        let (_, parent) = host.split_once('.')?;
        self.names.iter().any(|name| name.strip_prefix("*.") == Some(parent)).then_some(Fit::Wildcard)
    }
}

/// How well a certificate fits; the better one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    Wildcard,
    Exact,
}

fn names(certificate: &x509_parser::certificate::X509Certificate<'_>) -> Vec<String> {
    use x509_parser::extensions::GeneralName;
    let Ok(Some(alternative)) = certificate.subject_alternative_name() else { return Vec::new() };
    let mut names: Vec<String> = alternative
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .take(NAMES_MAX)
        .collect();
    names.sort();
    names.dedup();
    names
}
