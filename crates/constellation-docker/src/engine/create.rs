//! The document that makes a container: every field of [`ContainerSpec`], in the engine's words.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{lifecycle::whole_seconds, version::ApiVersion};
use crate::spec::{ContainerSpec, Mount, MountKind, NetworkMode, Port, Propagation, RestartPolicy};

/// From this version on a container is made with all its networks at once; older daemons take one and have the
/// others connected after.
const ALL_NETWORKS_AT_ONCE: ApiVersion = ApiVersion { major: 1, minor: 44 };

/// Body of `POST /containers/create`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateBody<'a> {
    image: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmd: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    env: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    exposed_ports: BTreeMap<String, Empty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_dir: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_signal: Option<&'a str>,
    /// In seconds. docker-api writes an object here, which the daemon refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_timeout: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Healthcheck<'a>>,
    host_config: HostConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    networking_config: Option<NetworkingConfig<'a>>,
}

#[derive(Debug, Serialize)]
struct Empty {}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Healthcheck<'a> {
    test: Vec<&'a str>,
    interval: u128,
    timeout: u128,
    retries: u32,
    start_period: u128,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    network_mode: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    port_bindings: BTreeMap<String, Vec<HostPort>>,
    restart_policy: Restart,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mounts: Vec<MountBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_reservation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nano_cpus: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_shares: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pids_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shm_size: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ulimits: Vec<UlimitBody<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    cap_add: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    cap_drop: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    devices: Vec<Device<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sysctls: Option<&'a BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    extra_hosts: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dns: Vec<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    group_add: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    security_opt: &'a [String],
    #[serde(skip_serializing_if = "is_false")]
    readonly_rootfs: bool,
    /// Left out when not asked for: the daemon may have a default of its own.
    #[serde(skip_serializing_if = "is_false")]
    init: bool,
    #[serde(skip_serializing_if = "is_false")]
    privileged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_config: Option<LogConfig<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HostPort {
    host_ip: String,
    /// Text; empty lets the daemon choose.
    host_port: String,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Restart {
    name: &'static str,
    maximum_retry_count: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MountBody<'a> {
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    target: &'a str,
    read_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tmpfs_options: Option<TmpfsOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bind_options: Option<BindOptions>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct BindOptions {
    propagation: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TmpfsOptions {
    size_bytes: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct UlimitBody<'a> {
    name: &'a str,
    soft: i64,
    hard: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Device<'a> {
    path_on_host: &'a str,
    path_in_container: &'a str,
    cgroup_permissions: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LogConfig<'a> {
    #[serde(rename = "Type")]
    driver: &'a str,
    config: &'a BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkingConfig<'a> {
    endpoints_config: BTreeMap<&'a str, Endpoint<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    aliases: &'a [String],
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Writes the document for a daemon that speaks `api`.
pub(super) fn body(spec: &ContainerSpec, api: ApiVersion) -> CreateBody<'_> {
    let first = networks_at_create(spec, api);
    CreateBody {
        image: &spec.image,
        entrypoint: spec.entrypoint.as_deref(),
        cmd: spec.command.as_deref(),
        env: spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        labels: &spec.labels,
        exposed_ports: exposed(spec).into_iter().map(|port| (port.to_string(), Empty {})).collect(),
        user: spec.user.as_deref(),
        working_dir: spec.working_dir.as_deref(),
        hostname: spec.hostname.as_deref(),
        stop_signal: spec.stop_signal.as_deref(),
        stop_timeout: spec.stop_grace.map(|grace| whole_seconds(grace).as_secs()),
        healthcheck: spec.health.as_ref().map(|check| Healthcheck {
            test: std::iter::once("CMD").chain(check.command.iter().map(String::as_str)).collect(),
            interval: check.interval.as_nanos(),
            timeout: check.timeout.as_nanos(),
            retries: check.retries,
            start_period: check.start_period.as_nanos(),
        }),
        networking_config: (!first.is_empty()).then_some(NetworkingConfig { endpoints_config: first }),
        host_config: host_config(spec),
    }
}

/// The networks that the container must be connected to after it was made, with its aliases there.
pub(super) fn networks_after_create(
    spec: &ContainerSpec,
    api: ApiVersion,
) -> impl Iterator<Item = (&String, &Vec<String>)> {
    let made_with = networks_at_create(spec, api).len();
    spec.networks.iter().skip(made_with)
}

fn networks_at_create(spec: &ContainerSpec, api: ApiVersion) -> BTreeMap<&str, Endpoint<'_>> {
    let count = if api >= ALL_NETWORKS_AT_ONCE { usize::MAX } else { 1 };
    spec.networks.iter().take(count).map(|(name, aliases)| (name.as_str(), Endpoint { aliases })).collect()
}

/// A binding of a port that is not exposed as well is ignored by the daemon.
fn exposed(spec: &ContainerSpec) -> BTreeSet<Port> {
    spec.exposed.iter().copied().chain(spec.ports.iter().map(|binding| binding.container)).collect()
}

fn host_config(spec: &ContainerSpec) -> HostConfig<'_> {
    let resources = &spec.resources;
    let mut port_bindings: BTreeMap<String, Vec<HostPort>> = BTreeMap::new();
    for binding in &spec.ports {
        port_bindings.entry(binding.container.to_string()).or_default().push(HostPort {
            host_ip: binding.host_ip.to_string(),
            host_port: binding.host_port.map(|port| port.to_string()).unwrap_or_default(),
        });
    }
    HostConfig {
        network_mode: match &spec.network_mode {
            // Without this the daemon would put it on its own bridge as well, and past any isolation.
            NetworkMode::Networks => spec.networks.keys().next().cloned(),
            NetworkMode::Host => Some("host".to_owned()),
            NetworkMode::None => Some("none".to_owned()),
            NetworkMode::Container(name) => Some(format!("container:{name}")),
        },
        port_bindings,
        restart_policy: match spec.restart {
            RestartPolicy::No => Restart { name: "no", maximum_retry_count: 0 },
            RestartPolicy::Always => Restart { name: "always", maximum_retry_count: 0 },
            RestartPolicy::UnlessStopped => Restart { name: "unless-stopped", maximum_retry_count: 0 },
            RestartPolicy::OnFailure(times) => Restart { name: "on-failure", maximum_retry_count: times },
        },
        mounts: spec.mounts.iter().map(mount).collect(),
        memory: resources.memory_bytes,
        memory_reservation: resources.memory_reservation_bytes,
        nano_cpus: resources.cpu_millis.map(|millis| millis.saturating_mul(1_000_000)),
        cpu_shares: resources.cpu_shares,
        pids_limit: resources.pids,
        shm_size: resources.shm_bytes,
        ulimits: resources
            .ulimits
            .iter()
            .map(|limit| UlimitBody { name: &limit.name, soft: limit.soft, hard: limit.hard })
            .collect(),
        cap_add: &spec.cap_add,
        cap_drop: &spec.cap_drop,
        devices: spec
            .devices
            .iter()
            .map(|path| Device { path_on_host: path, path_in_container: path, cgroup_permissions: "rw" })
            .collect(),
        sysctls: (!spec.sysctls.is_empty()).then_some(&spec.sysctls),
        extra_hosts: &spec.extra_hosts,
        dns: spec.dns.iter().map(ToString::to_string).collect(),
        group_add: &spec.group_add,
        security_opt: &spec.security_opt,
        readonly_rootfs: spec.read_only_root,
        init: spec.init,
        privileged: spec.privileged,
        log_config: spec.logging.as_ref().map(|(driver, config)| LogConfig { driver, config }),
    }
}

fn mount(mount: &Mount) -> MountBody<'_> {
    let (kind, source, tmpfs_options) = match &mount.kind {
        MountKind::Bind { source } => ("bind", Some(source.as_str()), None),
        MountKind::Volume { name } => ("volume", Some(name.as_str()), None),
        MountKind::Tmpfs { size_bytes } => {
            ("tmpfs", None, size_bytes.map(|size_bytes| TmpfsOptions { size_bytes }))
        }
    };
    let bind_options = match mount.propagation {
        Propagation::Private => None,
        Propagation::Slave => Some(BindOptions { propagation: "rslave" }),
        Propagation::Shared => Some(BindOptions { propagation: "rshared" }),
    };
    MountBody { kind, source, target: &mount.target, read_only: mount.read_only, tmpfs_options, bind_options }
}
