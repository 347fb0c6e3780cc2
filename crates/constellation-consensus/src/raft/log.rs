//! The seam to the disk: what a durable log must promise.

use std::path::PathBuf;

use super::proto::{Entry, HardState, Snapshot};

/// What one round of Raft wants kept. All of it or nothing of it survives a crash.
///
/// In this order, where several are present: `install`, `entries`, `hard_state`, `checkpoint`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// What to answer with once it is kept ([`super::Input::Persisted`]). Rises from batch to batch.
    pub number: u64,
    /// A snapshot from the leader: it takes the place of everything that the log held.
    pub install: Option<Snapshot>,
    /// Entries without a gap. Whatever the log held at the first one's index and after it is gone.
    pub entries: Vec<Entry>,
    /// The term and vote from now on.
    pub hard_state: Option<HardState>,
    /// The state machine of this node at a place that it has applied, so that older entries may go.
    pub checkpoint: Option<Checkpoint>,
    /// Whether it must have reached the platter before it is answered. Where it need not (a new commit index alone),
    /// it may be lost, but never survive while an earlier batch is lost.
    pub sync: bool,
}

impl Batch {
    /// Makes one batch of this and the one after it: what waits for a busy disk then costs one write.
    pub fn merge(&mut self, next: Self) {
        let Self { number, install, entries, hard_state, checkpoint, sync } = next;
        self.number = number;
        self.sync |= sync;
        self.hard_state = hard_state.or(self.hard_state);
        if install.is_some() {
            // It takes the place of everything before it.
            self.install = install;
            self.entries = entries;
            self.checkpoint = checkpoint;
            return;
        }
        if let Some(first) = entries.first() {
            self.entries.retain(|entry| entry.index < first.index);
            self.entries.extend(entries);
        }
        self.checkpoint = checkpoint.or_else(|| self.checkpoint.take());
    }
}

/// A snapshot of this node's own state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The snapshot. Its index lies within the log.
    pub snapshot: Snapshot,
    /// Entries before this index may be dropped; those from it on are kept for members that are a little behind.
    pub keep_from: u64,
}

/// What a log held when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The term, vote and commit index.
    pub hard_state: HardState,
    /// The latest snapshot, installed or own. Empty (index 0) in a log that was never written: such a node joins by
    /// receiving a snapshot, or is founded by [`super::birth`].
    pub snapshot: Snapshot,
    /// Entries without a gap. The first may lie before the snapshot's index, and never more than one after it.
    pub entries: Vec<Entry>,
}

/// A durable log. One owner, on a thread of its own: calls block until the disk has answered.
///
/// After an error the log is poisoned: every later call fails, until the process opened it anew. A node with a poisoned
/// log must neither vote nor acknowledge.
pub trait Log: Send + 'static {
    /// Reads everything, and checks it.
    fn recover(&mut self) -> Result<Recovered, LogError>;

    /// Keeps the batch. `Ok` means that it will be found after a power cut, if `batch.sync`; and that it will be found
    /// after any later batch is, in any case.
    fn write(&mut self, batch: &Batch) -> Result<(), LogError>;
}

/// The durable log could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The operating system refused.
    #[error("could not {deed} `{path}`")]
    Io {
        /// What was tried, such as `write`.
        deed: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The store below refused.
    #[error("could not {deed} the store `{path}`")]
    Store {
        /// What was tried.
        deed: &'static str,
        /// In which file.
        path: PathBuf,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is on the disk is not what was written.
    #[error("`{path}` is damaged at {at}: {what}; {way_out}")]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Where in it: an offset or a key.
        at: String,
        /// What is wrong there.
        what: String,
        /// What a person can do.
        way_out: &'static str,
    },
    /// The directory belongs to somebody else, or to another version.
    #[error("`{path}` is not ours: {what}; {way_out}")]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// What was expected and what was found.
        what: String,
        /// What a person can do.
        way_out: &'static str,
    },
    /// An earlier write failed, so nothing more is promised.
    #[error("the log `{path}` failed before and takes nothing more: restart the agent once the disk is well")]
    Poisoned {
        /// Which log.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::raft::{proto::SnapshotMeta, tests::group::Kept};

    fn snapshot(index: u64) -> Snapshot {
        let meta = Some(SnapshotMeta { index, term: 1, conf_state: None });
        Snapshot { meta, ..Snapshot::default() }
    }

    /// A run of batches such as one member writes: entries follow on or overwrite the end, snapshots lie within or ahead.
    fn batches() -> impl Strategy<Value = Vec<Batch>> {
        let step = (0_u8..10, 0_u64..4, 1_u64..4, any::<bool>());
        proptest::collection::vec(step, 1..30).prop_map(|steps| {
            let (mut first, mut last, mut batches) = (2_u64, 1_u64, Vec::new());
            for (number, (what, back, count, sync)) in (1_u64..).zip(steps) {
                let mut batch = Batch { number, sync, ..Batch::default() };
                match what {
                    0 => {
                        last += 5;
                        first = last + 1;
                        batch.install = Some(snapshot(last));
                    }
                    1 if last >= first => {
                        batch.checkpoint = Some(Checkpoint { snapshot: snapshot(last), keep_from: last });
                        first = last;
                    }
                    2 => batch.hard_state = Some(HardState { term: number, vote: back, commit: last }),
                    _ => {
                        let from = (last + 1).saturating_sub(back).max(first);
                        let entry = |index| Entry { index, term: number, ..Entry::default() };
                        batch.entries = (from..from + count).map(entry).collect();
                        last = from + count - 1;
                    }
                }
                batches.push(batch);
            }
            batches
        })
    }

    proptest! {
        #[test]
        fn merged_batches_leave_what_each_by_itself_would(batches in batches()) {
            let mut one_by_one = Kept::default();
            for batch in &batches {
                one_by_one.write(batch);
            }
            let mut rest = batches.into_iter();
            let mut merged = rest.next().unwrap_or_default();
            for batch in rest {
                merged.merge(batch);
            }
            let mut at_once = Kept::default();
            at_once.write(&merged);
            prop_assert_eq!(at_once.0, one_by_one.0);
        }
    }
}
