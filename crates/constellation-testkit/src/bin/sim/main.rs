//! Plays the lease simulation: `cargo xtask sim --seeds 2000`, `… --seed 17 --trace`, `… --mutations`.

mod many;
mod mutations;
mod one;
mod progress;
mod table;

use std::{process::ExitCode, thread};

use clap::Parser;
use constellation_consensus::Mutation;

/// Attack the lease promise in simulation: every run is a cluster and what befalls it, drawn from its seed.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask sim")]
struct Args {
    /// How many seeds to play; 2000 by default, and 800 for each broken rule
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Play this one seed, and say what happens
    #[arg(long, conflicts_with_all = ["seeds", "from", "mutations"])]
    seed: Option<u64>,
    /// With `--seed`: print every step of the story
    #[arg(long, requires = "seed")]
    trace: bool,
    /// With `--seed`: leave out faults that the failure does not need
    #[arg(long, requires = "seed")]
    shrink: bool,
    /// Break each rule in turn, and find the first seed that notices
    #[arg(long, conflicts_with = "mutation")]
    mutations: bool,
    /// With `--mutations`: put the table into docs/simulation.md
    #[arg(long, requires = "mutations")]
    write: bool,
    /// Break this rule
    #[arg(long, value_parser = mutation)]
    mutation: Option<Mutation>,
    /// How many threads; all cores by default
    #[arg(long)]
    threads: Option<usize>,
}

impl Args {
    fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, Into::into))
    }
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
        Some(seed) => one::play(&args, seed),
        None if args.mutations => mutations::play(&args),
        None => many::play(&args),
    }
}
