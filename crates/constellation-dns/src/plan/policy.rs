//! How far a plan may go.

use constellation_core::{ClusterId, FencingToken};
use serde::{Deserialize, Serialize};

use super::Change;

/// What may be done at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Everything, within the guards.
    Sync,
    /// Nothing is removed.
    UpsertOnly,
    /// Nothing is removed or changed.
    CreateOnly,
}

impl Strategy {
    pub(super) const fn allows(self, change: &Change) -> bool {
        match (self, change) {
            (Self::Sync, _) | (_, Change::Create { .. }) => true,
            (Self::UpsertOnly, change) => !matches!(change, Change::Delete { .. }),
            (Self::CreateOnly, _) => false,
        }
    }
}

/// When a removal is too large to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// More than so many in a hundred of our records do not go at once.
    pub percent: u8,
    /// With fewer records than this, shares mean nothing.
    pub floor: usize,
}

impl Default for Guard {
    /// 30 % from 10 records on.
    fn default() -> Self {
        Self { percent: 30, floor: 10 }
    }
}

impl Guard {
    /// The guard of a cluster of so many machines: to lose any one of them is what a cluster is for, so the share of one
    /// machine may always go.
    #[must_use]
    pub fn of_machines(self, machines: usize) -> Self {
        let share = 100usize.div_ceil(machines.max(1)).min(100);
        Self { percent: self.percent.max(u8::try_from(share).unwrap_or(100)), ..self }
    }

    pub(super) const fn is_too_much(self, removals: usize, owned: usize) -> bool {
        owned >= self.floor && removals * 100 > owned * self.percent as usize
    }
}

/// How far a plan may go, and who makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What may be done.
    pub strategy: Strategy,
    /// How much of it at once.
    pub guard: Guard,
    /// A person has seen the plan and wants it all the same. It lifts the guard on how much is removed and on the last
    /// address of a name, and nothing else.
    pub force: bool,
    /// Whose records may be changed.
    pub cluster: ClusterId,
    /// Under which token; `None` where a plan is only looked at.
    pub token: Option<FencingToken>,
}

impl Policy {
    /// The defaults, for a plan that is only looked at.
    pub fn of(cluster: ClusterId) -> Self {
        Self { strategy: Strategy::Sync, guard: Guard::default(), force: false, cluster, token: None }
    }
}
