//! One machine's clocks, which run faster or slower than true time, and sleep.

use std::time::Duration;

use constellation_consensus::clock::{HolderMoment, JudgeMoment, Now};
use constellation_core::Moment;

/// True time: nanoseconds since the beginning of the simulation. No node ever sees it.
pub(super) type True = u64;

const MILLION: i128 = 1_000_000;

/// A machine's clocks.
#[derive(Clone, Debug)]
pub(super) struct MachineClock {
    /// How much faster than true time it runs, in parts per million.
    drift: i64,
    asleep: bool,
    at: True,
    boottime: i128,
    monotonic: i128,
}

impl MachineClock {
    /// Boots a machine. The clocks of two machines have nothing to do with each other, so they begin anywhere.
    pub(super) fn new(drift: i64, uptime: Duration) -> Self {
        let uptime = i128::try_from(uptime.as_nanos()).unwrap_or(0);
        Self { drift, asleep: false, at: 0, boottime: uptime, monotonic: uptime }
    }

    pub(super) fn advance(&mut self, to: True) {
        let passed = i128::from(to.saturating_sub(self.at));
        // In millionths of a nanosecond nothing is lost between rates that matters; rounding is under a nanosecond a step.
        let counted = passed * (MILLION + i128::from(self.drift)) / MILLION;
        self.boottime += counted;
        if !self.asleep {
            self.monotonic += counted;
        }
        self.at = to;
    }

    pub(super) fn set_drift(&mut self, drift: i64) {
        self.drift = drift;
    }

    pub(super) fn sleep(&mut self, asleep: bool) {
        self.asleep = asleep;
    }

    pub(super) fn now(&self) -> Now {
        let moment =
            |nanos: i128| Moment::after_start(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
        Now { holder: HolderMoment(moment(self.boottime)), judge: JudgeMoment(moment(self.monotonic)) }
    }

    /// How much true time a span of the clock takes at its present rate.
    pub(super) fn true_span(&self, span: Duration) -> True {
        let nanos = i128::try_from(span.as_nanos()).unwrap_or(i128::MAX / MILLION);
        u64::try_from(nanos * MILLION / (MILLION + i128::from(self.drift))).unwrap_or(u64::MAX)
    }
}
