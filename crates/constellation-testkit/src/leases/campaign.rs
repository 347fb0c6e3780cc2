//! Many seeds on all cores.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use constellation_consensus::Mutation;

use super::{
    checks::Violation,
    coverage::Coverage,
    report::{Report, Succession},
    scenario::Scenario,
    world::run,
};

/// Which seeds to play.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// The rule that is broken, if one is.
    pub mutation: Option<Mutation>,
    /// Whether to stop at the first failure.
    pub stop_early: bool,
    /// How many threads.
    pub threads: usize,
}

/// A seed that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The promise that it breaks.
    pub violation: Violation,
    /// When.
    pub at: Duration,
}

/// What a campaign came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Runs that were played.
    pub runs: u64,
    /// Steps that nodes took in them.
    pub steps: u64,
    /// The longest that a cluster took to settle after it was mended, and which seed that was.
    pub slowest: (Duration, u64),
    /// What happened in them.
    pub coverage: Coverage,
    /// How Raft's leaders followed one another.
    pub successions: Vec<Succession>,
    /// The seeds that failed, in their order.
    pub failures: Vec<Failure>,
}

/// Plays the seeds, and tells of each run that it played.
pub fn campaign(campaign: Campaign, progress: &(dyn Fn(u64, &Report) + Sync)) -> Tally {
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let tally = Mutex::new(Tally::default());
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= campaign.seeds {
                return;
            }
            let seed = campaign.from.wrapping_add(place);
            let report = run(&Scenario::drawn(seed), campaign.mutation);
            progress(seed, &report);
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.runs += 1;
            tally.steps += report.steps;
            tally.slowest = tally.slowest.max((report.settled_after.unwrap_or_default(), seed));
            tally.coverage.add_run(&report.coverage);
            tally.successions.extend(report.successions);
            if let Some(violation) = report.violation {
                tally.failures.push(Failure { seed, violation, at: report.at });
                if campaign.stop_early {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..campaign.threads.max(1) {
            scope.spawn(work);
        }
    });
    let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.failures.sort_by_key(|failure| failure.seed);
    tally
}
