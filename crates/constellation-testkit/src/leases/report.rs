//! What a run came to.

use std::time::Duration;

use constellation_consensus::raft::RaftId;

use super::{checks::Violation, coverage::Coverage};

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
    /// When, in true time.
    pub at: Duration,
    /// How many steps nodes took.
    pub steps: u64,
    /// How long it took from mending to the best holders.
    pub settled_after: Option<Duration>,
    /// What happened in it.
    pub coverage: Coverage,
    /// How long the group was without a leader after the process of one died, where deaths are the theme.
    pub successions: Vec<Succession>,
    /// A digest of everything that happened, to compare two runs of one seed.
    pub digest: u64,
}

/// One leader after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Succession {
    /// Whether some follower was told of the death.
    pub told: bool,
    /// How long it took, in ticks of Raft's clock. An election without being told begins after ten of them.
    pub ticks: u64,
}

impl Report {
    /// Of a world that did not even begin.
    pub(super) fn stillborn(why: String) -> Self {
        let violation = Some(Violation::Stopped { member: RaftId(0), why });
        Self {
            violation,
            at: Duration::ZERO,
            steps: 0,
            settled_after: None,
            coverage: Coverage::default(),
            successions: Vec::new(),
            digest: 0,
        }
    }
}
