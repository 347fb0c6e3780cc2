//! How far it is, for a person at a terminal.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    sync::atomic::{AtomicU64, Ordering},
};

/// Shows on standard error how many seeds were played; nothing where that is no terminal.
pub(crate) struct Progress {
    what: String,
    seeds: u64,
    played: AtomicU64,
    shown: bool,
}

impl Progress {
    pub(crate) fn new(what: impl Into<String>, seeds: u64) -> Self {
        Self { what: what.into(), seeds, played: AtomicU64::new(0), shown: stderr().is_terminal() }
    }

    pub(crate) fn count(&self) {
        let played = self.played.fetch_add(1, Ordering::Relaxed) + 1;
        if self.shown && (played.is_multiple_of(25) || played == self.seeds) {
            let _ = write!(stderr(), "\r\x1b[K{}: {played} of {} seeds ", self.what, self.seeds);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
