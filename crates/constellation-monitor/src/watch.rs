//! The pure core: from what the runtime says to what is thought of each container, and what is to be done.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use constellation_core::{Health, Hysteresis, InstanceId, Moment, Reading, ServiceId, Thresholds, WallTime};
use constellation_docker::{Container, ContainerId, HealthReport, RunState};

use crate::{
    heal::{HealConfig, HealState, Healer},
    identity::{self, HealPolicy},
    report::{Observed, Report, RuntimeState},
};

/// How containers are judged.
#[derive(Clone, Copy, Debug)]
pub struct WatchConfig {
    /// How many readings in a row change a judgment.
    pub thresholds: Thresholds,
    /// How restarts are spread.
    pub heal: HealConfig,
    /// How long a removed container is still told of, as stopped.
    pub linger: Duration,
    /// After this node was starved of CPU, nothing is restarted for so long: health checks that timed out then say
    /// more about the node than about the containers.
    pub calm: Duration,
}

impl Default for WatchConfig {
    /// Containers linger for 30 s; nothing is restarted for 30 s after a starvation.
    fn default() -> Self {
        Self {
            thresholds: Thresholds::default(),
            heal: HealConfig::default(),
            linger: Duration::from_secs(30),
            calm: Duration::from_secs(30),
        }
    }
}

/// What came in.
#[derive(Clone, Debug)]
pub enum Event {
    /// Every container that there is, as seen just now.
    Listed {
        /// Those that the runtime could describe.
        described: Vec<Arc<Container>>,
        /// Those that it listed and could not describe: they are there, and nothing more is known.
        unreadable: Vec<ContainerId>,
    },
    /// One container was looked at; `None` where there is none of that id any more.
    Looked(ContainerId, Option<Arc<Container>>),
    /// The runtime could not say anything sensible of one container, although it answers.
    Unreadable(ContainerId),
    /// The runtime does not answer.
    Silent(String),
    /// A restart is over.
    Restarted(ContainerId),
    /// This process, or the node, was held up.
    Starved,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Look at the container once more, and restart it if it is still unhealthy.
    Restart {
        /// Which one.
        id: ContainerId,
        /// Its service, for the log.
        service: ServiceId,
    },
    /// Tell a person that restarts do not help.
    CrashLoop {
        /// Its service.
        service: ServiceId,
        /// Its name.
        name: String,
        /// Restarts within the budget's window.
        restarts: usize,
    },
    /// The report changed.
    Report,
}

struct Tracked {
    instance: InstanceId,
    service: ServiceId,
    container: Arc<Container>,
    judged: Hysteresis,
    policy: HealPolicy,
    healer: Healer,
    heal: HealState,
    removed: Option<Moment>,
}

/// The state of the monitor.
pub struct Watch {
    config: WatchConfig,
    runtime: RuntimeState,
    containers: BTreeMap<ContainerId, Tracked>,
    problems: BTreeMap<String, String>,
    calm_until: Moment,
    last: Report,
}

impl Watch {
    /// Knows nothing yet.
    pub fn new(config: WatchConfig) -> Self {
        Self {
            config,
            runtime: RuntimeState::Unasked,
            containers: BTreeMap::new(),
            problems: BTreeMap::new(),
            calm_until: Moment::START,
            last: Report::default(),
        }
    }

    /// What it thinks now.
    pub const fn report(&self) -> &Report {
        &self.last
    }

    /// Takes in an event; what is to be done.
    pub fn step(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Listed { described, unreadable } => {
                self.runtime = RuntimeState::Answers;
                let there: BTreeSet<ContainerId> = described
                    .iter()
                    .map(|container| container.id.clone())
                    .chain(unreadable.iter().cloned())
                    .collect();
                self.problems.clear();
                for container in described {
                    self.look(container, now, &mut effects);
                }
                for id in unreadable {
                    self.could_not_look(&id, now);
                }
                for (id, tracked) in &mut self.containers {
                    if !there.contains(id) {
                        tracked.remove(now);
                    }
                }
            }
            Event::Looked(_, Some(container)) => {
                self.runtime = RuntimeState::Answers;
                self.look(container, now, &mut effects);
            }
            Event::Looked(id, None) => {
                self.runtime = RuntimeState::Answers;
                if let Some(tracked) = self.containers.get_mut(&id) {
                    tracked.remove(now);
                }
            }
            Event::Unreadable(id) => self.could_not_look(&id, now),
            Event::Silent(why) => self.runtime = RuntimeState::Silent { why },
            Event::Restarted(id) => {
                if let Some(tracked) = self.containers.get_mut(&id) {
                    tracked.healer.finished();
                    if tracked.heal == HealState::Restarting {
                        tracked.heal = HealState::Idle;
                    }
                }
            }
            Event::Starved => self.calm_until = now + self.config.calm,
        }
        let linger = self.config.linger;
        self.containers.retain(|_, tracked| tracked.removed.is_none_or(|since| now.since(since) < linger));
        let report = self.render();
        if report != self.last {
            self.last = report;
            effects.push(Effect::Report);
        }
        effects
    }

    fn could_not_look(&mut self, id: &ContainerId, now: Moment) {
        if let Some(tracked) = self.containers.get_mut(id) {
            tracked.judged = tracked.judged.after(Reading::NoAnswer, &self.config.thresholds, now);
        }
    }

    fn look(&mut self, container: Arc<Container>, now: Moment, effects: &mut Vec<Effect>) {
        let named = identity::service_of(&container.name, &container.labels)
            .and_then(|service| Ok((service, identity::instance_of(&container.id)?)));
        let (service, instance) = match named {
            Ok(named) => named,
            Err(error) => {
                self.containers.remove(&container.id);
                self.problems.insert(container.name.clone(), error.to_string());
                return;
            }
        };
        let policy = identity::heal_policy(&container).unwrap_or_else(|error| {
            self.problems.insert(container.name.clone(), error.to_string());
            HealPolicy::None
        });
        let reading = reading_of(&container);
        let id = container.id.clone();
        let config = self.config;
        let tracked = match self.containers.entry(id) {
            std::collections::btree_map::Entry::Vacant(vacant) => vacant.insert(Tracked {
                instance,
                service,
                container,
                judged: Hysteresis::first(reading, now),
                policy,
                healer: Healer::default(),
                heal: HealState::Idle,
                removed: None,
            }),
            std::collections::btree_map::Entry::Occupied(occupied) => {
                let tracked = occupied.into_mut();
                // A new run of the container is judged afresh: what its last run did is no evidence.
                let same_run = tracked.container.state.started_at_ms == container.state.started_at_ms;
                tracked.judged = if same_run {
                    tracked.judged.after(reading, &config.thresholds, now)
                } else {
                    Hysteresis::first(reading, now)
                };
                tracked.container = container;
                (tracked.instance, tracked.service, tracked.policy) = (instance, service, policy);
                tracked.removed = None;
                tracked
            }
        };
        tracked.heal(&config.heal, now >= self.calm_until, now, effects);
    }

    fn render(&self) -> Report {
        let containers = self
            .containers
            .values()
            .map(|tracked| {
                let observed = Observed {
                    instance: tracked.instance.clone(),
                    service: tracked.service.clone(),
                    container: Arc::clone(&tracked.container),
                    health: if tracked.removed.is_some() { Health::Stopped } else { tracked.judged.health() },
                    since: WallTime(made_at(&tracked.container)),
                    heal: tracked.heal,
                    removed: tracked.removed.is_some(),
                };
                (tracked.instance.clone(), observed)
            })
            .collect();
        Report { runtime: self.runtime.clone(), containers, problems: self.problems.clone() }
    }
}

impl Tracked {
    fn remove(&mut self, now: Moment) {
        self.removed.get_or_insert(now);
    }

    fn heal(&mut self, config: &HealConfig, calm: bool, now: Moment, effects: &mut Vec<Effect>) {
        let was = self.heal;
        self.heal = match (self.judged.health(), self.policy) {
            (Health::Unhealthy, HealPolicy::Restart) if calm => match self.healer.unhealthy(config, now) {
                // The healer answers "nothing to do" while the restart that it asked for is under way.
                HealState::Idle => HealState::Restarting,
                state => {
                    if state == HealState::Restarting {
                        let (id, service) = (self.container.id.clone(), self.service.clone());
                        effects.push(Effect::Restart { id, service });
                    }
                    state
                }
            },
            (Health::Unhealthy, HealPolicy::Restart) => HealState::Waiting,
            (Health::Healthy, _) => {
                self.healer.healthy(config, now);
                HealState::Idle
            }
            _ => HealState::Idle,
        };
        if self.heal == HealState::CrashLoop && was != HealState::CrashLoop {
            let (service, name) = (self.service.clone(), self.container.name.clone());
            effects.push(Effect::CrashLoop { service, name, restarts: self.healer.spent() });
        }
    }
}

/// A runtime that does not say when it made a container at least says when it started it.
fn made_at(container: &Container) -> u64 {
    container.created_at_ms.or(container.state.started_at_ms).unwrap_or_default()
}

fn reading_of(container: &Container) -> Reading {
    match (container.state.run, container.state.health) {
        (RunState::Running, HealthReport::None | HealthReport::Healthy) => Reading::Passing,
        (RunState::Running, HealthReport::Starting) => Reading::Starting,
        (RunState::Running, HealthReport::Unhealthy) => Reading::Failing,
        // A frozen process accepts connections and never answers.
        (RunState::Paused, _) => Reading::Failing,
        _ => Reading::NotRunning,
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
