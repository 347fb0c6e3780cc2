//! All randomness of a simulation.

use std::time::Duration;

/// SplitMix64: small, fast, and the same for ever, which is what a seed in a bug report needs. Not for secrets.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The chance that this seed gives.
    pub fn new(seed: u64) -> Self {
        let mut chance = Self(seed);
        chance.bits();
        chance
    }

    /// An independent one, so that drawing more here changes nothing there.
    pub fn fork(&mut self, name: u64) -> Self {
        Self::new(self.bits() ^ name.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    /// Sixty-four random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; zero for a bound of zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.bits() % bound }
    }

    /// A place in a list of `length`.
    pub fn place(&mut self, length: usize) -> usize {
        let bound = u64::try_from(length).unwrap_or(u64::MAX);
        usize::try_from(self.below(bound)).unwrap_or(0)
    }

    /// True in `percent` of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A duration of `from..to`.
    pub fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let span = to.saturating_sub(from).as_nanos();
        from + Duration::from_nanos(self.below(u64::try_from(span).unwrap_or(u64::MAX)))
    }
}
