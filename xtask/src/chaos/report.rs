//! What a scenario came to, as one row.

use std::time::Duration;

use super::{round::Measured, scenario::Scenario};
use crate::{clock::millis, leases::Violation, table::Table};

/// Violations and late things that are shown one by one.
const SHOWN: usize = 8;

/// One scenario that was played.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) scenario: Scenario,
    pub(super) seed: u64,
    pub(super) measured: Measured,
    /// How often a lease went from one process to another.
    pub(super) handovers: usize,
    /// The longest time during which a lease had no holder.
    pub(super) longest_gap: Duration,
    pub(super) sightings: u64,
    pub(super) commits: usize,
    pub(super) violations: Vec<Violation>,
    /// Why it could not be played to its end.
    pub(super) broken: Option<String>,
}

impl Outcome {
    /// Whether every promise was kept, and in time.
    pub(super) fn is_good(&self) -> bool {
        self.violations.is_empty()
            && self.measured.late.is_empty()
            && self.broken.is_none()
            && self.unseen().is_none()
    }

    /// What never happened although the scenario is about it: nothing that was not tried was kept.
    fn unseen(&self) -> Option<String> {
        let counts = [
            (self.measured.blows as u64, "fault was caused"),
            (self.sightings, "look at a lease succeeded"),
            (self.commits as u64, "commit went through"),
        ];
        let missing: Vec<&str> =
            counts.into_iter().filter(|(count, _)| *count == 0).map(|(_, what)| what).collect();
        (!missing.is_empty())
            .then(|| format!("not one {}: this proves nothing", missing.join(", and not one ")))
    }

    /// What is wrong, one line each.
    pub(super) fn complaints(&self) -> Vec<String> {
        let violations = self.violations.iter().map(|violation| format!("VIOLATION: {violation}"));
        let late = self.measured.late.iter().map(|late| format!("too late: {late}"));
        let broken = self.broken.iter().map(|why| format!("could not go on: {why}"));
        // Where it broke off, that is why.
        let unseen = self.unseen().filter(|_| self.broken.is_none());
        let all: Vec<String> = violations.chain(late).chain(broken).chain(unseen).collect();
        let more = all.len().saturating_sub(SHOWN);
        let mut shown: Vec<String> = all.into_iter().take(SHOWN).collect();
        if more > 0 {
            shown.push(format!("and {more} more"));
        }
        shown
    }

    /// How to play it again.
    pub(super) fn replay(&self, nodes: u8, flags: &str) -> String {
        format!(
            "cargo xtask chaos --scenario {} --nodes {nodes}{flags} --seed {}",
            self.scenario.name(),
            self.seed
        )
    }
}

/// All of them, one a row.
pub(super) fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new(&[
        "scenario",
        ">faults",
        ">hand-overs",
        ">p50 ms",
        ">max ms",
        ">no holder, max ms",
        ">peace, max ms",
        ">looks",
        ">commits",
        ">violations",
        "verdict",
    ]);
    for outcome in outcomes {
        let mut times = outcome.measured.handovers.clone();
        times.sort_unstable();
        let time =
            |time: Option<&Duration>| time.map_or("-".to_owned(), |time| format!("{:.0}", millis(*time)));
        table.row([
            outcome.scenario.name(),
            outcome.measured.blows.to_string(),
            outcome.handovers.to_string(),
            time(times.get(times.len().saturating_sub(1) / 2)),
            time(times.last()),
            time(Some(&outcome.longest_gap)),
            time(Some(&outcome.measured.peace)),
            outcome.sightings.to_string(),
            outcome.commits.to_string(),
            outcome.violations.len().to_string(),
            if outcome.is_good() { "ok".to_owned() } else { format!("FAILED, seed {}", outcome.seed) },
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        Outcome {
            scenario: Scenario::KillWorker,
            seed: 7,
            measured: Measured {
                blows: 2,
                handovers: vec![Duration::from_millis(90)],
                ..Measured::default()
            },
            handovers: 2,
            longest_gap: Duration::from_millis(80),
            sightings: 1000,
            commits: 10,
            violations: Vec::new(),
            broken: None,
        }
    }

    #[test]
    fn a_violation_or_a_late_thing_or_a_broken_run_is_a_failure() {
        assert!(outcome().is_good());
        let violated = Outcome { violations: vec![Violation::PlaceTakenTwice { index: 3 }], ..outcome() };
        let late = Measured { late: vec!["no peace".to_owned()], ..Measured::default() };
        let broken = Outcome { broken: Some("no".to_owned()), ..outcome() };
        for bad in [violated, Outcome { measured: late, ..outcome() }, broken] {
            assert!(!bad.is_good() && !bad.complaints().is_empty());
            assert!(table(&[bad]).render().contains("FAILED, seed 7"));
        }
    }

    #[test]
    fn a_scenario_in_which_nothing_happened_proves_nothing() {
        let nothing = Outcome { sightings: 0, commits: 0, measured: Measured::default(), ..outcome() };
        assert!(!nothing.is_good());
        let said = nothing.complaints().join("; ");
        for words in ["fault", "look", "commit"] {
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn the_replay_is_a_whole_command() {
        let replay = "cargo xtask chaos --scenario kill-worker --nodes 5 --loopback --seed 7";
        assert_eq!(outcome().replay(5, " --loopback"), replay);
    }
}
