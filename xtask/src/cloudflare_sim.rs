//! `cargo xtask cloudflare-sim`: Cloudflare's API v4 for DNS on this machine, to try an agent against by hand.

use std::{ffi::OsString, path::PathBuf, process::Command, time::Duration};

use anyhow::Result;

use crate::{
    child,
    workspace::{Workspace, cargo},
};

/// A cold build on two busy cores.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);
/// It runs until somebody ends it.
const RUN_LIMIT: Duration = Duration::from_secs(3 * 24 * 3600);

/// What the simulator is told.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// As the simulator has them; `cargo xtask cloudflare-sim --help` prints them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    arguments: Vec<OsString>,
}

/// Builds it and runs it.
///
/// # Errors
/// When it does not build or start.
pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::read()?;
    let mut command = Command::new(build(&workspace)?);
    command.args(&options.arguments);
    child::run("the simulator of Cloudflare", &mut command, RUN_LIMIT)
}

/// Builds it, and says where it is.
///
/// # Errors
/// When it does not build.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = cargo(&workspace.root);
    command.args(["build", "--quiet", "--package", "constellation-testkit", "--bin", "cloudflare-sim"]);
    child::run("building the simulator of Cloudflare", &mut command, BUILD_LIMIT)?;
    Ok(workspace.target("debug").join("cloudflare-sim"))
}
