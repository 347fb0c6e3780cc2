//! Which machines count as being there. One that falls silent is waited for before its addresses go, and one that comes
//! back must stay for a while before they return: an answer that flaps is worse than one that is a moment late.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use constellation_core::{ClusterView, Moment, NodeName};

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A machine must be out of sight for so long before its addresses leave names with several addresses.
    pub hold: Duration,
    /// A machine must be in sight for so long before its addresses come back.
    pub settle: Duration,
}

impl Default for Patience {
    /// 5 s: gossip has been sure for a second or two by then, and a restart of the agent is over. 10 s to come back.
    fn default() -> Self {
        Self { hold: Duration::from_secs(5), settle: Duration::from_secs(10) }
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Here,
    /// Out of sight since then, and still counted.
    Silent(Moment),
    Gone,
    /// In sight again since then, and not yet counted.
    Back(Moment),
}

/// Follows the machines of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Presence {
    patience: Patience,
    nodes: BTreeMap<NodeName, State>,
}

impl Presence {
    /// Nothing was seen yet.
    pub fn new(patience: Patience) -> Self {
        Self { patience, nodes: BTreeMap::new() }
    }

    /// Takes in what is seen now. Gives the machines that count, and when to look again though nothing changes.
    pub fn step(&mut self, view: &ClusterView, now: Moment) -> (BTreeSet<NodeName>, Option<Duration>) {
        let Patience { hold, settle } = self.patience;
        let mut present = BTreeSet::new();
        let mut wait: Option<Duration> = None;
        let mut look_again = |left: Duration| wait = Some(wait.map_or(left, |wait| wait.min(left)));
        self.nodes.retain(|name, _| view.member(name).is_some());
        for member in view.members() {
            let (name, facts) = (&member.node.name, &member.node.facts);
            let before = self.nodes.get(name).copied();
            let state = match before {
                // Whoever is on the way out has said so itself: there is nothing to wait for.
                _ if facts.leaving || facts.cordoned => State::Gone,
                // Seen for the first time: there is no history to distrust.
                None if member.live => State::Here,
                None => State::Silent(now),
                Some(State::Here | State::Silent(_)) if member.live => State::Here,
                Some(State::Here) => State::Silent(now),
                Some(State::Silent(since)) if now.since(since) < hold => State::Silent(since),
                Some(State::Silent(_)) => State::Gone,
                Some(State::Gone) if member.live => State::Back(now),
                Some(State::Back(since)) if member.live && now.since(since) >= settle => State::Here,
                Some(State::Back(since)) if member.live => State::Back(since),
                Some(State::Gone | State::Back(_)) => State::Gone,
            };
            match state {
                State::Silent(since) => look_again(hold.saturating_sub(now.since(since))),
                State::Back(since) => look_again(settle.saturating_sub(now.since(since))),
                State::Here | State::Gone => {}
            }
            if matches!(state, State::Here | State::Silent(_)) {
                present.insert(name.clone());
            }
            self.nodes.insert(name.clone(), state);
        }
        (present, wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, cluster};

    fn counts(presence: &mut Presence, live: &[(&str, bool)], now: u64) -> Vec<String> {
        let (present, _) = presence.step(&cluster(live), at(now));
        present.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_silent_machine_is_waited_for_and_a_returning_one_must_stay() {
        let mut presence = Presence::new(Patience::default());
        assert_eq!(counts(&mut presence, &[("a", true), ("b", true)], 0), ["a", "b"]);
        assert_eq!(counts(&mut presence, &[("a", true), ("b", false)], 1), ["a", "b"]);
        assert_eq!(counts(&mut presence, &[("a", true), ("b", false)], 5), ["a", "b"]);
        assert_eq!(counts(&mut presence, &[("a", true), ("b", false)], 6), ["a"]);
        assert_eq!(counts(&mut presence, &[("a", true), ("b", true)], 7), ["a"]);
        assert_eq!(counts(&mut presence, &[("a", true), ("b", false)], 16), ["a"]);
        assert_eq!(counts(&mut presence, &[("a", true), ("b", true)], 17), ["a"], "the wait began anew");
        assert_eq!(counts(&mut presence, &[("a", true), ("b", true)], 27), ["a", "b"]);
    }

    #[test]
    fn a_restart_of_an_agent_moves_nothing() {
        let mut presence = Presence::new(Patience::default());
        for (now, live) in [(0, true), (1, false), (3, true), (4, false), (7, true)] {
            assert_eq!(counts(&mut presence, &[("a", live)], now), ["a"]);
        }
    }

    #[test]
    fn it_says_when_to_look_again() {
        let mut presence = Presence::new(Patience::default());
        presence.step(&cluster(&[("a", true)]), at(0));
        assert_eq!(presence.step(&cluster(&[("a", false)]), at(1)).1, Some(Duration::from_secs(5)));
        assert_eq!(presence.step(&cluster(&[("a", false)]), at(4)).1, Some(Duration::from_secs(2)));
        assert_eq!(presence.step(&cluster(&[("a", false)]), at(6)).1, None);
    }
}
