//! `cargo xtask bench`: figures of a release build on this machine, beside what we want and what others reach.
//!
//! It only prints. A figure of a shared machine must not fail anybody's change; a person compares.

mod cluster;
mod failover;
mod ingress;
mod leases;
mod quiet;
mod stats;

use std::{path::Path, time::Duration};

use anyhow::Result;
use clap::ValueEnum;

use self::stats::Figure;
use crate::{
    child,
    tools::traefik,
    workspace::{Workspace, cargo},
};

/// A cold release build and the longest of the benches.
const EXAMPLE_LIMIT: Duration = Duration::from_secs(3600);

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bench {
    /// Spread of a change and detection of a death, with nodes in one process
    Gossip,
    /// Rendering 1,000 services on five nodes
    Render,
    /// How long a real Traefik takes to apply 5,000 routers, and one change of them
    Traefik,
    /// Five agents as processes: what their documents and a Traefik do when services and agents die
    Cluster,
    /// Our proxy and our gateway beside nginx, haproxy and Traefik
    Ingress,
    /// A backend killed and a host gone silent under load, through a Traefik with our document and through our proxy
    Failover,
    /// Three agents as processes: how leases change hands, and commits, with etcd measured beside
    Leases,
}

/// What to measure, and how to say it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Which one; all of them unless said
    #[arg(value_enum)]
    bench: Option<Bench>,
    /// One line of JSON per figure instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    leases: leases::Options,
}

/// Measures and prints.
///
/// # Errors
/// When something does not build or does not come up.
pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::read()?;
    for bench in Bench::value_variants() {
        if options.bench.is_some_and(|wanted| wanted != *bench) {
            continue;
        }
        match bench {
            Bench::Gossip => example(&workspace, "constellation-gossip", "gossip_bench", &[])?,
            Bench::Render => example(&workspace, "constellation-traefik", "render_bench", &[])?,
            Bench::Traefik => {
                let binary = traefik::prepare(&workspace)?;
                let environment = [("CONSTELLATION_TRAEFIK", binary.as_path())];
                example(&workspace, "constellation-traefik", "traefik_bench", &environment)?;
            }
            Bench::Cluster => print(&cluster::run(&workspace)?, options.json),
            Bench::Ingress => ingress::run(&workspace, options.json)?,
            Bench::Failover => failover::run(&workspace, options.json)?,
            Bench::Leases => leases::run(&workspace, &options.leases, options.json)?,
        }
    }
    Ok(())
}

fn example(workspace: &Workspace, package: &str, example: &str, environment: &[(&str, &Path)]) -> Result<()> {
    say!("\n=== {package}: {example} ===");
    let mut command = cargo(&workspace.root);
    command.args(["run", "--quiet", "--release", "--package", package, "--example", example]);
    command.envs(environment.iter().copied());
    child::run(&format!("the bench {example}"), &mut command, EXAMPLE_LIMIT)
}

fn print(figures: &[Figure], json: bool) {
    if json {
        figures.iter().for_each(|figure| say!("{}", figure.json()));
    } else {
        say!("\n{}", stats::table(figures).render());
        say!(
            "serf 0.9.4, LAN profile, five nodes in namespaces, measured separately (`serf_peer.py`): kill -9 of a \
             node seen by all others after 5.9 s; a tag change seen by another node after p50 104 ms, p99 311 ms; \
             14.7 MiB and 0.21 % of a core per idle agent."
        );
    }
}
