//! Our own program, built.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, ensure};

use crate::{
    child,
    workspace::{Workspace, cargo},
};

/// A cold build of the whole tree on a small machine.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);

/// Names an agent to use instead, such as one of another version or from a release.
const OVERRIDE: &str = "CONSTELLATION_AGENT";

/// How to build it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build: for showing and for testing.
    Dev,
    /// Quick to run: for measuring.
    Release,
}

/// Builds `constellation-agent` and says where it is, unless the environment names one.
///
/// # Errors
/// When it does not build.
pub(crate) fn build(workspace: &Workspace, profile: Profile) -> Result<PathBuf> {
    if let Some(chosen) = std::env::var_os(OVERRIDE).map(PathBuf::from) {
        ensure!(super::is_program(&chosen), "{OVERRIDE} names {}, which is no program", chosen.display());
        say!("using {}", chosen.display());
        return Ok(chosen);
    }
    let mut command = cargo(&workspace.root);
    command.args(["build", "--package", "constellation-agent"]);
    let folder = match profile {
        Profile::Dev => "debug",
        Profile::Release => {
            command.arg("--release");
            "release"
        }
    };
    say!("building constellation-agent ({folder})");
    child::run("cargo build --package constellation-agent", &mut command, BUILD_LIMIT)?;
    let binary = workspace.target(folder).join("constellation-agent");
    ensure!(binary.is_file(), "cargo built no {}", binary.display());
    Ok(binary)
}
