//! Which node would hold a lease, by priority: those that are better go first, by patience and not by force.

use std::time::Duration;

use constellation_core::{NodeName, Priority};

use super::keeper::Wish;

/// A node that can hold a lease now: alive as this node sees it, not cordoned, not draining, not cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub node: NodeName,
    /// Its priority; the lower number goes first.
    pub priority: Priority,
}

impl Wish {
    /// What a node wishes, as it sees the candidates. A node that is not among them wants nothing.
    ///
    /// Each better node is given `step` to take a free lease first. Nodes of one priority take turns by name where the lease
    /// is free, but none takes it over from another: that would be a change without a gain.
    pub fn among(me: &NodeName, candidates: &[Candidate], step: Duration) -> Self {
        let rank = |candidate: &Candidate| (candidate.priority, candidate.node.clone());
        let Some(own) = candidates.iter().find(|candidate| candidate.node == *me) else { return Self::No };
        let before = candidates.iter().filter(|other| rank(other) < rank(own)).count();
        let better = candidates
            .iter()
            .filter(|other| other.priority < own.priority)
            .min_by_key(|other| rank(other))
            .map(|other| other.node.clone());
        let patience = step.saturating_mul(u32::try_from(before).unwrap_or(u32::MAX));
        Self::Yes { patience, better }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(100);

    fn candidates(all: &[(&str, u16)]) -> Vec<Candidate> {
        let candidate = |(node, priority): &(&str, u16)| Candidate {
            node: node.parse().unwrap(),
            priority: Priority(*priority),
        };
        all.iter().map(candidate).collect()
    }

    fn wish(me: &str, all: &[(&str, u16)]) -> Wish {
        Wish::among(&me.parse().unwrap(), &candidates(all), STEP)
    }

    fn yes(steps: u32, better: Option<&str>) -> Wish {
        Wish::Yes { patience: STEP * steps, better: better.map(|node| node.parse().unwrap()) }
    }

    #[test]
    fn the_lower_number_goes_first_and_is_handed_to() {
        let all = [("a", 20), ("b", 10), ("c", 30)];
        assert_eq!(wish("b", &all), yes(0, None));
        assert_eq!(wish("a", &all), yes(1, Some("b")));
        assert_eq!(wish("c", &all), yes(2, Some("b")));
    }

    #[test]
    fn equals_take_turns_where_it_is_free_and_never_take_over() {
        let all = [("a", 10), ("b", 10)];
        assert_eq!(wish("a", &all), yes(0, None));
        assert_eq!(wish("b", &all), yes(1, None));
    }

    #[test]
    fn a_node_that_cannot_hold_it_wants_nothing() {
        assert_eq!(wish("z", &[("a", 10)]), Wish::No);
    }
}
