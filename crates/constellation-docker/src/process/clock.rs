//! The one place of this runtime where time comes in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment, as the pure parts take it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Now {
    /// Since the runtime was opened; never goes back. Everything that waits is counted on this.
    pub(super) since_open: Duration,
    /// Milliseconds since the Unix epoch, for people only: it jumps when the clock is set.
    pub(super) wall_ms: u64,
}

/// Time since the runtime was opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeline {
    opened: tokio::time::Instant,
}

impl Timeline {
    #[expect(
        clippy::disallowed_methods,
        reason = "the shell of this runtime owns its time; the core takes `Now`"
    )]
    pub(super) fn begin() -> Self {
        Self { opened: tokio::time::Instant::now() }
    }

    pub(super) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            since_open: self.opened.elapsed(),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Waits until that moment; for ever where there is none.
    pub(super) async fn reach(&self, moment: Option<Duration>) {
        match moment.and_then(|moment| self.opened.checked_add(moment)) {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }
}
