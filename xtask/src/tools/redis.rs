//! A real Redis, from Debian.

use anyhow::Result;

use super::{apt, find_program};

/// Installs it where it is missing.
///
/// # Errors
/// When it is missing and cannot be installed.
pub(crate) fn prepare() -> Result<()> {
    if find_program("redis-server").is_some() {
        return Ok(());
    }
    apt::install(&["redis-server"], "the suite of routes by role")
}
