//! Whether the history of a lease can be explained by an order in which one thing happens after the other.
//!
//! An operation takes effect at one moment between its question and its answer. The search of Wing and Gong looks for such
//! moments: it takes, again and again, some operation that began before any other one that is left had ended, and whose
//! answer is right in the state that was reached; if it gets stuck, it goes back. Two things keep it quick. What changes
//! nothing and is right may be taken at once, because leaving it for later can only make it wrong. And tokens rise, so
//! that of the changes that could come next there is rarely more than one that leads on.
//!
//! The order of the log plays no part: it is found again from the answers, or it is not.

use std::collections::HashSet;

use constellation_core::{FencingToken, LeaseHolder, NodeName};

/// What somebody saw, or was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// A node got the lease. Which process of it is not always seen.
    Granted { node: NodeName, boot: Option<u128>, token: FencingToken },
    /// A tenure ended: by release, expiry or burial; or by a hand-over to an heir, who is not always seen.
    Ended { token: FencingToken, heir: Heir },
    /// The holder asked for more, and has it.
    Renewed { holder: LeaseHolder, token: FencingToken },
    /// Somebody asked, and this process has it.
    HeldBy(LeaseHolder),
    /// Somebody asked, and it is kept for this node.
    ReservedFor(NodeName),
    /// Somebody spoke as the holder under this token, and is not.
    NotHeld { holder: LeaseHolder, token: FencingToken },
}

/// For whom the lease is kept when a tenure ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heir {
    Nobody,
    Somebody(Option<NodeName>),
}

/// An operation: between `after` and `before` on the clock of the history, it took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) after: u64,
    pub(super) before: u64,
    pub(super) claim: Claim,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Owner {
    Nobody,
    /// Nobody, and it is kept for a node, which may lapse at any time.
    Reserved(Option<NodeName>),
    Held {
        node: NodeName,
        boot: Option<u128>,
    },
}

/// The lease as a plain, sequential thing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Lease {
    owner: Owner,
    /// Of the last grant.
    token: FencingToken,
}

impl Lease {
    fn new() -> Self {
        Self { owner: Owner::Nobody, token: FencingToken(0) }
    }

    /// The state after a claim, if the claim is right in this one.
    fn after(&self, claim: &Claim) -> Option<Self> {
        match claim {
            Claim::Granted { node, boot, token } => {
                let open = match &self.owner {
                    Owner::Nobody | Owner::Reserved(_) => true,
                    Owner::Held { node: current, boot: run } => {
                        node == current && (boot == run || boot.is_none() || run.is_none())
                    }
                };
                let owner = Owner::Held { node: node.clone(), boot: *boot };
                (open && *token > self.token).then_some(Self { owner, token: *token })
            }
            Claim::Ended { token, heir } => {
                let held = matches!(self.owner, Owner::Held { .. });
                let owner = match heir {
                    Heir::Nobody => Owner::Nobody,
                    Heir::Somebody(heir) => Owner::Reserved(heir.clone()),
                };
                (held && *token == self.token).then_some(Self { owner, token: *token })
            }
            _ => self.is_so(claim).then(|| self.clone()),
        }
    }

    /// Whether a claim that changes nothing is right.
    fn is_so(&self, claim: &Claim) -> bool {
        match claim {
            Claim::Granted { .. } | Claim::Ended { .. } => false,
            Claim::Renewed { holder, token } => self.is_held_by(holder) && *token == self.token,
            Claim::HeldBy(holder) => self.is_held_by(holder),
            Claim::ReservedFor(heir) => match &self.owner {
                Owner::Reserved(known) => known.as_ref().is_none_or(|known| known == heir),
                _ => false,
            },
            Claim::NotHeld { holder, token } => {
                // Where the process is not known, it may be another one of the same node.
                let surely = matches!(&self.owner, Owner::Held { boot: Some(_), .. });
                !(surely && self.is_held_by(holder) && *token == self.token)
            }
        }
    }

    fn is_held_by(&self, holder: &LeaseHolder) -> bool {
        match &self.owner {
            Owner::Held { node, boot } => *node == holder.node && boot.is_none_or(|boot| boot == holder.boot),
            Owner::Nobody | Owner::Reserved(_) => false,
        }
    }
}

/// How a search ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is an order.
    Explained,
    /// There is none; the operation at which the search got stuck that came farthest.
    Unexplained(Operation),
    /// The search was given up.
    Undecided,
}

/// How many states a search may look at. A history that is in order needs about as many as it has changes.
const STATES_BOUND: usize = 20_000;

/// Looks for an order. `operations` may come in any.
pub(super) fn explain(operations: &[Operation]) -> Verdict {
    let mut sorted = operations.to_vec();
    sorted.sort_by_key(|operation| operation.after);
    Search { operations: &sorted, known: HashSet::new() }.run()
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Place {
    done: Vec<bool>,
    lease: Lease,
}

struct Search<'a> {
    /// In the order in which they began.
    operations: &'a [Operation],
    known: HashSet<Place>,
}

impl Search<'_> {
    fn run(mut self) -> Verdict {
        let mut open = vec![Place { done: vec![false; self.operations.len()], lease: Lease::new() }];
        let mut farthest = (0, None);
        let mut looked_at = 0;
        while let Some(mut place) = open.pop() {
            looked_at += 1;
            if looked_at > STATES_BOUND {
                return Verdict::Undecided;
            }
            self.take_what_is_so(&mut place);
            let taken = place.done.iter().filter(|done| **done).count();
            if taken == place.done.len() {
                return Verdict::Explained;
            }
            let candidates = self.candidates(&place);
            if taken >= farthest.0 {
                let stuck = candidates.iter().min_by_key(|candidate| self.operations[**candidate].before);
                farthest = (taken, stuck.copied());
            }
            let mut next: Vec<(FencingToken, Place)> = Vec::new();
            for candidate in candidates {
                let claim = &self.operations[candidate].claim;
                if let Some(lease) = place.lease.after(claim) {
                    let mut done = place.done.clone();
                    done[candidate] = true;
                    next.push((lease.token, Place { done, lease }));
                }
            }
            // The lowest token is looked at first, which is last on the stack.
            next.sort_by_key(|(token, _)| std::cmp::Reverse(*token));
            let fork = next.len() > 1;
            for (_, place) in next {
                if !fork || self.known.insert(place.clone()) {
                    open.push(place);
                }
            }
        }
        farthest.1.map_or(Verdict::Undecided, |stuck| Verdict::Unexplained(self.operations[stuck].clone()))
    }

    /// Those that are left and began before any that is left had ended.
    fn candidates(&self, place: &Place) -> Vec<usize> {
        let mut first_end = u64::MAX;
        let mut candidates = Vec::new();
        let start = place.done.iter().position(|done| !done).unwrap_or(place.done.len());
        for (at, operation) in self.operations.iter().enumerate().skip(start) {
            if operation.after > first_end {
                break;
            }
            if !place.done[at] {
                first_end = first_end.min(operation.before);
                candidates.push(at);
            }
        }
        candidates.retain(|at| self.operations[*at].after <= first_end);
        candidates
    }

    fn take_what_is_so(&self, place: &mut Place) {
        loop {
            let so: Vec<usize> = self
                .candidates(place)
                .into_iter()
                .filter(|at| place.lease.is_so(&self.operations[*at].claim))
                .collect();
            if so.is_empty() {
                return;
            }
            for at in so {
                place.done[at] = true;
            }
        }
    }
}

#[cfg(test)]
#[path = "linear_tests.rs"]
mod tests;
