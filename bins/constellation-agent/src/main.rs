//! `constellation-agent`: one per machine. `run` is the daemon; the other commands ask the one that runs.

use std::process::ExitCode;

use clap::Parser;
use constellation_agent::{Cli, commands};

/// After a burst of connections it gives back what they needed; glibc's keeps most of it (docs/proxy.md, "How fast").
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match commands::execute(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
