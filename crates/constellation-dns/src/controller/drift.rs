//! What others do to our records. It is put back anyway; here it is noticed, so that it can be said, once.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    plan::{Change, Plan},
    record::{Found, RecordId},
};

/// Remembers how our records were when all was well.
#[derive(Debug, Default)]
pub(super) struct Drift {
    known: BTreeMap<RecordId, Found>,
    said: BTreeSet<String>,
}

impl Drift {
    /// The zone is as it should be.
    pub(super) fn settled(&mut self, ours: impl IntoIterator<Item = Found>) {
        self.known = ours.into_iter().map(|found| (found.id.clone(), found)).collect();
        self.said.clear();
    }

    /// What somebody else must have done, where it was not said before.
    pub(super) fn look(&mut self, plan: &Plan, zone: &[Found]) -> Vec<String> {
        let mut notes = Vec::new();
        for change in &plan.changes {
            let note = match change {
                Change::Update { from, to } => match self.known.get(&from.id) {
                    Some(known) if known.says(to) && !from.says(to) => Some(format!(
                        "somebody changed {} {} to {}; it is put back to {}",
                        from.kind, from.name, from.content, to.value
                    )),
                    _ => None,
                },
                Change::Create { to } => {
                    let gone =
                        |known: &&Found| known.says(to) && !zone.iter().any(|found| found.id == known.id);
                    let gone = self.known.values().find(gone);
                    gone.map(|gone| {
                        format!(
                            "somebody removed {} {} ({}); it is put back",
                            gone.kind, gone.name, gone.content
                        )
                    })
                }
                _ => None,
            };
            notes.extend(note.filter(|note| self.said.insert(note.clone())));
        }
        notes
    }
}
