//! What is read from a certificate. Whether it is to be believed is not decided here: TLS has verified its signature.

use constellation_core::WallTime;
use rustls::pki_types::CertificateDer;
use x509_parser::{extensions::GeneralName, prelude::FromDer};

use super::identity::PeerIdentity;

/// What a certificate says.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// Its subject, for messages.
    pub(super) subject: String,
    /// The common name of its subject.
    pub(super) common_name: Option<String>,
    /// The member that it is issued to: the one URI among its names, if it has our form.
    pub(super) member: Option<PeerIdentity>,
    /// Its public key with its algorithm, in DER.
    pub(super) public_key: Vec<u8>,
    /// Whether it may issue others.
    pub(super) is_authority: bool,
    /// Until when it is good.
    pub(super) expires: WallTime,
}

/// Reads a certificate; what is wrong with it where that fails.
pub(super) fn facts(certificate: &CertificateDer<'_>) -> Result<Facts, String> {
    let (rest, x509) = x509_parser::certificate::X509Certificate::from_der(certificate)
        .map_err(|error| format!("it is not X.509: {error}"))?;
    if !rest.is_empty() {
        return Err("something follows its end".to_owned());
    }
    let names = x509.subject_alternative_name().map_err(|error| error.to_string())?;
    let mut uris = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let member = match (uris.next(), uris.next()) {
        (Some(uri), None) => uri.parse().ok(),
        // Two names are none: which one counts would be anybody's guess.
        _ => None,
    };
    let expires = u64::try_from(x509.validity().not_after.timestamp()).unwrap_or(0);
    Ok(Facts {
        subject: member.as_ref().map_or_else(|| x509.subject().to_string(), PeerIdentity::to_string),
        common_name: x509
            .subject()
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok())
            .map(str::to_owned),
        member,
        public_key: x509.public_key().raw.to_vec(),
        is_authority: x509.is_ca(),
        expires: WallTime(expires.saturating_mul(1000)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn garbage_is_refused_and_never_panics(bytes: Vec<u8>) {
            prop_assert!(facts(&CertificateDer::from(bytes)).is_err());
        }
    }
}
