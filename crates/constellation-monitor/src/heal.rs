//! When an unhealthy container is restarted, and when it is enough. Pure.

use std::{collections::VecDeque, time::Duration};

use constellation_core::Moment;
use serde::{Deserialize, Serialize};

/// How restarts of one container are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealConfig {
    /// From one restart to the next, at least; doubled with each that did not help.
    pub wait_first: Duration,
    /// The longest wait.
    pub wait_most: Duration,
    /// This many restarts within [`HealConfig::budget_window`] are a crash loop, which is reported and not hammered.
    pub budget: usize,
    /// See [`HealConfig::budget`].
    pub budget_window: Duration,
    /// A container that was healthy for so long has recovered: its waits begin anew.
    pub recovered_after: Duration,
}

impl Default for HealConfig {
    /// 10 s to 5 min between restarts, at most 5 within the hour; recovered after 10 min.
    fn default() -> Self {
        Self {
            wait_first: Duration::from_secs(10),
            wait_most: Duration::from_secs(300),
            budget: 5,
            budget_window: Duration::from_secs(3600),
            recovered_after: Duration::from_secs(600),
        }
    }
}

/// What the healer thinks of one container, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealState {
    /// Nothing is to be done.
    #[default]
    Idle,
    /// It is unhealthy and will be restarted when its wait is over.
    Waiting,
    /// A restart is under way.
    Restarting,
    /// Restarts do not help: a person must look. It is tried again when the budget has room.
    CrashLoop,
}

/// Decides the restarts of one container.
#[derive(Clone, Debug, Default)]
pub struct Healer {
    /// When each restart of the budget's window was asked for.
    restarts: VecDeque<Moment>,
    /// Restarts since it last recovered.
    in_a_row: u32,
    healthy_since: Option<Moment>,
    under_way: bool,
}

impl Healer {
    /// Notes that the container is healthy.
    pub fn healthy(&mut self, config: &HealConfig, now: Moment) {
        let since = *self.healthy_since.get_or_insert(now);
        if now.since(since) >= config.recovered_after {
            self.in_a_row = 0;
        }
    }

    /// Notes that the container is unhealthy, and says what that means. On [`HealState::Restarting`] the caller is to
    /// restart it, once, and then to call [`Healer::finished`].
    pub fn unhealthy(&mut self, config: &HealConfig, now: Moment) -> HealState {
        self.healthy_since = None;
        if self.under_way {
            return HealState::Idle;
        }
        while self.restarts.front().is_some_and(|&at| now.since(at) >= config.budget_window) {
            self.restarts.pop_front();
        }
        if self.restarts.len() >= config.budget {
            return HealState::CrashLoop;
        }
        if let Some(&last) = self.restarts.back()
            && now.since(last) < self.wait(config)
        {
            return HealState::Waiting;
        }
        self.restarts.push_back(now);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.under_way = true;
        HealState::Restarting
    }

    /// Notes that the restart is over, however it went.
    pub const fn finished(&mut self) {
        self.under_way = false;
    }

    /// Restarts within the budget's window.
    pub fn spent(&self) -> usize {
        self.restarts.len()
    }

    fn wait(&self, config: &HealConfig) -> Duration {
        let doublings = self.in_a_row.saturating_sub(1).min(16);
        config.wait_first.saturating_mul(1 << doublings).min(config.wait_most)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: u64) -> Moment {
        Moment::after_start(Duration::from_secs(second))
    }

    /// The seconds at which a container that is unhealthy all the time is restarted.
    fn restarts(config: &HealConfig, seconds: u64) -> Vec<u64> {
        let mut healer = Healer::default();
        (0..seconds)
            .filter(|&second| {
                let due = healer.unhealthy(config, at(second)) == HealState::Restarting;
                healer.finished();
                due
            })
            .collect()
    }

    #[test]
    fn the_first_restart_is_at_once_and_each_further_one_waits_twice_as_long() {
        assert_eq!(restarts(&HealConfig::default(), 3600), [0, 10, 30, 70, 150]);
    }

    #[test]
    fn a_crash_loop_is_reported_and_not_hammered() {
        let (config, mut healer) = (HealConfig::default(), Healer::default());
        for second in 0..200 {
            healer.unhealthy(&config, at(second));
            healer.finished();
        }
        assert_eq!(healer.unhealthy(&config, at(1000)), HealState::CrashLoop);
        assert_eq!(healer.unhealthy(&config, at(3600)), HealState::Restarting, "the budget has room again");
    }

    #[test]
    fn one_restart_at_a_time() {
        let (config, mut healer) = (HealConfig::default(), Healer::default());
        assert_eq!(healer.unhealthy(&config, at(0)), HealState::Restarting);
        assert_eq!(healer.unhealthy(&config, at(60)), HealState::Idle);
    }

    #[test]
    fn a_container_that_recovered_is_restarted_without_waiting_again() {
        let (config, mut healer) = (HealConfig::default(), Healer::default());
        for second in [0, 10, 30] {
            assert_eq!(healer.unhealthy(&config, at(second)), HealState::Restarting);
            healer.finished();
        }
        healer.healthy(&config, at(40));
        healer.healthy(&config, at(640));
        assert_eq!(healer.unhealthy(&config, at(641)), HealState::Restarting);
        healer.finished();
        assert_eq!(
            healer.unhealthy(&config, at(652)),
            HealState::Restarting,
            "the second wait is the first again"
        );
    }

    proptest! {
        #[test]
        fn no_window_ever_sees_more_restarts_than_the_budget(gaps in proptest::collection::vec(0u64..600, 1..200)) {
            let config = HealConfig::default();
            let (mut healer, mut now, mut seen) = (Healer::default(), 0, Vec::new());
            for gap in gaps {
                now += gap;
                if healer.unhealthy(&config, at(now)) == HealState::Restarting { seen.push(now); }
                healer.finished();
                let window = config.budget_window.as_secs();
                let recent = seen.iter().filter(|&&second| now - second < window).count();
                prop_assert!(recent <= config.budget);
            }
        }
    }
}
