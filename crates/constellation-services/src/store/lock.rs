//! One run at a time. The lock is the kernel's, so it goes with the process however that ends.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::FlockOperation;

use super::StoreError;

/// The most of the lock's file that is shown.
const HOLDER_BYTES_MAX: u64 = 512;

/// The lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run holds it.
    #[error(
        "another run is at work: {holder}; wait for it, or end it (a run that was ended goes on with the next one)"
    )]
    Held {
        /// Who, in its own words.
        holder: String,
    },
    /// The folder could not be made.
    #[error(transparent)]
    Folder(StoreError),
    /// The system refused.
    #[error("could not lock {path}", path = .path.display())]
    Io {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The right to change things, for as long as this lives.
#[derive(Debug)]
pub struct DeployLock {
    _file: File,
}

impl DeployLock {
    pub(super) fn take(path: &Path, command: &str) -> Result<Self, LockError> {
        let failed = |source: std::io::Error| LockError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // Whoever holds it may be writing its name just now: an empty one is no error.
                let _ = file.take(HOLDER_BYTES_MAX).read_to_string(&mut holder);
                let holder =
                    if holder.trim().is_empty() { "it has not said its name".to_owned() } else { holder };
                return Err(LockError::Held { holder: holder.trim().escape_debug().to_string() });
            }
            Err(error) => return Err(failed(error.into())),
        }
        let write = |file: &mut File| -> std::io::Result<()> {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            writeln!(file, "process {}, `{command}`", std::process::id())
        };
        write(&mut file).map_err(failed)?;
        Ok(Self { _file: file })
    }
}
