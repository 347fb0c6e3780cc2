//! What happens when the daemon is old, new, exchanged, silent, broken or not one at all.

mod containers;
mod streams;
mod trouble;
mod versions;

use std::error::Error;

use super::fake::{FakeEngine, Reply, streamed, version};
use crate::error::RuntimeError;

/// An error with its causes, as the rim prints it.
fn chain(error: &RuntimeError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
