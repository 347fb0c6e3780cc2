//! Any sequence of batches, crashes and reopenings, against a model of a few lines.

use proptest::prelude::*;

use super::*;
use crate::storage::DiskFault;

/// What happens next. Numbers are turned into what fits the log's present state.
#[derive(Clone, Debug)]
enum Step {
    Append {
        count: u8,
        back: u8,
        sync: bool,
        commit: u8,
    },
    Vote {
        sync: bool,
    },
    Checkpoint {
        at: u8,
        keep: u8,
    },
    Install {
        ahead: u8,
        more: u8,
    },
    Reopen,
    Crash {
        seed: u64,
    },
    /// A crash in the middle of the next batch.
    CutShort {
        operations: u8,
        seed: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1u8..6, 0u8..4, any::<bool>(), any::<u8>())
            .prop_map(|(count, back, sync, commit)| Step::Append { count, back, sync, commit }),
        2 => any::<bool>().prop_map(|sync| Step::Vote { sync }),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(at, keep)| Step::Checkpoint { at, keep }),
        1 => (0u8..9, 0u8..3).prop_map(|(ahead, more)| Step::Install { ahead, more }),
        1 => Just(Step::Reopen),
        2 => any::<u64>().prop_map(|seed| Step::Crash { seed }),
        2 => (any::<u8>(), any::<u64>()).prop_map(|(operations, seed)| Step::CutShort { operations: operations % 24, seed }),
    ]
}

/// What a log should hold after a batch.
fn apply(state: &Recovered, batch: &Batch) -> Recovered {
    let mut next = state.clone();
    if let Some(install) = &batch.install {
        next.snapshot = install.clone();
        next.entries.clear();
    }
    if let Some(first) = batch.entries.first() {
        next.entries.retain(|entry| entry.index < first.index);
        next.entries.extend(batch.entries.iter().cloned());
    }
    if let Some(state) = batch.hard_state {
        next.hard_state = state;
    }
    if let Some(checkpoint) = &batch.checkpoint {
        next.snapshot = checkpoint.snapshot.clone();
        let keep = checkpoint.keep_from.min(checkpoint.snapshot.index() + 1);
        next.entries.retain(|entry| entry.index >= keep);
    }
    next
}

/// The batch that a step means in a state, if any.
fn batch_of(step: &Step, state: &Recovered) -> Option<Batch> {
    let HardState { term, vote, commit } = state.hard_state;
    let last = state.entries.last().map_or(state.snapshot.index(), |entry| entry.index);
    let pick = |within: std::ops::RangeInclusive<u64>, choice: u8| {
        within.start() + u64::from(choice) % (within.end() - within.start() + 1)
    };
    match *step {
        Step::Append { count, back, sync, commit: choice } => {
            let first =
                (last + 1).saturating_sub(u64::from(back)).max(commit + 1).max(state.snapshot.index() + 1);
            // What takes another's place comes from a later term.
            let newer = first <= last;
            let term = term + u64::from(newer);
            let entries = entries(first..=first + u64::from(count) - 1, term);
            let last = first + u64::from(count) - 1;
            let hard_state = hard_state(term, if newer { 0 } else { vote }, pick(commit..=last, choice));
            Some(Batch { entries, hard_state, sync, ..Batch::default() })
        }
        Step::Vote { sync } => {
            Some(Batch { hard_state: hard_state(term + 1, 7, commit), sync, ..Batch::default() })
        }
        Step::Checkpoint { at, keep } => {
            let at = pick(state.snapshot.index()..=commit, at);
            let entry = state.entries.iter().find(|entry| entry.index == at);
            let term = entry.map_or(state.snapshot.term(), |entry| entry.term);
            let keep_from = pick(1..=at + 3, keep);
            Some(Batch {
                checkpoint: Some(Checkpoint { snapshot: snapshot(at, term), keep_from }),
                // A snapshot is durable whether it is asked for or not.
                sync: keep % 2 == 0,
                ..Batch::default()
            })
        }
        Step::Install { ahead, more } => {
            let (at, term) = (last + u64::from(ahead), term + 1);
            let entries = if more == 0 { Vec::new() } else { entries(at + 1..=at + u64::from(more), term) };
            let hard_state = hard_state(term, 0, at);
            let sync = more % 2 == 0;
            Some(Batch { install: Some(snapshot(at, term)), entries, hard_state, sync, ..Batch::default() })
        }
        Step::Reopen | Step::Crash { .. } | Step::CutShort { .. } => None,
    }
}

/// A log and what it may hold: the last state that is durable, and those after it.
struct World {
    disk: SimulatedDisk,
    log: Option<RedbLog>,
    possible: Vec<Recovered>,
}

impl World {
    fn new() -> Self {
        let disk = SimulatedDisk::new();
        let mut log = create(&disk).unwrap();
        log.write(&birth()).unwrap();
        let possible = vec![apply(&Recovered::default(), &birth())];
        Self { disk, log: Some(log), possible }
    }

    fn now(&self) -> &Recovered {
        self.possible.last().unwrap()
    }

    fn take(&mut self, step: &Step, doomed: bool) -> Result<(), TestCaseError> {
        if let Some(batch) = batch_of(step, self.now()) {
            let next = apply(self.now(), &batch);
            let log = self.log.as_mut().unwrap();
            let written = log.write(&batch);
            self.possible.push(next);
            if let Err(error) = written {
                prop_assert!(doomed, "{}", constellation_core::error_chain(&error));
                return Ok(());
            }
            if batch.sync || batch.checkpoint.is_some() || batch.install.is_some() {
                self.possible.drain(..self.possible.len() - 1);
            }
            let found = self.log.as_mut().unwrap().recover();
            if let Ok(found) = found {
                prop_assert_eq!(&found, self.now());
            }
            return Ok(());
        }
        match step {
            Step::CutShort { operations, .. } => {
                self.disk.fail_after(u64::from(*operations), DiskFault::Gone);
            }
            Step::Crash { seed } => self.crash(*seed)?,
            _ => {
                // A process that ends in order gives redb the chance to write what was not synced.
                self.log = None;
                self.reopen()?;
            }
        }
        Ok(())
    }

    fn crash(&mut self, seed: u64) -> Result<(), TestCaseError> {
        self.disk.crash(chooser(seed));
        self.log = None;
        self.reopen()
    }

    fn reopen(&mut self) -> Result<(), TestCaseError> {
        let mut log = open(&self.disk).map_err(|error| TestCaseError::fail(format!("{error}")))?;
        let found = log.recover().map_err(|error| TestCaseError::fail(format!("{error}")))?;
        prop_assert!(self.possible.contains(&found), "found {:?}, allowed {:?}", found, self.possible);
        self.possible = vec![found];
        self.log = Some(log);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_history_of_batches_and_crashes_is_the_models(steps in prop::collection::vec(step(), 1..24)) {
        let mut world = World::new();
        let mut doomed = None;
        for step in &steps {
            if let Some(seed) = doomed {
                // One batch on a dying disk, then the power goes.
                if batch_of(step, world.now()).is_none() { continue; }
                world.take(step, true)?;
                world.crash(seed)?;
                doomed = None;
                continue;
            }
            if let Step::CutShort { seed, .. } = step { doomed = Some(*seed); }
            world.take(step, false)?;
        }
        world.crash(0)?;
    }
}
