//! What a zone is like after a plan: the meaning of a plan, without a provider.

use super::{Change, Plan};
use crate::{
    owner::Marker,
    record::{Found, Record, RecordId},
};

/// The zone after the plan. `id` names what is created.
pub fn after(actual: &[Found], plan: &Plan, marker: &Marker, mut id: impl FnMut() -> RecordId) -> Vec<Found> {
    let mut zone = actual.to_vec();
    for change in &plan.changes {
        carry_out(&mut zone, change, marker, &mut id);
    }
    zone
}

pub(crate) fn carry_out(
    zone: &mut Vec<Found>,
    change: &Change,
    marker: &Marker,
    mut id: impl FnMut() -> RecordId,
) {
    match change {
        Change::Delete { from } => zone.retain(|found| found.id != from.id),
        Change::Stamp { from } => {
            for found in zone.iter_mut().filter(|found| found.id == from.id) {
                found.comment = Some(marker.to_string());
            }
        }
        Change::Release { from } => {
            for found in zone.iter_mut().filter(|found| found.id == from.id) {
                found.comment = None;
            }
        }
        Change::Update { from, to } => {
            for found in zone.iter_mut().filter(|found| found.id == from.id) {
                *found = written(to, found.id.clone(), marker);
            }
        }
        Change::Create { to } => zone.push(written(to, id(), marker)),
    }
}

/// A record as it is found after it was written.
pub(crate) fn written(record: &Record, id: RecordId, marker: &Marker) -> Found {
    Found {
        id,
        name: record.name.to_string(),
        kind: record.value.kind().as_str().to_owned(),
        value: Some(record.value.clone()),
        content: record.value.to_string(),
        ttl: record.ttl,
        proxied: record.proxied,
        comment: Some(marker.to_string()),
    }
}
