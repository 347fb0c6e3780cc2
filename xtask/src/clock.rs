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
