//! Which authorities are believed about servers over TLS.

use std::{io::Read, path::Path};

use anyhow::Context;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tracing::warn;

/// The most that is read of one file, in bytes: all authorities that browsers trust are a tenth of it.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What this machine trusts, and what these files add to it. A file that cannot be used is an error: its servers would be unreachable
/// without a word.
pub(super) fn roots(files: &[impl AsRef<Path>]) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    // Some machines keep ancient ones there that nobody can read; the others still count.
    roots.add_parsable_certificates(system.certs);
    for file in files {
        add(&mut roots, file.as_ref())?;
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

fn add(roots: &mut RootCertStore, path: &Path) -> anyhow::Result<()> {
    let name = path.display();
    let mut text = Vec::new();
    let file = std::fs::File::open(path).with_context(|| format!("could not open {name}"))?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut text).with_context(|| format!("could not read {name}"))?;
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.with_context(|| format!("{name} is not in PEM"))?;
        roots.add(certificate).with_context(|| format!("{name} has a certificate that is none"))?;
        found = true;
    }
    anyhow::ensure!(found, "there is no certificate in {name}");
    Ok(())
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
            (folder.path().join("missing.pem"), "could not open"),
            (write("empty.pem", "nothing"), "no certificate in"),
        ] {
            let error = format!("{:#}", roots(&[path]).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
    }
}
