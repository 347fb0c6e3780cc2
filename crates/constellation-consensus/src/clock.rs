//! Two clocks, kept apart by type, because each errs to the safe side of the other.
//!
//! A holder counts on the clock that also runs while the machine sleeps (`CLOCK_BOOTTIME`): after a suspend it finds its
//! lease used up. Whoever judges counts on the one that does not (`CLOCK_MONOTONIC`): after a suspend it waits longer than
//! it need have. Exchange the two and a laptop lid is enough for two holders.

use std::time::Duration;

use constellation_core::Moment;

/// A moment on the clock that runs while the machine sleeps. Leases are held by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HolderMoment(pub Moment);

/// A moment on the clock that stands still while the machine sleeps. Leases are taken away by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JudgeMoment(pub Moment);

impl std::ops::Add<Duration> for HolderMoment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

impl std::ops::Add<Duration> for JudgeMoment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

impl HolderMoment {
    /// How much later it is than `earlier`; zero where it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.since(earlier.0)
    }
}

/// The same instant on both clocks of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For holding.
    pub holder: HolderMoment,
    /// For judging.
    pub judge: JudgeMoment,
}

/// How far the clocks of two machines may run apart and the promise still holds: each second of a clock takes between
/// `1 - bound` and `1 + bound` seconds of true time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriftBound {
    parts_per_million: u32,
}

impl DriftBound {
    /// Quartz is off by 100 parts per million at most, and the kernel slews by 500; but chrony's default `maxslewrate`
    /// lets it slew by 83,333 while it corrects an offset, and both of the clocks that we count on are slewed. So 10 %.
    pub const DEFAULT: Self = Self { parts_per_million: 100_000 };

    /// A bound in parts per million; at most 300,000, where a lease would be worth half of its TTL.
    pub fn from_parts_per_million(parts_per_million: u32) -> Self {
        Self { parts_per_million: parts_per_million.min(300_000) }
    }

    /// The bound in parts per million.
    pub fn parts_per_million(self) -> u32 {
        self.parts_per_million
    }

    /// How long a holder may count for, on its clock, where the judge waits `ttl` on its own.
    ///
    /// The judge's clock may run fast, and be through after `ttl / (1 + bound)`; the holder's may run slow, so that its
    /// count takes up to `count / (1 - bound)`. The largest safe count is `ttl * (1 - bound) / (1 + bound)`, rounded down.
    pub fn usable(self, ttl: Duration) -> Duration {
        const ONE: u128 = 1_000_000;
        let bound = u128::from(self.parts_per_million);
        let nanos = ttl.as_nanos().saturating_mul(ONE - bound) / (ONE + bound);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_slow_holder_is_done_before_a_fast_judge(
            bound in 0_u32..=300_000, ttl in 1_u64..100_000_000_000, holder in 0.0_f64..=1.0, judge in 0.0_f64..=1.0,
        ) {
            let usable = DriftBound::from_parts_per_million(bound).usable(Duration::from_nanos(ttl));
            let rate = |r: f64| 1.0 - f64::from(bound) / 1e6 + r * 2.0 * f64::from(bound) / 1e6;
            let holder_done = usable.as_secs_f64() / rate(holder);
            let judge_done = Duration::from_nanos(ttl).as_secs_f64() / rate(judge);
            prop_assert!(holder_done <= judge_done * (1.0 + 1e-12));
        }
    }

    #[test]
    fn the_default_bound_leaves_four_fifths_of_a_ttl() {
        let usable = DriftBound::DEFAULT.usable(Duration::from_secs(3));
        assert_eq!(usable, Duration::from_nanos(2_454_545_454));
    }
}
