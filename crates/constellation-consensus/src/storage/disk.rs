//! Where the log's files are: the seam between the log and a file system.

use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use redb::backends::FileBackend;
use rustix::fs::{FlockOperation, flock};

use super::error::StorageError;

/// The folders under the root, each with one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Folder {
    /// The database of entries, hard state and conf state.
    Logs,
    /// What hardly ever changes: whose log it is.
    Stable,
    /// The state machine's snapshots.
    Snapshots,
}

impl Folder {
    /// Its name under the root.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Stable => "stable",
            Self::Snapshots => "snapshots",
        }
    }
}

/// Small whole files beside the database. `Ok` of a change means that it outlives a power failure.
pub trait Files: fmt::Debug + Send + Sync + 'static {
    /// Where a file is, for messages.
    fn path(&self, folder: Folder, name: &str) -> PathBuf;

    /// A file's content; `None` where it is not there. A file of more than `bytes_max` is an error, as it is not ours.
    fn read(&self, folder: Folder, name: &str, bytes_max: usize) -> io::Result<Option<Vec<u8>>>;

    /// Writes a file whole or not at all, in place of any that is there.
    fn write(&self, folder: Folder, name: &str, content: &[u8]) -> io::Result<()>;

    /// Removes a file; fine where it is not there.
    fn remove(&self, folder: Folder, name: &str) -> io::Result<()>;

    /// The names of the files of a folder, in no order.
    fn list(&self, folder: Folder) -> io::Result<Vec<String>>;
}

/// Files that are half written have names with this beginning; whoever opens the folder next removes them.
const UNFINISHED: &str = ".unfinished-";
const DATABASE: &str = "log.redb";

/// The folder `raft` of a data folder, on a file system, held by this process alone.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    lock: File,
}

impl Directory {
    /// Opens the folder, making it where it is not there, and takes its lock.
    ///
    /// # Errors
    /// [`StorageError::Locked`] names the process that has it.
    pub fn open(root: &Path) -> Result<Self, StorageError> {
        for folder in [Folder::Logs, Folder::Stable, Folder::Snapshots] {
            let folder = root.join(folder.name());
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .map_err(|source| StorageError::io("make the folder", folder, source))?;
        }
        let lock = take_lock(root)?;
        let this = Self { root: root.to_owned(), lock };
        this.sync_folders().map_err(|source| StorageError::io("make durable the folder", root, source))?;
        this.clear_away_unfinished()?;
        Ok(this)
    }

    /// The database file, made where it is not there.
    pub fn database(&self) -> Result<FileBackend, StorageError> {
        let path = self.root.join(Folder::Logs.name()).join(DATABASE);
        let fail = |source| StorageError::io("open", &path, source);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(fail)?;
        // The file's name must outlive a power failure as well as its content.
        sync_folder(&self.root.join(Folder::Logs.name())).map_err(fail)?;
        FileBackend::new(file).map_err(|error| fail(io::Error::other(error)))
    }

    fn sync_folders(&self) -> io::Result<()> {
        sync_folder(&self.root)?;
        match self.root.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent),
            _ => sync_folder(Path::new(".")),
        }
    }

    fn clear_away_unfinished(&self) -> Result<(), StorageError> {
        for folder in [Folder::Stable, Folder::Snapshots] {
            let fail = |source| StorageError::io("clear up", self.root.join(folder.name()), source);
            for name in self.list_all(folder).map_err(fail)? {
                if name.starts_with(UNFINISHED) {
                    self.remove(folder, &name).map_err(fail)?;
                }
            }
        }
        Ok(())
    }

    fn list_all(&self, folder: Folder) -> io::Result<Vec<String>> {
        fs::read_dir(self.root.join(folder.name()))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Closing would do, but for a child that another thread is just about to start: until its exec it holds a copy of
        // the descriptor, and a copy keeps the lock.
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

impl Files for Directory {
    fn path(&self, folder: Folder, name: &str) -> PathBuf {
        self.root.join(folder.name()).join(name)
    }

    fn read(&self, folder: Folder, name: &str, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
        read_bounded(&self.path(folder, name), bytes_max)
    }

    fn write(&self, folder: Folder, name: &str, content: &[u8]) -> io::Result<()> {
        let temporary = self.path(folder, &format!("{UNFINISHED}{name}"));
        let written = (|| {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&temporary, self.path(folder, name))?;
            sync_folder(&self.root.join(folder.name()))
        })();
        if written.is_err() {
            // What cannot be removed now is when the folder is opened next; the first failure is the one to tell.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn remove(&self, folder: Folder, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(folder, name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_folder(&self.root.join(folder.name())),
        }
    }

    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        Ok(self.list_all(folder)?.into_iter().filter(|name| !name.starts_with(UNFINISHED)).collect())
    }
}

/// A file's content; `None` where it is not there, an error where it is larger than `bytes_max`.
pub(super) fn read_bounded(path: &Path, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    let bound = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(bound).read_to_end(&mut content)?;
    if content.len() > bytes_max {
        let why = format!("it is larger than {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(Some(content))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn take_lock(root: &Path) -> Result<File, StorageError> {
    let path = root.join("lock");
    let fail = |source| StorageError::io("lock", &path, source);
    // The file is never removed: a lock on a file that is not in the folder any more excludes nobody.
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(fail)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            // Whatever cannot be read makes a poorer message, nothing else.
            let _ = (&mut file).take(32).read_to_string(&mut pid);
            let pid = Some(pid.trim()).filter(|pid| !pid.is_empty()).unwrap_or("unknown").to_owned();
            return Err(StorageError::Locked { folder: root.to_owned(), pid });
        }
        Err(errno) => return Err(fail(errno.into())),
    }
    let sign = |file: &mut File| {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        write!(file, "{}", std::process::id())
    };
    match sign(&mut file) {
        // The lock holds without the name of its holder, and a full disk must not hide what else there is to say.
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(file),
        Err(error) => Err(fail(error)),
        Ok(()) => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_has_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("raft");
        let first = Directory::open(&root).unwrap();
        let error = Directory::open(&root).unwrap_err();
        assert!(matches!(&error, StorageError::Locked { pid, .. } if *pid == std::process::id().to_string()));
        drop(first);
        Directory::open(&root).unwrap();
    }

    #[test]
    fn a_file_is_replaced_whole_and_what_is_half_written_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        directory.write(Folder::Stable, "identity", b"one").unwrap();
        directory.write(Folder::Stable, "identity", b"two").unwrap();
        assert_eq!(directory.read(Folder::Stable, "identity", 3).unwrap(), Some(b"two".to_vec()));
        assert!(directory.read(Folder::Stable, "identity", 2).is_err(), "larger than asked for");
        fs::write(directory.path(Folder::Stable, ".unfinished-identity"), b"thr").unwrap();
        assert_eq!(directory.list(Folder::Stable).unwrap(), ["identity"]);
        drop(directory);
        let directory = Directory::open(folder.path()).unwrap();
        assert!(!directory.path(Folder::Stable, ".unfinished-identity").exists());
        directory.remove(Folder::Stable, "identity").unwrap();
        directory.remove(Folder::Stable, "identity").unwrap();
        assert_eq!(directory.read(Folder::Stable, "identity", 9).unwrap(), None);
    }

    #[test]
    fn only_its_owner_may_look_into_the_folder() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("raft");
        let directory = Directory::open(&root).unwrap();
        directory.write(Folder::Stable, "identity", b"one").unwrap();
        drop(directory.database().unwrap());
        for path in ["logs", "stable", "snapshots"] {
            assert_eq!(root.join(path).metadata().unwrap().permissions().mode() & 0o777, 0o700, "{path}");
        }
        for path in ["logs/log.redb", "stable/identity", "lock"] {
            assert_eq!(root.join(path).metadata().unwrap().permissions().mode() & 0o777, 0o600, "{path}");
        }
    }
}
