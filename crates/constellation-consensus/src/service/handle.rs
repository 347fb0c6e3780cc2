//! What the rest of a process has of the service.

use std::{collections::BTreeMap, sync::Arc};

use constellation_core::{FencingToken, LeaseHolder, LeaseKind, LeaseStatus};
use tokio::sync::{mpsc, oneshot, watch};

use super::clocks::LeaseClocks;
use crate::{
    lease::{LeaseTable, Sign, Wish},
    raft::{Lost, RaftId, Role, Seat, proto::ConfState},
};

/// What is asked of the task.
#[derive(Debug)]
pub(super) enum Ask {
    Wish(LeaseKind, Wish),
    Died(LeaseHolder),
    Hint(constellation_core::NodeName, Sign),
    Read(oneshot::Sender<Result<(), Lost>>),
    Change(Vec<(RaftId, Seat)>, oneshot::Sender<Result<ConfState, Lost>>),
    Transfer(RaftId),
}

/// Speaks for the service. Clones speak for the same.
#[derive(Clone)]
pub struct LeaseHandle {
    pub(super) holder: LeaseHolder,
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) statuses: BTreeMap<LeaseKind, watch::Receiver<LeaseStatus>>,
    pub(super) role: watch::Receiver<Role>,
    pub(super) table: watch::Receiver<Arc<LeaseTable>>,
    pub(super) members: watch::Receiver<ConfState>,
    pub(super) clocks: Arc<dyn LeaseClocks>,
}

impl std::fmt::Debug for LeaseHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaseHandle").field("role", &*self.role.borrow()).finish_non_exhaustive()
    }
}

impl LeaseHandle {
    /// Follows one lease. A status may have run out since it was published: [`LeaseHandle::may_act`] knows.
    pub fn status(&self, lease: LeaseKind) -> watch::Receiver<LeaseStatus> {
        match self.statuses.get(&lease) {
            Some(status) => status.clone(),
            // Every lease has a keeper; one that had none would never be held.
            None => watch::channel(LeaseStatus::Unheld).1,
        }
    }

    /// The token under which this process may act at this very moment. Ask right before each effect.
    pub fn may_act(&self, lease: LeaseKind) -> Option<FencingToken> {
        self.statuses.get(&lease)?.borrow().may_act(self.clocks.now().holder.0)
    }

    /// Says whether this node would hold a lease.
    pub async fn wish(&self, lease: LeaseKind, wish: Wish) {
        self.ask(Ask::Wish(lease, wish)).await;
    }

    /// Says that a process is dead. Only on proof: its exit was seen.
    pub async fn died(&self, holder: LeaseHolder) {
        self.ask(Ask::Died(holder)).await;
    }

    /// Says that a connection to a node failed.
    pub async fn hint(&self, node: constellation_core::NodeName, sign: Sign) {
        self.ask(Ask::Hint(node, sign)).await;
    }

    /// Waits until this node knows everything that was committed before the call: what [`LeaseHandle::table`] then shows is
    /// not old. Fails after a few election times at most.
    pub async fn read(&self) -> Result<(), Lost> {
        let (answer, answered) = oneshot::channel();
        self.ask(Ask::Read(answer)).await;
        answered.await.unwrap_or(Err(Lost::Unknown))
    }

    /// Changes members, in one step that keeps a majority of before and after throughout. On the leader only.
    pub async fn change(&self, seats: Vec<(RaftId, Seat)>) -> Result<ConfState, Lost> {
        let (answer, answered) = oneshot::channel();
        self.ask(Ask::Change(seats, answer)).await;
        answered.await.unwrap_or(Err(Lost::Unknown))
    }

    /// Hands Raft's lead to another voter, if this node has it.
    pub async fn transfer(&self, to: RaftId) {
        self.ask(Ask::Transfer(to)).await;
    }

    /// Follows who leads Raft.
    pub fn role(&self) -> watch::Receiver<Role> {
        self.role.clone()
    }

    /// Follows the lease table.
    pub fn table(&self) -> watch::Receiver<Arc<LeaseTable>> {
        self.table.clone()
    }

    /// Follows the members.
    pub fn members(&self) -> watch::Receiver<ConfState> {
        self.members.clone()
    }

    /// Gives up whatever this process holds, and waits until the cluster knows. The caller sets the limit.
    pub async fn resign(&self) {
        for lease in self.statuses.keys() {
            self.wish(*lease, Wish::No).await;
        }
        let mut table = self.table.clone();
        for (lease, status) in &self.statuses {
            let mut status = status.clone();
            // An error is the service's end, after which nothing is held.
            let idle = |status: &LeaseStatus| !matches!(status, LeaseStatus::Held { .. });
            if status.wait_for(idle).await.is_err() {
                return;
            }
            let given_up = |table: &Arc<LeaseTable>| table.record(*lease).holder() != Some(&self.holder);
            if table.wait_for(given_up).await.is_err() {
                return;
            }
        }
    }

    async fn ask(&self, ask: Ask) {
        // Where the service has ended nobody answers, and whoever waits finds its answer's sender gone.
        let _ = self.asks.send(ask).await;
    }
}
