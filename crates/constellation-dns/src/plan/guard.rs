//! What no plan does, however sure it is: a view may be wrong, and a record that is gone cannot be asked what it was.

use super::{Change, Policy, Refusal, Strategy, matching::Draft};

/// Takes out of the drafts what must not be done.
pub(super) fn hold(drafts: &mut [Draft], owned: usize, policy: &Policy, refused: &mut Vec<Refusal>) {
    if policy.force || policy.strategy != Strategy::Sync {
        return;
    }
    for draft in drafts.iter_mut().filter(|draft| draft.addresses_left == Some(0)) {
        for change in std::mem::take(&mut draft.changes) {
            if let Change::Delete { from } = change {
                refused.push(Refusal::LastAddress { name: from.name, content: from.content });
            }
        }
    }
    let count = |is: fn(&Change) -> bool| {
        drafts.iter().flat_map(|draft| &draft.changes).filter(|change| is(change)).count()
    };
    let removals = count(|change| matches!(change, Change::Delete { .. }));
    // What is added counts as ours already: a plan that was carried out must not allow more than it did before.
    let owned = owned + count(|change| matches!(change, Change::Create { .. }));
    if !policy.guard.is_too_much(removals, owned) {
        return;
    }
    refused.push(Refusal::TooMany { removals, owned, percent: policy.guard.percent });
    for draft in drafts {
        let removes = draft.changes.iter().any(|change| matches!(change, Change::Delete { .. }));
        if removes && draft.swaps {
            draft.changes.clear();
        } else {
            draft.changes.retain(|change| !matches!(change, Change::Delete { .. }));
        }
    }
}
