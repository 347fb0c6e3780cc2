//! Installing Debian packages, and only on Debian, and only as root, and saying so.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail};

use super::is_root;
use crate::child;

/// A slow mirror and a few hundred megabytes.
const INSTALL_LIMIT: Duration = Duration::from_secs(600);

/// Installs `packages` for the sake of `purpose`.
///
/// # Errors
/// When this is not Debian, we are not root, or apt fails.
pub(crate) fn install(packages: &[&str], purpose: &str) -> Result<()> {
    let wanted = packages.join(" ");
    if !Path::new("/etc/debian_version").exists() {
        bail!("{purpose} needs {wanted}; this is not Debian, so install them by hand");
    }
    if !is_root() {
        bail!("{purpose} needs {wanted}; run `sudo apt-get install {wanted}`");
    }
    say!("  installing {wanted} by apt-get, for {purpose}");
    if try_install(packages).is_ok() {
        return Ok(());
    }
    // A fresh image has no package lists, and old lists name files that are gone.
    child::run("apt-get update", apt_get().args(["-q", "update"]), INSTALL_LIMIT)?;
    try_install(packages).with_context(|| format!("{purpose} needs {wanted}"))
}

fn try_install(packages: &[&str]) -> Result<()> {
    let mut command = apt_get();
    command.args(["-q", "-y", "--no-install-recommends", "install"]).args(packages);
    child::run("apt-get install", &mut command, INSTALL_LIMIT)
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // Another apt may be at work, such as unattended upgrades: wait for it.
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-o", "DPkg::Lock::Timeout=300"]);
    // A package's service must not start by itself: the suites start what they need, and end it.
    command.env("RUNLEVEL", "1");
    command
}
