//! The smallest schedule that still fails.

use constellation_consensus::Mutation;

use super::{scenario::Scenario, world::run};

/// How many runs a shrink may take.
const RUNS_BOUND: usize = 300;

/// Leaves out faults for as long as the run still breaks the same promise: halves first, then one by one.
pub fn shrink(scenario: &Scenario, mutation: Option<Mutation>) -> Scenario {
    let Some(wanted) = run(scenario, mutation).violation.map(|violation| violation.name()) else {
        return scenario.clone();
    };
    let mut best = scenario.clone();
    let mut size = best.faults.len().div_ceil(2).max(1);
    let mut runs = 0;
    loop {
        let mut place = 0;
        while place < best.faults.len() && runs < RUNS_BOUND {
            runs += 1;
            let mut fewer = best.clone();
            let end = (place + size).min(fewer.faults.len());
            fewer.faults.drain(place..end);
            let report = run(&fewer, mutation);
            if report.violation.is_some_and(|violation| violation.name() == wanted) {
                best = fewer;
            } else {
                place += size;
            }
        }
        if size == 1 || runs >= RUNS_BOUND {
            return best;
        }
        size = size.div_ceil(2);
    }
}
