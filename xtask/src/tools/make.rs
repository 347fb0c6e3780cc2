//! What the agent's allocator is built with: C, which everybody who has cargo can compile, and make, which not everybody has.

use anyhow::Result;

use super::{apt, find_program};

/// Installs it where it is missing.
///
/// # Errors
/// When it is missing and cannot be installed.
pub(crate) fn prepare() -> Result<()> {
    if find_program("make").is_some() {
        return Ok(());
    }
    apt::install(&["make"], "building the agent (its allocator, jemalloc)")
}
