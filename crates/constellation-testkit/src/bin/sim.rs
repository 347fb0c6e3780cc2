//! Plays the lease simulation: `sim --seeds 2000`, `sim --seed 17 --trace`, `sim --mutations`.

use std::{process::ExitCode, thread, time::Duration};

use clap::Parser;
use constellation_consensus::Mutation;
use constellation_testkit::leases::{Campaign, Scenario, campaign, run, run_traced, shrink};

/// Attack the lease promise, by seeds.
#[derive(Debug, Parser)]
struct Args {
    /// How many seeds to play.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Play this one seed, and say what happens.
    #[arg(long)]
    seed: Option<u64>,
    /// With `--seed`: print every step of the story.
    #[arg(long)]
    trace: bool,
    /// With `--seed`: leave out faults that the failure does not need.
    #[arg(long)]
    shrink: bool,
    /// Break each rule in turn, and find the first seed that notices.
    #[arg(long)]
    mutations: bool,
    /// Break this rule.
    #[arg(long, value_parser = mutation)]
    mutation: Option<Mutation>,
    /// How many threads; all cores by default.
    #[arg(long)]
    threads: Option<usize>,
}

fn mutation(name: &str) -> Result<Mutation, String> {
    let known = |mutation: &&Mutation| format!("{mutation:?}").eq_ignore_ascii_case(name);
    let names = || Mutation::ALL.map(|mutation| format!("{mutation:?}")).join(", ");
    Mutation::ALL.iter().find(known).copied().ok_or_else(|| format!("use one of {}", names()))
}

fn main() -> ExitCode {
    let args = Args::parse();
    // Panics inside a run are findings, and are printed as such.
    std::panic::set_hook(Box::new(|_| {}));
    match args.seed {
        Some(seed) => one(&args, seed),
        None if args.mutations => mutations(&args),
        None => many(&args),
    }
}

fn threads(args: &Args) -> usize {
    args.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, Into::into))
}

fn one(args: &Args, seed: u64) -> ExitCode {
    let mut scenario = Scenario::drawn(seed);
    if args.shrink {
        scenario = shrink(&scenario, args.mutation);
    }
    println!("{:?}", scenario.setting);
    let report = if args.trace {
        run_traced(&scenario, args.mutation, &mut |line| println!("{line}"))
    } else {
        run(&scenario, args.mutation)
    };
    println!("faults:");
    for planned in &scenario.faults {
        println!("  {planned}");
    }
    println!("{} steps, {} tenures, digest {:016x}", report.steps, report.tenures, report.digest);
    match report.violation {
        None => {
            println!("held; settled {:?} after mending", report.settled_after.unwrap_or_default());
            ExitCode::SUCCESS
        }
        Some(violation) => {
            println!("broken at {:.4} s: {violation}", report.at.as_secs_f64());
            ExitCode::FAILURE
        }
    }
}

fn many(args: &Args) -> ExitCode {
    let plan = Campaign {
        from: args.from,
        seeds: args.seeds,
        mutation: args.mutation,
        stop_early: false,
        threads: threads(args),
    };
    let tally = campaign(plan, &|seed, report| {
        if let Some(violation) = &report.violation {
            println!("seed {seed}: {violation}");
        }
    });
    println!(
        "{} runs, {} steps, {} tenures; slowest to settle {:?}; {} broken",
        tally.runs,
        tally.steps,
        tally.tenures,
        tally.slowest,
        tally.failures.len()
    );
    let Some(first) = tally.failures.first() else { return ExitCode::SUCCESS };
    println!("seed {}, shrunk:", first.seed);
    let small = shrink(&Scenario::drawn(first.seed), args.mutation);
    for planned in &small.faults {
        println!("  {planned}");
    }
    println!("replay: sim --seed {} --shrink --trace", first.seed);
    ExitCode::FAILURE
}

fn mutations(args: &Args) -> ExitCode {
    let mut escaped = 0;
    println!("| broken rule | first seed | promise that it breaks | at |");
    println!("|---|---|---|---|");
    for mutation in Mutation::ALL {
        let plan = Campaign {
            from: args.from,
            seeds: args.seeds,
            mutation: Some(mutation),
            stop_early: true,
            threads: threads(args),
        };
        let tally = campaign(plan, &|_, _| {});
        if let Some(first) = tally.failures.first() {
            let at = Duration::as_secs_f64(&first.at);
            println!("| {mutation:?} | {} | {} | {at:.1} s |", first.seed, first.violation.name());
        } else {
            escaped += 1;
            println!("| {mutation:?} | none of {} | **not noticed** | |", tally.runs);
        }
    }
    if escaped == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
