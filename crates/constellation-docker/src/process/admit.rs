//! Which specifications a process can keep. What it cannot keep is refused, never left out in silence: a service that
//! believes itself confined and is not is worse than one that does not start.

use std::net::IpAddr;

use super::signal;
use crate::{
    error::RuntimeError,
    spec::{ContainerSpec, HealthCheck, NetworkMode},
};

/// The identity that we have ourselves, which bounds the ones that we can give.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ourselves {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// `uid:gid`, as a process gets them.
pub(super) type User = (u32, u32);

/// Refuses what a process cannot be or have. `address` is where processes are told to listen.
pub(super) fn admit(spec: &ContainerSpec, address: IpAddr, ourselves: Ourselves) -> Result<(), RuntimeError> {
    let refuse = |field: &str, reason: &str| RuntimeError::InvalidSpec {
        name: spec.name.clone(),
        field: field.to_owned(),
        reason: reason.to_owned(),
    };
    if !is_name(&spec.name) {
        return Err(refuse(
            "name",
            "write a letter or digit, then letters, digits, `_`, `.` or `-`, 128 at most",
        ));
    }
    if program(spec).is_none_or(String::is_empty) {
        return Err(refuse("command", "a process has no image to take a command from: write one"));
    }
    for (field, text) in argument_texts(spec) {
        if text.contains('\0') {
            return Err(refuse(field, "no argument or variable of a process can hold a NUL character"));
        }
    }
    if spec.env.keys().any(|key| key.is_empty() || key.contains('=')) {
        return Err(refuse("env", "a variable's name is not empty and holds no `=`"));
    }
    if spec.working_dir.as_deref().is_some_and(|folder| !folder.starts_with('/')) {
        return Err(refuse("working_dir", "write an absolute path of this machine"));
    }
    if spec.stop_signal.as_deref().is_some_and(|name| signal::parse(name).is_none()) {
        return Err(refuse("stop_signal", "write the name of a signal, such as SIGTERM or SIGQUIT"));
    }
    if let Some(check) = &spec.health {
        admit_health(check).map_err(|(field, reason)| refuse(field, reason))?;
    }
    admit_network(spec, address).map_err(|(field, reason)| refuse(field, &reason))?;
    user(spec, ourselves).map_err(|reason| refuse("user", reason))?;
    match confinements(spec).into_iter().find(|(asked, ..)| *asked) {
        Some((_, field, reason)) => Err(refuse(field, reason)),
        None => Ok(()),
    }
}

/// The program that a specification runs.
fn program(spec: &ContainerSpec) -> Option<&String> {
    spec.entrypoint.iter().chain(&spec.command).flatten().next()
}

fn argument_texts(spec: &ContainerSpec) -> impl Iterator<Item = (&'static str, &String)> {
    let arguments = spec.entrypoint.iter().chain(&spec.command).flatten().map(|text| ("command", text));
    let variables = spec.env.iter().flat_map(|(key, value)| [("env", key), ("env", value)]);
    let check = spec.health.iter().flat_map(|check| &check.command).map(|text| ("health.command", text));
    let folder = spec.working_dir.iter().map(|text| ("working_dir", text));
    arguments.chain(variables).chain(check).chain(folder)
}

fn is_name(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn admit_health(check: &HealthCheck) -> Result<(), (&'static str, &'static str)> {
    if check.command.first().is_none_or(String::is_empty) {
        return Err(("health.command", "write the program that checks, or leave the health check out"));
    }
    if check.interval.is_zero() {
        return Err((
            "health.interval",
            "write more than zero: checks without a pause would take a whole core",
        ));
    }
    if check.timeout.is_zero() {
        return Err(("health.timeout", "write more than zero: no check ends in no time"));
    }
    if check.retries == 0 {
        return Err(("health.retries", "write 1 or more: the failures in a row that make it unhealthy"));
    }
    Ok(())
}

fn admit_network(spec: &ContainerSpec, address: IpAddr) -> Result<(), (&'static str, String)> {
    const HOST_ONLY: &str = "a process is on the host's own network: use `host`, or run this on Docker";
    match spec.network_mode {
        NetworkMode::Networks | NetworkMode::Host => {}
        NetworkMode::None | NetworkMode::Container(_) => return Err(("network_mode", HOST_ONLY.to_owned())),
    }
    if !spec.networks.is_empty() {
        return Err(("networks", HOST_ONLY.to_owned()));
    }
    for binding in &spec.ports {
        let number = binding.container.number;
        if binding.host_port.is_some_and(|host_port| host_port != number) {
            let reason = format!(
                "a process listens on the host itself, so {number} cannot become another port: write host port {number}"
            );
            return Err(("ports", reason));
        }
        if binding.host_ip != address {
            let reason = format!(
                "processes are told to listen on {address}: write that instead of {}",
                binding.host_ip
            );
            return Err(("ports", reason));
        }
    }
    Ok(())
}

/// The identity that a specification asks for; `None` where it asks for none.
pub(super) fn user(spec: &ContainerSpec, ourselves: Ourselves) -> Result<Option<User>, &'static str> {
    let Some(text) = &spec.user else { return Ok(None) };
    // Names are not looked up: a specification means the same on every node only if it says numbers.
    let numbers = text.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    let Some((uid, gid)) = numbers else {
        return Err("write the numbers `uid:gid`, as `id -u` and `id -g` print them");
    };
    if ourselves.uid != 0 && (uid, gid) != (ourselves.uid, ourselves.gid) {
        return Err(
            "only root can start a process as another user: run the agent as root, or leave this out",
        );
    }
    Ok(Some((uid, gid)))
}

/// What needs namespaces, cgroups or capabilities: asked for or not, the field, and what to do.
fn confinements(spec: &ContainerSpec) -> Vec<(bool, &'static str, &'static str)> {
    const FILES: &str = "a process sees the host's files: use the host's paths, or run this on Docker";
    const LIMIT: &str =
        "a process is not limited: set the limit on the agent's systemd unit, or run this on Docker";
    const RIGHTS: &str = "a process has the rights of its user: set `user`, or run this on Docker";
    const NAMES: &str = "a process resolves names as the host does: change the host, or run this on Docker";
    let resources = &spec.resources;
    vec![
        (!spec.mounts.is_empty(), "mounts", FILES),
        (spec.read_only_root, "read_only_root", FILES),
        (!spec.devices.is_empty(), "devices", FILES),
        (resources.memory_bytes.is_some(), "resources.memory_bytes", LIMIT),
        (resources.memory_reservation_bytes.is_some(), "resources.memory_reservation_bytes", LIMIT),
        (resources.cpu_millis.is_some(), "resources.cpu_millis", LIMIT),
        (resources.cpu_shares.is_some(), "resources.cpu_shares", LIMIT),
        (resources.pids.is_some(), "resources.pids", LIMIT),
        (resources.shm_bytes.is_some(), "resources.shm_bytes", LIMIT),
        (!resources.ulimits.is_empty(), "resources.ulimits", LIMIT),
        (!spec.cap_add.is_empty(), "cap_add", RIGHTS),
        (!spec.cap_drop.is_empty(), "cap_drop", RIGHTS),
        (spec.privileged, "privileged", RIGHTS),
        (!spec.group_add.is_empty(), "group_add", RIGHTS),
        (!spec.security_opt.is_empty(), "security_opt", RIGHTS),
        (!spec.sysctls.is_empty(), "sysctls", "a process has no namespaces of its own: set them on the host"),
        (!spec.extra_hosts.is_empty(), "extra_hosts", NAMES),
        (!spec.dns.is_empty(), "dns", NAMES),
        (
            spec.logging.as_ref().is_some_and(|(driver, _)| driver != "json-file" && driver != "local"),
            "logging",
            "a process logs to bounded files, like `json-file` and `local`: write one of these, or leave it out",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use super::*;
    use crate::spec::{Mount, MountKind, Port, PortBinding, Ulimit};

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));
    const ROOT: Ourselves = Ourselves { uid: 0, gid: 0 };

    fn spec() -> ContainerSpec {
        ContainerSpec::new("web", "nginx").command(["sleep", "1000"])
    }

    /// The field that a specification is refused for.
    fn refused(change: impl FnOnce(&mut ContainerSpec)) -> Option<String> {
        let mut spec = spec();
        change(&mut spec);
        match admit(&spec, ADDRESS, ROOT) {
            Ok(()) => None,
            Err(RuntimeError::InvalidSpec { field, .. }) => Some(field),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn what_a_process_can_keep_or_what_does_no_harm_is_admitted() {
        assert_eq!(
            refused(|s| {
                s.hostname = Some("web-1".into());
                s.init = true;
                s.network_mode = NetworkMode::Host;
                s.exposed.push(Port::udp(53));
                s.ports.push(PortBinding { container: Port::tcp(80), host_ip: ADDRESS, host_port: Some(80) });
                s.ports.push(PortBinding { container: Port::tcp(81), host_ip: ADDRESS, host_port: None });
                s.user = Some("1000:1000".into());
                s.working_dir = Some("/tmp".into());
                s.stop_signal = Some("SIGQUIT".into());
                s.health = Some(HealthCheck::command(["true"]));
                s.logging = Some(("json-file".into(), [("max-size".into(), "10m".into())].into()));
            }),
            None
        );
    }

    #[test]
    fn what_a_process_cannot_keep_is_refused_by_the_name_of_its_field() {
        type Change = fn(&mut ContainerSpec);
        let binding = |host_ip: [u8; 4], host_port| PortBinding {
            container: Port::tcp(80),
            host_ip: host_ip.into(),
            host_port: Some(host_port),
        };
        assert_eq!(refused(|s| s.ports.push(binding([127, 0, 0, 11], 8080))).as_deref(), Some("ports"));
        assert_eq!(refused(|s| s.ports.push(binding([0, 0, 0, 0], 80))).as_deref(), Some("ports"));
        let cases: Vec<(&str, Change)> = vec![
            ("name", |s| s.name = "../etc".into()),
            ("name", |s| s.name = String::new()),
            ("command", |s| s.command = None),
            ("command", |s| s.command = Some(vec!["a\0b".into()])),
            ("env", |s| drop(s.env.insert("A=B".into(), "c".into()))),
            ("working_dir", |s| s.working_dir = Some("data".into())),
            ("stop_signal", |s| s.stop_signal = Some("SIGNOPE".into())),
            ("health.command", |s| s.health = Some(HealthCheck::command([""]))),
            ("health.interval", |s| {
                s.health = Some(HealthCheck { interval: Duration::ZERO, ..HealthCheck::command(["true"]) });
            }),
            ("health.timeout", |s| {
                s.health = Some(HealthCheck { timeout: Duration::ZERO, ..HealthCheck::command(["true"]) });
            }),
            ("health.retries", |s| {
                s.health = Some(HealthCheck { retries: 0, ..HealthCheck::command(["true"]) });
            }),
            ("network_mode", |s| s.network_mode = NetworkMode::None),
            ("network_mode", |s| s.network_mode = NetworkMode::Container("vpn".into())),
            ("networks", |s| drop(s.networks.insert("backend".into(), vec![]))),
            ("user", |s| s.user = Some("nobody".into())),
            ("user", |s| s.user = Some("1000".into())),
            ("mounts", |s| {
                let kind = MountKind::Tmpfs { size_bytes: None };
                s.mounts.push(Mount::new(kind, "/tmp", false));
            }),
            ("read_only_root", |s| s.read_only_root = true),
            ("devices", |s| s.devices.push("/dev/kvm".into())),
            ("resources.memory_bytes", |s| s.resources.memory_bytes = Some(1)),
            ("resources.memory_reservation_bytes", |s| s.resources.memory_reservation_bytes = Some(1)),
            ("resources.cpu_millis", |s| s.resources.cpu_millis = Some(1)),
            ("resources.cpu_shares", |s| s.resources.cpu_shares = Some(1)),
            ("resources.pids", |s| s.resources.pids = Some(1)),
            ("resources.shm_bytes", |s| s.resources.shm_bytes = Some(1)),
            ("resources.ulimits", |s| {
                s.resources.ulimits.push(Ulimit { name: "nofile".into(), soft: 1, hard: 1 });
            }),
            ("cap_add", |s| s.cap_add.push("NET_ADMIN".into())),
            ("cap_drop", |s| s.cap_drop.push("ALL".into())),
            ("privileged", |s| s.privileged = true),
            ("group_add", |s| s.group_add.push("docker".into())),
            ("security_opt", |s| s.security_opt.push("no-new-privileges:true".into())),
            ("sysctls", |s| drop(s.sysctls.insert("net.core.somaxconn".into(), "1".into()))),
            ("extra_hosts", |s| s.extra_hosts.push("a:1.2.3.4".into())),
            ("dns", |s| s.dns.push(ADDRESS)),
            ("logging", |s| s.logging = Some(("syslog".into(), [].into()))),
        ];
        for (field, change) in cases {
            assert_eq!(refused(change).as_deref(), Some(field));
        }
    }

    #[test]
    fn without_root_a_process_runs_as_ourselves_or_not_at_all() {
        let us = Ourselves { uid: 1000, gid: 1000 };
        let mut spec = spec();
        spec.user = Some("1000:1000".into());
        assert_eq!(user(&spec, us), Ok(Some((1000, 1000))));
        spec.user = Some("0:0".into());
        assert!(user(&spec, us).is_err());
    }
}
