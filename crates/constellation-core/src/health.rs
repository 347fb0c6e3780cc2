//! Whether an instance may be sent traffic, and how readings turn into that judgment.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Moment;

/// What is known of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It runs, and its health check has not spoken yet.
    Starting,
    /// It runs and passes its health check, or runs and has none.
    Healthy,
    /// It runs and fails its health check.
    Unhealthy,
    /// It does not run.
    Stopped,
    /// The runtime cannot be asked.
    Unknown,
}

impl Health {
    /// Whether traffic is sent to it. Only [`Health::Healthy`] is.
    pub const fn is_routable(self) -> bool {
        matches!(self, Self::Healthy)
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        })
    }
}

/// What the runtime said this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It does not run.
    NotRunning,
    /// It runs and its check has not spoken.
    Starting,
    /// It runs and passes, or has no check.
    Passing,
    /// It runs and fails.
    Failing,
    /// The runtime did not answer.
    NoAnswer,
}

/// How many readings in a row it takes to change a judgment.
///
/// The engine has hysteresis of its own (`retries`), so both are 1 by default: a second delay on top of the engine's
/// would only keep traffic on a dead backend. They are for checks that flap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Failing readings in a row before a healthy instance is unhealthy.
    pub fall: u32,
    /// Passing readings in a row before an unhealthy instance is healthy again.
    pub rise: u32,
    /// `NoAnswer` readings in a row before an instance is unknown: one missed answer of the engine says nothing about
    /// the container.
    pub silence: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { fall: 1, rise: 1, silence: 3 }
    }
}

/// The judgment of one instance, as readings come in. A plain value: feed it readings, look at [`Hysteresis::health`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hysteresis {
    health: Health,
    /// When the judgment last changed.
    since: Moment,
    /// The reading that speaks against the judgment, and how often in a row it came.
    against: Option<(Reading, u32)>,
}

impl Hysteresis {
    /// The first judgment of an instance is its first reading.
    pub fn first(reading: Reading, now: Moment) -> Self {
        let health = match reading {
            Reading::NotRunning => Health::Stopped,
            Reading::Starting => Health::Starting,
            Reading::Passing => Health::Healthy,
            Reading::Failing => Health::Unhealthy,
            Reading::NoAnswer => Health::Unknown,
        };
        Self { health, since: now, against: None }
    }

    /// The judgment.
    pub const fn health(&self) -> Health {
        self.health
    }

    /// When it last changed.
    pub const fn since(&self) -> Moment {
        self.since
    }

    /// The judgment after one more reading.
    ///
    /// What a process *is* (running or not) is believed at once; what a check *says* must say it often enough.
    #[must_use]
    pub fn after(self, reading: Reading, thresholds: &Thresholds, now: Moment) -> Self {
        let verdict = Self::first(reading, now).health;
        if verdict == self.health {
            return Self { against: None, ..self };
        }
        let needed = match (self.health, reading) {
            (Health::Healthy, Reading::Failing) => thresholds.fall,
            (Health::Unhealthy, Reading::Passing) => thresholds.rise,
            (_, Reading::NoAnswer) => thresholds.silence,
            _ => 1,
        };
        let count = match self.against {
            Some((same, count)) if same == reading => count.saturating_add(1),
            _ => 1,
        };
        if count >= needed.max(1) {
            Self { health: verdict, since: now, against: None }
        } else {
            Self { against: Some((reading, count)), ..self }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const SLOW: Thresholds = Thresholds { fall: 3, rise: 2, silence: 3 };

    fn at(second: u64) -> Moment {
        Moment::after_start(Duration::from_secs(second))
    }

    fn judged(readings: &[Reading], thresholds: &Thresholds) -> Hysteresis {
        let mut readings = readings.iter().copied();
        let mut state = Hysteresis::first(readings.next().unwrap(), at(0));
        for (second, reading) in (1..).zip(readings) {
            state = state.after(reading, thresholds, at(second));
        }
        state
    }

    #[test]
    fn a_healthy_instance_falls_after_enough_failures_in_a_row() {
        use Reading::{Failing, Passing};
        assert_eq!(judged(&[Passing, Failing, Failing], &SLOW).health(), Health::Healthy);
        assert_eq!(
            judged(&[Passing, Failing, Failing, Passing, Failing, Failing], &SLOW).health(),
            Health::Healthy
        );
        assert_eq!(judged(&[Passing, Failing, Failing, Failing], &SLOW).health(), Health::Unhealthy);
    }

    #[test]
    fn an_unhealthy_instance_rises_after_enough_passes_in_a_row() {
        use Reading::{Failing, Passing};
        assert_eq!(judged(&[Failing, Passing], &SLOW).health(), Health::Unhealthy);
        assert_eq!(judged(&[Failing, Passing, Passing], &SLOW).health(), Health::Healthy);
    }

    #[test]
    fn a_process_that_ended_is_believed_at_once() {
        assert_eq!(judged(&[Reading::Passing, Reading::NotRunning], &SLOW).health(), Health::Stopped);
    }

    #[test]
    fn one_missed_answer_of_the_engine_says_nothing_about_a_container() {
        use Reading::{NoAnswer, Passing};
        assert_eq!(judged(&[Passing, NoAnswer, NoAnswer, Passing], &SLOW).health(), Health::Healthy);
        assert_eq!(judged(&[Passing, NoAnswer, NoAnswer, NoAnswer], &SLOW).health(), Health::Unknown);
    }

    #[test]
    fn the_judgment_is_as_old_as_its_last_change() {
        use Reading::{Failing, Passing};
        assert_eq!(judged(&[Passing, Passing, Failing, Failing, Failing, Failing], &SLOW).since(), at(4));
    }

    fn any_reading() -> impl Strategy<Value = Reading> {
        prop_oneof![
            Just(Reading::NotRunning),
            Just(Reading::Starting),
            Just(Reading::Passing),
            Just(Reading::Failing),
            Just(Reading::NoAnswer),
        ]
    }

    proptest! {
        #[test]
        fn the_same_reading_often_enough_always_wins(
            history in proptest::collection::vec(any_reading(), 1..20), last in any_reading(),
        ) {
            let mut readings = history;
            readings.extend([last; 3]);
            let settled = judged(&readings, &SLOW).health();
            prop_assert_eq!(settled, Hysteresis::first(last, at(0)).health());
        }
    }
}
