//! `constellation-agent`: one per machine. `run` is the daemon; the other commands ask the one that runs.

use std::process::ExitCode;

use clap::Parser;
use constellation_agent::{Cli, commands};

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
