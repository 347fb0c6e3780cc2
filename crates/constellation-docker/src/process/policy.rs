//! When an ended process is started again, and how long that waits.
//!
//! The numbers are Docker's, so that a service behaves alike on both runtimes: the first restart waits 100 ms, each
//! further one twice as long up to a minute, and a run of ten seconds makes the next wait short again.

use std::time::Duration;

use crate::spec::RestartPolicy;

const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(60);
/// A process that ran this long was working: what ended it is news, not the same crash again.
const RUN_LONG: Duration = Duration::from_secs(10);

/// Whether the policy starts a process again that ended by itself.
///
/// `code` is `None` where nobody saw how it ended; a process that vanished counts as failed. `restarts` counts since
/// somebody last started it by hand, as Docker counts.
pub(super) fn wants_restart(policy: RestartPolicy, code: Option<i64>, restarts: u32) -> bool {
    match policy {
        RestartPolicy::No => false,
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure(most) => code != Some(0) && (most == 0 || restarts < most),
    }
}

/// Whether the policy starts a container again that was not running when the runtime was opened, and was not waiting
/// for its restart either.
pub(super) fn wants_start_on_open(policy: RestartPolicy, stopped_by_hand: bool) -> bool {
    match policy {
        RestartPolicy::No | RestartPolicy::OnFailure(_) => false,
        RestartPolicy::Always => true,
        RestartPolicy::UnlessStopped => !stopped_by_hand,
    }
}

/// How long the next restart waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RestartBackoff {
    last: Duration,
}

impl RestartBackoff {
    /// The wait before the next start, after a run of this length.
    pub(super) fn next(&mut self, ran: Duration) -> Duration {
        if ran >= RUN_LONG {
            self.last = Duration::ZERO;
        }
        self.last = if self.last.is_zero() { WAIT_MIN } else { (self.last * 2).min(WAIT_MAX) };
        self.last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [RestartPolicy; 5] = [
        RestartPolicy::No,
        RestartPolicy::Always,
        RestartPolicy::UnlessStopped,
        RestartPolicy::OnFailure(0),
        RestartPolicy::OnFailure(2),
    ];

    #[test]
    fn each_policy_answers_each_way_of_ending() {
        // Columns: No, Always, UnlessStopped, OnFailure(0), OnFailure(2).
        for (code, restarts, expected) in [
            (Some(0), 0, [false, true, true, false, false]),
            (Some(1), 0, [false, true, true, true, true]),
            (Some(137), 1, [false, true, true, true, true]),
            (Some(1), 2, [false, true, true, true, false]),
            (None, 0, [false, true, true, true, true]),
            (None, 2, [false, true, true, true, false]),
        ] {
            let answers = ALL.map(|policy| wants_restart(policy, code, restarts));
            assert_eq!(answers, expected, "code {code:?} after {restarts} restarts");
        }
    }

    #[test]
    fn only_always_revives_what_somebody_stopped() {
        assert_eq!(ALL.map(|policy| wants_start_on_open(policy, true)), [false, true, false, false, false]);
        assert_eq!(ALL.map(|policy| wants_start_on_open(policy, false)), [false, true, true, false, false]);
    }

    #[test]
    fn waits_double_from_a_tenth_of_a_second_to_a_minute() {
        let mut backoff = RestartBackoff::default();
        let waits: Vec<_> = (0..12).map(|_| backoff.next(Duration::from_secs(1)).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
    }

    proptest! {
        #[test]
        fn a_wait_stays_in_its_bounds_and_only_a_long_run_shortens_it(runs in prop::collection::vec(0u64..20_000, 1..50)) {
            let mut backoff = RestartBackoff::default();
            let mut before = Duration::ZERO;
            for run in runs {
                let ran = Duration::from_millis(run);
                let wait = backoff.next(ran);
                prop_assert!(wait >= WAIT_MIN && wait <= WAIT_MAX);
                if ran >= RUN_LONG {
                    prop_assert_eq!(wait, WAIT_MIN);
                } else {
                    prop_assert!(wait >= before);
                }
                before = wait;
            }
        }
    }
}
