//! `cargo xtask bench ingress`: our proxy and our gateway beside nginx, haproxy and Traefik, in one run.
//!
//! One backend, one load generator, the same connections, one program after the other in rounds. Everything shares the cores of this
//! machine, so the ratios tell more than the figures. Speed is printed beside what is wanted; only a failed request fails the run.

mod failover;
mod idle;
mod programs;
mod wrk;

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use self::{
    programs::{Program, Stage},
    wrk::{Load, Run},
};
use super::{quiet, stats::percentile};
use crate::{table::Table, workspace::Workspace};

/// Rounds: each program once in each, so that what the machine does meanwhile meets all of them.
const ROUNDS: usize = 5;
const QUIET_LIMIT: Duration = Duration::from_secs(60);

/// Measures and prints.
///
/// # Errors
/// When a program does not build or start, or when our proxy fails a request that it must not.
pub(super) fn run(workspace: &Workspace, json: bool) -> Result<()> {
    let stage = Stage::prepare(workspace)?;
    let others = quiet::wait(QUIET_LIMIT)?;
    say!("others use {others:.2} cores");
    let small = measure(&stage, &Program::HTTP, Load::Small)?;
    tell(&small, "HTTP/1.1, 64 kept connections, small answers", json);
    judge(
        "requests/s beside the faster of nginx and haproxy",
        best_ratio(&small, Program::Proxy, &[Program::Nginx, Program::Haproxy]),
        0.9,
    );
    judge("requests/s beside Traefik", best_ratio(&small, Program::Proxy, &[Program::Traefik]), 4.0);
    let large = measure(&stage, &Program::L4, Load::Large)?;
    tell(&large, "TCP, answers of 1 MiB", json);
    judge("throughput beside haproxy", best_ratio(&large, Program::Gateway, &[Program::HaproxyTcp]), 0.95);
    let fresh = measure(&stage, &Program::L4, Load::Fresh)?;
    tell(&fresh, "TCP, a new connection for each request", json);
    judge("connections/s beside haproxy", best_ratio(&fresh, Program::Gateway, &[Program::HaproxyTcp]), 0.95);
    idle::run(&stage)?;
    failover::run(&stage)
}

/// What one program did.
struct Measured {
    program: Program,
    runs: Vec<Run>,
}

impl Measured {
    fn median(&self, of: fn(&Run) -> f64) -> f64 {
        percentile(&self.runs.iter().map(of).collect::<Vec<_>>(), 50).unwrap_or(0.0)
    }
}

fn measure(stage: &Stage, programs: &[Program], load: Load) -> Result<Vec<Measured>> {
    let mut measured: Vec<Measured> =
        programs.iter().map(|program| Measured { program: *program, runs: Vec::new() }).collect();
    for round in 1..=ROUNDS {
        say!("  round {round} of {ROUNDS}: {load:?}");
        for of in &mut measured {
            of.runs.push(stage.run(of.program, load)?);
        }
    }
    Ok(measured)
}

fn tell(measured: &[Measured], title: &str, json: bool) {
    if json {
        for of in measured {
            say!(
                "{}",
                json!({
                    "bench": title, "program": of.program.name(), "rounds": of.runs.len(),
                    "per_second": of.median(|run| run.per_second), "p50_ms": of.median(|run| run.p50_ms),
                    "p99_ms": of.median(|run| run.p99_ms), "cpu_us": of.median(|run| run.cpu_us),
                    "rss_mib": of.median(|run| run.rss_mib), "mib_per_second": of.median(|run| run.mib_per_second),
                })
            );
        }
        return;
    }
    let direct = measured.first().map_or(0.0, |of| of.median(|run| run.per_second));
    let mut table = Table::new(&[
        "program",
        ">requests/s",
        ">of direct",
        ">p50 ms",
        ">p99 ms",
        ">MiB/s",
        ">CPU us/request",
        ">RSS MiB",
    ]);
    for of in measured {
        let number = |of: f64, digits: usize| format!("{of:.digits$}");
        let per_second = of.median(|run| run.per_second);
        table.row([
            of.program.name().to_owned(),
            number(per_second, 0),
            number(if direct > 0.0 { per_second / direct } else { 0.0 }, 3),
            number(of.median(|run| run.p50_ms), 2),
            number(of.median(|run| run.p99_ms), 2),
            number(of.median(|run| run.mib_per_second), 0),
            number(of.median(|run| run.cpu_us), 1),
            number(of.median(|run| run.rss_mib), 0),
        ]);
    }
    say!("\n{title}; medians of {ROUNDS} rounds\n{}", table.render());
}

/// Ours beside the best of the others, round by round, because a machine that is busy is so for both; the median of the rounds.
fn best_ratio(measured: &[Measured], ours: Program, others: &[Program]) -> f64 {
    let runs =
        |program: Program| measured.iter().find(|of| of.program == program).map(|of| of.runs.as_slice());
    let own = runs(ours).unwrap_or_default();
    let ratios: Vec<f64> = own
        .iter()
        .enumerate()
        .map(|(round, run)| {
            let best = others
                .iter()
                .filter_map(|other| runs(*other)?.get(round))
                .map(|run| run.per_second)
                .fold(0.0, f64::max);
            if best > 0.0 { run.per_second / best } else { 0.0 }
        })
        .collect();
    percentile(&ratios, 50).unwrap_or(0.0)
}

fn judge(what: &str, ratio: f64, wanted: f64) {
    let verdict = if ratio >= wanted { "reached" } else { "MISSED" };
    say!("{what}: {ratio:.2}, wanted {wanted:.2}: {verdict}");
}
