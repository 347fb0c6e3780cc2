//! When a node counts as dead: the second opinion on chitchat's failure detector.
//!
//! chitchat suspects a node after a silence of `phi` times the mean interval between its heartbeats. Heartbeats also
//! rise with every message that is handled, so a busy minute makes that mean very short, and the first quiet moment
//! afterwards looks like a death. And it cannot tell "the peer was silent" from "we were not listening". This
//! filter believes in a death only when chitchat has said so for a while, no heartbeat has come for a fixed time, and we
//! were listening all that time. In life it believes at once.

use std::{collections::BTreeMap, time::Duration};

use constellation_core::Moment;

/// What it takes to be declared dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LivenessConfig {
    /// No heartbeat may have come for so long. It must outlast bad luck: at one datagram in five lost and five nodes, a
    /// round without news of a given peer happens one time in fifteen, six such rounds in a row one time in ten million.
    pub silence: Duration,
    /// chitchat must have said so without interruption for so long.
    pub confirmation: Duration,
    /// The most that one step may add to any silence. What is longer, we overslept: then it was we who were silent.
    pub step_max: Duration,
    /// Our own heartbeat rises in every round. When it has not risen for so long, our gossip hangs, and nobody else's
    /// silence means anything.
    pub own_silence_max: Duration,
}

impl LivenessConfig {
    /// Fit for a gossip round of this length.
    pub const fn for_interval(interval: Duration) -> Self {
        Self {
            silence: interval.saturating_mul(6),
            confirmation: interval.saturating_mul(2),
            step_max: interval,
            own_silence_max: interval.saturating_mul(3),
        }
    }
}

/// What chitchat knows of a run of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Whether its failure detector holds it for alive.
    pub live: bool,
    /// The highest heartbeat that anybody told of.
    pub heartbeat: u64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    live: bool,
    heartbeat: u64,
    /// When the heartbeat rose last, on the clock of attention.
    rose: Duration,
    /// Since when chitchat has held it for dead, on the clock of attention.
    dead_since: Option<Duration>,
}

/// Decides who is alive.
#[derive(Debug)]
pub struct LivenessFilter<K> {
    config: LivenessConfig,
    last_step: Option<Moment>,
    /// How long we have been listening. Silences are measured on this clock, which stands still while we do.
    attention: Duration,
    own_heartbeat: u64,
    own_rose: Moment,
    known: BTreeMap<K, Known>,
}

impl<K: Ord + Clone> LivenessFilter<K> {
    /// A filter that has seen nobody.
    pub const fn new(config: LivenessConfig) -> Self {
        Self {
            config,
            last_step: None,
            attention: Duration::ZERO,
            own_heartbeat: 0,
            own_rose: Moment::START,
            known: BTreeMap::new(),
        }
    }

    /// Looks at everything that chitchat knows now. Returns who came alive and who died, with `true` for life.
    ///
    /// Somebody who is not among the sightings is one of whom chitchat says nothing: a sign of death, no proof.
    pub fn step(
        &mut self,
        own_heartbeat: u64,
        sightings: &BTreeMap<K, Sighting>,
        now: Moment,
    ) -> Vec<(K, bool)> {
        self.listen(own_heartbeat, now);
        let mut changes = Vec::new();
        for (key, seen) in sightings {
            let known = self.known.entry(key.clone()).or_insert(Known {
                live: false,
                heartbeat: seen.heartbeat,
                rose: self.attention,
                dead_since: None,
            });
            if let Some(live) = known.judge(*seen, self.attention, &self.config) {
                changes.push((key.clone(), live));
            }
        }
        for (key, known) in &mut self.known {
            if !sightings.contains_key(key) {
                let unseen = Sighting { live: false, heartbeat: known.heartbeat };
                if let Some(live) = known.judge(unseen, self.attention, &self.config) {
                    changes.push((key.clone(), live));
                }
            }
        }
        self.known.retain(|key, known| known.live || sightings.contains_key(key));
        changes
    }

    /// Whether this run counts as alive.
    pub fn is_live(&self, key: &K) -> bool {
        self.known.get(key).is_some_and(|known| known.live)
    }

    fn listen(&mut self, own_heartbeat: u64, now: Moment) {
        // After a restart of our gossip the count begins anew; any change is a sign of life.
        if own_heartbeat != self.own_heartbeat {
            self.own_heartbeat = own_heartbeat;
            self.own_rose = now;
        }
        let passed = self.last_step.map_or(Duration::ZERO, |last| now.since(last));
        self.last_step = Some(now);
        if now.since(self.own_rose) <= self.config.own_silence_max {
            self.attention += passed.min(self.config.step_max);
        }
    }
}

impl Known {
    fn judge(&mut self, seen: Sighting, attention: Duration, config: &LivenessConfig) -> Option<bool> {
        if seen.heartbeat > self.heartbeat {
            self.heartbeat = seen.heartbeat;
            self.rose = attention;
        }
        if seen.live {
            self.dead_since = None;
            return (!std::mem::replace(&mut self.live, true)).then_some(true);
        }
        let dead_since = *self.dead_since.get_or_insert(attention);
        let silent = attention.saturating_sub(self.rose) >= config.silence;
        let confirmed = attention.saturating_sub(dead_since) >= config.confirmation;
        (self.live && silent && confirmed).then(|| {
            self.live = false;
            false
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: u64 = 100;

    /// A node's gossip, ticked by hand.
    struct Scene {
        filter: LivenessFilter<&'static str>,
        now: u64,
        own: u64,
        seen: BTreeMap<&'static str, Sighting>,
    }

    impl Scene {
        fn with_a_live_peer() -> Self {
            let filter = LivenessFilter::new(LivenessConfig::for_interval(Duration::from_millis(200)));
            let mut scene = Self { filter, now: 0, own: 0, seen: BTreeMap::new() };
            assert_eq!(scene.tick(Some((true, 1))), [("b", true)]);
            scene
        }

        fn tick(&mut self, peer: Option<(bool, u64)>) -> Vec<(&'static str, bool)> {
            self.own += 1;
            self.tick_after(TICK, peer)
        }

        fn tick_after(&mut self, passed: u64, peer: Option<(bool, u64)>) -> Vec<(&'static str, bool)> {
            self.now += passed;
            self.seen =
                peer.map(|(live, heartbeat)| ("b", Sighting { live, heartbeat })).into_iter().collect();
            self.filter.step(self.own, &self.seen, Moment::after_start(Duration::from_millis(self.now)))
        }

        /// How many ticks pass until the peer is declared dead, at most 100.
        fn ticks_to_death(&mut self, peer: Option<(bool, u64)>) -> Option<u32> {
            (1..=100).find(|_| self.tick(peer) == [("b", false)])
        }
    }

    #[test]
    fn a_silent_peer_is_dead_after_the_silence_and_not_before() {
        let mut scene = Scene::with_a_live_peer();
        assert_eq!(scene.ticks_to_death(Some((false, 1))), Some(12));
    }

    #[test]
    fn as_long_as_heartbeats_come_chitchats_suspicion_counts_for_nothing() {
        let mut scene = Scene::with_a_live_peer();
        for tick in 0..200 {
            // Hasty after a storm: it says "dead" all the time, while the peer's heart beats once a second.
            assert_eq!(scene.tick(Some((false, 2 + tick / 10))), []);
        }
        assert!(scene.filter.is_live(&"b"));
    }

    #[test]
    fn a_flapping_suspicion_is_never_confirmed() {
        let mut scene = Scene::with_a_live_peer();
        for round in 0..100 {
            assert_eq!(scene.tick(Some((round % 4 == 0, 1))), []);
        }
    }

    #[test]
    fn silence_without_suspicion_is_no_death() {
        let mut scene = Scene::with_a_live_peer();
        assert_eq!(scene.ticks_to_death(Some((true, 1))), None);
        assert_eq!(scene.ticks_to_death(Some((false, 1))), Some(5), "then only the confirmation is missing");
    }

    #[test]
    fn who_overslept_does_not_blame_the_others() {
        let mut scene = Scene::with_a_live_peer();
        scene.own += 1;
        assert_eq!(scene.tick_after(60_000, Some((false, 1))), []);
        assert!(scene.ticks_to_death(Some((false, 1))).is_some_and(|ticks| ticks >= 10));
    }

    #[test]
    fn while_our_own_gossip_hangs_nobody_dies() {
        let mut scene = Scene::with_a_live_peer();
        for _ in 0..600 {
            assert_eq!(scene.tick_after(TICK, Some((false, 1))), []);
        }
        assert!(scene.ticks_to_death(Some((false, 1))).is_some());
    }

    #[test]
    fn a_peer_is_alive_again_at_once() {
        let mut scene = Scene::with_a_live_peer();
        scene.ticks_to_death(Some((false, 1)));
        assert_eq!(scene.tick(Some((false, 1))), []);
        assert_eq!(scene.tick(Some((true, 2))), [("b", true)]);
    }

    #[test]
    fn a_peer_that_chitchat_forgot_is_dead_after_the_silence_and_then_forgotten() {
        let mut scene = Scene::with_a_live_peer();
        assert_eq!(scene.ticks_to_death(None), Some(12));
        assert_eq!(scene.filter.known.len(), 0);
    }

    #[test]
    fn after_our_gossip_restarted_peers_have_time_to_be_met_again() {
        let mut scene = Scene::with_a_live_peer();
        scene.own = 0;
        for _ in 0..8 {
            assert_eq!(scene.tick(None), []);
        }
        assert_eq!(scene.tick(Some((true, 50))), []);
        assert!(scene.filter.is_live(&"b"));
    }

    #[test]
    fn somebody_who_was_dead_before_we_came_is_never_announced() {
        let filter = LivenessFilter::new(LivenessConfig::for_interval(Duration::from_millis(200)));
        let mut scene = Scene { filter, now: 0, own: 0, seen: BTreeMap::new() };
        assert_eq!(scene.ticks_to_death(Some((false, 77))), None);
        assert!(!scene.filter.is_live(&"b"));
    }
}
