//! How long to wait before the next try.

use std::time::Duration;

use rand::Rng;

/// The shape of waiting: doubles from `first` to `most`, each wait shortened at random by up to half, so that many who
/// failed together do not come back together ("equal jitter").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The first wait.
    pub first: Duration,
    /// No wait is longer.
    pub most: Duration,
}

impl Schedule {
    /// A schedule from the first wait to the longest.
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most }
    }

    /// The longest that the wait after so many failures in a row may be.
    pub fn ceiling(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }
}

impl Default for Schedule {
    /// 100 ms to 30 s: quick after a hiccup, no burden on what stays down.
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(30))
    }
}

/// Counts failures in a row and says how long to wait after each.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    schedule: Schedule,
    failures: u32,
}

impl Backoff {
    /// Starts without failures.
    pub const fn new(schedule: Schedule) -> Self {
        Self { schedule, failures: 0 }
    }

    /// Notes a failure; how long to wait before the next try.
    pub fn failed(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let ceiling = self.schedule.ceiling(self.failures);
        ceiling.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Notes a success: the next failure waits as if it were the first.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_wait_is_between_half_and_all_of_its_ceiling(first in 1u64..1000, most in 1u64..100_000, failures in 1u32..80) {
            let schedule = Schedule::new(Duration::from_millis(first), Duration::from_millis(most));
            let mut backoff = Backoff::new(schedule);
            let waits: Vec<_> = (0..failures).map(|_| backoff.failed()).collect();
            let ceiling = schedule.ceiling(failures);
            let last = *waits.last().unwrap();
            prop_assert!(last <= ceiling && last >= ceiling.mul_f64(0.49));
            prop_assert!(ceiling <= schedule.most);
        }
    }

    #[test]
    fn a_success_starts_the_waiting_anew() {
        let schedule = Schedule::new(Duration::from_secs(1), Duration::from_secs(60));
        let mut backoff = Backoff::new(schedule);
        for _ in 0..10 {
            backoff.failed();
        }
        backoff.succeeded();
        assert!(backoff.failed() <= Duration::from_secs(1));
    }
}
