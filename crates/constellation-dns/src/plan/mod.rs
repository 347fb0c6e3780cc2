//! From what should be and what is to the least that must be done, or to the reason why it is not done.
//!
//! Pure, so that each awkward zone is one row of a test. Records without our marker are looked at and never touched.

mod apply;
mod guard;
mod matching;
mod policy;
mod print;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use constellation_core::{ClusterId, FencingToken};
use serde::{Deserialize, Serialize};

pub(crate) use self::apply::carry_out;
pub use self::{
    apply::after,
    policy::{Guard, Policy, Strategy},
};
use crate::{
    desired::Desired,
    owner::{Owner, owner_of},
    record::{Found, Record, RecordName},
};

/// One change of the zone. What it leaves behind carries the marker of whoever makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "lowercase")]
pub enum Change {
    /// Takes a record of ours away.
    Delete {
        /// The record.
        from: Found,
    },
    /// Makes another record of one of ours, in place: the name is never without an answer.
    Update {
        /// As it is.
        from: Found,
        /// As it should be.
        to: Record,
    },
    /// Writes the marker anew and changes nothing else: whoever held the pen before sees that it was passed on.
    Stamp {
        /// The record.
        from: Found,
    },
    /// Takes the marker off, and with it our hands. No plan does this: a person asks for it.
    Release {
        /// The record.
        from: Found,
    },
    /// Adds a record.
    Create {
        /// The record.
        to: Record,
    },
}

impl Change {
    /// The name that it is about.
    pub fn name(&self) -> &str {
        match self {
            Self::Delete { from }
            | Self::Stamp { from }
            | Self::Release { from }
            | Self::Update { from, .. } => &from.name,
            Self::Create { to } => to.name.as_str(),
        }
    }

    /// Deletes first, as the batch endpoint does them: else a new record would meet the one that it replaces.
    const fn rank(&self) -> u8 {
        match self {
            Self::Delete { .. } => 0,
            Self::Update { .. } => 1,
            Self::Stamp { .. } | Self::Release { .. } => 2,
            Self::Create { .. } => 3,
        }
    }
}

/// Why something that should be done is not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Refusal {
    /// A record that is not ours has the name.
    #[error(
        "{name} has a record that is not ours ({kind} {content}{}): remove it, or take it over with \
         `constellation-agent dns adopt {name}`", owner.as_ref().map(|owner| format!(", of the cluster {owner}")).unwrap_or_default()
    )]
    Foreign {
        /// The name.
        name: String,
        /// The foreign record's kind.
        kind: String,
        /// What it says.
        content: String,
        /// The cluster that owns it, if one does.
        owner: Option<ClusterId>,
    },
    /// It would leave a name without an answer.
    #[error(
        "{name} would be left without an address ({content}), which nobody but a person may do: `constellation-agent dns \
         apply --force`"
    )]
    LastAddress {
        /// The name.
        name: String,
        /// What would go.
        content: String,
    },
    /// It would remove too much at once.
    #[error(
        "{removals} of our {owned} records would go at once, more than {percent} %: look at `constellation-agent dns plan`; \
         if it is right, `constellation-agent dns apply --force`"
    )]
    TooMany {
        /// How many would go.
        removals: usize,
        /// How many there are.
        owned: usize,
        /// How many in a hundred may.
        percent: u8,
    },
    /// A record with our marker is of a kind that is never written.
    #[error(
        "{name} has a {kind} record with our marker; records of that kind are never touched: remove the comment"
    )]
    Untouchable {
        /// The name.
        name: String,
        /// The kind.
        kind: String,
    },
    /// Somebody with a newer token writes this zone.
    #[error("token {theirs} has written this zone, and ours is {ours}: another agent holds the lease by now", theirs = theirs.0, ours = ours.0)]
    NewerWriter {
        /// Theirs.
        theirs: FencingToken,
        /// Ours.
        ours: FencingToken,
    },
}

/// What to do, and what not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In the order in which it is done.
    pub changes: Vec<Change>,
    /// Sorted.
    pub refused: Vec<Refusal>,
    /// What a person should know of the wishes themselves.
    pub problems: Vec<String>,
    /// How many of our records there are.
    pub owned: usize,
    /// How many records there are that are not ours.
    pub foreign: usize,
    /// How many records should be.
    pub desired: usize,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many are to be created, changed and removed.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |rank: &[u8]| self.changes.iter().filter(|change| rank.contains(&change.rank())).count();
        (count(&[3]), count(&[1, 2]), count(&[0]))
    }

    /// The plan in parts of at most `size` changes. All that is done to one name is in one part, where it fits.
    pub fn batches(&self, size: usize) -> Vec<Vec<Change>> {
        let mut batches: Vec<Vec<Change>> = Vec::new();
        for of_one_name in self.changes.chunk_by(|a, b| a.name() == b.name()) {
            for part in of_one_name.chunks(size.max(1)) {
                match batches.last_mut() {
                    Some(last) if last.len() + part.len() <= size => last.extend_from_slice(part),
                    _ => batches.push(part.to_vec()),
                }
            }
        }
        for batch in &mut batches {
            batch.sort_by_key(Change::rank);
        }
        batches
    }
}

/// What is to be done. `actual` is the whole zone: a part of it would make records look missing.
pub fn plan(desired: &Desired, actual: &[Found], policy: &Policy) -> Plan {
    let mut zone: BTreeMap<&str, Name<'_>> = BTreeMap::new();
    let (mut owned, mut newest) = (0, FencingToken(0));
    let mut refused = Vec::new();
    // Lists come in any order, and the same zone must give the same plan.
    let mut sorted: Vec<&Found> = actual.iter().collect();
    sorted.sort_by(|a, b| (&a.name, &a.kind, &a.content, &a.id).cmp(&(&b.name, &b.kind, &b.content, &b.id)));
    for found in sorted {
        let name = zone.entry(&found.name).or_default();
        match owner_of(found, &policy.cluster) {
            Owner::Us(token) => {
                newest = newest.max(token);
                if found.value.is_some() {
                    owned += 1;
                    name.ours.push(found);
                } else {
                    refused.push(Refusal::Untouchable { name: found.name.clone(), kind: found.kind.clone() });
                    name.others.push((found, None));
                }
            }
            Owner::OtherCluster(cluster) => name.others.push((found, Some(cluster))),
            Owner::Foreign => name.others.push((found, None)),
        }
    }
    let mut plan = Plan {
        owned,
        foreign: actual.len() - owned,
        desired: desired.len(),
        problems: desired.problems.clone(),
        ..Plan::default()
    };
    if let Some(ours) = policy.token.filter(|ours| *ours < newest) {
        plan.refused.push(Refusal::NewerWriter { theirs: newest, ours });
        return plan;
    }
    let delegated: BTreeSet<&str> =
        actual.iter().filter(|found| found.kind == "NS").map(|found| found.name.as_str()).collect();
    let keep: BTreeSet<&str> = desired.keep.iter().map(RecordName::as_str).collect();
    let wanted: BTreeMap<&str, &[Record]> =
        desired.records.iter().map(|(name, records)| (name.as_str(), records.as_slice())).collect();
    let names: BTreeSet<&str> = zone
        .iter()
        .filter(|(_, name)| !name.ours.is_empty())
        .map(|(name, _)| *name)
        .chain(wanted.keys().copied())
        .filter(|name| !keep.contains(name))
        .collect();
    let nothing = Name::default();
    let mut drafts = Vec::new();
    for name in names {
        let have = zone.get(name).unwrap_or(&nothing);
        let want = wanted.get(name).copied().unwrap_or_default();
        drafts.extend(matching::name(name, want, have, &delegated, &mut refused));
    }
    guard::hold(&mut drafts, owned, policy, &mut refused);
    plan.changes = drafts.into_iter().flat_map(|draft| draft.changes).collect();
    plan.changes.retain(|change| policy.strategy.allows(change));
    stamp(&mut plan.changes, &zone, newest, policy);
    refused.sort();
    refused.dedup();
    plan.refused.extend(refused);
    plan
}

/// What is there under one name.
#[derive(Default)]
struct Name<'a> {
    ours: Vec<&'a Found>,
    others: Vec<(&'a Found, Option<ClusterId>)>,
}

/// A new writer says so in at least one record, also where nothing else is to be written: else an older one, which may
/// still believe in its lease, could not know.
fn stamp(changes: &mut Vec<Change>, zone: &BTreeMap<&str, Name<'_>>, newest: FencingToken, policy: &Policy) {
    let says_so =
        changes.iter().any(|change| matches!(change, Change::Create { .. } | Change::Update { .. }));
    if says_so || policy.token.is_none_or(|ours| ours <= newest) || policy.strategy == Strategy::CreateOnly {
        return;
    }
    let goes = |found: &Found| {
        changes.iter().any(|change| matches!(change, Change::Delete { from } if from.id == found.id))
    };
    let stays = zone.values().flat_map(|name| &name.ours).find(|found| !goes(found));
    if let Some(found) = stays {
        let at = changes.partition_point(|change| change.name() <= found.name.as_str());
        changes.insert(at, Change::Stamp { from: (*found).clone() });
    }
}
