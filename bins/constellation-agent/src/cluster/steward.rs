//! The work of whoever leads Raft beside the leases: who votes, where the members are, and how fast Raft runs.

use std::{sync::Arc, time::Duration};

use constellation_consensus::{
    ClusterCommand, LeaseHandle,
    member::{ClusterSettings, MemberCommand, Profile, SeatMove, SeatPolicy, plan},
    raft::{Lost, RaftId},
    transport::TcpTransport,
};
use constellation_core::{Clock, ClusterView};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{
    attendance::{Attendance, Patience},
    roster::told_address,
};

const EVERY: Duration = Duration::from_millis(500);
/// A pace changes when the slowest voter of the fastest majority is on the other side of these.
const SLOW: Duration = Duration::from_millis(15);
const FAST: Duration = Duration::from_millis(5);

pub(crate) struct Steward {
    pub(crate) me: RaftId,
    pub(crate) handle: LeaseHandle,
    pub(crate) transport: TcpTransport,
    pub(crate) view: watch::Receiver<Arc<ClusterView>>,
    pub(crate) policy: SeatPolicy,
    pub(crate) settings: ClusterSettings,
    pub(crate) patience: Patience,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Steward {
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut attendance = Attendance::default();
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            self.keep_pace();
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.pass(&mut attendance) => {}
            }
        }
    }

    /// Every member follows the pace that was agreed on.
    fn keep_pace(&self) {
        let pace = self.handle.roster().borrow().pace().unwrap_or(self.settings.profile);
        self.handle.set_tick(pace.timing().tick);
    }

    async fn pass(&self, attendance: &mut Attendance) {
        let (table, conf) = (self.handle.roster().borrow().clone(), self.handle.members().borrow().clone());
        let view = Arc::clone(&self.view.borrow());
        let now = self.clock.now();
        attendance.note(self.me, &table, &view, now);
        if !self.handle.role().borrow().leads {
            return;
        }
        let log = self.handle.standing().await;
        let standings = attendance.standings(self.me, &table, &view, &log, self.patience, now);
        match plan(self.me, &standings, &conf, self.policy) {
            Some(SeatMove::Change(seats)) => {
                info!(?seats, "the seats of the Raft group change");
                self.say(self.handle.change(seats).await.map(drop));
            }
            Some(SeatMove::Transfer(to)) => {
                info!(%to, "Raft's lead is handed over: this node is about to lose its seat");
                self.handle.transfer(to).await;
            }
            None => {}
        }
        for (id, member) in table.members().filter(|(id, _)| *id != self.me) {
            let told = told_address(&view, &member.node, id);
            if let Some(address) = told.filter(|told| *told != member.address) {
                info!(node = %member.node, %address, "a member is reached at another address now");
                let locate = ClusterCommand::Member(MemberCommand::Locate { id, address });
                self.say(self.handle.propose(locate).await.map(drop));
            }
        }
        if self.settings.auto_pace
            && let Some(pace) = self.other_pace(table.pace().unwrap_or(self.settings.profile), &conf.voters)
        {
            info!(pace = pace.as_str(), "the round trips to the voters ask for another pace of Raft");
            let command = ClusterCommand::Member(MemberCommand::Pace(pace));
            self.say(self.handle.propose(command).await.map(drop));
        }
    }

    fn other_pace(&self, now: Profile, voters: &[u64]) -> Option<Profile> {
        let peers = self.transport.peers();
        let mut trips: Vec<Duration> = voters
            .iter()
            .filter(|id| **id != self.me.0)
            .filter_map(|id| peers.get(&RaftId(*id)).filter(|peer| peer.connected)?.round_trip)
            .collect();
        trips.sort_unstable();
        let slowest = *trips.last()?;
        match now {
            Profile::Lan if slowest > SLOW => Some(Profile::Wan),
            Profile::Wan if slowest < FAST => Some(Profile::Lan),
            _ => None,
        }
    }

    fn say(&self, done: Result<(), Lost>) {
        if let Err(error) = done {
            // The next pass sees what became of it.
            debug!(%error, "a change of the members did not go through");
        }
    }
}
