//! The machine's two clocks.

use std::time::Duration;

use constellation_core::Moment;
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::clock::{HolderMoment, JudgeMoment, Now};

/// Where the service reads both clocks.
pub trait LeaseClocks: Send + Sync + 'static {
    /// Now, on both.
    fn now(&self) -> Now;
}

/// The kernel's clocks. Moments count from the machine's start, so that those of an earlier process are not later.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineClocks;

impl LeaseClocks for MachineClocks {
    fn now(&self) -> Now {
        Now {
            holder: HolderMoment(moment(clock_gettime(ClockId::Boottime))),
            judge: JudgeMoment(moment(clock_gettime(ClockId::Monotonic))),
        }
    }
}

fn moment(time: Timespec) -> Moment {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Moment::after_start(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_that_runs_through_sleep_is_never_behind_the_one_that_does_not() {
        let before = MachineClocks.now();
        let after = MachineClocks.now();
        assert!(after.holder >= before.holder && after.judge >= before.judge);
        assert!(after.holder.0 >= before.judge.0, "boot time includes what monotonic time leaves out");
    }
}
