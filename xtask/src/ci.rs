//! `cargo xtask ci`: what must hold for every change, in the order in which it fails soonest.

use std::{
    env,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    chaos, child, clock,
    clock::seconds,
    demo, sim, suites,
    table::Table,
    tidy,
    workspace::{Workspace, cargo},
};

/// One step may take this long on two cores from a cold clone.
const STEP_LIMIT: Duration = Duration::from_secs(2400);

/// Runs every step and stops at the first failure; a table of the steps' times closes either way.
///
/// # Errors
/// When a step fails.
pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::read()?;
    let features = workspace.known_features(suites::plan::FEATURES).join(",");
    let steps: [(&str, &dyn Fn() -> Result<()>); 9] = [
        ("fmt", &|| cargo_step(&workspace, &["fmt", "--all", "--check"])),
        ("tidy", &tidy::run),
        ("clippy", &|| clippy(&workspace, &features)),
        ("doc", &|| cargo_step(&workspace, &["doc", "--workspace", "--no-deps", "--keep-going"])),
        ("test", &|| suites::run(&suites::Options::default())),
        ("sim", &sim::check),
        ("chaos", &|| chaos::run(&chaos::Options::default())),
        ("demo --script", &|| demo::run(&demo::Options { script: true, ..demo::Options::default() })),
        ("demo --script --proxy", &|| {
            demo::run(&demo::Options { script: true, proxy: true, ..demo::Options::default() })
        }),
    ];
    let begun = clock::now();
    let mut table = Table::new(&["step", ">time", "result"]);
    let mut result = Ok(());
    for (name, step) in steps {
        say!("\n##### {name}");
        let start = clock::now();
        result = step().with_context(|| format!("`{name}` failed"));
        let took = seconds(clock::now() - start);
        say!("##### {name}: {took}");
        table.row([name, &took, if result.is_ok() { "ok" } else { "FAILED" }]);
        if result.is_err() {
            break;
        }
    }
    print_summary(&table, begun);
    result
}

fn print_summary(table: &Table, begun: Instant) {
    say!("\n{}in all: {}", table.render(), seconds(clock::now() - begun));
}

fn clippy(workspace: &Workspace, features: &str) -> Result<()> {
    let mut arguments = vec!["clippy", "--workspace", "--all-targets", "--keep-going"];
    if !features.is_empty() {
        arguments.extend(["--features", features]);
    }
    arguments.extend(["--", "-D", "warnings"]);
    cargo_step(workspace, &arguments)
}

fn cargo_step(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let mut command = cargo(&workspace.root);
    command.args(arguments);
    if arguments.first() == Some(&"doc") {
        let flags = env::var("RUSTDOCFLAGS").unwrap_or_default();
        command.env("RUSTDOCFLAGS", format!("{flags} -Dwarnings"));
    }
    child::run(&format!("cargo {}", arguments.join(" ")), &mut command, STEP_LIMIT)
}
