//! Since when each member has been there, or away. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use constellation_consensus::{
    Standing as LogStanding,
    member::{MemberTable, Standing},
    raft::RaftId,
};
use constellation_core::{ClusterView, Moment};

use super::roster::told_address;

/// How many entries a learner may be behind and still count as caught up.
const CAUGHT_UP: u64 = 64;

/// How long is long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Who has been there for so long may vote.
    pub(crate) stable: Duration,
    /// Who has been away for so long is not waited for.
    pub(crate) lost: Duration,
}

impl Default for Patience {
    /// Five seconds are many gossip rounds; a minute is more than a restart of an agent, and less than one of most machines.
    fn default() -> Self {
        Self { stable: Duration::from_secs(5), lost: Duration::from_secs(60) }
    }
}

/// Who has been there since when.
#[derive(Debug, Default)]
pub(crate) struct Attendance {
    seen: BTreeMap<RaftId, (bool, Moment)>,
}

impl Attendance {
    /// Takes in what is seen now.
    pub(crate) fn note(&mut self, me: RaftId, table: &MemberTable, view: &ClusterView, now: Moment) {
        let known: BTreeSet<RaftId> = table.members().map(|(id, _)| id).collect();
        self.seen.retain(|id, _| known.contains(id));
        for (id, member) in table.members() {
            let live = id == me || told_address(view, &member.node, id).is_some();
            let since = self.seen.entry(id).or_insert((live, now));
            if since.0 != live {
                *since = (live, now);
            }
        }
    }

    /// How the members are, for the choice of who votes.
    pub(crate) fn standings(
        &self,
        me: RaftId,
        table: &MemberTable,
        view: &ClusterView,
        log: &LogStanding,
        patience: Patience,
        now: Moment,
    ) -> Vec<Standing> {
        let standing = |(id, member): (RaftId, &constellation_consensus::member::Member)| {
            let (live, since) = self.seen.get(&id).copied().unwrap_or((false, now));
            let time = now.since(since);
            Standing {
                id,
                live,
                stable: id == me || live && time >= patience.stable,
                lost: !live && time >= patience.lost,
                caught_up: log.progress.get(&id).is_some_and(|matched| matched + CAUGHT_UP >= log.committed),
                zone: view.member(&member.node).and_then(|member| member.node.facts.zone.clone()),
            }
        };
        table.members().map(standing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_and_goes_is_neither_stable_nor_lost() {
        let (me, other) = (RaftId(1), RaftId(2));
        let mut table = MemberTable::founded_by(me, "a".parse().unwrap(), "192.0.2.1:8300".parse().unwrap());
        let admit = constellation_consensus::member::MemberCommand::Admit {
            key: constellation_consensus::member::AdmissionKey::SharedKey { founders: 9 },
            node: "b".parse().unwrap(),
            address: "192.0.2.2:8300".parse().unwrap(),
            request: [2; 32],
            at: constellation_core::WallTime(0),
            replaces: None,
        };
        table.apply(2, &admit);
        let view = ClusterView::empty("a".parse().unwrap());
        let at = |seconds| Moment::after_start(Duration::from_secs(seconds));
        let mut attendance = Attendance::default();
        let standing = |attendance: &Attendance, now| {
            let log = LogStanding { committed: 120, applied: 120, progress: [(other, 100)].into() };
            let all = attendance.standings(me, &table, &view, &log, Patience::default(), now);
            all.into_iter().find(|standing| standing.id == other).unwrap()
        };
        attendance.note(me, &table, &view, at(0));
        assert!(!standing(&attendance, at(59)).lost);
        assert!(standing(&attendance, at(60)).lost && standing(&attendance, at(60)).caught_up);
        attendance.seen.insert(other, (true, at(70)));
        assert!(!standing(&attendance, at(74)).stable);
        assert!(standing(&attendance, at(75)).stable);
        attendance.note(me, &table, &view, at(80));
        assert!(!standing(&attendance, at(139)).lost, "it went at 80");
    }
}
