//! Many seeds, and what came of them.

use std::process::ExitCode;

use constellation_testkit::leases::{Campaign, Failure, Hit, Scenario, Succession, Tally, campaign, shrink};

use crate::{Args, progress::Progress, table::Table};

/// How many seeds a campaign plays unless said.
const SEEDS: u64 = 2000;

/// A campaign of so many seeds must have everything in it that is meant to happen.
const SEEDS_THAT_COVER: u64 = 300;

/// How many failures are told one by one.
const TOLD_BOUND: usize = 10;

pub(crate) fn play(args: &Args) -> ExitCode {
    let plan = Campaign {
        from: args.from,
        seeds: args.seeds.unwrap_or(SEEDS),
        mutation: args.mutation,
        stop_early: false,
        threads: args.threads(),
    };
    let progress = Progress::new("leases", plan.seeds);
    let tally = campaign(plan, &|_, _| progress.count());
    drop(progress);
    println!("{}", coverage(&tally));
    println!("{}", successions(&tally.successions));
    let (slowest, seed) = tally.slowest;
    println!(
        "{} seeds, {} steps; slowest to settle {:.1} s (seed {seed}); {} broken",
        tally.runs,
        tally.steps,
        slowest.as_secs_f64(),
        tally.failures.len()
    );
    let holes = if tally.runs < SEEDS_THAT_COVER { Vec::new() } else { tally.coverage.holes() };
    for hole in &holes {
        println!("never happened: {}", hole.label());
    }
    for failure in tally.failures.iter().take(TOLD_BOUND) {
        println!("seed {}: {}", failure.seed, failure.violation);
    }
    if let Some(first) = tally.failures.first() {
        tell(args, first);
    }
    if tally.failures.is_empty() && holes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The shortest story of a failure, and how to see it again.
fn tell(args: &Args, failure: &Failure) {
    println!("seed {}, shrunk:", failure.seed);
    for planned in &shrink(&Scenario::drawn(failure.seed), args.mutation).faults {
        println!("  {planned}");
    }
    let broken = args.mutation.map(|mutation| format!(" --mutation {mutation:?}")).unwrap_or_default();
    println!("replay: cargo xtask sim --seed {} --shrink --trace{broken}", failure.seed);
}

fn coverage(tally: &Tally) -> String {
    let mut table = Table::new(&["what happened", ">times", ">in runs"]);
    for hit in Hit::ALL {
        let share = tally.coverage.runs(hit) as f64 * 100.0 / tally.runs.max(1) as f64;
        table.row(&[hit.label().to_owned(), tally.coverage.count(hit).to_string(), format!("{share:.1} %")]);
    }
    table.render()
}

/// How long Raft was without a leader, where that could be told.
fn successions(all: &[Succession]) -> String {
    let line = |told: bool| {
        let mut ticks: Vec<u64> = all.iter().filter(|one| one.told == told).map(|one| one.ticks).collect();
        ticks.sort_unstable();
        let at = |percent: usize| ticks.get((ticks.len() * percent / 100).min(ticks.len().saturating_sub(1)));
        let figure = |percent| at(percent).map_or_else(|| "-".to_owned(), u64::to_string);
        let what = if told { "told" } else { "not told" };
        format!("{what}: p50 {} p90 {} p99 {} (of {})", figure(50), figure(90), figure(99), ticks.len())
    };
    format!("ticks from a leader's death to the next leader; {}; {}", line(true), line(false))
}
