//! How fast a Raft group is, and what it may hold.

use std::time::Duration;

/// The timing of a group. All members should use the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How often [`super::Input::Tick`] is due.
    pub tick: Duration,
    /// A follower that heard nothing for between one and two times this many ticks stands for election.
    pub election: usize,
    /// A leader is heard from every so many ticks.
    pub heartbeat: usize,
}

impl Timing {
    /// For round trips below 5 ms: a leader that falls silent is missed after 300 to 600 ms, three of its heartbeats at least.
    /// With shorter ticks a member costs more than a hundredth of a core while nothing happens, nearly all of it for waking up.
    pub const LAN: Self = Self { tick: Duration::from_millis(25), election: 12, heartbeat: 4 };

    /// For round trips up to 300 ms: 1.2 s in the median, 3.2 s at worst.
    pub const WAN: Self = Self { tick: Duration::from_millis(100), election: 10, heartbeat: 2 };
}

/// How one member takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaftConfig {
    /// The group's timing.
    pub timing: Timing,
    /// Where this process's share of chance comes from: how long it waits before it stands for election. A random number in
    /// a program; the simulation's seed there.
    pub seed: u64,
    /// After so many applied entries the state machine is written down and the log cut.
    pub checkpoint_entries: u64,
    /// After so many bytes of entries likewise, so that the log on disk is bounded whatever is in it.
    pub checkpoint_bytes: u64,
    /// So many applied entries are kept behind a checkpoint, so that a member that was away for a moment catches up from the
    /// log and not by a snapshot.
    pub keep_entries: u64,
}

impl Default for RaftConfig {
    fn default() -> Self {
        Self {
            timing: Timing::LAN,
            seed: 0,
            checkpoint_entries: 8192,
            checkpoint_bytes: 4 << 20,
            keep_entries: 1024,
        }
    }
}
