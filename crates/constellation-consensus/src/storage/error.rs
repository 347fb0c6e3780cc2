//! What can go wrong with the log, and what a person does about it.

use std::{io, path::PathBuf};

use crate::raft::LogError;

/// The log could not be opened, or did not do what it was asked.
///
/// Whatever it says, nothing was changed that was durable before.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The system refused.
    #[error("could not {deed} {path}", path = .path.display())]
    Io {
        /// What was tried.
        deed: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no room.
    #[error(
        "could not {deed} {path}: the disk or the quota is full; this node votes no more until there is room and it is started again",
        path = .path.display()
    )]
    Full {
        /// What was tried.
        deed: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it open.
    #[error(
        "the process with pid {pid} uses {folder}; stop it, or use another data folder",
        folder = .folder.display()
    )]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// Who, as far as it said so.
        pid: String,
    },
    /// There is a log already, and none is ever written over.
    #[error(
        "{path} says that there is a log of {owner} already; start the node as what it is, or move the folder away and let it \
         join under a new id",
        path = .path.display()
    )]
    Exists {
        /// Which file says so.
        path: PathBuf,
        /// Whose it is.
        owner: String,
    },
    /// There is no log yet.
    #[error("there is no log at {path} yet: this node has to found a cluster or to join one first", path = .path.display())]
    Absent {
        /// Which file would be there.
        path: PathBuf,
    },
    /// It was written by a program of another format.
    #[error(
        "{path} is of format {found}, and this program writes format {supported}; start the version of the program that \
         wrote it, or move the folder away and let this node join under a new id",
        path = .path.display()
    )]
    OtherFormat {
        /// Which file said so.
        path: PathBuf,
        /// The format it names.
        found: String,
        /// Ours.
        supported: u32,
    },
    /// It belongs to another node or cluster.
    #[error(
        "{path} belongs to {found}, and this is {expected}; point this node at its own data folder, or move that one away",
        path = .path.display()
    )]
    OtherOwner {
        /// Which file said so.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who asked.
        expected: String,
    },
    /// What was there, and has to be, is not there any more.
    #[error(
        "{path} is gone, and with it what this node promised to others; put it back from where it went, or remove the node \
         from the cluster, move its data folder away and let it join under a new id",
        path = .path.display()
    )]
    Lost {
        /// What is missing.
        path: PathBuf,
    },
    /// It does not say what was written.
    #[error(
        "{path} is damaged at {place}: {why}; look at the disk, then remove this node from the cluster, move its data folder \
         away and let it join under a new id; where no other voter is left, restore a backup",
        path = .path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where in it: a table and key, or an offset.
        place: String,
        /// What is wrong there.
        why: String,
    },
    /// An earlier error left it unknown what is on the disk.
    #[error(
        "the log of {path} is closed since an earlier error ({why}); this node neither votes nor acknowledges until it is \
         started again",
        path = .path.display()
    )]
    Poisoned {
        /// The folder.
        path: PathBuf,
        /// The first error.
        why: String,
    },
    /// It was asked for what a log cannot do: a mistake in the program that asks.
    #[error("the log was asked to {deed}: {why}")]
    Misused {
        /// What.
        deed: &'static str,
        /// Why not.
        why: String,
    },
}

impl StorageError {
    pub(super) fn io(deed: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { deed, path, source },
            _ => Self::Io { deed, path, source },
        }
    }

    pub(super) fn damaged(
        path: impl Into<PathBuf>,
        place: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self::Damaged { path: path.into(), place: place.into(), why: why.into() }
    }
}

impl From<StorageError> for LogError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Io { deed, path, source } => Self::Io { deed, path, source },
            StorageError::Poisoned { path, .. } => Self::Poisoned { path },
            StorageError::Full { deed, ref path, .. } => {
                Self::Store { deed, path: path.clone(), source: error.into() }
            }
            StorageError::Damaged { path, place, why } => Self::Corrupt {
                path,
                at: place,
                what: why,
                way_out: "look at the disk, then remove this node from the cluster, move its data folder away and let it \
                          join under a new id; where no other voter is left, restore a backup",
            },
            StorageError::OtherOwner { path, found, expected } => Self::Foreign {
                path,
                what: format!("it belongs to {found}, and this is {expected}"),
                way_out: "give this node its own data folder, or move that one away",
            },
            StorageError::OtherFormat { path, found, supported } => Self::Foreign {
                path,
                what: format!("it is of format {found}, and this program writes format {supported}"),
                way_out: "start the version of the program that wrote it, or move it away and join under a new id",
            },
            StorageError::Locked { folder: ref path, .. }
            | StorageError::Exists { ref path, .. }
            | StorageError::Absent { ref path }
            | StorageError::Lost { ref path } => {
                Self::Store { deed: "open", path: path.clone(), source: error.into() }
            }
            StorageError::Misused { deed, .. } => {
                Self::Store { deed, path: PathBuf::new(), source: error.into() }
            }
        }
    }
}
