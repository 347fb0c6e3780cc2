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
/// A pace changes when the round trip to the slowest voter of the fastest majority is on the other side of these.
const SLOW: Duration = Duration::from_millis(15);
const FAST: Duration = Duration::from_millis(5);
/// How many passes in a row must see the same, so that one late answer changes nothing.
const PACE_PASSES: u32 = 10;

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
        let mut pace = PaceVerdict::default();
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
                () = self.pass(&mut attendance, &mut pace) => {}
            }
        }
    }

    /// Every member follows the pace that was agreed on.
    fn keep_pace(&self) {
        let pace = self.handle.roster().borrow().pace().unwrap_or(self.settings.profile);
        self.handle.set_tick(pace.timing().tick);
    }

    async fn pass(&self, attendance: &mut Attendance, verdict: &mut PaceVerdict) {
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
        let now = table.pace().unwrap_or(self.settings.profile);
        if self.settings.auto_pace
            && let Some(pace) = verdict.note(other_pace(now, self.majority_trip(&conf.voters)))
        {
            info!(pace = pace.as_str(), "the round trips to the voters ask for another pace of Raft");
            let command = ClusterCommand::Member(MemberCommand::Pace(pace));
            self.say(self.handle.propose(command).await.map(drop));
        }
    }

    /// The round trip to the slowest voter of the fastest majority: what a commit waits for.
    fn majority_trip(&self, voters: &[u64]) -> Option<Duration> {
        let peers = self.transport.peers();
        let mut trips: Vec<Duration> = voters
            .iter()
            .filter(|id| **id != self.me.0)
            .filter_map(|id| peers.get(&RaftId(*id)).filter(|peer| peer.connected)?.round_trip)
            .collect();
        trips.sort_unstable();
        // The leader is one of the majority and waits for no trip to itself.
        let others = voters.len() / 2;
        trips.get(others.checked_sub(1)?).copied()
    }

    fn say(&self, done: Result<(), Lost>) {
        if let Err(error) = done {
            // The next pass sees what became of it.
            debug!(%error, "a change of the members did not go through");
        }
    }
}

/// The pace that this round trip asks for, if it is another one.
fn other_pace(now: Profile, trip: Option<Duration>) -> Option<Profile> {
    match now {
        Profile::Lan if trip? > SLOW => Some(Profile::Wan),
        Profile::Wan if trip? < FAST => Some(Profile::Lan),
        _ => None,
    }
}

/// Whether another pace was asked for often enough in a row.
#[derive(Default)]
struct PaceVerdict {
    asked: Option<Profile>,
    passes: u32,
}

impl PaceVerdict {
    fn note(&mut self, asked: Option<Profile>) -> Option<Profile> {
        self.passes = if asked.is_some() && asked == self.asked { self.passes + 1 } else { 1 };
        self.asked = asked;
        let settled = asked.filter(|_| self.passes >= PACE_PASSES);
        if settled.is_some() {
            // It is proposed now; what became of it is seen by the passes to come.
            *self = Self::default();
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Option<Duration> {
        Some(Duration::from_millis(ms))
    }

    #[test]
    fn between_the_bounds_the_pace_stays_as_it_is() {
        for pace in [Profile::Lan, Profile::Wan] {
            assert_eq!(other_pace(pace, ms(5)), None);
            assert_eq!(other_pace(pace, ms(15)), None);
            assert_eq!(other_pace(pace, None), None, "nobody answers, which says nothing");
        }
        assert_eq!(other_pace(Profile::Lan, ms(16)), Some(Profile::Wan));
        assert_eq!(other_pace(Profile::Wan, ms(4)), Some(Profile::Lan));
    }

    #[test]
    fn one_late_answer_changes_nothing_and_a_lasting_one_does_once() {
        let mut verdict = PaceVerdict::default();
        let wan = Some(Profile::Wan);
        for _ in 1..PACE_PASSES {
            assert_eq!(verdict.note(wan), None);
        }
        assert_eq!(verdict.note(None), None, "it begins anew");
        for _ in 1..PACE_PASSES {
            assert_eq!(verdict.note(wan), None);
        }
        assert_eq!(verdict.note(wan), wan);
        assert_eq!(verdict.note(wan), None);
    }
}
