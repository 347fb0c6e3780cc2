//! What can go wrong, and what each scenario draws from its seed: plain values, before anything is touched.

use std::time::Duration;

use clap::ValueEnum;

use super::dice::Dice;
use crate::leases::Blow;

/// Rounds of a scenario with one kind of fault.
const ROUNDS: usize = 2;
/// Rounds of the mixed scenario.
const MIXED_ROUNDS: usize = 5;

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scenario {
    /// kill -9 of the holder's worker; its parent sees that, and says so
    KillWorker,
    /// kill -9 of the holder's worker and parent at once: nobody is left to tell
    KillNode,
    /// SIGSTOP of the holder for longer than the TTL, then SIGCONT
    Pause,
    /// The holder's node is cut off, both ways, in silence
    Partition,
    /// Only one direction is cut: the holder is not heard, or does not hear
    OneWay,
    /// A firewall between the holder's node and the others refuses every connection
    Rejecting,
    /// kill -9 of every node at once, and all start again
    RestartAll,
    /// SIGTERM to the holder: it lets go before it ends
    Stop,
    /// Several of these at once, on any nodes
    Mix,
    /// The disk under the holder's data is full
    DiskFull,
}

/// What a scenario cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Nothing,
    Namespaces,
    SmallDisks,
}

/// Whom it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// The node that holds the leases, whichever it is by then.
    Holder,
    /// The node that leads Raft by then.
    Leader,
    /// This one.
    Node(u8),
}

/// One round: wait for peace, strike, wait, heal, wait for peace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    /// Whether the holder is to lead Raft when it is struck; `None` where that does not matter.
    pub(crate) holder_leads: Option<bool>,
    pub(crate) blows: Vec<(Target, Blow)>,
    /// How long trouble goes on after the leases have found another holder, or at all where none is expected.
    pub(crate) linger: Duration,
}

impl Scenario {
    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What it is, in words.
    pub(crate) fn words(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// What it cannot do without.
    pub(crate) fn need(self) -> Need {
        match self {
            Self::Partition | Self::OneWay | Self::Rejecting => Need::Namespaces,
            Self::DiskFull => Need::SmallDisks,
            // The mix does without cutting where it must.
            _ => Need::Nothing,
        }
    }

    /// The rounds, on `nodes` nodes. Whether anything can be cut is part of what a replay has to repeat.
    pub(crate) fn rounds(self, nodes: u8, can_cut: bool, dice: &mut Dice) -> Vec<Round> {
        if self == Self::Mix {
            return (0..MIXED_ROUNDS).map(|_| mixed(nodes, can_cut, dice)).collect();
        }
        // Once with the holder as Raft's leader and once without, in an order that the seed chooses.
        let leads = dice.coin();
        (0..ROUNDS).map(|number| self.round(nodes, number, leads ^ (number % 2 == 1), dice)).collect()
    }

    fn round(self, nodes: u8, number: usize, leads: bool, dice: &mut Dice) -> Round {
        let blow = match self {
            Self::KillWorker => Blow::KillWorker,
            Self::KillNode | Self::RestartAll | Self::Mix => Blow::KillNode,
            Self::Pause if number.is_multiple_of(2) => Blow::PauseWorker,
            Self::Pause => Blow::PauseNode,
            Self::Partition => Blow::CutOff,
            Self::OneWay if number.is_multiple_of(2) => Blow::Mute,
            Self::OneWay => Blow::Deaf,
            Self::Rejecting => Blow::Refused,
            Self::DiskFull => Blow::FillDisk,
            Self::Stop => Blow::Stop,
        };
        let blows = match self {
            Self::RestartAll => (1..=nodes).map(|node| (Target::Node(node), blow)).collect(),
            _ => vec![(Target::Holder, blow)],
        };
        Round { holder_leads: Some(leads), blows, linger: dice.millis(300, 1500) }
    }
}

/// Two or three blows at once, not two on one node where that is known beforehand.
fn mixed(nodes: u8, can_cut: bool, dice: &mut Dice) -> Round {
    let mut kinds = vec![Blow::KillWorker, Blow::KillNode, Blow::PauseWorker, Blow::PauseNode, Blow::Stop];
    if can_cut {
        kinds.extend([Blow::CutOff, Blow::Mute, Blow::Deaf, Blow::Refused]);
    }
    let mut targets = vec![Target::Holder, Target::Leader];
    targets.extend((1..=nodes).map(Target::Node));
    let mut blows = Vec::new();
    for _ in 0..2 + dice.below(2) {
        let target = dice.pick(&targets).copied().unwrap_or(Target::Holder);
        let blow = dice.pick(&kinds).copied().unwrap_or(Blow::KillWorker);
        if blows.iter().all(|(other, _)| *other != target) {
            blows.push((target, blow));
        }
    }
    Round { holder_leads: None, blows, linger: dice.millis(500, 4500) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every() -> &'static [Scenario] {
        Scenario::value_variants()
    }

    #[test]
    fn a_seed_draws_the_same_rounds_again() {
        for scenario in every() {
            let draw = |seed| scenario.rounds(3, true, &mut Dice::new(seed));
            assert_eq!(draw(11), draw(11), "{scenario:?}");
        }
        let mixes: Vec<_> = (0..4).map(|seed| Scenario::Mix.rounds(3, true, &mut Dice::new(seed))).collect();
        assert!(mixes.windows(2).all(|two| two[0] != two[1]));
    }

    #[test]
    fn the_holder_is_struck_once_as_leader_and_once_as_follower() {
        for scenario in every().iter().filter(|scenario| **scenario != Scenario::Mix) {
            let rounds = scenario.rounds(3, true, &mut Dice::new(5));
            let mut leads: Vec<_> = rounds.iter().map(|round| round.holder_leads).collect();
            leads.sort_unstable();
            assert_eq!(leads, [Some(false), Some(true)], "{scenario:?}");
        }
    }

    #[test]
    fn without_namespaces_nothing_is_cut() {
        let cuts = [Blow::CutOff, Blow::Mute, Blow::Deaf, Blow::Refused];
        for seed in 0..50 {
            let rounds = Scenario::Mix.rounds(3, false, &mut Dice::new(seed));
            assert!(rounds.iter().flat_map(|round| &round.blows).all(|(_, blow)| !cuts.contains(blow)));
        }
    }

    #[test]
    fn every_scenario_has_a_name_and_words() {
        assert!(every().iter().all(|scenario| !scenario.name().is_empty() && !scenario.words().is_empty()));
    }
}
