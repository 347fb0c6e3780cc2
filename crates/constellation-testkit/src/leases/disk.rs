//! A disk that keeps batches, loses what was not synced, and tears what was being written.

use std::{collections::VecDeque, mem};

use constellation_consensus::raft::{
    Batch, RaftId, Recovered,
    proto::{Entry, HardState, Snapshot},
};

use super::production::ProductionLog;
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

/// The log's contract and nothing else: fast, and it loses as much as a log may.
#[derive(Clone, Debug, Default)]
struct ModelLog {
    stable: Contents,
    /// Written and answered, but not synced.
    unsynced: VecDeque<Batch>,
}

impl ModelLog {
    fn write(&mut self, batch: Batch) {
        let sync = batch.sync;
        self.unsynced.push_back(batch);
        if sync {
            for batch in self.unsynced.drain(..) {
                self.stable.apply(&batch);
            }
        }
    }

    /// Of what was not synced some may have reached the platter, in order; a torn batch counts as not written.
    fn crash(&mut self, under_way: VecDeque<Batch>, chance: &mut Chance) -> Wreck {
        let mut loose: VecDeque<Batch> = self.unsynced.drain(..).chain(under_way).collect();
        let survive = chance.place(loose.len() + 1);
        let lost = loose.len() - survive;
        for batch in loose.drain(..survive) {
            self.stable.apply(&batch);
        }
        Wreck { lost, survived: survive, torn: false }
    }
}

/// What a crash did to writes that nobody had been promised.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wreck {
    pub(super) lost: usize,
    pub(super) survived: usize,
    /// Whether one ended in the middle, on the production log.
    pub(super) torn: bool,
}

#[derive(Debug)]
enum Medium {
    Model(Box<ModelLog>),
    Production(Box<ProductionLog>),
}

/// One node's disk, and the queue of what it is to write.
#[derive(Debug)]
pub(super) struct Disk {
    medium: Medium,
    /// Being written.
    under_way: VecDeque<Batch>,
    /// Waiting for the disk.
    queue: VecDeque<Batch>,
}

impl Disk {
    /// A disk with a log on it: the production one, or a model of what it promises.
    pub(super) fn new(production: bool, id: RaftId, birth: Option<&Batch>) -> Result<Self, String> {
        let medium = if production {
            Medium::Production(Box::new(ProductionLog::new(id, birth)?))
        } else {
            let mut model = ModelLog::default();
            if let Some(birth) = birth {
                model.stable.apply(birth);
            }
            Medium::Model(Box::new(model))
        };
        Ok(Self { medium, under_way: VecDeque::new(), queue: VecDeque::new() })
    }

    /// Hands over a batch. Gives whether the disk was idle, so that a write begins now.
    pub(super) fn begin(&mut self, batch: Batch) -> bool {
        self.queue.push_back(batch);
        self.next()
    }

    /// The write that was under way has reached the disk. Gives the number of its last batch, and whether another write
    /// begins: of all batches that came in the meantime, as one.
    pub(super) fn finish(&mut self) -> Result<(Option<u64>, bool), String> {
        let number = self.under_way.back().map(|batch| batch.number);
        let batches = mem::take(&mut self.under_way);
        match &mut self.medium {
            Medium::Model(model) => batches.into_iter().for_each(|batch| model.write(batch)),
            Medium::Production(log) => {
                if let Some(batch) = merged(batches) {
                    log.write(&batch)?;
                }
            }
        }
        Ok((number, self.next()))
    }

    fn next(&mut self) -> bool {
        if !self.under_way.is_empty() || self.queue.is_empty() {
            return false;
        }
        self.under_way.append(&mut self.queue);
        true
    }

    /// The process or the power is gone.
    pub(super) fn crash(&mut self, chance: &mut Chance) -> Wreck {
        let waiting = self.queue.len();
        self.queue.clear();
        let under_way = mem::take(&mut self.under_way);
        let wreck = match &mut self.medium {
            Medium::Model(model) => model.crash(under_way, chance),
            Medium::Production(log) => log.crash(merged(under_way), chance),
        };
        Wreck { lost: wreck.lost + waiting, ..wreck }
    }

    /// A new, empty disk for a member of this id.
    pub(super) fn wipe(&mut self, id: RaftId) -> Result<(), String> {
        *self = Self::new(matches!(self.medium, Medium::Production(_)), id, None)?;
        Ok(())
    }

    pub(super) fn recover(&mut self) -> Result<Recovered, String> {
        match &mut self.medium {
            Medium::Model(model) => {
                let Contents { hard_state, snapshot, entries } = model.stable.clone();
                Ok(Recovered { hard_state, snapshot, entries })
            }
            Medium::Production(log) => log.recover(),
        }
    }

    /// How many entries are kept, where that is known without reading them.
    pub(super) fn kept_entries(&self) -> Option<usize> {
        match &self.medium {
            Medium::Model(model) => Some(model.stable.entries.len()),
            Medium::Production(_) => None,
        }
    }
}

fn merged(batches: VecDeque<Batch>) -> Option<Batch> {
    batches.into_iter().reduce(|mut all, next| {
        all.merge(next);
        all
    })
}
