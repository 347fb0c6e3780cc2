//! A network that loses, doubles, delays and reorders, and whose links are cut in one direction or both.

use std::{collections::BTreeMap, time::Duration};

use super::{
    clock::True,
    coverage::{Coverage, Hit},
};
use crate::Chance;

/// How a link is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// What is sent vanishes.
    Silent,
    /// What is sent vanishes, and gossip, which takes other ways, does not notice.
    Unnoticed,
    /// A firewall answers for the other side: connections are refused.
    Rejecting,
}

/// How the network behaves where it is not cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// Lost, in percent.
    pub loss: u64,
    /// Delivered twice, in percent.
    pub doubled: u64,
    /// The longest usual delay.
    pub delay: Duration,
    /// Delayed by up to ten times as much, in percent.
    pub stragglers: u64,
}

impl Weather {
    /// A good local network.
    pub const FAIR: Self = Self { loss: 0, doubled: 0, delay: Duration::from_millis(4), stragglers: 0 };
}

#[derive(Clone, Debug)]
pub(super) struct Network {
    weather: Weather,
    /// How often each directed link is cut, and how: cuts overlap.
    cuts: BTreeMap<(usize, usize), Vec<(u64, Cut)>>,
    /// When the last message of each directed link arrives.
    last: BTreeMap<(usize, usize), True>,
    chance: Chance,
}

impl Network {
    pub(super) fn new(weather: Weather, chance: Chance) -> Self {
        Self { weather, cuts: BTreeMap::new(), last: BTreeMap::new(), chance }
    }

    pub(super) fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    pub(super) fn cut(&mut self, fault: u64, from: usize, to: usize, how: Cut) {
        self.cuts.entry((from, to)).or_default().push((fault, how));
    }

    pub(super) fn mend(&mut self, fault: u64) {
        for cuts in self.cuts.values_mut() {
            cuts.retain(|(of, _)| *of != fault);
        }
    }

    pub(super) fn mend_all(&mut self) {
        self.cuts.clear();
        self.weather = Weather::FAIR;
    }

    /// Whether and how the link is cut now.
    pub(super) fn is_cut(&self, from: usize, to: usize) -> Option<Cut> {
        self.cuts.get(&(from, to)).and_then(|cuts| cuts.last()).map(|(_, how)| *how)
    }

    /// Whether gossip notices that the link is cut.
    pub(super) fn is_noticed(&self, from: usize, to: usize) -> bool {
        self.is_cut(from, to).is_some_and(|how| how != Cut::Unnoticed)
    }

    /// When copies of a message that is sent now arrive.
    pub(super) fn arrivals(
        &mut self,
        from: usize,
        to: usize,
        now: True,
        coverage: &mut Coverage,
    ) -> Vec<True> {
        coverage.hit(Hit::Sent);
        let copies = if self.chance.percent(self.weather.doubled) { 2 } else { 1 };
        let mut arrivals = Vec::new();
        for _ in 0..copies {
            if self.chance.percent(self.weather.loss) {
                coverage.hit(Hit::Lost);
                continue;
            }
            let straggles = self.chance.percent(self.weather.stragglers);
            let longest = if straggles { 10 } else { 1 } * self.weather.delay;
            let delay = self.chance.between(Duration::from_micros(50), longest);
            coverage.add(Hit::Straggled, (delay > self.weather.delay).into());
            let arrival = now + u64::try_from(delay.as_nanos()).unwrap_or(0);
            let last = self.last.entry((from, to)).or_default();
            coverage.add(Hit::Overtook, (arrival < *last).into());
            *last = arrival.max(*last);
            arrivals.push(arrival);
        }
        coverage.add(Hit::Doubled, (arrivals.len() == 2).into());
        arrivals
    }
}
