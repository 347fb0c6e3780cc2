//! A disk that keeps batches, loses what was not synced, and tears what was being written.

use std::collections::VecDeque;

use constellation_consensus::raft::{
    Batch, Recovered,
    proto::{Entry, HardState, Snapshot},
};

use crate::Chance;

/// What a log holds, as its contract says.
#[derive(Clone, Debug, Default)]
struct Contents {
    hard_state: HardState,
    snapshot: Snapshot,
    entries: Vec<Entry>,
}

impl Contents {
    fn apply(&mut self, batch: &Batch) {
        if let Some(snapshot) = &batch.install {
            self.snapshot = snapshot.clone();
            self.entries.clear();
        }
        if let Some(first) = batch.entries.first() {
            self.entries.retain(|entry| entry.index < first.index);
            self.entries.extend(batch.entries.iter().cloned());
        }
        if let Some(state) = &batch.hard_state {
            self.hard_state = *state;
        }
        if let Some(checkpoint) = &batch.checkpoint {
            self.snapshot = checkpoint.snapshot.clone();
            self.entries.retain(|entry| entry.index >= checkpoint.keep_from);
        }
    }
}

/// One node's disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    stable: Contents,
    /// Written and answered, but not synced.
    unsynced: VecDeque<Batch>,
    /// Being written.
    under_way: VecDeque<Batch>,
    /// Waiting for the disk.
    queue: VecDeque<Batch>,
}

impl Disk {
    pub(super) fn new(birth: Option<&Batch>) -> Self {
        let mut disk = Self::default();
        if let Some(birth) = birth {
            disk.stable.apply(birth);
        }
        disk
    }

    /// Hands over a batch. Gives whether the disk was idle, so that a write begins now.
    pub(super) fn begin(&mut self, batch: Batch) -> bool {
        self.queue.push_back(batch);
        self.next()
    }

    /// The write that was under way has reached the disk. Gives the number of its last batch, and whether another write
    /// begins: of all batches that came in the meantime, as one.
    pub(super) fn finish(&mut self) -> (Option<u64>, bool) {
        let number = self.under_way.back().map(|batch| batch.number);
        for batch in self.under_way.drain(..) {
            let sync = batch.sync;
            self.unsynced.push_back(batch);
            if sync {
                for batch in self.unsynced.drain(..) {
                    self.stable.apply(&batch);
                }
            }
        }
        (number, self.next())
    }

    fn next(&mut self) -> bool {
        if !self.under_way.is_empty() || self.queue.is_empty() {
            return false;
        }
        self.under_way.append(&mut self.queue);
        true
    }

    /// The process or the power is gone. Of what was not synced some may have reached the platter, in order; the batch that
    /// was being written then is torn, which its checksum shows, so that it counts as not written.
    pub(super) fn crash(&mut self, chance: &mut Chance) {
        self.queue.clear();
        let mut loose: VecDeque<Batch> = self.unsynced.drain(..).chain(self.under_way.drain(..)).collect();
        let survive = chance.place(loose.len() + 1);
        for batch in loose.drain(..survive) {
            self.stable.apply(&batch);
        }
    }

    /// A new, empty disk.
    pub(super) fn wipe(&mut self) {
        *self = Self::default();
    }

    pub(super) fn recover(&self) -> Recovered {
        let Contents { hard_state, snapshot, entries } = self.stable.clone();
        Recovered { hard_state, snapshot, entries }
    }

    pub(super) fn kept_entries(&self) -> usize {
        self.stable.entries.len()
    }
}
