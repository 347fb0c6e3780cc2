//! When it starts, ends, heals and is replaced, where it runs, and what other tools show of it.

use std::time::Duration;

use crate::language::{
    dashboard::{Homepage, Metrics, Uptime},
    health::Health,
    lifecycle::{Condition, Heal, Logging, Placement, Restart, Update},
    service::Service,
};

/// When it starts, ends, heals and is replaced, and where it runs.
impl Service {
    /// How to tell that it works.
    #[must_use]
    pub fn health(mut self, health: Health) -> Self {
        self.health = Some(health);
        self
    }

    /// Starts only after this is true of another service: `name` in this stack, or else in any; or `stack/name`.
    #[must_use]
    pub fn depends_on(mut self, service: impl Into<String>, condition: Condition) -> Self {
        let service = service.into();
        match self.depends_on.get(&service) {
            Some(before) if *before != condition => self.repeated.push(("depends_on", service.clone())),
            _ => {}
        }
        self.depends_on.insert(service, condition);
        self
    }

    /// What the engine does when it ends; always started again unless said, and never if it is a job.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = Some(restart);
        self
    }

    /// What the agent does when it is unhealthy; restarted unless said, if it has a health check.
    #[must_use]
    pub fn heal(mut self, heal: Heal) -> Self {
        self.heal = Some(heal);
        self
    }

    /// The signal that asks it to end.
    #[must_use]
    pub fn stop_signal(mut self, signal: impl Into<String>) -> Self {
        self.stop_signal = Some(signal.into());
        self
    }

    /// How long it may take to end.
    #[must_use]
    pub fn stop_grace(mut self, grace: Duration) -> Self {
        self.stop_grace = Some(grace);
        self
    }

    /// On which nodes it runs: [`every_node`](crate::language::every_node) unless said, [`on`](crate::language::on), [`replicas`](crate::language::replicas).
    #[must_use]
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Only on nodes with this label.
    #[must_use]
    pub fn constraint(mut self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.constraints.insert(label.into(), value.into());
        self
    }

    /// Its instances vote: an even number of them is refused.
    #[must_use]
    pub fn quorum(mut self) -> Self {
        self.quorum = true;
        self
    }

    /// How it is replaced.
    #[must_use]
    pub fn update(mut self, update: Update) -> Self {
        self.update = update;
        self
    }

    /// Where its output goes; three JSON files of 10 MiB at most unless said.
    #[must_use]
    pub fn logging(mut self, logging: Logging) -> Self {
        self.logging = Some(logging);
        self
    }
}

/// What other tools show of it.
impl Service {
    /// A tile on the start page.
    #[must_use]
    pub fn homepage(mut self, tile: Homepage) -> Self {
        self.homepage = Some(tile);
        self
    }

    /// A monitor in Uptime Kuma.
    #[must_use]
    pub fn uptime(mut self, monitor: Uptime) -> Self {
        self.uptime = Some(monitor);
        self
    }

    /// Where Prometheus finds its metrics.
    #[must_use]
    pub fn metrics(mut self, port: u16, path: impl Into<String>) -> Self {
        self.metrics = Some(Metrics { port, path: path.into() });
        self
    }
}
