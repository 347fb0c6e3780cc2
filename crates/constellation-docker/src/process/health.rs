//! What a row of health checks means. The rules are Docker's.

use std::time::Duration;

use crate::{container::HealthReport, spec::HealthCheck};

/// The verdict on one container, and when to check next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    check: Option<HealthCheck>,
    report: HealthReport,
    failures: u32,
    started: Duration,
    turn: Turn,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Nobody's: there is no process, or no check.
    Idle,
    /// The clock's.
    Due(Duration),
    /// The check's, which began then.
    Checking(Duration),
}

impl Verdict {
    pub(super) fn new(check: Option<HealthCheck>) -> Self {
        let report = if check.is_some() { HealthReport::Starting } else { HealthReport::None };
        Self { check, report, failures: 0, started: Duration::ZERO, turn: Turn::Idle }
    }

    pub(super) fn report(&self) -> HealthReport {
        self.report
    }

    /// When [`due`](Self::due) has to be asked next.
    pub(super) fn next_check(&self) -> Option<Duration> {
        match self.turn {
            Turn::Due(at) => Some(at),
            Turn::Idle | Turn::Checking(_) => None,
        }
    }

    /// A process was started: nothing is known of it, and it gets one interval before it is asked.
    pub(super) fn begin(&mut self, now: Duration) {
        *self = Self::new(self.check.take());
        self.started = now;
        if let Some(check) = &self.check {
            self.turn = Turn::Due(now.saturating_add(check.interval));
        }
    }

    /// A process was taken over: what was known of it still holds, and it is asked at once.
    ///
    /// To fall back to `starting` would take every healthy service out of routing whenever the agent restarts.
    pub(super) fn resume(&mut self, known: HealthReport, now: Duration) {
        self.begin(now);
        if self.check.is_some() {
            self.turn = Turn::Due(now);
            if known != HealthReport::None {
                self.report = known;
            }
        }
    }

    /// The process ended: there is nothing to have a verdict on.
    pub(super) fn end(&mut self) {
        *self = Self::new(self.check.take());
    }

    /// Whether a check is to be run now. If so, [`checked`](Self::checked) is expected next.
    pub(super) fn due(&mut self, now: Duration) -> bool {
        let due = matches!(self.turn, Turn::Due(at) if at <= now);
        if due {
            self.turn = Turn::Checking(now);
        }
        due
    }

    /// A check came back; says whether the report changed.
    pub(super) fn checked(&mut self, passed: bool, now: Duration) -> bool {
        let (Turn::Checking(began), Some(check)) = (self.turn, &self.check) else {
            return false; // the answer of a process that is gone
        };
        self.turn = Turn::Due(now.saturating_add(check.interval));
        let before = self.report;
        if passed {
            self.failures = 0;
            self.report = HealthReport::Healthy;
            return self.report != before;
        }
        let excused =
            self.report == HealthReport::Starting && began.saturating_sub(self.started) < check.start_period;
        if !excused {
            self.failures = self.failures.saturating_add(1);
        }
        if self.failures >= check.retries.max(1) {
            self.report = HealthReport::Unhealthy;
        }
        self.report != before
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn verdict(retries: u32, start_period: Duration) -> Verdict {
        let check =
            HealthCheck { interval: secs(10), retries, start_period, ..HealthCheck::command(["true"]) };
        let mut verdict = Verdict::new(Some(check));
        verdict.begin(Duration::ZERO);
        verdict
    }

    /// Runs the next check when it is due; it takes one second.
    fn check(verdict: &mut Verdict, passed: bool) -> HealthReport {
        let at = verdict.next_check().unwrap();
        assert!(verdict.due(at));
        assert!(!verdict.due(at), "one check at a time");
        verdict.checked(passed, at + secs(1));
        verdict.report()
    }

    #[test]
    fn the_first_check_comes_after_one_interval_and_the_next_counts_from_its_end() {
        let mut verdict = verdict(1, Duration::ZERO);
        assert_eq!(verdict.next_check(), Some(secs(10)));
        assert!(!verdict.due(secs(9)));
        check(&mut verdict, true);
        assert_eq!(verdict.next_check(), Some(secs(21)));
    }

    #[test]
    fn one_pass_makes_healthy_and_only_a_full_row_of_failures_makes_unhealthy() {
        use HealthReport::{Healthy, Starting, Unhealthy};
        let mut verdict = verdict(3, Duration::ZERO);
        for (passed, expected) in [
            (false, Starting),
            (true, Healthy),
            (false, Healthy),
            (false, Healthy),
            (true, Healthy),
            (false, Healthy),
            (false, Healthy),
            (false, Unhealthy),
            (false, Unhealthy),
            (true, Healthy),
        ] {
            assert_eq!(check(&mut verdict, passed), expected);
        }
    }

    #[test]
    fn failures_within_the_start_period_do_not_count() {
        let mut verdict = verdict(1, secs(25));
        assert_eq!(check(&mut verdict, false), HealthReport::Starting); // began at 10 s
        assert_eq!(check(&mut verdict, false), HealthReport::Starting); // 21 s
        assert_eq!(check(&mut verdict, false), HealthReport::Unhealthy); // 32 s
    }

    #[test]
    fn a_failure_counts_within_the_start_period_once_it_was_healthy() {
        let mut verdict = verdict(1, secs(100));
        assert_eq!(check(&mut verdict, true), HealthReport::Healthy);
        assert_eq!(check(&mut verdict, false), HealthReport::Unhealthy);
    }

    #[test]
    fn an_answer_from_before_a_restart_is_not_believed() {
        let mut verdict = verdict(1, Duration::ZERO);
        assert!(verdict.due(secs(10)));
        verdict.end();
        verdict.begin(secs(11));
        assert!(!verdict.checked(true, secs(12)));
        assert_eq!(verdict.report(), HealthReport::Starting);
    }

    #[test]
    fn a_process_that_is_taken_over_stays_healthy_and_is_asked_at_once() {
        let mut verdict = verdict(2, Duration::ZERO);
        verdict.resume(HealthReport::Healthy, secs(5));
        assert_eq!(verdict.report(), HealthReport::Healthy);
        assert!(verdict.due(secs(5)));
    }

    #[test]
    fn without_a_check_there_is_nothing_to_report_and_nothing_to_do() {
        let mut verdict = Verdict::new(None);
        verdict.begin(secs(1));
        assert_eq!((verdict.report(), verdict.next_check()), (HealthReport::None, None));
        verdict.resume(HealthReport::Healthy, secs(2));
        assert_eq!((verdict.report(), verdict.next_check()), (HealthReport::None, None));
    }

    proptest! {
        #[test]
        fn unhealthy_means_that_the_last_checks_all_failed(
            retries in 1u32..5,
            results in prop::collection::vec(any::<bool>(), 1..60),
        ) {
            let mut verdict = verdict(retries, Duration::ZERO);
            let mut row = 0;
            for passed in results {
                row = if passed { 0 } else { row + 1 };
                let report = check(&mut verdict, passed);
                prop_assert_eq!(report == HealthReport::Unhealthy, row >= retries);
            }
        }
    }
}
