//! Certificates for servers, from files: which there are, which of them is for a name, and until when.
//!
//! [`Certificate`] is a chain with its key; [`CertificateStore`] knows the newest of each and picks one for a name;
//! [`CertificateFolder`] reads them from a folder and keeps the last good version of each; [`CertificateResolver`] gives them
//! to rustls and can be handed others while connections are open; [`read_bundle`] reads authorities that are trusted. Automatic issuance is to write into the same folder, or to
//! hand the resolver a store of its own.

mod certificate;
mod file;
mod folder;
mod resolver;
mod store;

pub use self::{
    certificate::{Certificate, InvalidCertificate},
    file::{InvalidBundle, read_bundle},
    folder::{CERTIFICATES_MAX, CertificateFolder, CertificateProblem, FILE_BYTES_MAX},
    resolver::CertificateResolver,
    store::CertificateStore,
};

#[cfg(test)]
mod tests {
    //! Certificates for the tests of the modules beside.

    use rcgen::{CertificateParams, KeyPair};
    use zeroize::Zeroizing;

    use super::Certificate;

    pub(super) const DAY: i64 = 24 * 60 * 60;
    /// A moment in the year 2026, in seconds since 1970.
    pub(super) const NOW: i64 = 1_790_000_000;

    /// A chain and its key, valid from and until so many days from [`NOW`].
    pub(super) fn pem(names: &[&str], from: i64, to: i64) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        let at = |days: i64| time::OffsetDateTime::from_unix_timestamp(NOW + days * DAY).unwrap();
        (params.not_before, params.not_after) = (at(from), at(to));
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    pub(super) fn made(names: &[&str], from: i64, to: i64) -> Certificate {
        let (chain, key) = pem(names, from, to);
        Certificate::from_pem("made".into(), chain, Zeroizing::new(key)).unwrap()
    }
}
