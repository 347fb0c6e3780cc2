//! The real clock.

use std::time::{SystemTime, UNIX_EPOCH};

use constellation_core::{Clock, Moment, WallTime};

/// The machine's clocks. Moments follow tokio's time, so that a paused runtime pauses them as well.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: tokio::time::Instant,
}

impl SystemClock {
    /// A clock whose start is now. Make one for a process and hand it on: moments of two clocks cannot be compared.
    #[expect(clippy::disallowed_methods, reason = "this is the Clock that everybody else takes")]
    pub fn start() -> Self {
        Self { started: tokio::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment::after_start(self.started.elapsed())
    }

    fn wall(&self) -> WallTime {
        // A calendar before 1970 is a machine without a clock; zero sorts it first and misleads nobody.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallTime(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}
