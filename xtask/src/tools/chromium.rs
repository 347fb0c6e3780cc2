//! A real browser, from Debian.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, Result};

use super::{apt, find_program};
use crate::child;

/// A cold start from a slow disk.
const VERSION_LIMIT: Duration = Duration::from_secs(60);

/// The path of a Chromium that starts, installed if need be.
///
/// # Errors
/// When there is none and it cannot be installed, or it does not start.
pub(crate) fn prepare() -> Result<PathBuf> {
    let find = || find_program("chromium");
    if find().is_none() {
        apt::install(&["chromium"], "the suite of pages in a browser")?;
    }
    let binary = find().context("chromium is installed, but `chromium` is not in PATH")?;
    let mut version = Command::new(&binary);
    version.arg("--version").stderr(std::process::Stdio::null());
    let version = child::output("chromium --version", &mut version, VERSION_LIMIT)?;
    say!("  {}", version.trim());
    Ok(binary)
}
