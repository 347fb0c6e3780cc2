//! The circuit breaker of one backend. Pure: it is told what happened and when.
//!
//! It counts only what no application answers with: connections that are not made, that break off before an answer, and
//! answers that do not begin in time. A page that answers 500 takes no backend out.

use std::time::Duration;

use constellation_core::Moment;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open the first time; each failed probe doubles that.
    pub open_for: Duration,
    /// The longest that it stays open.
    pub open_for_max: Duration,
    /// Probes that may be on the way at once once that time is over.
    pub probes: u32,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures: 3,
            open_for: Duration::from_secs(1),
            open_for_max: Duration::from_secs(30),
            probes: 1,
        }
    }
}

/// What a breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Every request.
    Closed,
    /// One more probe.
    Probe,
    /// Nothing before this moment.
    Open(Moment),
}

/// A state, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Every request passes.
    Closed,
    /// None passes.
    Open,
    /// A few pass, to find out.
    HalfOpen,
}

impl BreakerState {
    /// As it is told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// The breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    config: BreakerConfig,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    /// Open until then; after that, half-open with so many probes on the way.
    Tripped {
        until: Moment,
        times: u32,
        probing: u32,
    },
}

impl Breaker {
    /// A closed one.
    pub const fn new(config: BreakerConfig) -> Self {
        Self { config, state: State::Closed { failures: 0 } }
    }

    /// What it would let through now.
    pub fn gate(&self, now: Moment) -> Gate {
        match self.state {
            State::Closed { .. } => Gate::Closed,
            State::Tripped { until, probing, .. } if now >= until && probing < self.config.probes => {
                Gate::Probe
            }
            State::Tripped { until, .. } => Gate::Open(until),
        }
    }

    /// A request is on the way. Says whether it is a probe, so that its end is told as one.
    pub fn enter(&mut self, now: Moment) -> bool {
        let probe = self.gate(now) == Gate::Probe;
        if let State::Tripped { probing, .. } = &mut self.state
            && probe
        {
            *probing += 1;
        }
        probe
    }

    /// A request was answered. One answer closes the breaker: a backend that is down gives none.
    pub const fn succeeded(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// A request failed.
    pub fn failed(&mut self, probe: bool, now: Moment) {
        self.state = match self.state {
            State::Closed { failures } if failures + 1 < self.config.failures => {
                State::Closed { failures: failures + 1 }
            }
            State::Closed { .. } => self.tripped(1, 0, now),
            State::Tripped { times, probing, .. } if probe => {
                self.tripped(times.saturating_add(1), probing.saturating_sub(1), now)
            }
            // A request that was on the way when it opened tells nothing new.
            tripped @ State::Tripped { .. } => tripped,
        };
    }

    /// A probe ended without telling anything: its client went away.
    pub const fn abandoned(&mut self) {
        if let State::Tripped { probing, .. } = &mut self.state {
            *probing = probing.saturating_sub(1);
        }
    }

    /// Whether it is closed and has nothing to remember.
    pub fn is_calm(&self) -> bool {
        self.state == State::Closed { failures: 0 }
    }

    /// Its state, for people.
    pub fn state(&self, now: Moment) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Tripped { until, .. } if now >= until => BreakerState::HalfOpen,
            State::Tripped { .. } => BreakerState::Open,
        }
    }

    fn tripped(&self, times: u32, probing: u32, now: Moment) -> State {
        let doubled = self.config.open_for.saturating_mul(1 << (times - 1).min(16));
        State::Tripped { until: now + doubled.min(self.config.open_for_max), times, probing }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    fn open() -> Breaker {
        let mut breaker = Breaker::new(BreakerConfig::default());
        (0..3).for_each(|_| breaker.failed(false, at(0)));
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_an_answer_between_them_starts_the_count_again() {
        let mut breaker = Breaker::new(BreakerConfig::default());
        breaker.failed(false, at(0));
        breaker.failed(false, at(0));
        breaker.succeeded();
        breaker.failed(false, at(0));
        breaker.failed(false, at(0));
        assert_eq!(breaker.gate(at(0)), Gate::Closed);
        breaker.failed(false, at(0));
        assert_eq!(breaker.gate(at(0)), Gate::Open(at(1000)));
    }

    #[test]
    fn when_its_time_is_over_one_probe_passes_and_no_second_beside_it() {
        let mut breaker = open();
        assert_eq!(breaker.gate(at(999)), Gate::Open(at(1000)));
        assert!(breaker.enter(at(1000)));
        assert!(matches!(breaker.gate(at(1000)), Gate::Open(_)));
        assert!(!breaker.enter(at(1000)), "the second is no probe");
    }

    #[test]
    fn a_probe_that_is_answered_closes_it_and_one_that_fails_doubles_the_time() {
        let mut breaker = open();
        breaker.enter(at(1000));
        breaker.failed(true, at(1500));
        assert_eq!(breaker.gate(at(1500)), Gate::Open(at(3500)));
        assert!(breaker.enter(at(3500)));
        breaker.succeeded();
        assert!(breaker.is_calm());
    }

    #[test]
    fn a_probe_whose_client_went_away_leaves_room_for_the_next() {
        let mut breaker = open();
        breaker.enter(at(1000));
        breaker.abandoned();
        assert_eq!(breaker.gate(at(1000)), Gate::Probe);
    }

    #[test]
    fn late_failures_of_requests_from_before_do_not_prolong_it() {
        let mut breaker = open();
        breaker.failed(false, at(900));
        assert_eq!(breaker.gate(at(1000)), Gate::Probe);
    }

    #[derive(Clone, Copy, Debug)]
    enum Deed {
        Enter,
        Succeed,
        Fail,
        Abandon,
        Wait(u16),
    }

    fn deed() -> impl Strategy<Value = Deed> {
        prop_oneof![
            Just(Deed::Enter),
            Just(Deed::Succeed),
            Just(Deed::Fail),
            Just(Deed::Abandon),
            (0u16..5000).prop_map(Deed::Wait)
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_it_lets_a_probe_through_again_within_the_longest_time(
            deeds in proptest::collection::vec(deed(), 0..60),
        ) {
            let mut breaker = Breaker::new(BreakerConfig::default());
            let (mut now, mut probes) = (0u64, 0u32);
            for deed in deeds {
                match deed {
                    Deed::Enter => probes += u32::from(breaker.enter(at(now))),
                    Deed::Succeed => { breaker.succeeded(); probes = 0; }
                    Deed::Fail => { breaker.failed(probes > 0, at(now)); probes = probes.saturating_sub(1); }
                    Deed::Abandon => if probes > 0 { breaker.abandoned(); probes -= 1; },
                    Deed::Wait(millis) => now += u64::from(millis),
                }
                prop_assert!(probes <= 1, "one probe at a time");
            }
            while probes > 0 { breaker.abandoned(); probes -= 1; }
            let later = at(now + 30_000);
            prop_assert!(matches!(breaker.gate(later), Gate::Closed | Gate::Probe));
        }
    }
}
