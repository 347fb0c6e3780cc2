//! Ambushes: what waits for a holder until it asks for more of its lease, and once it has it.
//!
//! Some mistakes show only if a judgement, a release or a silence comes within milliseconds of a question. Chance alone
//! finds these rarely; here the simulation plays an adversary that watches, and strikes just then.

use std::time::Duration;

use constellation_core::LeaseKind;

use super::{
    coverage::Hit,
    machine::{Ambush, HeldBack, Snare},
    network::Cut,
    world::{Happening, World},
};

/// Marks of cuts that an ambush makes later.
const LATER: u64 = 1 << 32;

impl World<'_> {
    /// Gives how long the holder still has.
    pub(super) fn lie_in_wait(&mut self, ambush: Ambush, hit: Hit) -> Option<Duration> {
        let (holder, left) = self.believer(ambush.lease)?;
        self.coverage.hit(hit);
        self.machines[holder].ambush = Some(ambush);
        Some(left)
    }

    /// A holder that was muted is heard again.
    pub(super) fn hear(&mut self, mark: u64) {
        let ambushes = self.machines.iter_mut().filter_map(|machine| machine.ambush.as_mut());
        for ambush in ambushes.filter(|ambush| ambush.mark == mark) {
            ambush.snare = match ambush.snare {
                Snare::Muted { held_back: Duration::ZERO } => Snare::Open,
                Snare::Muted { held_back } => Snare::HoldBack(held_back),
                other => other,
            };
        }
    }

    /// A holder that is waited for asked for more, or got it.
    pub(super) fn spring_ambush(&mut self, node: usize, lease: LeaseKind, got: bool) {
        let Some(ambush) = self.machines[node].ambush.filter(|ambush| ambush.lease == lease) else { return };
        let mark = ambush.mark;
        if got {
            // What it had before it asked is not what is waited for.
            if matches!(ambush.snare, Snare::Sprung | Snare::Open) {
                self.machines[node].ambush = None;
                self.isolate(node, mark + LATER, ambush.then_alone);
            }
            return;
        }
        let sprung = match ambush.snare {
            // The question is on its way; no other one follows it, and what is for the leader waits.
            Snare::HoldBack(time) => {
                if let Some(leader) = self.leader() {
                    self.tell(|| format!("what is for n{leader} is held back"));
                    self.machines[leader].held_back = Some(HeldBack { mark, lease, messages: Vec::new() });
                    self.after(time, Happening::LetThrough { to: leader, mark });
                }
                Snare::Sprung
            }
            Snare::Flinch { after, time, late } => {
                self.after(after, Happening::Drain { node, begins: true });
                self.after(after + time, Happening::Drain { node, begins: false });
                Snare::Late(late)
            }
            other => other,
        };
        self.machines[node].ambush = Some(Ambush { snare: sprung, ..ambush });
        self.after(2 * self.scenario.setting.lease.ttl, Happening::Forget { node, mark });
    }

    /// It did not get it in time, and is heard as before.
    pub(super) fn forget(&mut self, node: usize, mark: u64) {
        self.machines[node].ambush.take_if(|ambush| ambush.mark == mark);
    }

    /// Nothing reaches or leaves a node, and nobody notices.
    fn isolate(&mut self, node: usize, mark: u64, time: Duration) {
        self.tell(|| format!("n{node} is alone"));
        for other in 0..self.machines.len() {
            self.network.cut(mark, node, other, Cut::Unnoticed);
            self.network.cut(mark, other, node, Cut::Unnoticed);
        }
        self.after(time, Happening::Mend { mark });
    }

    /// What was held back arrives.
    pub(super) fn let_through(&mut self, to: usize, is_it: impl Fn(&HeldBack) -> bool) {
        if let Some(held_back) = self.machines[to].held_back.take_if(|held_back| is_it(held_back)) {
            self.tell(|| format!("what was held back from n{to} arrives"));
            for (place, bytes) in held_back.messages.into_iter().enumerate() {
                let late = Duration::from_micros(10) * u32::try_from(place).unwrap_or(u32::MAX);
                self.after(late, Happening::Arrive { to, bytes });
            }
        }
    }
}
