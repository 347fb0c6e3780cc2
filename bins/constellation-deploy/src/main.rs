//! `constellation-deploy`: the catalogue, and the tool on it.

use std::process::ExitCode;

fn main() -> ExitCode {
    constellation_services::cli(constellation_deploy::catalogue::stacks)
}
