//! `cargo xtask sim`: the leases attacked in simulation, from seeds.
//!
//! The testkit's program `sim` does it and has the options; here it is built so that it is fast, and run. It links what
//! it attacks, and xtask links no crate of the workspace.

use std::{ffi::OsString, process::Command, time::Duration};

use anyhow::Result;

use crate::{
    child,
    workspace::{Workspace, cargo},
};

/// The profile of the root manifest that is made for it.
const PROFILE: &str = "sim";

/// A cold build on two busy cores.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);

/// Someone may want to play a million seeds over a weekend.
const RUN_LIMIT: Duration = Duration::from_secs(3 * 24 * 3600);

/// What every change is checked with: about half a minute on two cores.
const CHECKED: [&[&str]; 2] = [&["--seeds", "1000"], &["--mutations"]];

/// What the simulation is told.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// As the simulation has them; `cargo xtask sim --help` prints them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    arguments: Vec<OsString>,
}

/// Builds the simulation and plays what is asked for.
///
/// # Errors
/// When it does not build, a promise was broken, or a broken rule was not noticed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::read()?;
    build(&workspace)?;
    play(&workspace, &options.arguments)
}

/// What CI plays: some seeds, and every broken rule.
///
/// # Errors
/// As [`run`].
pub(crate) fn check() -> Result<()> {
    let workspace = Workspace::read()?;
    build(&workspace)?;
    for arguments in CHECKED {
        let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        play(&workspace, &arguments)?;
    }
    Ok(())
}

fn build(workspace: &Workspace) -> Result<()> {
    let mut command = cargo(&workspace.root);
    command.args(["build", "--quiet", "--profile", PROFILE]);
    command.args(["--package", "constellation-testkit", "--bin", "sim"]);
    child::run("building the simulation", &mut command, BUILD_LIMIT)
}

fn play(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    let mut command = Command::new(workspace.target(PROFILE).join("sim"));
    command.current_dir(&workspace.root).args(arguments);
    child::run("the simulation", &mut command, RUN_LIMIT)
}
