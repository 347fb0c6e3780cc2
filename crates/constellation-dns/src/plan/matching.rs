//! One name: what should be, what is, and the fewest changes between them.

use std::collections::BTreeSet;

use super::{Change, Name, Refusal};
use crate::record::{Class, Found, Record, RecordKind};

/// What is to be done to one class of records of one name.
pub(super) struct Draft {
    pub(super) changes: Vec<Change>,
    /// Whether the records that go stand in the way of those that come: then it is all or nothing.
    pub(super) swaps: bool,
    /// What of the address class would be left; `None` for other classes.
    pub(super) addresses_left: Option<usize>,
}

pub(super) fn name(
    name: &str,
    want: &[Record],
    have: &Name<'_>,
    delegated: &BTreeSet<&str>,
    refused: &mut Vec<Refusal>,
) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for class in [Class::Address, Class::Srv, Class::Txt] {
        let want: Vec<&Record> = want.iter().filter(|record| record.value.kind().class() == class).collect();
        let ours: Vec<&Found> =
            have.ours.iter().copied().filter(|found| class_of(found) == Some(class)).collect();
        if want.is_empty() && ours.is_empty() {
            continue;
        }
        if !want.is_empty()
            && let Some(refusal) = conflict(name, class, &want, have, delegated)
        {
            refused.push(refusal);
            continue;
        }
        let foreign = have.others.iter().filter(|(found, _)| class_of(found) == Some(class)).count();
        drafts.push(draft(class, &want, ours, foreign));
    }
    drafts
}

fn class_of(found: &Found) -> Option<Class> {
    found.value.as_ref().map(|value| value.kind().class())
}

/// The record of somebody else that stands in the way.
///
/// The addresses of one name have one owner: resolvers give them out together. Text and services of several owners live side
/// by side. An alias lives beside nothing, and what is below a delegation is answered elsewhere.
fn conflict(
    name: &str,
    class: Class,
    want: &[&Record],
    have: &Name<'_>,
    delegated: &BTreeSet<&str>,
) -> Option<Refusal> {
    let alias = want.iter().any(|record| record.value.kind() == RecordKind::Cname);
    let stands = |found: &Found| {
        let theirs = class_of(found);
        let same_value = want.iter().any(|record| found.value.as_ref() == Some(&record.value));
        alias
            || found.kind == "CNAME"
            || (class == Class::Address && theirs == Some(Class::Address))
            || (theirs == Some(class) && same_value)
    };
    if let Some((found, owner)) = have.others.iter().find(|(found, _)| stands(found) && found.kind != "NS") {
        return Some(Refusal::Foreign {
            name: name.to_owned(),
            kind: found.kind.clone(),
            content: found.content.chars().take(80).collect(),
            owner: owner.clone(),
        });
    }
    // The zone's own NS records delegate nothing; the zone is the shortest name that has any.
    let apex = delegated.iter().min_by_key(|name| name.len())?;
    let mut above = Some(name);
    while let Some(at) = above.filter(|at| at != apex) {
        if delegated.contains(at) && at.len() > apex.len() {
            return Some(Refusal::Foreign {
                name: name.to_owned(),
                kind: "NS".to_owned(),
                content: format!("{at} is delegated"),
                owner: None,
            });
        }
        above = at.split_once('.').map(|(_, rest)| rest);
    }
    None
}

/// Keeps what is right, turns what is wrong into what is missing, and only then adds or takes away.
fn draft(class: Class, want: &[&Record], mut ours: Vec<&Found>, foreign: usize) -> Draft {
    ours.sort_by(|a, b| (&a.value, &a.id).cmp(&(&b.value, &b.id)));
    let mut missing = Vec::new();
    let mut changes = Vec::new();
    let mut kept = 0;
    for record in want {
        let mut best = ours.iter().position(|found| found.says(record));
        best = best.or_else(|| ours.iter().position(|found| found.value.as_ref() == Some(&record.value)));
        match best {
            None => missing.push(*record),
            Some(at) => {
                let found = ours.remove(at);
                kept += 1;
                if !found.says(record) {
                    changes.push(Change::Update { from: found.clone(), to: (*record).clone() });
                }
            }
        }
    }
    // Of one kind first: a change of an address is less than a change of what the record is.
    let mut still_missing = Vec::new();
    let mut turned_kind = false;
    for same_kind in [true, false] {
        for record in std::mem::take(&mut missing) {
            let kind = record.value.kind();
            let fits =
                |found: &&Found| found.value.as_ref().is_some_and(|value| value.kind() == kind) == same_kind;
            match ours.iter().position(fits) {
                Some(at) => {
                    turned_kind |= !same_kind;
                    changes.push(Change::Update { from: ours.remove(at).clone(), to: record.clone() });
                }
                None => still_missing.push(record),
            }
        }
        missing.append(&mut still_missing);
    }
    let alias = want.iter().any(|record| record.value.kind() == RecordKind::Cname);
    let swaps = turned_kind || (alias && !ours.is_empty());
    let left = kept + changes.len() + missing.len() + foreign;
    let mut all: Vec<Change> = ours.into_iter().map(|found| Change::Delete { from: found.clone() }).collect();
    all.append(&mut changes);
    all.extend(missing.into_iter().map(|record| Change::Create { to: record.clone() }));
    Draft { changes: all, swaps, addresses_left: (class == Class::Address).then_some(left) }
}
