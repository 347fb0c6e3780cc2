//! What to run: the same value for every runtime.

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// Transport protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A port inside a container, written `8080/tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Its number, never 0.
    pub number: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

impl Port {
    /// A TCP port.
    pub const fn tcp(number: u16) -> Self {
        Self { number, protocol: Protocol::Tcp }
    }

    /// A UDP port.
    pub const fn udp(number: u16) -> Self {
        Self { number, protocol: Protocol::Udp }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{}/{protocol}", self.number)
    }
}

/// A port was not written `1-65535`, `N/tcp` or `N/udp`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a port: write a number from 1 to 65535, with `/tcp` or `/udp` behind it")]
pub struct InvalidPort(String);

impl FromStr for Port {
    type Err = InvalidPort;

    fn from_str(text: &str) -> Result<Self, InvalidPort> {
        let invalid = || InvalidPort(text.to_owned());
        let (number, protocol) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.split('/').next().unwrap_or(text), Protocol::Tcp),
            Some((number, "udp")) => (number, Protocol::Udp),
            Some(_) => return Err(invalid()),
        };
        let number: u16 = number.parse().map_err(|_| invalid())?;
        if number == 0 {
            return Err(invalid());
        }
        Ok(Self { number, protocol })
    }
}

impl Serialize for Port {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A container's port made reachable on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortBinding {
    /// The port inside.
    pub container: Port,
    /// The host's address. There is no default: all interfaces is said by writing `0.0.0.0` or `::`.
    pub host_ip: IpAddr,
    /// The host's port; `None` lets the runtime choose.
    pub host_port: Option<u16>,
}

/// A command that says whether the service inside works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// The program and its arguments; exit code 0 is healthy.
    pub command: Vec<String>,
    /// From the end of one check to the start of the next.
    pub interval: Duration,
    /// A check that runs longer has failed.
    pub timeout: Duration,
    /// How many failures in a row make it unhealthy; at least 1.
    pub retries: u32,
    /// Failures within this time after a start do not count.
    pub start_period: Duration,
}

impl HealthCheck {
    /// A check every 10 s with 3 s of patience, unhealthy after 3 failures.
    pub fn command<I: IntoIterator<Item = S>, S: Into<String>>(command: I) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(3),
            retries: 3,
            start_period: Duration::ZERO,
        }
    }
}

/// What the runtime does when the main process ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Leave it ended.
    #[default]
    No,
    /// Start it again whatever the exit code, also after the runtime itself came back.
    Always,
    /// Like `Always`, but a container that somebody stopped stays stopped.
    UnlessStopped,
    /// Start it again after a failure, at most this often in a row (0: without end).
    OnFailure(u32),
}

/// How a container meets the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// On the networks that `ContainerSpec::networks` names (the runtime's default where it names none).
    #[default]
    Networks,
    /// In the host's own network.
    Host,
    /// No network but loopback.
    None,
    /// In the network of another container, by name.
    Container(String),
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A path of the host.
    Bind {
        /// An absolute path on the host.
        source: String,
    },
    /// A volume that the runtime keeps, by name.
    Volume {
        /// The volume's name.
        name: String,
    },
    /// Memory, gone with the container.
    Tmpfs {
        /// The most that it may hold, in bytes; `None` leaves it to the kernel.
        size_bytes: Option<u64>,
    },
}

/// Whether mounts that are made later below a bound path are seen on the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// On neither side.
    #[default]
    Private,
    /// Those of the host are seen inside.
    Slave,
    /// Those of either are seen by both. The host's path must be on a shared mount.
    Shared,
}

impl Propagation {
    /// Whether it is the default.
    pub const fn is_private(&self) -> bool {
        matches!(self, Self::Private)
    }
}

/// Something mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What.
    pub kind: MountKind,
    /// The absolute path inside.
    pub target: String,
    /// Whether the container may only read it.
    pub read_only: bool,
    /// Whether mounts that are made later below a bound path are seen on the other side.
    #[serde(default, skip_serializing_if = "Propagation::is_private")]
    pub propagation: Propagation,
}

impl Mount {
    /// A mount whose later mounts stay on their side.
    pub fn new(kind: MountKind, target: impl Into<String>, read_only: bool) -> Self {
        Self { kind, target: target.into(), read_only, propagation: Propagation::Private }
    }
}

/// A limit of the kernel, as `ulimit` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Its name, such as `nofile`.
    pub name: String,
    /// The limit that applies.
    pub soft: i64,
    /// How far the process may raise it.
    pub hard: i64,
}

/// What a container may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Memory that is asked for but not guaranteed to be the end, in bytes.
    pub memory_reservation_bytes: Option<u64>,
    /// CPU time in thousandths of a core.
    pub cpu_millis: Option<u64>,
    /// Relative weight when the CPU is short (Docker's default is 1024).
    pub cpu_shares: Option<u64>,
    /// Number of processes and threads.
    pub pids: Option<u64>,
    /// Size of `/dev/shm` in bytes.
    pub shm_bytes: Option<u64>,
    /// Kernel limits.
    pub ulimits: Vec<Ulimit>,
}

/// What to run and how. `ContainerSpec::new(name, image)` and then the fields that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContainerSpec {
    /// The container's name: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, unique in the runtime.
    pub name: String,
    /// The image reference. [`ProcessRuntime`](crate::ProcessRuntime) only records it.
    pub image: String,
    /// Replaces the image's entry point.
    pub entrypoint: Option<Vec<String>>,
    /// Arguments of the entry point, or the whole command where there is none.
    pub command: Option<Vec<String>>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Ports that the service listens on, published or not.
    pub exposed: Vec<Port>,
    /// Ports made reachable on the host; each is exposed as well.
    pub ports: Vec<PortBinding>,
    /// How it meets the network.
    pub network_mode: NetworkMode,
    /// Networks by name, each with the container's aliases there. They must exist.
    pub networks: BTreeMap<String, Vec<String>>,
    /// What is mounted.
    pub mounts: Vec<Mount>,
    /// How to tell that it works.
    pub health: Option<HealthCheck>,
    /// What happens when it ends.
    pub restart: RestartPolicy,
    /// What it may use.
    pub resources: Resources,
    /// `user[:group]` inside.
    pub user: Option<String>,
    /// The working directory inside.
    pub working_dir: Option<String>,
    /// The host name inside.
    pub hostname: Option<String>,
    /// Signal that asks it to end; the runtime's default is SIGTERM.
    pub stop_signal: Option<String>,
    /// How long it may take to end before it is killed (default 10 s).
    pub stop_grace: Option<Duration>,
    /// Linux capabilities to add.
    pub cap_add: Vec<String>,
    /// Linux capabilities to take away.
    pub cap_drop: Vec<String>,
    /// Devices of the host, mapped to the same path, read-write.
    pub devices: Vec<String>,
    /// Kernel parameters of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// More lines for `/etc/hosts`, `name:address`.
    pub extra_hosts: Vec<String>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Further groups of the process.
    pub group_add: Vec<String>,
    /// Security options such as `no-new-privileges:true`.
    pub security_opt: Vec<String>,
    /// Whether its root file system is read-only.
    pub read_only_root: bool,
    /// Whether a small init reaps its zombies.
    pub init: bool,
    /// Every capability and device of the host.
    pub privileged: bool,
    /// Log driver and its options, such as (`json-file`, `max-size=10m`).
    pub logging: Option<(String, BTreeMap<String, String>)>,
}

impl ContainerSpec {
    /// A specification with a name and an image and nothing else.
    pub fn new(name: impl Into<String>, image: impl Into<String>) -> Self {
        Self { name: name.into(), image: image.into(), ..Self::default() }
    }

    /// Sets a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Sets the command.
    #[must_use]
    pub fn command<I: IntoIterator<Item = S>, S: Into<String>>(mut self, command: I) -> Self {
        self.command = Some(command.into_iter().map(Into::into).collect());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(key.into(), value.into());
        self
    }

    /// Declares a port.
    #[must_use]
    pub fn expose(mut self, port: Port) -> Self {
        self.exposed.push(port);
        self
    }
}
