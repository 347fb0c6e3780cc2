//! Amounts with their unit: a bare number says neither bytes nor seconds, and the compiler refuses it.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// An amount of memory or disk, in bytes.
///
/// ```
/// use constellation_services::prelude::*;
/// assert_eq!(512.mib().as_bytes(), 512 * 1024 * 1024);
/// assert_eq!(2.gib().to_string(), "2 GiB");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Size(u64);

impl Size {
    /// So many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// In bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, bytes) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 >= bytes && self.0.is_multiple_of(bytes) {
                return write!(f, "{} {unit}", self.0 / bytes);
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

/// Sizes written as `512.mib()`. What does not fit into 64 bits becomes the largest size, which `validate` refuses.
pub trait SizeUnits {
    /// Bytes.
    fn bytes(self) -> Size;
    /// 1024 bytes each.
    fn kib(self) -> Size;
    /// 1024 KiB each.
    fn mib(self) -> Size;
    /// 1024 MiB each.
    fn gib(self) -> Size;
}

impl SizeUnits for u64 {
    fn bytes(self) -> Size {
        Size(self)
    }

    fn kib(self) -> Size {
        Size(self.saturating_mul(1 << 10))
    }

    fn mib(self) -> Size {
        Size(self.saturating_mul(1 << 20))
    }

    fn gib(self) -> Size {
        Size(self.saturating_mul(1 << 30))
    }
}

/// CPU time in thousandths of a core: a limit, not a reservation.
///
/// ```
/// use constellation_services::prelude::*;
/// assert_eq!(0.5.cores(), 500.millicores());
/// assert_eq!(2.cores().to_string(), "2 cores");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cpus(u64);

impl Cpus {
    /// In thousandths of a core.
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 1000, self.0 % 1000) {
            (1, 0) => f.write_str("1 core"),
            (whole, 0) => write!(f, "{whole} cores"),
            (whole, rest) => write!(f, "{} cores", format!("{whole}.{rest:03}").trim_end_matches('0')),
        }
    }
}

/// CPU time written as `0.5.cores()`, `2.cores()` or `250.millicores()`.
pub trait CpuUnits {
    /// Whole cores and fractions of one; a fraction finer than a thousandth is rounded.
    fn cores(self) -> Cpus;
}

impl CpuUnits for u64 {
    fn cores(self) -> Cpus {
        Cpus(self.saturating_mul(1000))
    }
}

impl CpuUnits for f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped first; nonsense becomes 0, which `validate` refuses"
    )]
    fn cores(self) -> Cpus {
        Cpus((self * 1000.0).round().clamp(0.0, 1e12) as u64)
    }
}

/// CPU time written as `250.millicores()`.
pub trait MillicoreUnits {
    /// Thousandths of a core.
    fn millicores(self) -> Cpus;
}

impl MillicoreUnits for u64 {
    fn millicores(self) -> Cpus {
        Cpus(self)
    }
}

/// How much of the CPU a service gets when it is short, beside the others (1024 is what everyone has unless told).
///
/// ```
/// use constellation_services::prelude::*;
/// assert_eq!(2048.shares(), CpuShares::DEFAULT.times(2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CpuShares(u64);

impl CpuShares {
    /// What everyone has unless told otherwise.
    pub const DEFAULT: Self = Self(1024);

    /// So many times as much.
    #[must_use]
    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// As the kernel takes it.
    pub const fn as_number(self) -> u64 {
        self.0
    }
}

/// Shares written as `512.shares()`.
pub trait ShareUnits {
    /// So many shares.
    fn shares(self) -> CpuShares;
}

impl ShareUnits for u64 {
    fn shares(self) -> CpuShares {
        CpuShares(self)
    }
}

/// So many milliseconds.
pub const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// So many seconds.
pub const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// So many minutes.
pub const fn mins(count: u64) -> Duration {
    Duration::from_secs(count.saturating_mul(60))
}

/// So many hours.
pub const fn hours(count: u64) -> Duration {
    Duration::from_secs(count.saturating_mul(3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two_and_print_in_the_largest_unit_that_is_exact() {
        assert_eq!(3.kib().as_bytes(), 3072);
        assert_eq!(1536.mib().to_string(), "1536 MiB");
        assert_eq!(1.gib().to_string(), "1 GiB");
        assert_eq!(1025.bytes().to_string(), "1025 bytes");
        assert_eq!(u64::MAX.gib().as_bytes(), u64::MAX);
    }

    #[test]
    fn cores_are_kept_in_thousandths() {
        assert_eq!(0.33.cores().as_millis(), 330);
        assert_eq!(4.cores().as_millis(), 4000);
        assert_eq!((-1.0).cores().as_millis(), 0);
        assert_eq!(f64::NAN.cores().as_millis(), 0);
        assert_eq!(0.25.cores().to_string(), "0.25 cores");
        assert_eq!(1.cores().to_string(), "1 core");
    }
}
