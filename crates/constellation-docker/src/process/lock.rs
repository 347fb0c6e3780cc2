//! One runtime per folder: two would restart each other's processes.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

use crate::error::RuntimeError;

/// Holds the folder until it is dropped, or its process ends in whatever way.
#[derive(Debug)]
pub(super) struct FolderLock {
    file: File,
}

impl FolderLock {
    /// Takes the lock, or says who has it.
    pub(super) fn take(folder: &Path) -> Result<Self, RuntimeError> {
        let path = folder.join("lock");
        let io = |source| RuntimeError::Io { deed: format!("lock {}", path.display()), source };
        // The file is never removed: a lock on a file that is not in the folder any more excludes nobody.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // Whatever cannot be read makes a poorer message, nothing else.
                let _ = (&mut file).take(32).read_to_string(&mut holder);
                let holder = Some(holder.trim()).filter(|pid| !pid.is_empty()).unwrap_or("unknown");
                return Err(RuntimeError::Refused {
                    deed: format!("open {}", folder.display()),
                    message: format!(
                        "the process with pid {holder} runs the containers of this folder; stop it, or use another folder"
                    ),
                });
            }
            Err(errno) => return Err(io(errno.into())),
        }
        let lock = Self { file };
        lock.sign().map_err(io)?;
        Ok(lock)
    }

    fn sign(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        (&self.file).seek(SeekFrom::Start(0))?;
        write!(&self.file, "{}", std::process::id())
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing would do, but for a child that another thread is just about to start: until its exec it holds a
        // copy of the descriptor, and a copy keeps the lock.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_is_told_who_holds_the_folder_and_the_third_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        let refusal = FolderLock::take(folder.path()).unwrap_err();
        assert!(refusal.to_string().contains(&format!("pid {}", std::process::id())), "{refusal}");
        drop(first);
        FolderLock::take(folder.path()).unwrap();
    }
}
