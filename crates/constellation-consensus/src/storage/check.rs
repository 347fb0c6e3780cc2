//! Whether what was found fits together, and whether what is asked for fits to what is there.

use std::path::Path;

use super::{
    error::StorageError,
    identity::{DataIdentity, FORMAT},
    log::Kept,
    store::Header,
};
use crate::raft::{
    Batch, Checkpoint, Recovered,
    proto::{Entry, HardState, Snapshot},
};

/// Whether the database is that of the identity file; its epoch.
pub(super) fn header(
    found: Option<Header>,
    identity: &DataIdentity,
    path: &Path,
) -> Result<u64, StorageError> {
    let found = found.ok_or_else(|| StorageError::Lost { path: path.to_owned() })?;
    if found.format != FORMAT {
        let (path, found) = (path.to_owned(), found.format.to_string());
        return Err(StorageError::OtherFormat { path, found, supported: FORMAT });
    }
    let same = Header { epoch: identity.epoch, ..found.clone() } == Header::of(identity);
    // The log goes first into a new epoch, so it may be ahead of the identity, and never behind.
    if !same || found.epoch < identity.epoch {
        return Err(StorageError::OtherOwner {
            path: path.to_owned(),
            found: format!(
                "node `{}` (raft id {}) of cluster `{}` in epoch {}",
                found.node, found.id, found.cluster, found.epoch
            ),
            expected: format!("{} in epoch {}", identity.owner, identity.epoch),
        });
    }
    Ok(found.epoch)
}

/// Whether what was recovered is a log at all.
pub(super) fn recovered(found: &Recovered, path: &Path) -> Result<Kept, StorageError> {
    let damaged = |place: String, why: &str| Err(StorageError::damaged(path, place, why));
    let (snapshot, state) = (&found.snapshot, &found.hard_state);
    let entry = |index: u64| format!("entry `{index}`");
    if let Some(first) = found.entries.first()
        && first.index > snapshot.index() + 1
    {
        return damaged(entry(first.index), "entries between it and the snapshot are missing");
    }
    for pair in found.entries.windows(2) {
        let [before, after] = pair else { continue };
        if after.index != before.index + 1 {
            return damaged(entry(before.index), "the entry after it is missing");
        }
        if after.term < before.term {
            return damaged(entry(after.index), "its term is lower than that of the entry before it");
        }
    }
    let overlapping = found.entries.iter().find(|entry| entry.index == snapshot.index());
    if overlapping.is_some_and(|entry| entry.term != snapshot.term()) {
        return damaged(entry(snapshot.index()), "its term is not that of the snapshot at its place");
    }
    let last = found.entries.last();
    let last_index = last.map_or(0, |last| last.index).max(snapshot.index());
    if last.is_some_and(|last| last.index < snapshot.index()) {
        return damaged(entry(snapshot.index()), "the log ends before its own snapshot");
    }
    if state.commit > last_index {
        let why =
            format!("it says that all up to {} is agreed, and the log ends at {last_index}", state.commit);
        return damaged("meta `hard-state`".to_owned(), &why);
    }
    let last_term = last.map_or(0, |last| last.term).max(snapshot.term());
    if state.term < last_term {
        let why = format!("it is of term {}, and the log has one of term {last_term}", state.term);
        return damaged("meta `hard-state`".to_owned(), &why);
    }
    Ok(Kept { hard_state: *state, snapshot_index: snapshot.index(), last_index })
}

/// Whether a batch fits to what is kept; what will be kept after it.
///
/// Raft gives no other batches. That a vote is not taken back is looked at once more here, because it is the last place
/// where a mistake of ours would be seen.
pub(super) fn batch(kept: &Kept, batch: &Batch) -> Result<Kept, StorageError> {
    let misused = |why: String| Err(StorageError::Misused { deed: "keep a batch", why });
    let mut after = *kept;
    if let Some(install) = &batch.install {
        if install.index() == 0 {
            return misused("the snapshot to install is empty".to_owned());
        }
        if install.index() < kept.snapshot_index {
            return misused(format!(
                "the snapshot at {} is older than that at {}",
                install.index(),
                kept.snapshot_index
            ));
        }
        after.snapshot_index = install.index();
        after.last_index = install.index();
    }
    if let Some(last) = entries(&batch.entries, &after)? {
        after.last_index = last;
    }
    if let Some(state) = &batch.hard_state {
        hard_state(&kept.hard_state, state)?;
        after.hard_state = *state;
    }
    if let Some(Checkpoint { snapshot, .. }) = &batch.checkpoint {
        let place = snapshot.index();
        if place < after.snapshot_index || place > after.last_index || place == 0 {
            return misused(format!(
                "a checkpoint at {place} is not within the log, {} to {}",
                after.snapshot_index, after.last_index
            ));
        }
        after.snapshot_index = place;
    }
    Ok(after)
}

/// Entries before this one may go: never the one right after the snapshot, nor any after that.
pub(super) fn keep_from(checkpoint: &Checkpoint) -> u64 {
    let after_snapshot = Snapshot::index(&checkpoint.snapshot).saturating_add(1);
    checkpoint.keep_from.min(after_snapshot)
}

fn entries(entries: &[Entry], kept: &Kept) -> Result<Option<u64>, StorageError> {
    let misused = |why: String| Err(StorageError::Misused { deed: "keep entries", why });
    let Some(first) = entries.first() else { return Ok(None) };
    if first.index > kept.last_index + 1 {
        return misused(format!("entry {} would leave a gap after {}", first.index, kept.last_index));
    }
    if first.index <= kept.snapshot_index {
        return misused(format!("entry {} lies before the snapshot at {}", first.index, kept.snapshot_index));
    }
    if first.index <= kept.hard_state.commit {
        return misused(format!(
            "entry {} is agreed on already, up to {}",
            first.index, kept.hard_state.commit
        ));
    }
    let mut last = first.index;
    for entry in entries.iter().skip(1) {
        if entry.index != last + 1 {
            return misused(format!("entry {} follows on entry {last}", entry.index));
        }
        last = entry.index;
    }
    Ok(Some(last))
}

fn hard_state(kept: &HardState, new: &HardState) -> Result<(), StorageError> {
    let misused = |why: String| Err(StorageError::Misused { deed: "keep a term and vote", why });
    if new.term < kept.term {
        return misused(format!("term {} is lower than term {}", new.term, kept.term));
    }
    if new.term == kept.term && kept.vote != 0 && new.vote != kept.vote {
        return misused(format!(
            "in term {} the vote was given to {}, and cannot be given to {}",
            kept.term, kept.vote, new.vote
        ));
    }
    Ok(())
}
