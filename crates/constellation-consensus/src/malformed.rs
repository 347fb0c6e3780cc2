//! Bytes that are not what they should be.

/// A value that came from the log, from a snapshot or from a peer cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("could not read {what}: {why}")]
pub struct Malformed {
    /// What it should have been.
    pub what: &'static str,
    /// What is wrong.
    pub why: String,
}

impl Malformed {
    pub(crate) fn new(what: &'static str, why: impl Into<String>) -> Self {
        Self { what, why: why.into() }
    }
}
