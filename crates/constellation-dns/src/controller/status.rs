//! What the controller tells of itself.

use constellation_core::WallTime;
use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// What it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Another process writes: it waits.
    Standby,
    /// It writes.
    Writing,
    /// It may write, and does not, because most of its peers are out of sight.
    Frozen,
    /// It may write, and was told to change nothing.
    DryRun,
}

/// How the last look at the zone ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The zone is as it should be, but for what was refused.
    Settled,
    /// It was changed.
    Changed,
    /// It could not be read or changed.
    Failed,
    /// The right to write ended meanwhile.
    Overtaken,
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// How often the whole zone was read.
    pub reads: u64,
    /// How many batches were written.
    pub writes: u64,
    /// How many changes were in them.
    pub changes: u64,
    /// How often something failed.
    pub failures: u64,
    /// How many records others had changed that are ours.
    pub drifted: u64,
}

/// What the controller tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsStatus {
    /// The zone.
    pub place: String,
    /// What it is doing.
    pub stage: Stage,
    /// Under which token it may write.
    pub token: Option<u64>,
    /// When the zone was last read, by this machine's calendar.
    pub looked: Option<WallTime>,
    /// How that ended.
    pub outcome: Option<Outcome>,
    /// When the zone was last known to be as it should be.
    pub settled: Option<WallTime>,
    /// How long the last change took from the look to the answer, in milliseconds.
    pub took_ms: Option<u64>,
    /// The last plan, as it was before it was carried out.
    pub plan: Option<Plan>,
    /// The last plan that had something to do.
    pub last_change: Option<Plan>,
    /// What keeps it from its work, until that is over.
    pub error: Option<String>,
    /// What others did to our records, the latest last.
    pub notes: Vec<String>,
    /// Counters.
    pub counters: Counters,
    /// Requests that were sent to the provider.
    pub requests: u64,
    /// Requests that may be sent now.
    pub requests_left: Option<u32>,
}

impl DnsStatus {
    pub(super) fn new(place: String, dry_run: bool) -> Self {
        Self {
            place,
            stage: if dry_run { Stage::DryRun } else { Stage::Standby },
            token: None,
            looked: None,
            outcome: None,
            settled: None,
            took_ms: None,
            plan: None,
            last_change: None,
            error: None,
            notes: Vec::new(),
            counters: Counters::default(),
            requests: 0,
            requests_left: None,
        }
    }
}
