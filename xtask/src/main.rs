//! `cargo xtask`: the one front door of this workspace, for people and for CI alike.
//!
//! It checks what no compiler checks (`tidy`), runs every test that this machine can run (`test`), attacks the leases in
//! simulation (`sim`) and as processes (`chaos`), shows a whole cluster (`demo`), measures it (`bench`), and does that in
//! CI's order (`ci`). It links none of the workspace's crates: it builds within seconds, and it drives the programs as
//! their users do.

#[macro_use]
mod say;

mod bench;
mod chaos;
mod child;
mod ci;
mod clock;
mod cloudflare_sim;
mod cluster;
mod demo;
mod http;
mod interrupt;
mod leases;
mod mounts;
mod network;
mod procfs;
mod sim;
mod suites;
mod table;
mod tidy;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check floors, file lengths, documents and forbidden words
    Tidy,
    /// Run every test that this machine can run, and say what was left out
    Test {
        /// Only what needs no Docker, no Traefik and no patience
        #[arg(long)]
        unit_only: bool,
        /// Only this package; may be given several times
        #[arg(long = "package", short, value_name = "NAME")]
        packages: Vec<String>,
        /// Only tests whose name contains this
        filter: Option<String>,
    },
    /// Three agents with a Traefik each on 127.0.0.11-13, to look at and to break
    Demo(demo::Options),
    /// Break real agents and check that the leases keep their promise
    Chaos(chaos::Options),
    /// Measure a release build; prints, and never judges
    Bench(bench::Options),
    /// Attack the leases in simulation, from seeds
    #[command(disable_help_flag = true)]
    Sim(sim::Options),
    /// Cloudflare's API for DNS on this machine, in memory, to try an agent against
    #[command(disable_help_flag = true)]
    CloudflareSim(cloudflare_sim::Options),
    /// What CI runs: fmt, tidy, clippy, doc, test, sim, chaos, demo --script
    Ci,
}

impl Command {
    /// Fetches what everything that builds the agent needs, before anything is built.
    fn prepare(&self) -> anyhow::Result<()> {
        match self {
            Self::Tidy | Self::Sim(_) | Self::CloudflareSim(_) => Ok(()),
            Self::Test { .. } | Self::Demo(_) | Self::Chaos(_) | Self::Bench(_) | Self::Ci => {
                tools::make::prepare()
            }
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let prepared = interrupt::listen().and_then(|()| cli.command.prepare());
    let done = prepared.and_then(|()| match cli.command {
        Command::Tidy => tidy::run(),
        Command::Test { unit_only, packages, filter } => {
            suites::run(&suites::Options { unit_only, filter, packages })
        }
        Command::Demo(options) => demo::run(&options),
        Command::Chaos(options) => chaos::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Sim(options) => sim::run(&options),
        Command::CloudflareSim(options) => cloudflare_sim::run(&options),
        Command::Ci => ci::run(),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
