//! Files of certificates, read whole or not at all.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use rustls::pki_types::{
    CertificateDer,
    pem::{self, PemObject},
};

/// The largest bundle that is read, in bytes: all authorities that browsers trust are a tenth of it.
const BUNDLE_BYTES_MAX: usize = 4 << 20;

/// A file is no bundle of certificates.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBundle {
    /// It could not be read, or is too large.
    #[error("could not read it: {0}")]
    Io(io::Error),
    /// What is in it is no PEM.
    #[error("it is not in PEM: {0}")]
    Pem(pem::Error),
    /// Nothing in it is a certificate.
    #[error("there is no certificate in it")]
    NoCertificate,
}

/// The certificates in a PEM file, in its order; of at most 4 MiB. Nothing secret: for keys there is
/// [`read_secret`](crate::read_secret).
pub fn read_bundle(path: &Path) -> Result<Vec<CertificateDer<'static>>, InvalidBundle> {
    let bytes = read_whole(path, BUNDLE_BYTES_MAX).map_err(InvalidBundle::Io)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(InvalidBundle::Pem)?;
    if found.is_empty() { Err(InvalidBundle::NoCertificate) } else { Ok(found) }
}

/// A file that is larger is an error: a part of it would look like the whole.
pub(super) fn read_whole(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        let why = format!("it is larger than {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::tests::pem;

    #[test]
    fn a_bundle_is_read_whole_and_what_is_none_is_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            let path = folder.path().join("ca.pem");
            fs::write(&path, text).unwrap();
            read_bundle(&path)
        };
        let one = pem(&["a.test"], -1, 1).0;
        assert_eq!(read(&(one.clone() + "# a remark\n" + &one)).unwrap().len(), 2);
        assert!(matches!(read("nothing"), Err(InvalidBundle::NoCertificate)));
        assert!(matches!(read(&one.replace("-----END", "-----AND")), Err(InvalidBundle::Pem(_))));
        let large = one + &" ".repeat(BUNDLE_BYTES_MAX);
        assert!(matches!(read(&large), Err(InvalidBundle::Io(_))), "a part of it would look like the whole");
        assert!(matches!(read_bundle(folder.path()), Err(InvalidBundle::Io(_))));
    }
}
