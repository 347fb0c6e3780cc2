//! When a change is pushed to the peers: at once, but not all the time.

use std::time::Duration;

use constellation_core::Moment;

/// Lets the first push go at once and joins those that follow soon into one at the end of the spacing.
#[derive(Debug)]
pub(crate) struct Pace {
    spacing: Duration,
    last: Option<Moment>,
    wanted: bool,
}

impl Pace {
    pub(crate) const fn new(spacing: Duration) -> Self {
        Self { spacing, last: None, wanted: false }
    }

    /// Asks for a push.
    pub(crate) const fn want(&mut self) {
        self.wanted = true;
    }

    /// How long until a push is due; `None` when nobody asked for one.
    pub(crate) fn wait(&self, now: Moment) -> Option<Duration> {
        let passed = self.last.map_or(self.spacing, |last| now.since(last));
        self.wanted.then(|| self.spacing.saturating_sub(passed))
    }

    /// Whether a push is due; then it counts as done.
    pub(crate) fn take(&mut self, now: Moment) -> bool {
        let due = self.wait(now) == Some(Duration::ZERO);
        if due {
            self.wanted = false;
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    #[test]
    fn the_first_push_goes_at_once_and_a_flurry_makes_one_more() {
        let mut pace = Pace::new(Duration::from_millis(100));
        assert_eq!(pace.wait(at(0)), None);
        pace.want();
        assert!(pace.take(at(0)));
        for millis in 1..100 {
            pace.want();
            assert!(!pace.take(at(millis)));
        }
        assert_eq!(pace.wait(at(99)), Some(Duration::from_millis(1)));
        assert!(pace.take(at(100)));
        assert!(!pace.take(at(500)), "nobody asked again");
    }
}
