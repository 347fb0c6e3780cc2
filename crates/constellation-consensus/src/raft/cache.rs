//! The log in memory, which Raft reads. The disk is only written to while the node runs.

use std::collections::VecDeque;

use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError, eraftpb};

use super::{
    convert::{self, Unsound},
    log::Recovered,
    proto::{ConfState, Snapshot, SnapshotMeta},
};

/// What an entry costs beside its payload; an estimate, for limits only.
const ENTRY_OVERHEAD: u64 = 32;

#[derive(Debug)]
pub(super) struct Cache {
    hard_state: eraftpb::HardState,
    snapshot: eraftpb::Snapshot,
    /// The last entry that is not in `entries`, by index and term.
    before: (u64, u64),
    entries: VecDeque<eraftpb::Entry>,
    bytes: u64,
}

impl Cache {
    pub(super) fn new(recovered: Recovered) -> std::result::Result<Self, Unsound> {
        let Recovered { mut hard_state, snapshot, entries } = recovered;
        let (index, term) = (snapshot.index(), snapshot.term());
        // The commit index may be older than the snapshot, because it need not be synced; what is in a snapshot was
        // committed.
        hard_state.commit = hard_state.commit.max(index);
        hard_state.term = hard_state.term.max(term);
        let mut entries: VecDeque<_> =
            entries.into_iter().map(convert::entry_to).collect::<std::result::Result<_, _>>()?;
        let before = match entries.front() {
            // What went before the first kept entry is unknown, so the first serves as that.
            Some(first) if first.index <= index => {
                let before = (first.index, first.term);
                entries.pop_front();
                before
            }
            Some(first) if first.index > index + 1 => {
                return Err(Unsound("the log begins after its snapshot ends"));
            }
            _ => (index, term),
        };
        let follow = entries.iter().zip(before.0 + 1..).all(|(entry, index)| entry.index == index);
        if !follow {
            return Err(Unsound("the log has a gap"));
        }
        let last = before.0 + u64::try_from(entries.len()).unwrap_or(u64::MAX);
        if last < index {
            return Err(Unsound("the log ends before its snapshot"));
        }
        // A commit index that was kept while the entries were not: the log lost what it had promised.
        if hard_state.commit > last {
            return Err(Unsound("the log ends before what it says is committed"));
        }
        let bytes = entries.iter().map(size).sum();
        let cache = Self {
            hard_state: convert::hard_state_to(hard_state),
            snapshot: convert::snapshot_to(snapshot),
            before,
            entries,
            bytes,
        };
        Ok(cache)
    }

    pub(super) fn set_hard_state(&mut self, state: eraftpb::HardState) {
        self.hard_state = state;
    }

    pub(super) fn snapshot_index(&self) -> u64 {
        self.snapshot.get_metadata().index
    }

    /// The bytes that the entries after the snapshot take, roughly.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn append(&mut self, entries: &[eraftpb::Entry]) {
        let Some(first) = entries.first() else { return };
        while self.entries.back().is_some_and(|last| last.index >= first.index) {
            if let Some(gone) = self.entries.pop_back() {
                self.bytes = self.bytes.saturating_sub(size(&gone));
            }
        }
        self.bytes += entries.iter().map(size).sum::<u64>();
        self.entries.extend(entries.iter().cloned());
    }

    pub(super) fn install(&mut self, snapshot: eraftpb::Snapshot) {
        let meta = snapshot.get_metadata();
        self.before = (meta.index, meta.term);
        self.entries.clear();
        self.bytes = 0;
        self.hard_state.commit = self.hard_state.commit.max(meta.index);
        self.hard_state.term = self.hard_state.term.max(meta.term);
        self.snapshot = snapshot;
    }

    /// Takes the state machine's bytes at `index`, and forgets entries that lie more than `keep` behind it. Gives back the
    /// snapshot and the first entry that is still kept.
    pub(super) fn checkpoint(
        &mut self,
        data: Vec<u8>,
        index: u64,
        members: ConfState,
        keep: u64,
    ) -> Option<(Snapshot, u64)> {
        let term = self.term(index).ok()?;
        let meta = SnapshotMeta { conf_state: Some(members), index, term };
        self.snapshot = convert::snapshot_to(Snapshot { data: data.into(), meta: Some(meta) });
        let cut = index.saturating_sub(keep);
        while self.entries.front().is_some_and(|first| first.index <= cut) {
            if let Some(gone) = self.entries.pop_front() {
                self.before = (gone.index, gone.term);
                self.bytes = self.bytes.saturating_sub(size(&gone));
            }
        }
        // The entry before the first is kept on disk too: its term is needed after a restart.
        Some((convert::snapshot_from(&self.snapshot), self.before.0.max(2)))
    }

    fn last(&self) -> u64 {
        self.entries.back().map_or(self.before.0, |entry| entry.index)
    }

    fn position(&self, index: u64) -> usize {
        usize::try_from(index - self.before.0 - 1).unwrap_or(usize::MAX)
    }
}

fn size(entry: &eraftpb::Entry) -> u64 {
    u64::try_from(entry.data.len() + entry.context.len()).unwrap_or(u64::MAX).saturating_add(ENTRY_OVERHEAD)
}

impl Storage for Cache {
    fn initial_state(&self) -> Result<RaftState> {
        let conf_state = self.snapshot.get_metadata().get_conf_state().clone();
        Ok(RaftState { hard_state: self.hard_state.clone(), conf_state })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> Result<Vec<eraftpb::Entry>> {
        if low <= self.before.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > self.last() + 1 {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let limit = max_size.into().unwrap_or(u64::MAX);
        let mut total = 0;
        let mut entries = Vec::new();
        for entry in self.entries.range(self.position(low)..self.position(high)) {
            total += size(entry);
            if total > limit && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
        }
        Ok(entries)
    }

    fn term(&self, index: u64) -> Result<u64> {
        if index == self.before.0 {
            return Ok(self.before.1);
        }
        if index < self.before.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        self.entries
            .get(self.position(index))
            .map(|entry| entry.term)
            .ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.before.0 + 1)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> Result<eraftpb::Snapshot> {
        if self.snapshot_index() < request_index {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        Ok(self.snapshot.clone())
    }
}
