//! The replicated table of leases: the same commands in the same order give the same table on every member.
//!
//! It knows no time. That nothing was heard of a holder for long enough is somebody's judgement ([`super::LeaseJudge`]),
//! which arrives as a command like any other.

use std::collections::{BTreeMap, VecDeque};

use constellation_core::{FencingToken, LeaseHolder, LeaseKind, NodeName};

use super::command::{AskId, Command, Outcome, Refusal};
use crate::mutation::{Broken, Mutation};

/// What is remembered of the past, for people. At a hand-over a minute it reaches back an hour.
pub(super) const HISTORY_BOUND: usize = 64;

/// How many dead processes are remembered, so that a late question of one finds no ear. Forgetting one costs a TTL in
/// the worst case and never the promise.
pub(super) const DEAD_BOUND: usize = 128;

/// One lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Whose it is.
    pub tenure: Tenure,
    /// The token of the last grant; zero before the first.
    pub token: FencingToken,
    /// Where in the log it was granted, renewed, reserved or freed last.
    pub changed: u64,
}

/// Whose a lease is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tenure {
    /// Nobody's.
    #[default]
    Free,
    /// A process's.
    Held {
        /// Which.
        holder: LeaseHolder,
        /// The question that won it.
        ask: AskId,
    },
    /// Nobody's, and kept for a moment for a node that its last holder named.
    Reserved(NodeName),
}

impl Record {
    /// Who holds it.
    pub fn holder(&self) -> Option<&LeaseHolder> {
        match &self.tenure {
            Tenure::Held { holder, .. } => Some(holder),
            Tenure::Free | Tenure::Reserved(_) => None,
        }
    }
}

/// Something that happened to a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where in the log.
    pub index: u64,
    /// To which lease.
    pub kind: LeaseKind,
    /// Under which token.
    pub token: FencingToken,
    /// What.
    pub deed: Deed,
    /// To or by which node.
    pub node: NodeName,
}

/// What happened to a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deed {
    /// The node got it.
    Granted,
    /// The node let it go.
    Released,
    /// The node let it go in favour of a better one.
    HandedOver,
    /// Nothing was heard of the node for a whole TTL.
    Expired,
    /// The node's process was proven dead.
    Buried,
}

/// All leases of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseTable {
    pub(super) records: BTreeMap<LeaseKind, Record>,
    pub(super) dead: VecDeque<LeaseHolder>,
    pub(super) history: VecDeque<Change>,
    pub(super) broken: Broken,
}

impl LeaseTable {
    /// A table in which every lease is free.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with(broken: Broken) -> Self {
        Self { broken, ..Self::default() }
    }

    pub(crate) fn keep_broken(self, broken: Broken) -> Self {
        let dead = if broken.is(Mutation::SnapshotForgetsTheDead) { VecDeque::new() } else { self.dead };
        Self { broken, dead, ..self }
    }

    /// One lease as it stands.
    pub fn record(&self, kind: LeaseKind) -> Record {
        self.records.get(&kind).cloned().unwrap_or_default()
    }

    /// Every lease that was ever granted.
    pub fn records(&self) -> impl Iterator<Item = (LeaseKind, &Record)> {
        self.records.iter().map(|(kind, record)| (*kind, record))
    }

    /// What happened, the oldest first.
    pub fn history(&self) -> impl Iterator<Item = &Change> {
        self.history.iter()
    }

    /// Whether a process has been proven dead, as far as is remembered.
    pub fn is_dead(&self, holder: &LeaseHolder) -> bool {
        self.dead.contains(holder)
    }

    /// Applies the command at `index` of the log. Indices rise from call to call.
    pub fn apply(&mut self, index: u64, command: &Command) -> Outcome {
        match command {
            Command::Acquire { kind, holder, ask } => self.acquire(index, *kind, holder, *ask),
            Command::Renew { kind, holder, ask, token } => self.renew(index, *kind, holder, *ask, *token),
            Command::Release { kind, holder, token, heir } => {
                self.release(index, *kind, holder, *token, heir.as_ref())
            }
            Command::Expire { kind, token, as_of } => self.expire(index, *kind, *token, *as_of),
            Command::Bury { holder } => self.bury(index, holder),
        }
    }

    fn acquire(&mut self, index: u64, kind: LeaseKind, holder: &LeaseHolder, ask: AskId) -> Outcome {
        if self.is_dead(holder) {
            return Outcome::Refused(Refusal::Dead);
        }
        let mut record = self.record(kind);
        match &record.tenure {
            Tenure::Held { holder: current, .. } if !self.same(current, holder) => {
                return Outcome::Refused(Refusal::Held(current.clone()));
            }
            Tenure::Held { ask: won, .. } if ask <= *won => return Outcome::Refused(Refusal::Overtaken),
            Tenure::Reserved(heir) if *heir != holder.node => {
                return Outcome::Refused(Refusal::Reserved(heir.clone()));
            }
            Tenure::Held { .. } | Tenure::Reserved(_) | Tenure::Free => {}
        }
        let reuse = record.token.0 > 0 && self.broken.is(Mutation::ReusesTokens);
        let token = if reuse { record.token } else { FencingToken(index) };
        record.tenure = Tenure::Held { holder: holder.clone(), ask };
        record.token = token;
        record.changed = index;
        self.records.insert(kind, record);
        self.remember(Change { index, kind, token, deed: Deed::Granted, node: holder.node.clone() });
        Outcome::Granted { token }
    }

    fn renew(
        &mut self,
        index: u64,
        kind: LeaseKind,
        holder: &LeaseHolder,
        ask: AskId,
        token: FencingToken,
    ) -> Outcome {
        if self.is_dead(holder) {
            return Outcome::Refused(Refusal::Dead);
        }
        if !self.holds(kind, holder, token) && !self.revives(kind, token) {
            return Outcome::Refused(Refusal::NotHeld);
        }
        let record = Record { tenure: Tenure::Held { holder: holder.clone(), ask }, token, changed: index };
        self.records.insert(kind, record);
        Outcome::Renewed { token }
    }

    fn release(
        &mut self,
        index: u64,
        kind: LeaseKind,
        holder: &LeaseHolder,
        token: FencingToken,
        heir: Option<&NodeName>,
    ) -> Outcome {
        let any = self.broken.is(Mutation::ReleaseIgnoresToken);
        let token = if any { self.record(kind).token } else { token };
        if !self.holds(kind, holder, token) {
            return Outcome::Refused(Refusal::NotHeld);
        }
        let tenure = heir.map_or(Tenure::Free, |heir| Tenure::Reserved(heir.clone()));
        let deed = if heir.is_some() { Deed::HandedOver } else { Deed::Released };
        self.records.insert(kind, Record { tenure, token, changed: index });
        self.remember(Change { index, kind, token, deed, node: holder.node.clone() });
        Outcome::Done
    }

    fn expire(&mut self, index: u64, kind: LeaseKind, token: FencingToken, as_of: u64) -> Outcome {
        let record = self.record(kind);
        if record.token != token || record.tenure == Tenure::Free {
            return Outcome::Refused(Refusal::NotHeld);
        }
        if record.changed != as_of && !self.broken.is(Mutation::ExpiryIgnoresRenewal) {
            return Outcome::Refused(Refusal::Renewed);
        }
        let node = record.holder().map(|holder| holder.node.clone());
        self.records.insert(kind, Record { tenure: Tenure::Free, token, changed: index });
        if let Some(node) = node {
            self.remember(Change { index, kind, token, deed: Deed::Expired, node });
        }
        Outcome::Done
    }

    fn bury(&mut self, index: u64, holder: &LeaseHolder) -> Outcome {
        let kinds: Vec<LeaseKind> = self
            .records()
            .filter(|(_, record)| record.holder().is_some_and(|current| self.same(current, holder)))
            .map(|(kind, _)| kind)
            .collect();
        for kind in kinds {
            let token = self.record(kind).token;
            self.records.insert(kind, Record { tenure: Tenure::Free, token, changed: index });
            self.remember(Change { index, kind, token, deed: Deed::Buried, node: holder.node.clone() });
        }
        if !self.is_dead(holder) {
            if self.dead.len() == DEAD_BOUND {
                self.dead.pop_front();
            }
            self.dead.push_back(holder.clone());
        }
        Outcome::Done
    }

    fn holds(&self, kind: LeaseKind, holder: &LeaseHolder, token: FencingToken) -> bool {
        let record = self.records.get(&kind);
        record.is_some_and(|record| {
            record.token == token && record.holder().is_some_and(|current| self.same(current, holder))
        })
    }

    fn revives(&self, kind: LeaseKind, token: FencingToken) -> bool {
        let record = self.records.get(&kind);
        self.broken.is(Mutation::RevivesByRenewal)
            && record.is_some_and(|record| record.token == token && record.tenure == Tenure::Free)
    }

    fn same(&self, one: &LeaseHolder, other: &LeaseHolder) -> bool {
        one.node == other.node && (one.boot == other.boot || self.broken.is(Mutation::IgnoresBootId))
    }

    fn remember(&mut self, change: Change) {
        if self.history.len() == HISTORY_BOUND {
            self.history.pop_front();
        }
        self.history.push_back(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LB: LeaseKind = LeaseKind::LbLeader;

    fn process(node: &str, boot: u128) -> LeaseHolder {
        LeaseHolder { node: node.parse().unwrap(), boot }
    }

    fn acquire(holder: &LeaseHolder, ask: u64) -> Command {
        Command::Acquire { kind: LB, holder: holder.clone(), ask: AskId(ask) }
    }

    fn renew(holder: &LeaseHolder, ask: u64, token: u64) -> Command {
        Command::Renew { kind: LB, holder: holder.clone(), ask: AskId(ask), token: FencingToken(token) }
    }

    fn release(holder: &LeaseHolder, token: u64, heir: Option<&str>) -> Command {
        let heir = heir.map(|heir| heir.parse().unwrap());
        Command::Release { kind: LB, holder: holder.clone(), token: FencingToken(token), heir }
    }

    fn expire(token: u64, as_of: u64) -> Command {
        Command::Expire { kind: LB, token: FencingToken(token), as_of }
    }

    fn granted(token: u64) -> Outcome {
        Outcome::Granted { token: FencingToken(token) }
    }

    #[test]
    fn the_token_is_the_place_of_the_grant_in_the_log() {
        let (a, mut table) = (process("a", 1), LeaseTable::new());
        assert_eq!(table.apply(17, &acquire(&a, 1)), granted(17));
        assert_eq!(table.record(LB).token, FencingToken(17));
    }

    #[test]
    fn a_held_lease_is_refused_to_others_also_to_the_next_process_of_the_same_node() {
        let (a, mut table) = (process("a", 1), LeaseTable::new());
        table.apply(2, &acquire(&a, 1));
        for other in [process("b", 1), process("a", 2)] {
            assert_eq!(table.apply(3, &acquire(&other, 9)), Outcome::Refused(Refusal::Held(a.clone())));
        }
    }

    #[test]
    fn only_the_holder_under_its_token_renews_or_releases() {
        let (a, b, mut table) = (process("a", 1), process("b", 1), LeaseTable::new());
        table.apply(2, &acquire(&a, 1));
        for wrong in [renew(&b, 2, 2), renew(&a, 2, 1), release(&b, 2, None), release(&a, 1, None)] {
            assert_eq!(table.apply(3, &wrong), Outcome::Refused(Refusal::NotHeld), "{wrong:?}");
        }
        assert_eq!(table.apply(4, &renew(&a, 2, 2)), Outcome::Renewed { token: FencingToken(2) });
        assert_eq!(table.apply(5, &release(&a, 2, None)), Outcome::Done);
        assert_eq!(table.apply(6, &acquire(&b, 1)), granted(6));
    }

    #[test]
    fn a_release_that_comes_late_does_not_touch_the_next_grant_to_the_same_process() {
        let (a, mut table) = (process("a", 1), LeaseTable::new());
        table.apply(2, &acquire(&a, 1));
        assert_eq!(table.apply(3, &acquire(&a, 2)), granted(3));
        assert_eq!(table.apply(4, &release(&a, 2, None)), Outcome::Refused(Refusal::NotHeld));
        assert_eq!(table.record(LB).holder(), Some(&a));
    }

    #[test]
    fn a_question_that_arrives_twice_is_answered_once() {
        let (a, mut table) = (process("a", 1), LeaseTable::new());
        table.apply(2, &acquire(&a, 1));
        assert_eq!(table.apply(3, &acquire(&a, 1)), Outcome::Refused(Refusal::Overtaken));
        assert_eq!(table.record(LB).token, FencingToken(2));
    }

    #[test]
    fn an_expiry_is_void_once_the_lease_was_renewed_after_the_judgement() {
        let (a, mut table) = (process("a", 1), LeaseTable::new());
        table.apply(2, &acquire(&a, 1));
        table.apply(3, &renew(&a, 2, 2));
        assert_eq!(table.apply(4, &expire(2, 2)), Outcome::Refused(Refusal::Renewed));
        assert_eq!(table.apply(5, &expire(2, 3)), Outcome::Done);
        assert_eq!(table.record(LB).tenure, Tenure::Free);
        assert_eq!(table.apply(6, &expire(2, 3)), Outcome::Refused(Refusal::NotHeld));
    }

    #[test]
    fn a_hand_over_keeps_the_lease_for_the_heir_until_that_lapses() {
        let (a, b, c) = (process("a", 1), process("b", 1), process("c", 1));
        let mut table = LeaseTable::new();
        table.apply(2, &acquire(&a, 1));
        table.apply(3, &release(&a, 2, Some("b")));
        let reserved = Outcome::Refused(Refusal::Reserved(b.node.clone()));
        assert_eq!(table.apply(4, &acquire(&c, 1)), reserved);
        let mut lapsed = table.clone();
        assert_eq!(table.apply(5, &acquire(&b, 1)), granted(5));
        assert_eq!(lapsed.apply(5, &expire(2, 3)), Outcome::Done);
        assert_eq!(lapsed.apply(6, &acquire(&c, 2)), granted(6));
    }

    #[test]
    fn a_buried_process_loses_its_leases_and_is_never_heard_again_but_its_successor_is() {
        let (old, new, mut table) = (process("a", 1), process("a", 2), LeaseTable::new());
        table.apply(2, &acquire(&old, 1));
        table.apply(3, &Command::Bury { holder: old.clone() });
        assert_eq!(table.apply(4, &acquire(&old, 2)), Outcome::Refused(Refusal::Dead));
        assert_eq!(table.apply(5, &acquire(&new, 1)), granted(5));
        table.apply(6, &Command::Bury { holder: old });
        assert_eq!(table.record(LB).holder(), Some(&new), "an old death does not touch the successor");
    }

    #[test]
    fn the_past_is_bounded() {
        let mut table = LeaseTable::new();
        for round in 0..200_u64 {
            let a = process("a", u128::from(round));
            table.apply(2 * round + 2, &acquire(&a, 1));
            table.apply(2 * round + 3, &Command::Bury { holder: a });
        }
        assert_eq!((table.history.len(), table.dead.len()), (HISTORY_BOUND, DEAD_BOUND));
    }
}
