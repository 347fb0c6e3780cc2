//! Certificates in a folder, read again and again.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Certificate, CertificateStore, file::read_whole};
use crate::read_secret_up_to;

/// The most certificates that are read from one folder.
pub const CERTIFICATES_MAX: usize = 500;
/// The largest file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 256 * 1024;
/// What the chain may be called beside `NAME.key`.
const CHAIN_ENDINGS: [&str; 2] = ["crt", "pem"];
/// What certbot and its like call the two in a folder of their own.
const IN_FOLDER: (&str, &str) = ("fullchain.pem", "privkey.pem");

/// Something about a file that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateProblem {
    /// Which file.
    pub file: PathBuf,
    /// What is wrong, and what would help.
    pub why: String,
    /// Whether an earlier version is served in its place.
    pub kept: bool,
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.message())
    }
}

impl CertificateProblem {
    /// What is wrong and what follows, without the file.
    pub fn message(&self) -> String {
        let kept = if self.kept { "; the version before it is still served" } else { "" };
        format!("{}{kept}", self.why)
    }
}

/// A folder with certificates: `NAME.crt` or `NAME.pem` beside `NAME.key`, or a folder NAME with `fullchain.pem` and
/// `privkey.pem`, as certbot has it. Keys must be readable by nobody else. Links are followed.
#[derive(Debug)]
pub struct CertificateFolder {
    path: PathBuf,
    known: BTreeMap<PathBuf, Known>,
}

/// A pair of files as it was read last.
#[derive(Debug)]
struct Known {
    digest: [u8; 32],
    certificate: Arc<Certificate>,
}

impl CertificateFolder {
    /// A folder; nothing is read yet.
    pub const fn new(path: PathBuf) -> Self {
        Self { path, known: BTreeMap::new() }
    }

    /// Reads the folder. A pair that cannot be used, perhaps because it is being written, takes neither the others away nor its own
    /// version before it; one whose files are gone is gone.
    ///
    /// # Errors
    /// When the folder itself cannot be read: then what was known stays.
    pub fn read(&mut self) -> io::Result<(CertificateStore, Vec<CertificateProblem>)> {
        let mut problems = Vec::new();
        let mut pairs = pairs(&self.path)?;
        if pairs.len() > CERTIFICATES_MAX {
            let why = format!("it has more than {CERTIFICATES_MAX} certificates; the rest is not read");
            problems.push(CertificateProblem { file: self.path.clone(), why, kept: false });
            pairs.truncate(CERTIFICATES_MAX);
        }
        let mut next = BTreeMap::new();
        for (chain, key) in pairs {
            let before = self.known.remove(&chain);
            match read_pair(&chain, &key, before.as_ref()) {
                Ok(Some(read)) => drop(next.insert(chain, read)),
                // Read before, and unchanged.
                Ok(None) => next.extend(before.map(|known| (chain, known))),
                Err((file, why)) => {
                    problems.push(CertificateProblem { file, why, kept: before.is_some() });
                    next.extend(before.map(|known| (chain, known)));
                }
            }
        }
        self.known = next;
        let certificates = self.known.values().map(|known| Arc::clone(&known.certificate));
        Ok((CertificateStore::new(certificates.collect()), problems))
    }
}

/// Chains with their keys, by name.
fn pairs(folder: &Path) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let mut pairs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // Through links: certbot's folders are full of them.
        let is_folder = fs::metadata(&path).is_ok_and(|it| it.is_dir());
        if is_folder {
            let (chain, key) = (path.join(IN_FOLDER.0), path.join(IN_FOLDER.1));
            if chain.exists() || key.exists() {
                pairs.push((chain, key));
            }
        } else if path.extension().is_some_and(|ending| ending == "key") {
            let chains = CHAIN_ENDINGS.map(|ending| path.with_extension(ending));
            let chain = chains.iter().find(|chain| chain.exists()).unwrap_or(&chains[0]).clone();
            pairs.push((chain, path));
        }
    }
    pairs.sort();
    Ok(pairs)
}

type Faulty = (PathBuf, String);

/// Reads a pair; `None` where it is what it was before.
fn read_pair(chain: &Path, key: &Path, before: Option<&Known>) -> Result<Option<Known>, Faulty> {
    let of_chain = |why: String| (chain.to_owned(), why);
    let of_key = |why: String| (key.to_owned(), why);
    let chain_pem = read_text(chain).map_err(|error| of_chain(format!("could not read it: {error}")))?;
    let target = fs::canonicalize(key).map_err(|error| of_key(format!("could not read it: {error}")))?;
    let secret = read_secret_up_to(&target, FILE_BYTES_MAX).map_err(|error| of_key(error.to_string()))?;
    let key_pem = std::str::from_utf8(&secret).map_err(|_| of_key("it is no text".to_owned()))?;
    let key_pem = Zeroizing::new(key_pem.to_owned());
    let mut digest = Sha256::new();
    digest.update(&chain_pem);
    digest.update([0]);
    digest.update(key_pem.as_bytes());
    let digest = digest.finalize().into();
    if before.is_some_and(|known| known.digest == digest) {
        return Ok(None);
    }
    let certificate = Certificate::from_pem(chain.to_owned(), chain_pem, key_pem)
        .map_err(|error| of_chain(error.to_string()))?;
    Ok(Some(Known { digest, certificate: Arc::new(certificate) }))
}

fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read_whole(path, FILE_BYTES_MAX)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::certificates::tests::{NOW, pem};

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.at(name), text).unwrap();
            let mode = if name.ends_with("key") || name.contains("privkey") { 0o600 } else { 0o644 };
            fs::set_permissions(self.at(name), fs::Permissions::from_mode(mode)).unwrap();
        }

        fn pair(&self, name: &str, hosts: &[&str]) {
            let (chain, key) = pem(hosts, -1, 90);
            self.write(&format!("{name}.crt"), &chain);
            self.write(&format!("{name}.key"), &key);
        }

        fn open(&self) -> CertificateFolder {
            CertificateFolder::new(self.0.path().to_owned())
        }
    }

    fn has(store: &CertificateStore, host: &str) -> bool {
        store.pick(host, NOW).is_some()
    }

    #[test]
    fn pairs_and_certbots_folders_with_their_links_are_read() {
        let folder = Folder::new();
        folder.pair("one", &["one.test"]);
        fs::create_dir_all(folder.at("archive")).unwrap();
        fs::create_dir_all(folder.at("live")).unwrap();
        let (chain, key) = pem(&["live.test"], -1, 90);
        folder.write("archive/chain1.pem", &chain);
        folder.write("archive/privkey1.pem", &key);
        symlink("../archive/chain1.pem", folder.at("live/fullchain.pem")).unwrap();
        symlink("../archive/privkey1.pem", folder.at("live/privkey.pem")).unwrap();
        let (store, problems) = folder.open().read().unwrap();
        assert_eq!(problems, []);
        assert!(has(&store, "one.test") && has(&store, "live.test"));
    }

    #[test]
    fn what_is_wrong_with_one_pair_is_said_and_the_others_are_served() {
        let folder = Folder::new();
        folder.pair("good", &["good.test"]);
        folder.pair("open", &["open.test"]);
        fs::set_permissions(folder.at("open.key"), fs::Permissions::from_mode(0o644)).unwrap();
        folder.pair("mixed", &["mixed.test"]);
        folder.write("mixed.key", &pem(&["mixed.test"], -1, 90).1);
        folder.pair("rubbish", &["rubbish.test"]);
        folder.write("rubbish.crt", "no certificate");
        folder.write("alone.key", &pem(&["alone.test"], -1, 90).1);
        folder.pair("huge", &["huge.test"]);
        folder.write("huge.crt", &"x".repeat(FILE_BYTES_MAX + 1));
        let (store, problems) = folder.open().read().unwrap();
        assert_eq!(store.certificates().len(), 1);
        assert!(has(&store, "good.test"));
        let why = |file: &str| {
            problems.iter().find(|it| it.file.ends_with(file)).map(|it| it.why.clone()).unwrap_or_default()
        };
        assert!(why("open.key").contains("chmod 600"), "{problems:?}");
        assert!(why("mixed.crt").contains("not that of"), "{problems:?}");
        assert!(why("rubbish.crt").contains("PEM"), "{problems:?}");
        assert!(why("alone.crt").contains("could not read"), "{problems:?}");
        assert!(why("huge.crt").contains("larger"), "{problems:?}");
        assert_eq!(problems.len(), 5);
    }

    #[test]
    fn a_pair_that_is_being_written_leaves_its_version_before_and_a_whole_one_replaces_it() {
        let folder = Folder::new();
        folder.pair("site", &["site.test"]);
        let mut open = folder.open();
        let (first, _) = open.read().unwrap();
        let (chain, key) = pem(&["site.test"], -1, 90);
        folder.write("site.crt", &chain);
        let (between, problems) = open.read().unwrap();
        assert!(between.same_as(&first), "the new chain is not served with the old key");
        assert!(problems[0].kept && problems[0].to_string().contains("still served"), "{problems:?}");
        folder.write("site.key", &key);
        let (last, problems) = open.read().unwrap();
        assert!(!last.same_as(&first) && problems.is_empty());
        assert_eq!(last.certificates().len(), 1);
    }

    #[test]
    fn files_that_are_gone_are_served_no_more_and_a_folder_that_is_gone_changes_nothing() {
        let folder = Folder::new();
        folder.pair("site", &["site.test"]);
        let mut open = folder.open();
        open.read().unwrap();
        fs::rename(folder.0.path(), folder.0.path().with_extension("away")).unwrap();
        assert!(open.read().is_err());
        fs::rename(folder.0.path().with_extension("away"), folder.0.path()).unwrap();
        assert_eq!(open.read().unwrap().0.certificates().len(), 1);
        fs::remove_file(folder.at("site.key")).unwrap();
        assert_eq!(open.read().unwrap().0.certificates().len(), 0);
    }
}
