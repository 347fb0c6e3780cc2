//! The folder of a cluster, held by one run at a time, and the mark by which its processes are known.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;

use crate::procfs;

/// The variable that every process of a cluster carries in its environment; its value is the cluster's folder.
const VARIABLE: &str = "CONSTELLATION_XTASK";
/// A unix socket's path may have 107 bytes; the longest name below the folder is `n10.sock`.
const FOLDER_BYTES_MAX: usize = 90;

/// A cluster's folder.
pub(crate) struct Place {
    folder: PathBuf,
    sockets: PathBuf,
    mark: String,
    /// Whether the folder stays when all is over.
    keep: bool,
    _lock: File,
}

impl Place {
    /// Takes `folder`: ends the processes that an earlier, killed run left there, and empties it.
    ///
    /// # Errors
    /// When another run holds it, or the disk refuses.
    pub(crate) fn take(folder: &Path, keep: bool) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        let path = folder.with_extension("lock");
        let lock = File::create(&path).with_context(|| format!("could not write {}", path.display()))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!("another run uses {}: end it first (Ctrl-C)", folder.display());
        }
        let mark = format!("{VARIABLE}={}", folder.display());
        let left = procfs::end_marked(&mark, Duration::from_secs(5));
        if left > 0 {
            say!("  ended {left} processes that an earlier run had left");
        }
        fs::remove_dir_all(&folder).with_context(|| format!("could not empty {}", folder.display()))?;
        fs::create_dir_all(&folder)?;
        let sockets = if folder.as_os_str().len() <= FOLDER_BYTES_MAX {
            folder.clone()
        } else {
            let short = std::env::temp_dir().join(format!("constellation-xtask-{}", std::process::id()));
            fs::create_dir_all(&short)?;
            short
        };
        Ok(Self { folder, sockets, mark, keep, _lock: lock })
    }

    /// A file or folder of the cluster.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where a node's socket goes: a path short enough for the kernel.
    pub(crate) fn socket(&self, node: &str) -> PathBuf {
        self.sockets.join(format!("{node}.sock"))
    }

    /// `NAME=value` as it stands in the processes' environment.
    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    /// The name and the value of that variable.
    pub(crate) fn variable(&self) -> (&str, &str) {
        self.mark.split_once('=').unwrap_or((VARIABLE, ""))
    }

    /// Keeps the folder after all, for somebody who must look at the logs.
    pub(crate) fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.sockets != self.folder {
            let _ = fs::remove_dir_all(&self.sockets);
        }
        if self.keep {
            say!("logs and states are in {}", self.folder.display());
        } else {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::child::Group;

    #[test]
    fn a_place_is_held_by_one_run_at_a_time_and_gone_afterwards() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("demo");
        let place = Place::take(&folder, false).unwrap();
        fs::write(place.file("x"), "x").unwrap();
        assert!(Place::take(&folder, false).is_err());
        drop(place);
        assert!(!folder.exists());
        drop(Place::take(&folder, true).unwrap());
        assert!(folder.exists());
    }

    #[test]
    fn what_a_killed_run_left_is_ended_by_the_next() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("demo");
        let place = Place::take(&folder, true).unwrap();
        let (name, value) = place.variable();
        let mut left = Group::spawn("left", Command::new("sleep").arg("1000").env(name, value)).unwrap();
        let mark = place.mark().to_owned();
        let seen = || Ok((procfs::marked(&mark).len() == 1).then_some(()));
        crate::clock::wait_for("it is seen", Duration::from_secs(20), Duration::from_millis(5), seen)
            .unwrap();
        drop(place);
        let _next = Place::take(&folder, false).unwrap();
        assert!(left.ended().unwrap().is_some());
    }

    #[test]
    fn a_long_folder_gets_its_sockets_elsewhere() {
        let parent = tempfile::tempdir().unwrap();
        let place = Place::take(&parent.path().join("d".repeat(100)), false).unwrap();
        assert!(place.socket("n10").as_os_str().len() < 107);
    }
}
