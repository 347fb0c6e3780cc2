//! The judge: on every member, and heard only while its node leads.
//!
//! It gives each tenure its whole TTL from when this node saw it granted or renewed, which is always after its holder
//! asked. A node that begins to lead gives every lease a whole TTL again. Only a proven death is faster.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use constellation_core::{FencingToken, LeaseHolder, LeaseKind, NodeName};

use super::{
    command::Command,
    config::LeaseConfig,
    table::{LeaseTable, Record, Tenure},
};
use crate::{
    clock::JudgeMoment,
    mutation::{Broken, Mutation},
};

/// Deaths that nobody buried yet. More than a whole cluster can die at once of.
const DEATHS_BOUND: usize = 64;

/// How long after a verdict it is said again, if the table did not change: a proposal may vanish.
const REPEAT_AFTER: Duration = Duration::from_millis(250);

/// What the judge is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JudgeEvent<'a> {
    /// This is what the table says now. Told after every entry that was applied, and after every snapshot.
    Table(&'a LeaseTable),
    /// This node leads, and has applied the first entry of its own term: it knows everything that was ever promised.
    Leads,
    /// This node does not lead any more.
    Follows,
    /// Time has passed.
    Tick,
    /// A process is dead: its exit was seen on its own node, and said under that node's key.
    Died(LeaseHolder),
    /// A connection to a node failed. Worth a look; never proof, since firewalls reject as well.
    Hint(NodeName, Sign),
}

/// What a failed connection looked like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It was refused or reset.
    Refused,
    /// Nothing came back in time.
    TimedOut,
}

/// What the judge wants done: a command to propose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict(pub Command);

#[derive(Clone, Debug)]
struct Docket {
    token: FencingToken,
    tenure: Tenure,
    changed: u64,
    /// When this node saw that change, or began to lead.
    seen: JudgeMoment,
    said: Option<JudgeMoment>,
}

#[derive(Clone, Debug)]
struct Death {
    holder: LeaseHolder,
    said: Option<JudgeMoment>,
}

/// Decides on the leader when a lease is over.
#[derive(Clone, Debug)]
pub struct LeaseJudge {
    config: LeaseConfig,
    leads: bool,
    docket: BTreeMap<LeaseKind, Docket>,
    deaths: VecDeque<Death>,
    broken: Broken,
}

impl LeaseJudge {
    /// A judge who has seen nothing yet.
    pub fn new(config: LeaseConfig) -> Self {
        Self::with(config, Broken::default())
    }

    pub(crate) fn with(config: LeaseConfig, broken: Broken) -> Self {
        Self { config, leads: false, docket: BTreeMap::new(), deaths: VecDeque::new(), broken }
    }

    /// Takes in what happened, and says what is to be proposed.
    pub fn step(&mut self, event: JudgeEvent<'_>, now: JudgeMoment) -> Vec<Verdict> {
        match event {
            JudgeEvent::Table(table) => self.see(table, now),
            JudgeEvent::Leads => self.take_office(now),
            JudgeEvent::Follows => self.leads = false,
            JudgeEvent::Tick => {}
            JudgeEvent::Died(holder) => self.note_death(holder),
            JudgeEvent::Hint(node, sign) => {
                let believed = match sign {
                    Sign::Refused => Mutation::RefusedMeansDead,
                    Sign::TimedOut => Mutation::SilenceMeansDead,
                };
                if self.broken.is(believed) {
                    self.note_suspicion(&node);
                }
            }
        }
        if self.leads { self.verdicts(now) } else { vec![] }
    }

    fn see(&mut self, table: &LeaseTable, now: JudgeMoment) {
        for (kind, record) in table.records() {
            let known = self.docket.get(&kind).is_some_and(|docket| docket.changed == record.changed);
            if !known {
                let Record { tenure, token, changed } = record.clone();
                self.docket.insert(kind, Docket { token, tenure, changed, seen: now, said: None });
            }
        }
        self.deaths.retain(|death| !table.is_dead(&death.holder));
    }

    fn take_office(&mut self, now: JudgeMoment) {
        if self.leads {
            return;
        }
        self.leads = true;
        for docket in self.docket.values_mut() {
            docket.seen = now;
            docket.said = None;
            if self.broken.is(Mutation::NewLeaderSkipsTtl) {
                docket.seen = JudgeMoment::default();
            }
        }
        for death in &mut self.deaths {
            death.said = None;
        }
    }

    fn note_death(&mut self, holder: LeaseHolder) {
        if self.deaths.iter().any(|death| death.holder == holder) {
            return;
        }
        if self.deaths.len() == DEATHS_BOUND {
            self.deaths.pop_front();
        }
        self.deaths.push_back(Death { holder, said: None });
    }

    fn note_suspicion(&mut self, node: &NodeName) {
        let held = self.docket.values().find_map(|docket| match &docket.tenure {
            Tenure::Held { holder, .. } if holder.node == *node => Some(holder.clone()),
            _ => None,
        });
        if let Some(holder) = held {
            self.note_death(holder);
        }
    }

    fn verdicts(&mut self, now: JudgeMoment) -> Vec<Verdict> {
        let unsaid = |said: Option<JudgeMoment>| said.is_none_or(|said| now >= said + REPEAT_AFTER);
        let mut verdicts = Vec::new();
        for death in &mut self.deaths {
            if unsaid(death.said) {
                death.said = Some(now);
                verdicts.push(Verdict(Command::Bury { holder: death.holder.clone() }));
            }
        }
        for (kind, docket) in &mut self.docket {
            let lasts = match docket.tenure {
                Tenure::Free => continue,
                Tenure::Held { .. } => self.config.ttl,
                Tenure::Reserved(_) => self.config.reserve,
            };
            let over = now >= docket.seen + lasts && !self.broken.is(Mutation::NeverExpires);
            if over && unsaid(docket.said) {
                docket.said = Some(now);
                let (token, as_of) = (docket.token, docket.changed);
                verdicts.push(Verdict(Command::Expire { kind: *kind, token, as_of }));
            }
        }
        verdicts
    }
}

#[cfg(test)]
mod tests {
    use constellation_core::Moment;

    use super::*;
    use crate::lease::AskId;

    const LB: LeaseKind = LeaseKind::LbLeader;

    fn at(millis: u64) -> JudgeMoment {
        JudgeMoment(Moment::after_start(Duration::from_millis(millis)))
    }

    fn process(node: &str, boot: u128) -> LeaseHolder {
        LeaseHolder { node: node.parse().unwrap(), boot }
    }

    /// A table in which `a` got the lease at index 2.
    fn held() -> LeaseTable {
        let mut table = LeaseTable::new();
        table.apply(2, &Command::Acquire { kind: LB, holder: process("a", 1), ask: AskId(1) });
        table
    }

    fn leader_that_saw(table: &LeaseTable, when: JudgeMoment) -> LeaseJudge {
        let mut judge = LeaseJudge::new(LeaseConfig::default());
        judge.step(JudgeEvent::Leads, when);
        judge.step(JudgeEvent::Table(table), when);
        judge
    }

    fn expiry(as_of: u64) -> Vec<Verdict> {
        vec![Verdict(Command::Expire { kind: LB, token: FencingToken(2), as_of })]
    }

    #[test]
    fn a_lease_is_over_a_whole_ttl_after_the_leader_saw_it() {
        let mut judge = leader_that_saw(&held(), at(500));
        assert_eq!(judge.step(JudgeEvent::Tick, at(3499)), []);
        assert_eq!(judge.step(JudgeEvent::Tick, at(3500)), expiry(2));
        assert_eq!(judge.step(JudgeEvent::Tick, at(3600)), [], "said once");
        assert_eq!(judge.step(JudgeEvent::Tick, at(3750)), expiry(2), "and again, in case it was lost");
    }

    #[test]
    fn a_renewal_gives_a_whole_ttl_again_and_the_verdict_names_it() {
        let mut table = held();
        let mut judge = leader_that_saw(&table, at(0));
        let renewal =
            Command::Renew { kind: LB, holder: process("a", 1), ask: AskId(2), token: FencingToken(2) };
        table.apply(3, &renewal);
        judge.step(JudgeEvent::Table(&table), at(2000));
        assert_eq!(judge.step(JudgeEvent::Tick, at(4999)), []);
        assert_eq!(judge.step(JudgeEvent::Tick, at(5000)), expiry(3));
    }

    #[test]
    fn a_new_leader_gives_every_lease_a_whole_ttl_however_long_it_knew_of_it() {
        let mut judge = LeaseJudge::new(LeaseConfig::default());
        judge.step(JudgeEvent::Table(&held()), at(0));
        assert_eq!(judge.step(JudgeEvent::Tick, at(60_000)), [], "who does not lead does not judge");
        judge.step(JudgeEvent::Leads, at(60_000));
        assert_eq!(judge.step(JudgeEvent::Tick, at(62_999)), []);
        assert_eq!(judge.step(JudgeEvent::Tick, at(63_000)), expiry(2));
    }

    #[test]
    fn a_proven_death_is_said_at_once_and_outlives_a_change_of_leader() {
        let mut judge = LeaseJudge::new(LeaseConfig::default());
        assert_eq!(judge.step(JudgeEvent::Died(process("a", 1)), at(10)), []);
        let bury = [Verdict(Command::Bury { holder: process("a", 1) })];
        assert_eq!(judge.step(JudgeEvent::Leads, at(20)), bury);
        let mut table = held();
        table.apply(3, &bury[0].0);
        judge.step(JudgeEvent::Table(&table), at(30));
        assert_eq!(judge.step(JudgeEvent::Tick, at(10_000)), [], "once buried, nothing is left to say");
    }

    #[test]
    fn a_refused_connection_proves_nothing() {
        let mut judge = leader_that_saw(&held(), at(0));
        for sign in [Sign::Refused, Sign::TimedOut] {
            assert_eq!(judge.step(JudgeEvent::Hint("a".parse().unwrap(), sign), at(1)), []);
        }
        assert_eq!(judge.step(JudgeEvent::Tick, at(2999)), []);
    }

    #[test]
    fn a_reservation_that_nobody_takes_up_lapses() {
        let mut table = held();
        let heir = Some("b".parse().unwrap());
        table.apply(3, &Command::Release { kind: LB, holder: process("a", 1), token: FencingToken(2), heir });
        let mut judge = leader_that_saw(&table, at(0));
        assert_eq!(judge.step(JudgeEvent::Tick, at(999)), []);
        assert_eq!(judge.step(JudgeEvent::Tick, at(1000)), expiry(3));
    }
}
