//! Every rule broken in turn: the simulation must notice each.

use std::{fs, process::ExitCode};

use constellation_consensus::Mutation;
use constellation_testkit::leases::{Campaign, campaign};

use crate::{Args, progress::Progress};

/// How many seeds each broken rule is given unless said.
const SEEDS: u64 = 800;

/// Where the table stands, between these two lines. The program runs in the workspace's root.
const DOCUMENT: &str = "docs/simulation.md";
const BEGIN: &str = "<!-- mutations: written by `cargo xtask sim --mutations --write` -->\n";
const END: &str = "<!-- mutations: end -->\n";

pub(crate) fn play(args: &Args) -> ExitCode {
    let mut table =
        String::from("| broken rule | what it does wrong | first seed | promise that it breaks | at |\n");
    table.push_str("|---|---|---|---|---|\n");
    print!("{table}");
    let mut escaped = 0;
    for mutation in Mutation::ALL {
        let row = row(args, mutation);
        escaped += u32::from(row.is_none());
        let line = row.unwrap_or_else(|| {
            format!("| `{mutation:?}` | {} | - | **not noticed** | |\n", mutation.explanation())
        });
        print!("{line}");
        table.push_str(&line);
    }
    if escaped > 0 {
        println!("not noticed: {escaped}");
        return ExitCode::FAILURE;
    }
    match args.write.then(|| write(&table)) {
        Some(Err(why)) => {
            println!("{why}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn row(args: &Args, mutation: Mutation) -> Option<String> {
    let seeds = args.seeds.unwrap_or(SEEDS);
    let plan = Campaign {
        from: args.from,
        seeds,
        mutation: Some(mutation),
        stop_early: true,
        threads: args.threads(),
    };
    let progress = Progress::new(format!("{mutation:?}"), seeds);
    let tally = campaign(plan, &|_, _| progress.count());
    let first = tally.failures.first()?;
    let (promise, at) = (first.violation.name(), first.at.as_secs_f64());
    Some(format!(
        "| `{mutation:?}` | {} | {} | {promise} | {at:.1} s |\n",
        mutation.explanation(),
        first.seed
    ))
}

fn write(table: &str) -> Result<(), String> {
    let text = fs::read_to_string(DOCUMENT).map_err(|error| format!("could not read {DOCUMENT}: {error}"))?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else {
        return Err(format!("{DOCUMENT} has not the two lines that the table goes between"));
    };
    fs::write(DOCUMENT, format!("{before}{BEGIN}{table}{END}{after}"))
        .map_err(|error| format!("could not write {DOCUMENT}: {error}"))
}
