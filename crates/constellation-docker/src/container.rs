//! What a runtime reports about a container.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::spec::{Port, Protocol};

/// The identity that the runtime gave to a container: never reused, at most 64 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(String);

impl ContainerId {
    /// Takes an identity as the runtime printed it.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The whole identity.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve characters, as `docker ps` shows them.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Made, never started.
    Created,
    /// Its main process runs.
    Running,
    /// Frozen; the process exists but gets no time.
    Paused,
    /// The runtime is about to start it again by its restart policy.
    Restarting,
    /// On its way out.
    Removing,
    /// Its main process ended.
    Exited,
    /// Could not be removed or started; needs a person.
    Dead,
}

/// What the container's own health check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthReport {
    /// It has no health check.
    None,
    /// Within the start period, or before the first verdict.
    Starting,
    /// The last check passed.
    Healthy,
    /// As many checks in a row failed as the specification allows.
    Unhealthy,
}

/// A line of `list`: cheap to get for every container at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSummary {
    /// Its identity.
    pub id: ContainerId,
    /// Its name, without a leading slash.
    pub name: String,
    /// The image reference that it was made from.
    pub image: String,
    /// Where it is in its life.
    pub state: RunState,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// State as `inspect` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerState {
    /// Where it is in its life.
    pub run: RunState,
    /// What its health check says.
    pub health: HealthReport,
    /// The main process, while there is one.
    pub pid: Option<u32>,
    /// How it ended; `None` while it runs, or where the runtime could not learn it.
    pub exit_code: Option<i64>,
    /// Whether the kernel ended it for want of memory.
    pub oom_killed: bool,
    /// Last start, in milliseconds since the Unix epoch; `None` before the first.
    pub started_at_ms: Option<u64>,
    /// Last end, in milliseconds since the Unix epoch.
    pub finished_at_ms: Option<u64>,
    /// How often the runtime restarted it by its policy.
    pub restarts: u32,
}

/// A port of the container that is reachable on an address of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The port inside.
    pub container: Port,
    /// The host's address; unspecified (`0.0.0.0`, `::`) means all of them.
    pub host_ip: IpAddr,
    /// The host's port.
    pub host_port: u16,
}

/// A network that a container is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAttachment {
    /// The network's name.
    pub name: String,
    /// The container's address there, while it runs.
    pub address: Option<IpAddr>,
}

/// Everything that a runtime knows of one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its identity.
    pub id: ContainerId,
    /// Its name, without a leading slash.
    pub name: String,
    /// The image reference that it was made from.
    pub image: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// When it was made, in milliseconds since the Unix epoch. Unlike its start, a restart does not change it.
    pub created_at_ms: Option<u64>,
    /// What it is doing.
    pub state: ContainerState,
    /// Ports that the image or the specification declares, published or not.
    pub exposed: Vec<Port>,
    /// Ports that are reachable on an address of the host.
    pub published: Vec<PublishedPort>,
    /// The networks that it is on, sorted by name.
    pub networks: Vec<NetworkAttachment>,
    /// It shares the host's network: its ports are the host's.
    pub host_network: bool,
}

impl Container {
    /// The first declared port of a protocol, lowest number first.
    pub fn lowest_port(&self, protocol: Protocol) -> Option<Port> {
        self.exposed.iter().copied().filter(|port| port.protocol == protocol).min()
    }
}
