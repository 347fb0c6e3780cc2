//! What the rest of a process has of the service.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use constellation_core::{FencingToken, LeaseHolder, LeaseKind, LeaseStatus};
use tokio::sync::{mpsc, oneshot, watch};

use super::{ServiceError, clocks::LeaseClocks};
use crate::{
    clock::HolderMoment,
    lease::{LeaseTable, Sign, Wish},
    machine::{ClusterCommand, Reply},
    member::MemberTable,
    raft::{Lost, RaftId, Role, Seat, proto::ConfState},
};

/// Where a command that was put stands in the log, and what came of it; or why that is not known.
pub(super) type Proposed = oneshot::Sender<Result<(u64, Reply), Lost>>;

/// What is asked of the task.
#[derive(Debug)]
pub(super) enum Ask {
    Wish(LeaseKind, Wish),
    Died(LeaseHolder),
    Hint(constellation_core::NodeName, Sign),
    Propose(ClusterCommand, Proposed),
    Standing(oneshot::Sender<Standing>),
    State(oneshot::Sender<(u64, Vec<u8>)>),
    Read(oneshot::Sender<Result<(), Lost>>),
    Change(Vec<(RaftId, Seat)>, oneshot::Sender<Result<ConfState, Lost>>),
    Transfer(RaftId),
}

/// How far this node's log is, and where it leads those of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What is committed, as far as this node knows.
    pub committed: u64,
    /// What it has applied.
    pub applied: u64,
    /// How far each member's log agrees with its own; empty unless it leads.
    pub progress: BTreeMap<RaftId, u64>,
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
    pub(super) roster: watch::Receiver<Arc<MemberTable>>,
    pub(super) tick: watch::Sender<Duration>,
    pub(super) ended: watch::Receiver<Option<Arc<ServiceError>>>,
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

    /// Puts a command to the cluster, and waits until it is applied here. Gives where in the log it stands, and what came
    /// of it. [`Lost::Unknown`] means that it may have happened, or may yet.
    pub async fn propose(&self, command: ClusterCommand) -> Result<(u64, Reply), Lost> {
        let (answer, answered) = oneshot::channel();
        self.ask(Ask::Propose(command, answer)).await;
        answered.await.unwrap_or(Err(Lost::Unknown))
    }

    /// How far the log is; the default where the service has ended.
    pub async fn standing(&self) -> Standing {
        let (answer, answered) = oneshot::channel();
        self.ask(Ask::Standing(answer)).await;
        answered.await.unwrap_or_default()
    }

    /// All that the cluster has agreed on, as this node has it, and up to which place in the log; `None` where the service
    /// has ended.
    pub async fn state(&self) -> Option<(u64, Vec<u8>)> {
        let (answer, answered) = oneshot::channel();
        self.ask(Ask::State(answer)).await;
        answered.await.ok()
    }

    /// Waits for the end of the service, and gives the reason where it could not go on; `None` where it was asked to end, or
    /// panicked.
    pub async fn ended(&self) -> Option<Arc<ServiceError>> {
        let mut ended = self.ended.clone();
        // The sender may be gone, and what it said last still counts.
        let _ = ended.wait_for(Option::is_some).await;
        ended.borrow_and_update().clone()
    }

    /// Sets how long a tick is from now on: all waits of Raft grow with it.
    pub fn set_tick(&self, tick: Duration) {
        self.tick.send_if_modified(|now| std::mem::replace(now, tick) != tick);
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

    /// Follows who belongs to the cluster.
    pub fn roster(&self) -> watch::Receiver<Arc<MemberTable>> {
        self.roster.clone()
    }

    /// This process.
    pub fn holder(&self) -> &LeaseHolder {
        &self.holder
    }

    /// Now, on the clock that leases are held by.
    pub fn now(&self) -> HolderMoment {
        self.clocks.now().holder
    }

    /// Follows who votes and who follows without a vote.
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
