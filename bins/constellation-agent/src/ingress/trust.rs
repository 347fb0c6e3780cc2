//! Which authorities are believed about servers over TLS.

use std::path::Path;

use anyhow::Context;
use constellation_security::certificates::read_bundle;
use rustls::RootCertStore;
use tracing::warn;

/// What this machine trusts, and what these files add to it. A file that cannot be used is an error: its servers would be unreachable
/// without a word.
pub(super) fn roots(files: &[impl AsRef<Path>]) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    // Some machines keep ancient ones there that nobody can read; the others still count.
    roots.add_parsable_certificates(system.certs);
    for file in files {
        let name = file.as_ref().display();
        for authority in read_bundle(file.as_ref()).with_context(|| format!("{name} cannot be used"))? {
            roots.add(authority).with_context(|| format!("{name} has a certificate that is none"))?;
        }
    }
    if roots.is_empty() {
        let errors: Vec<String> = system.errors.iter().map(ToString::to_string).collect();
        warn!(
            ?errors,
            "this machine trusts no authority, so no server over TLS can be reached through the ingress: install \
             `ca-certificates`, or give --ingress-backend-ca"
        );
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_adds_to_what_the_machine_trusts_and_one_that_cannot_be_used_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let pem = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert.pem();
        let system = roots(&[] as &[&Path]).unwrap().len();
        let bundle = write("ca.pem", &(pem("a.test") + &pem("b.test")));
        assert_eq!(roots(&[bundle]).unwrap().len(), system + 2);
        for (path, why) in [
            (folder.path().join("missing.pem"), "could not read it"),
            (write("empty.pem", "nothing"), "no certificate in it"),
        ] {
            let error = format!("{:#}", roots(&[path]).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
    }
}
