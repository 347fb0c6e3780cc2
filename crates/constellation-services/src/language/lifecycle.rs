//! When a service starts, ends, heals and is replaced, and where.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// What must be true of another service before this one starts.
///
/// ```
/// use constellation_services::prelude::*;
/// let web = Service::new("web", "web:1.0").depends_on("db", Healthy).depends_on("migrate", Completed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Its main process runs.
    Started,
    /// Its health check passes; it must have one.
    Healthy,
    /// It ended with exit code 0; it must be a job.
    Completed,
}

/// What the engine does when the main process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Leaves it ended.
    Never,
    /// Starts it again, also after the machine came back.
    Always,
    /// As `Always`, but what a person stopped stays stopped.
    UnlessStopped,
    /// Starts it again after a failure, at most so often in a row (0: without end).
    OnFailure(u32),
}

/// What the agent does when the health check fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Heal {
    /// Restarts it, with backoff and within a budget.
    Restart,
    /// Leaves it alone.
    None,
}

/// On which nodes a service runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// On every node.
    #[default]
    EveryNode,
    /// On this node.
    On(String),
    /// On so many of the nodes that the configuration lists. Every node picks the same ones, without asking.
    Replicas(u16),
}

/// On every node.
pub fn every_node() -> Placement {
    Placement::EveryNode
}

/// On this node.
pub fn on(node: impl Into<String>) -> Placement {
    Placement::On(node.into())
}

/// On so many of the nodes.
pub fn replicas(count: u16) -> Placement {
    Placement::Replicas(count)
}

/// A node that a service may be placed on, as the configuration lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeEntry {
    /// What constraints compare: `disk = "ssd"`.
    pub labels: BTreeMap<String, String>,
}

/// Which goes first when a service is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The new one starts beside the old one, and the old one goes when the new one is healthy. Both see the same
    /// volumes for a while.
    StartFirst,
    /// The old one stops before the new one starts.
    StopFirst,
}

impl std::fmt::Display for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::StartFirst => "start first",
            Self::StopFirst => "stop first",
        })
    }
}

/// How a service is replaced.
///
/// ```
/// use constellation_services::prelude::*;
/// let careful = Update::start_first().monitor(secs(30));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    pub(crate) order: Option<Order>,
    pub(crate) parallelism: Option<u16>,
    pub(crate) monitor: Option<Duration>,
}

impl Update {
    /// The new one first.
    pub fn start_first() -> Self {
        Self { order: Some(Order::StartFirst), ..Self::default() }
    }

    /// The old one first.
    pub fn stop_first() -> Self {
        Self { order: Some(Order::StopFirst), ..Self::default() }
    }

    /// At most so many of the stack's services that say the same number are replaced at once (1: one after the other).
    #[must_use]
    pub fn parallelism(mut self, services: u16) -> Self {
        self.parallelism = Some(services);
        self
    }

    /// How long the new one must stay well before it counts (5 s unless said). It counts from when it was healthy, or
    /// from its start where it has no health check.
    #[must_use]
    pub fn monitor(mut self, time: Duration) -> Self {
        self.monitor = Some(time);
        self
    }
}

/// Where a service's output goes.
///
/// ```
/// use constellation_services::prelude::*;
/// let roomy = Logging::json(50.mib(), 5);
/// let journal = Logging::driver("journald");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Logging {
    pub(crate) driver: String,
    pub(crate) options: BTreeMap<String, String>,
}

impl Logging {
    /// JSON files of at most this size, so many of them.
    pub fn json(size: super::units::Size, files: u16) -> Self {
        Self::driver("json-file")
            .option("max-size", size.as_bytes().to_string())
            .option("max-file", files.to_string())
    }

    /// Another driver of the engine.
    pub fn driver(name: impl Into<String>) -> Self {
        Self { driver: name.into(), options: BTreeMap::new() }
    }

    /// An option of the driver.
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.insert(name.into(), value.into());
        self
    }
}
