//! The files of a runtime: `<state_dir>/containers/<id>/{spec.json,state.json,*.log}`.
//!
//! Every change is one rename, so that a reader after a crash sees the old or the new and nothing between. All of this
//! blocks; callers go through [`blocking`].

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use tracing::{error, warn};

use super::record::Record;
use crate::{container::ContainerId, error::RuntimeError, spec::ContainerSpec};

const SPEC: &str = "spec.json";
const STATE: &str = "state.json";
/// Names with this prefix are half made or half removed: the next runtime clears them away.
const UNFINISHED: &str = ".unfinished-";

/// Runs blocking work off the async threads.
pub(super) async fn blocking<T, F>(deed: &str, work: F) -> Result<T, RuntimeError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, RuntimeError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(source) => Err(RuntimeError::Io { deed: deed.to_owned(), source: io::Error::other(source) }),
    }
}

/// Where a runtime keeps its files.
#[derive(Clone, Debug)]
pub(super) struct Store {
    root: PathBuf,
}

/// A container as its files tell it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) id: ContainerId,
    pub(super) spec: ContainerSpec,
    pub(super) record: Record,
}

impl Store {
    /// Makes the folders where they are not there. Only their owner may look inside: specifications hold secrets.
    pub(super) fn create(root: &Path) -> Result<Self, RuntimeError> {
        let store = Self { root: root.to_owned() };
        for folder in [store.root.clone(), store.containers()] {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|source| {
                RuntimeError::Io { deed: format!("make the folder {}", folder.display()), source }
            })?;
        }
        Ok(store)
    }

    fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// When a container was made: its specification is written once, and never again.
    pub(super) fn created_at_ms(&self, id: &ContainerId) -> Option<u64> {
        let written = fs::metadata(self.folder(id).join(SPEC)).and_then(|spec| spec.modified()).ok()?;
        u64::try_from(written.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis()).ok()
    }

    /// The folder of one container.
    pub(super) fn folder(&self, id: &ContainerId) -> PathBuf {
        self.containers().join(id.as_str())
    }

    /// Writes down a container that is new.
    pub(super) fn add(
        &self,
        id: &ContainerId,
        spec: &ContainerSpec,
        record: &Record,
    ) -> Result<(), RuntimeError> {
        let io = |source| RuntimeError::Io { deed: format!("write down container `{}`", spec.name), source };
        let unfinished = self.containers().join(format!("{UNFINISHED}{id}"));
        let write = || -> io::Result<()> {
            DirBuilder::new().mode(0o700).create(&unfinished)?;
            write_json(&unfinished.join(SPEC), spec)?;
            write_json(&unfinished.join(STATE), record)?;
            fs::rename(&unfinished, self.folder(id))?;
            File::open(self.containers())?.sync_all()
        };
        write().map_err(|source| {
            // What cannot be cleared away now is when the folder is opened next.
            let _ = fs::remove_dir_all(&unfinished);
            let _ = fs::remove_dir_all(self.folder(id));
            io(source)
        })
    }

    /// Replaces the record of a container.
    pub(super) fn update(&self, id: &ContainerId, record: &Record) -> Result<(), RuntimeError> {
        let folder = self.folder(id);
        let new = folder.join(".state.json.new");
        write_json(&new, record).and_then(|()| fs::rename(&new, folder.join(STATE))).map_err(|source| {
            RuntimeError::Io { deed: format!("write down the state of container `{id}`"), source }
        })
    }

    /// Removes every file of a container.
    pub(super) fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let unfinished = self.containers().join(format!("{UNFINISHED}{id}"));
        let remove = || -> io::Result<()> {
            match fs::rename(self.folder(id), &unfinished) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            match fs::remove_dir_all(&unfinished) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        };
        remove().map_err(|source| RuntimeError::Io {
            deed: format!("remove the files of container `{id}`"),
            source,
        })
    }

    /// Reads every container, clears away what is half made, and sets aside what makes no sense.
    pub(super) fn load(&self) -> Result<Vec<Stored>, RuntimeError> {
        let io = |source| RuntimeError::Io { deed: format!("read {}", self.containers().display()), source };
        let mut found = Vec::new();
        for entry in fs::read_dir(self.containers()).map_err(io)? {
            let entry = entry.map_err(io)?;
            let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
            if name.starts_with(UNFINISHED) {
                if let Err(error) = fs::remove_dir_all(&path) {
                    warn!(path = %path.display(), %error, "could not clear away a container that is half made or removed");
                }
                continue;
            }
            match read_json(&path.join(SPEC)).and_then(|spec| Ok((spec, read_json(&path.join(STATE))?))) {
                Ok((spec, record)) => found.push(Stored { id: ContainerId::new(name), spec, record }),
                Err(Unreadable::Nonsense { file, source }) => self.set_aside(&name, &path, &file, &source),
                // The disk, not the file, is the trouble: nothing is moved about on it now.
                Err(Unreadable::Disk { file, source }) => error!(
                    container = name, file = %file.display(), error = %source,
                    "could not read a container, and go on without it; open the folder again when the disk is well"
                ),
            }
        }
        found.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        Ok(found)
    }

    /// A container that cannot be understood is left alone, under a name where nobody trips over it.
    pub(super) fn set_aside(&self, name: &str, path: &Path, file: &Path, why: &dyn std::fmt::Display) {
        let quarantine = self.root.join("quarantine");
        let to = (0..1000)
            .map(|n| quarantine.join(if n == 0 { name.to_owned() } else { format!("{name}.{n}") }))
            .find(|to| !to.exists());
        let moved = fs::create_dir_all(&quarantine).and_then(|()| match &to {
            Some(to) => fs::rename(path, to),
            None => Err(io::Error::other("the quarantine is full")),
        });
        let left = to.as_deref().filter(|_| moved.is_ok()).unwrap_or(path);
        error!(
            container = name, file = %file.display(), reason = %why, left_at = %left.display(),
            "a container's files make no sense: it is set aside, and its processes, if any, are left alone; \
             look at the file, then remove it or create the container again"
        );
    }
}

enum Unreadable {
    Nonsense { file: PathBuf, source: io::Error },
    Disk { file: PathBuf, source: io::Error },
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Unreadable> {
    let file = path.to_owned();
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|source| Unreadable::Nonsense { file, source: source.into() }),
        Err(source) if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(Unreadable::Nonsense { file, source })
        }
        Err(source) => Err(Unreadable::Disk { file, source }),
    }
}

/// Writes a file that is on the disk when this returns.
fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    file.write_all(&text)?;
    // Without this a file may be there and empty after a power failure, on file systems other than ext4.
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::life::Life;

    fn id(digit: char) -> ContainerId {
        ContainerId::new(digit.to_string().repeat(64))
    }

    fn add(store: &Store, digit: char, name: &str) -> ContainerSpec {
        let spec = ContainerSpec::new(name, "image").command(["true"]).env("A", "b").label("c", "d");
        store.add(&id(digit), &spec, &Life::new(&spec).record()).unwrap();
        spec
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let spec = add(&store, 'a', "web");
        let record = Record { restarts: 3, exit_code: Some(7), ..Life::new(&spec).record() };
        store.update(&id('a'), &record).unwrap();
        let stored = store.load().unwrap();
        assert_eq!(stored.len(), 1);
        assert_eq!((&stored[0].id, &stored[0].spec, &stored[0].record), (&id('a'), &spec, &record));
    }

    #[test]
    fn a_container_without_sense_is_set_aside_and_the_others_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        for (digit, name) in [('a', "cut"), ('b', "empty"), ('c', "later"), ('d', "well")] {
            add(&store, digit, name);
        }
        fs::write(store.folder(&id('a')).join(STATE), b"{\"run\": \"runn").unwrap();
        fs::write(store.folder(&id('b')).join(SPEC), b"").unwrap();
        fs::write(store.folder(&id('c')).join(STATE), b"{\"version\": 9}").unwrap();
        let names: Vec<_> = store.load().unwrap().into_iter().map(|stored| stored.spec.name).collect();
        assert_eq!(names, ["well"]);
        for digit in ['a', 'b', 'c'] {
            assert!(folder.path().join("quarantine").join(id(digit).as_str()).exists());
            assert!(!store.folder(&id(digit)).exists());
        }
    }

    #[test]
    fn what_a_crash_left_half_made_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let half = store.containers().join(format!("{UNFINISHED}{}", id('a')));
        fs::create_dir(&half).unwrap();
        fs::write(half.join(SPEC), b"{").unwrap();
        assert!(store.load().unwrap().is_empty());
        assert!(!half.exists() && !folder.path().join("quarantine").exists());
    }

    #[test]
    fn removing_twice_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        add(&store, 'a', "web");
        store.remove(&id('a')).unwrap();
        store.remove(&id('a')).unwrap();
        assert!(store.load().unwrap().is_empty());
    }

    #[test]
    fn a_state_that_cannot_be_written_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let spec = add(&store, 'a', "web");
        let old = Life::new(&spec).record();
        // A folder in the place of the new file fails for root as well.
        fs::create_dir(store.folder(&id('a')).join(".state.json.new")).unwrap();
        let refused = store.update(&id('a'), &Record { restarts: 9, ..old.clone() });
        assert!(matches!(refused, Err(RuntimeError::Io { .. })));
        assert_eq!(store.load().unwrap()[0].record, old);
    }
}
