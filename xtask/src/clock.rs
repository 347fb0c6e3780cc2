//! The one place that reads the clock, and the one way to wait for a state.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::interrupt;

/// The current instant.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask drives real processes; nothing of it runs on simulated time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The machine's `CLOCK_BOOTTIME`: the clock on which agents say as of when they may act. All processes of one machine share
/// it, so what two of them say can be compared to the nanosecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
pub(crate) struct BootTime(pub(crate) u64);

impl BootTime {
    /// Now.
    pub(crate) fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let nanos = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
        Self(u64::try_from(nanos).unwrap_or(0))
    }

    /// How long after `earlier` this is; nothing if it is not.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Asks `look` every `pause` until it finds something; an error names what was awaited.
///
/// # Errors
/// When `limit` has passed, when a person interrupts, or when `look` fails.
pub(crate) fn wait_for<T>(
    what: &str,
    limit: Duration,
    pause: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = now() + limit;
    loop {
        interrupt::check()?;
        if let Some(found) = look()? {
            return Ok(found);
        }
        if now() >= end {
            bail!("{what}: not within {}", seconds(limit));
        }
        thread::sleep(pause);
    }
}

/// Lets time pass.
///
/// # Errors
/// When a person interrupts.
pub(crate) fn pass(time: Duration) -> Result<()> {
    let end = now() + time;
    loop {
        interrupt::check()?;
        let left = end.saturating_duration_since(now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// `0.3 s`, `12.0 s`, `3 min 20 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(120) {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}

/// Milliseconds, for tables.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_never_comes_is_named_in_the_error() {
        let error = wait_for::<()>("the moon", Duration::ZERO, Duration::ZERO, || Ok(None)).unwrap_err();
        assert!(error.to_string().contains("the moon"), "{error}");
    }

    #[test]
    fn long_times_are_written_in_minutes() {
        assert_eq!(seconds(Duration::from_millis(340)), "0.3 s");
        assert_eq!(seconds(Duration::from_secs(200)), "3 min 20 s");
    }
}
