//! What the keepers of all nodes asked, what they were answered, and what the table said that happened in between.
//!
//! It is put down without the log's order: an operation is what was claimed, and the span of time in which it must have
//! taken effect. Whether all of it together can be is for [`super::linear`] to say.

use std::collections::BTreeMap;

use constellation_consensus::lease::{
    AskId, Change, Command, Deed, LeaseTable, Outcome, Record, Refusal, Tenure,
};
use constellation_consensus::raft::RaftId;
use constellation_core::{FencingToken, LeaseHolder, LeaseKind, NodeName};

use super::{
    checks::Violation,
    coverage::{Coverage, Hit},
    linear::{Claim, Heir, Operation, Verdict, explain},
};

/// What an answer names, to find its question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Ask(AskId),
    Release(FencingToken),
}

/// Which process asked what, of which lease.
type Key = (NodeName, u128, LeaseKind, Question);

#[derive(Clone, Copy, Debug)]
struct Asked {
    at: u64,
    /// The highest place in the log of which an answer had come by then.
    known: u64,
    answers: u32,
}

#[derive(Debug, Default)]
pub(super) struct History {
    /// Rises with every step of any node.
    clock: u64,
    /// The highest place in the log of which any answer has come.
    known: u64,
    asked: BTreeMap<Key, Asked>,
    /// When the end of a tenure was judged first.
    expired: BTreeMap<(LeaseKind, FencingToken), u64>,
    /// When the holder of a tenure said first that it let go.
    released: BTreeMap<(LeaseKind, FencingToken), u64>,
    /// When a death of a node's process was judged first.
    buried: BTreeMap<NodeName, u64>,
    operations: BTreeMap<LeaseKind, Vec<Operation>>,
    /// The place of the last change of the table that some node showed.
    seen: u64,
}

impl History {
    /// A step of some node begins. What it asks and what it is answered in one step may have been in either order.
    pub(super) fn tick(&mut self) {
        self.clock += 1;
    }

    pub(super) fn asked(&mut self, command: &Command) {
        let Some(key) = key(command) else { return };
        let asked = Asked { at: self.clock, known: self.known, answers: 0 };
        if let Command::Release { kind, token, .. } = command {
            // It is said again until the table agrees, and good from the first time on.
            self.asked.entry(key).or_insert(asked);
            self.released.entry((*kind, *token)).or_insert(asked.at);
        } else {
            self.asked.insert(key, asked);
        }
    }

    /// A leader judged that a tenure is over, or that a process is dead.
    pub(super) fn judged(&mut self, command: &Command) {
        match command {
            Command::Expire { kind, token, .. } => {
                self.expired.entry((*kind, *token)).or_insert(self.clock);
            }
            Command::Bury { holder } => {
                self.buried.entry(holder.node.clone()).or_insert(self.clock);
            }
            _ => {}
        }
    }

    /// An answer came: what stands at `index` of the log is applied where it was asked. One that had been answered before
    /// the question cannot stand behind it.
    pub(super) fn answered(
        &mut self,
        member: RaftId,
        index: u64,
        command: &Command,
        outcome: &Outcome,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        let (Some(key), Some(holder)) = (key(command), command.asker()) else { return Ok(()) };
        let Some(asked) = self.asked.get_mut(&key) else { return Ok(()) };
        asked.answers += 1;
        if asked.answers == 2 {
            coverage.hit(Hit::AnsweredTwice);
        }
        let asked = *asked;
        self.known = self.known.max(index);
        self.note(&key, holder.clone(), asked.at, command, outcome, coverage);
        if index <= asked.known {
            return Err(Violation::OutOfOrder { member, index, answered: asked.known });
        }
        Ok(())
    }

    fn note(
        &mut self,
        key: &Key,
        holder: LeaseHolder,
        after: u64,
        command: &Command,
        outcome: &Outcome,
        coverage: &mut Coverage,
    ) {
        let (kind, before) = (key.2, self.clock);
        let claim = match outcome {
            // These are changes, and the table has shown them; here is when they were asked for.
            Outcome::Granted { token } => {
                return self.tighten(
                    kind,
                    after,
                    |claim| matches!(claim, Claim::Granted { token: granted, .. } if granted == token),
                );
            }
            Outcome::Done => {
                let Question::Release(token) = key.3 else { return };
                return self.tighten(
                    kind,
                    after,
                    |claim| matches!(claim, Claim::Ended { token: ended, .. } if *ended == token),
                );
            }
            Outcome::Renewed { token } => {
                coverage.hit(Hit::Renewed);
                Claim::Renewed { holder, token: *token }
            }
            Outcome::Refused(Refusal::Held(other)) => Claim::HeldBy(other.clone()),
            Outcome::Refused(Refusal::Reserved(heir)) => Claim::ReservedFor(heir.clone()),
            Outcome::Refused(Refusal::Overtaken) => Claim::HeldBy(holder),
            Outcome::Refused(Refusal::NotHeld) => match command {
                Command::Renew { token, .. } | Command::Release { token, .. } => {
                    Claim::NotHeld { holder, token: *token }
                }
                _ => return,
            },
            // Of the dead nothing can be told, and an expiry is no keeper's.
            Outcome::Refused(Refusal::Dead | Refusal::Renewed) => return,
        };
        self.operations.entry(kind).or_default().push(Operation { after, before, claim });
    }

    /// A change that was asked for cannot have come before the question.
    fn tighten(&mut self, kind: LeaseKind, asked: u64, is_it: impl Fn(&Claim) -> bool) {
        let operations = self.operations.entry(kind).or_default();
        if let Some(operation) = operations.iter_mut().rev().find(|operation| is_it(&operation.claim)) {
            operation.after = operation.after.max(asked);
        }
    }

    /// Some node's table is like this now: what changed in it that was not seen before has happened by now.
    pub(super) fn saw(&mut self, table: &LeaseTable, coverage: &mut Coverage) {
        let before = self.seen;
        // One entry may change several leases: a process that is proven dead loses all that it held.
        for change in table.history().filter(|change| change.index > before) {
            self.seen = change.index;
            let claim = claim(change, &table.record(change.kind));
            coverage.hit(match change.deed {
                Deed::Granted => Hit::Granted,
                Deed::Released => Hit::Released,
                Deed::HandedOver => Hit::HandedOver,
                Deed::Expired => Hit::Expired,
                Deed::Buried => Hit::Buried,
            });
            let tenure = (change.kind, change.token);
            let cause = match change.deed {
                // The question that won it is known by its answer.
                Deed::Granted => Some(&0),
                Deed::Released | Deed::HandedOver => self.released.get(&tenure),
                Deed::Expired => self.expired.get(&tenure),
                Deed::Buried => self.buried.get(&change.node),
            };
            // What nobody asked for began after all time, and nothing explains it.
            let after = cause.copied().unwrap_or(u64::MAX);
            let operation = Operation { after, before: self.clock, claim };
            self.operations.entry(change.kind).or_default().push(operation);
        }
    }

    /// At the end: whether there is an order that explains it all.
    pub(super) fn check(&self, coverage: &mut Coverage) -> Result<(), Violation> {
        let unanswered = self.asked.values().filter(|asked| asked.answers == 0).count();
        coverage.add(Hit::Unanswered, u64::try_from(unanswered).unwrap_or(0));
        for (lease, operations) in &self.operations {
            match explain(operations) {
                Verdict::Explained => {
                    coverage.add(Hit::Explained, u64::try_from(operations.len()).unwrap_or(0));
                }
                Verdict::Unexplained(stuck) => {
                    let claim = format!("{:?}", stuck.claim);
                    return Err(Violation::NotLinearizable { lease: *lease, claim });
                }
                Verdict::Undecided => {
                    let claim = "the search was given up".to_owned();
                    return Err(Violation::NotLinearizable { lease: *lease, claim });
                }
            }
        }
        Ok(())
    }
}

fn key(command: &Command) -> Option<Key> {
    let of = |holder: &LeaseHolder| (holder.node.clone(), holder.boot);
    let (question, kind, (node, boot)) = match command {
        Command::Acquire { kind, holder, ask } | Command::Renew { kind, holder, ask, .. } => {
            (Question::Ask(*ask), *kind, of(holder))
        }
        Command::Release { kind, holder, token, .. } => (Question::Release(*token), *kind, of(holder)),
        Command::Expire { .. } | Command::Bury { .. } => return None,
    };
    Some((node, boot, kind, question))
}

/// A change, and what the lease's record still tells of it.
fn claim(change: &Change, record: &Record) -> Claim {
    let fresh = record.token == change.token;
    match change.deed {
        Deed::Granted => {
            let boot = record.holder().filter(|holder| fresh && holder.node == change.node);
            Claim::Granted {
                node: change.node.clone(),
                boot: boot.map(|holder| holder.boot),
                token: change.token,
            }
        }
        Deed::HandedOver => {
            let heir = match &record.tenure {
                Tenure::Reserved(heir) if fresh => Some(heir.clone()),
                _ => None,
            };
            Claim::Ended { token: change.token, heir: Heir::Somebody(heir) }
        }
        Deed::Released | Deed::Expired | Deed::Buried => {
            Claim::Ended { token: change.token, heir: Heir::Nobody }
        }
    }
}
