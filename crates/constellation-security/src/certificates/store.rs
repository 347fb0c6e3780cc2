//! All certificates, and which of them is for a name. Pure.

use std::sync::Arc;

use super::Certificate;

/// Certificates, each once.
#[derive(Clone, Debug, Default)]
pub struct CertificateStore {
    certificates: Vec<Arc<Certificate>>,
}

impl CertificateStore {
    /// A store of these, in an order that depends on nothing but them; of two that are the same one stays.
    pub fn new(mut certificates: Vec<Arc<Certificate>>) -> Self {
        certificates.sort_by(|a, b| (a.names(), a.fingerprint()).cmp(&(b.names(), b.fingerprint())));
        certificates.dedup_by_key(|certificate| certificate.fingerprint());
        Self { certificates }
    }

    /// Every certificate, by names.
    pub fn certificates(&self) -> &[Arc<Certificate>] {
        &self.certificates
    }

    /// The certificate for a host at a time in seconds since 1970: one that is valid before one that is not, one for exactly this
    /// name before a wildcard, and then the one that is valid longest. `None` where none is for it.
    pub fn pick(&self, host: &str, now: i64) -> Option<&Arc<Certificate>> {
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        let fitting = self.certificates.iter().filter_map(|it| Some((it.fits(host)?, it)));
        fitting
            .max_by_key(|(fit, it)| (it.is_valid_at(now), *fit, it.not_after(), it.fingerprint()))
            .map(|(_, certificate)| certificate)
    }

    /// Whether two stores have the same certificates.
    pub fn same_as(&self, other: &Self) -> bool {
        let prints = |store: &Self| -> Vec<[u8; 32]> {
            store.certificates.iter().map(|certificate| certificate.fingerprint()).collect()
        };
        prints(self) == prints(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::tests::{DAY, NOW, made};

    fn store(certificates: &[(&[&str], i64, i64)]) -> CertificateStore {
        let made = certificates.iter().map(|(names, from, to)| Arc::new(made(names, *from, *to)));
        CertificateStore::new(made.collect())
    }

    fn days_left(store: &CertificateStore, host: &str) -> Option<i64> {
        store.pick(host, NOW).map(|certificate| (certificate.not_after() - NOW) / DAY)
    }

    #[test]
    fn the_exact_name_goes_before_the_wildcard_and_the_longer_life_before_the_shorter() {
        let store = store(&[
            (&["*.example.org"], -1, 90),
            (&["app.example.org"], -1, 10),
            (&["app.example.org", "example.org"], -1, 20),
        ]);
        assert_eq!(days_left(&store, "app.example.org"), Some(20));
        assert_eq!(days_left(&store, "APP.example.org."), Some(20));
        assert_eq!(days_left(&store, "other.example.org"), Some(90));
        assert_eq!(days_left(&store, "example.org"), Some(20));
        assert_eq!(days_left(&store, "a.b.example.org"), None, "a wildcard is one label");
        assert_eq!(days_left(&store, "example.com"), None);
    }

    #[test]
    fn what_is_valid_goes_before_what_is_not_also_where_that_is_exact() {
        let store = store(&[
            (&["app.example.org"], -30, -1),
            (&["*.example.org"], -1, 5),
            (&["new.example.org"], 1, 90),
        ]);
        assert_eq!(days_left(&store, "app.example.org"), Some(5));
        assert_eq!(days_left(&store, "new.example.org"), Some(5), "it is not valid yet");
    }

    #[test]
    fn the_order_of_the_files_decides_nothing() {
        let (a, b) = (Arc::new(made(&["a"], -1, 9)), Arc::new(made(&["a"], -1, 9)));
        let one = CertificateStore::new(vec![Arc::clone(&a), Arc::clone(&b), Arc::clone(&a)]);
        let other = CertificateStore::new(vec![b, a]);
        assert_eq!(one.certificates().len(), 2);
        assert!(one.same_as(&other));
        let pick = |store: &CertificateStore| store.pick("a", NOW).map(|it| it.fingerprint());
        assert_eq!(pick(&one), pick(&other));
    }
}
