//! Snapshot files: written whole before the database points to them, removed once it points elsewhere.

use prost::Message;
use sha2::{Digest, Sha256};

use super::{
    disk::{Files, Folder},
    error::StorageError,
    store::SnapshotPointer,
};
use crate::raft::proto::Snapshot;

/// The largest snapshot, in bytes: far more than the leases of any cluster, little enough to be held in memory.
pub const SNAPSHOT_BYTES_MAX: usize = 64 << 20;
const SUFFIX: &str = ".snapshot";

/// Writes a snapshot; what the database must be told of it.
pub(super) fn write(files: &dyn Files, snapshot: &Snapshot) -> Result<SnapshotPointer, StorageError> {
    let content = snapshot.encode_to_vec();
    if content.len() > SNAPSHOT_BYTES_MAX {
        let why = format!("{} bytes are more than the {SNAPSHOT_BYTES_MAX} that it may have", content.len());
        return Err(StorageError::Misused { deed: "keep a snapshot", why });
    }
    let sha256 = Sha256::digest(&content);
    // The hash in the name: another snapshot at the same place never overwrites the one that the database points to.
    let short = sha256.iter().take(4).fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let file = format!("{:020}-{:010}-{short}{SUFFIX}", snapshot.index(), snapshot.term());
    files
        .write(Folder::Snapshots, &file, &content)
        .map_err(|source| StorageError::io("write", files.path(Folder::Snapshots, &file), source))?;
    Ok(SnapshotPointer {
        meta: snapshot.meta.clone(),
        file,
        bytes: u64::try_from(content.len()).unwrap_or(u64::MAX),
        sha256: sha256.to_vec(),
    })
}

/// Reads the snapshot that the database points to.
pub(super) fn read(files: &dyn Files, pointer: &SnapshotPointer) -> Result<Snapshot, StorageError> {
    let path = files.path(Folder::Snapshots, &pointer.file);
    let content = files
        .read(Folder::Snapshots, &pointer.file, SNAPSHOT_BYTES_MAX)
        .map_err(|source| StorageError::io("read", &path, source))?
        .ok_or_else(|| StorageError::Lost { path: path.clone() })?;
    let expected = usize::try_from(pointer.bytes).unwrap_or(usize::MAX);
    if content.len() != expected {
        let (place, why) = (format!("offset {}", content.len().min(expected)), "it ends elsewhere");
        return Err(StorageError::damaged(path, place, format!("{why} than at offset {expected}")));
    }
    if Sha256::digest(&content).as_slice() != pointer.sha256 {
        return Err(StorageError::damaged(path, "some offset", "its checksum is not that of its content"));
    }
    let snapshot = Snapshot::decode(content.as_slice())
        .map_err(|error| StorageError::damaged(&path, "some offset", error.to_string()))?;
    if snapshot.meta != pointer.meta {
        return Err(StorageError::damaged(path, "its head", "it is another snapshot than the log names"));
    }
    Ok(snapshot)
}

/// Removes every snapshot but the current one. What cannot be removed now is the next time.
pub(super) fn clear_away(files: &dyn Files, current: &str) {
    let removed = files.list(Folder::Snapshots).and_then(|names| {
        let mut old = names.iter().filter(|name| name.ends_with(SUFFIX) && *name != current);
        old.try_for_each(|name| files.remove(Folder::Snapshots, name))
    });
    if let Err(error) = removed {
        tracing::warn!(%error, "could not remove old snapshots; they are tried again with the next");
    }
}
