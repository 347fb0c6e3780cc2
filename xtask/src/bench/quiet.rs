//! Whether this machine does other work, which would be part of every figure.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{clock, procfs};

/// Others may use this much of a core while we call it quiet.
const CORES_QUIET: f64 = 0.2;
/// For so long.
const LOOK: Duration = Duration::from_secs(3);

/// CPU time of other processes, from one moment on.
pub(super) struct Others {
    since: Instant,
    ticks: BTreeMap<i32, u64>,
}

impl Others {
    /// Begins to count.
    pub(super) fn count() -> Self {
        Self { since: clock::now(), ticks: others() }
    }

    /// The cores that others used since then, on average.
    pub(super) fn cores(&self) -> f64 {
        // Sums, because what a process has used goes to its parent when it ends.
        let ticks = others().values().sum::<u64>().saturating_sub(self.ticks.values().sum());
        let per_second = rustix::param::clock_ticks_per_second();
        let seconds = (clock::now() - self.since).as_secs_f64() * to_f64(per_second);
        if seconds > 0.0 { to_f64(ticks) / seconds } else { 0.0 }
    }
}

/// Waits until others do little, for `limit` at most, and returns the cores that they use.
///
/// # Errors
/// When a person interrupts.
pub(super) fn wait(limit: Duration) -> Result<f64> {
    let end = clock::now() + limit;
    loop {
        let others = Others::count();
        clock::pass(LOOK)?;
        let cores = others.cores();
        if cores < CORES_QUIET {
            return Ok(cores);
        }
        if clock::now() >= end {
            say!("  NOT QUIET: others use {cores:.2} cores");
            return Ok(cores);
        }
    }
}

/// A count that is far from where a float loses whole numbers.
pub(super) fn to_f64(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Ticks of every process that neither is this one nor descends from it, with those of its children that have ended.
fn others() -> BTreeMap<i32, u64> {
    let all: BTreeMap<i32, (i32, u64)> = procfs::pids()
        .into_iter()
        .filter_map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid.as_raw_nonzero().get(), parent_and_ticks(&stat)?))
        })
        .collect();
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    all.iter()
        .filter(|(pid, _)| !descends(**pid, own, &all))
        .map(|(pid, (_, ticks))| (*pid, *ticks))
        .collect()
}

fn descends(mut pid: i32, own: i32, all: &BTreeMap<i32, (i32, u64)>) -> bool {
    // Bounded, for the processes change while they are read.
    for _ in 0..64 {
        if pid == own {
            return true;
        }
        match all.get(&pid) {
            Some((parent, _)) => pid = *parent,
            None => return false,
        }
    }
    false
}

fn parent_and_ticks(stat: &str) -> Option<(i32, u64)> {
    // Behind the name: state, parent, ... and as the twelfth to fifteenth the times of itself and of its dead children.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some((fields.get(1)?.parse().ok()?, ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parent_and_times_stand_behind_any_name() {
        let stat = "7 (a) b) S 3 7 7 0 -1 4194304 1 2 3 4 10 20 30 40 20 0 1 0";
        assert_eq!(parent_and_ticks(stat), Some((3, 100)));
        assert_eq!(parent_and_ticks("7 (a) S 3"), None);
    }

    #[test]
    fn a_grandchild_is_ours_and_a_stranger_is_not() {
        let all = BTreeMap::from([(1, (0, 0)), (5, (1, 0)), (6, (5, 0)), (7, (6, 0)), (9, (1, 0))]);
        assert!(descends(7, 5, &all) && descends(5, 5, &all));
        assert!(!descends(9, 5, &all));
    }

    #[test]
    fn a_cycle_of_parents_ends() {
        let all = BTreeMap::from([(2, (3, 0)), (3, (2, 0))]);
        assert!(!descends(2, 5, &all));
    }
}
