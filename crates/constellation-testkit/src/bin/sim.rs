//! Plays the lease simulation: `cargo xtask sim --seeds 2000`, `… --seed 17 --trace`, `… --mutations`.

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use clap::Parser;
use constellation_consensus::Mutation;
use constellation_testkit::leases::{Campaign, Scenario, campaign, run, run_traced, shrink};

/// Attack the lease promise, by seeds.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask sim")]
struct Args {
    /// How many seeds to play.
    #[arg(long, default_value_t = 2000)]
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

/// Tells a person at a terminal how far it is.
struct Progress {
    seeds: u64,
    played: AtomicU64,
    shown: bool,
}

impl Progress {
    fn new(seeds: u64) -> Self {
        Self { seeds, played: AtomicU64::new(0), shown: std::io::stderr().is_terminal() }
    }

    fn count(&self) {
        let played = self.played.fetch_add(1, Ordering::Relaxed) + 1;
        if self.shown && (played.is_multiple_of(25) || played == self.seeds) {
            let _ = write!(std::io::stderr(), "\r{played} of {} seeds ", self.seeds);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            // Back to the beginning of the line, and nothing on it.
            let _ = write!(std::io::stderr(), "\r\x1b[K");
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
    let progress = Progress::new(args.seeds);
    let tally = campaign(plan, &|seed, report| {
        progress.count();
        if let Some(violation) = &report.violation {
            println!("seed {seed}: {violation}");
        }
    });
    drop(progress);
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
    let broken = args.mutation.map(|mutation| format!(" --mutation {mutation:?}")).unwrap_or_default();
    println!("replay: cargo xtask sim --seed {} --shrink --trace{broken}", first.seed);
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
        let progress = Progress::new(args.seeds);
        let tally = campaign(plan, &|_, _| progress.count());
        drop(progress);
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
