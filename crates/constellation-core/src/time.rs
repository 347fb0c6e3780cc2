//! Time as an argument. Cores take a [`Moment`]; shells take a [`Clock`]; nothing calls `Instant::now()`.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// Time since a process started, on a clock that never jumps: a plain value, so that a test can write any moment down.
/// Moments of two processes cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The moment at which the process started.
    pub const START: Self = Self(Duration::ZERO);

    /// The moment that is this long after the start.
    pub const fn after_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long after the start it is.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// How much later it is than `earlier`; zero where it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// Where shells get their moments from.
pub trait Clock: Send + Sync + 'static {
    /// Now, on the clock that never jumps.
    fn now(&self) -> Moment;

    /// Now, by the calendar: for people and for ordering facts of two machines roughly, never for deciding how long
    /// something took.
    fn wall(&self) -> WallTime;
}

/// Milliseconds since the Unix epoch, by some machine's calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(pub u64);

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// A clock that moves when the scenario says so.
#[derive(Debug, Default)]
pub struct ManualClock {
    now: Mutex<(Moment, WallTime)>,
}

impl ManualClock {
    /// A clock at the start of the process and the epoch of the calendar.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves both clocks on.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.0 = now.0 + by;
        now.1.0 = now.1.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX));
    }

    /// Sets the calendar alone, forwards or backwards, as an operator or NTP would.
    pub fn set_wall(&self, to: WallTime) {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).1 = to;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn wall(&self) -> WallTime {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calendar_that_jumps_back_moves_no_moment() {
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(10));
        clock.set_wall(WallTime(1));
        assert_eq!(clock.now().since_start(), Duration::from_secs(10));
        assert_eq!(clock.wall(), WallTime(1));
    }

    #[test]
    fn an_earlier_moment_is_zero_after_a_later_one() {
        let late = Moment::after_start(Duration::from_secs(2));
        assert_eq!(Moment::START.since(late), Duration::ZERO);
    }
}
