//! What is written down of a container's state, so that the next runtime can go on from there.

use serde::{Deserialize, Serialize};

use super::procfs::Identity;
use crate::container::{HealthReport, RunState};

/// `state.json`. Unknown fields are refused: a file of a later version is better set aside than half understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) run: RunState,
    /// Somebody stopped it, and nobody started it since.
    pub(super) stopped_by_hand: bool,
    pub(super) health: HealthReport,
    pub(super) restarts: u32,
    pub(super) exit_code: Option<i64>,
    pub(super) started_at_ms: Option<u64>,
    pub(super) finished_at_ms: Option<u64>,
    /// Its main process, while it runs.
    pub(super) process: Option<Identity>,
}
