//! What a specification must satisfy before the daemon sees it: where the daemon would guess, ignore or answer in
//! riddles, the field is named here.

use std::time::Duration;

use super::text::{is_image_reference, is_object_name};
use crate::{
    error::RuntimeError,
    spec::{ContainerSpec, HealthCheck, MountKind, NetworkMode},
};

/// Health checks have a granularity of one millisecond; the daemon takes 0 for "inherit from the image".
const HEALTH_DURATION_MIN: Duration = Duration::from_millis(1);

/// The first thing that is wrong with a specification.
pub(super) fn check(spec: &ContainerSpec) -> Result<(), RuntimeError> {
    let wrong = |field: &str, reason: String| {
        Err(RuntimeError::InvalidSpec { name: spec.name.clone(), field: field.to_owned(), reason })
    };
    if !is_object_name(&spec.name) || spec.name.len() < 2 {
        let reason =
            "must begin with a letter or digit, and one or more letters, digits, `_`, `.` or `-` must follow";
        return wrong("name", reason.to_owned());
    }
    if !is_image_reference(&spec.image) {
        return wrong(
            "image",
            format!("`{}` is not an image reference such as `registry/name:tag`", spec.image),
        );
    }
    if let Some(key) = spec.env.keys().find(|key| key.is_empty() || key.contains(['=', '\0'])) {
        return wrong("env", format!("`{key}` cannot be the name of a variable"));
    }
    if let Some((key, _)) = spec.env.iter().find(|(_, value)| value.contains('\0')) {
        return wrong("env", format!("the value of `{key}` holds a NUL character"));
    }
    if let Some((field, reason)) = network(spec).or_else(|| mounts(spec)).or_else(|| resources(spec)) {
        return wrong(field, reason);
    }
    if let Some(reason) = spec.health.as_ref().and_then(health) {
        return wrong("health", reason);
    }
    if let Some(device) = spec.devices.iter().find(|device| !device.starts_with('/')) {
        return wrong("devices", format!("`{device}` is not an absolute path of the host"));
    }
    Ok(())
}

type Wrong = Option<(&'static str, String)>;

fn network(spec: &ContainerSpec) -> Wrong {
    if let Some(name) = spec.networks.keys().find(|name| !is_object_name(name)) {
        return Some(("networks", format!("`{name}` cannot be the name of a network")));
    }
    if spec.ports.iter().any(|binding| binding.container.number == 0)
        || spec.exposed.iter().any(|port| port.number == 0)
    {
        return Some(("ports", "the port inside cannot be 0".to_owned()));
    }
    let mode = match &spec.network_mode {
        NetworkMode::Networks => return None,
        NetworkMode::Host => "host",
        NetworkMode::None => "none",
        NetworkMode::Container(name) if is_object_name(name) => "container",
        NetworkMode::Container(name) => {
            return Some(("network_mode", format!("`{name}` cannot be the name of a container")));
        }
    };
    if !spec.networks.is_empty() {
        return Some((
            "networks",
            format!("cannot be joined with network mode `{mode}`: name networks or set the mode"),
        ));
    }
    // The daemon would drop the bindings and say so only in a warning.
    if !spec.ports.is_empty() {
        return Some((
            "ports",
            format!("cannot be published with network mode `{mode}`: list them in `exposed`"),
        ));
    }
    None
}

fn mounts(spec: &ContainerSpec) -> Wrong {
    for mount in &spec.mounts {
        if !mount.target.starts_with('/') {
            return Some(("mounts", format!("target `{}` is not an absolute path", mount.target)));
        }
        if !mount.propagation.is_private() && !matches!(mount.kind, MountKind::Bind { .. }) {
            return Some((
                "mounts",
                format!("`{}` is no path of the host, so nothing propagates", mount.target),
            ));
        }
        match &mount.kind {
            MountKind::Bind { source } if !source.starts_with('/') => {
                return Some(("mounts", format!("source `{source}` is not an absolute path of the host")));
            }
            MountKind::Volume { name } if !is_object_name(name) => {
                return Some(("mounts", format!("`{name}` cannot be the name of a volume")));
            }
            MountKind::Tmpfs { size_bytes: Some(size) } if i64::try_from(*size).is_err() => {
                return Some(("mounts", format!("a tmpfs of {size} bytes is too large")));
            }
            _ => {}
        }
    }
    None
}

fn resources(spec: &ContainerSpec) -> Wrong {
    let r = &spec.resources;
    let amounts = [
        ("memory_bytes", r.memory_bytes),
        ("memory_reservation_bytes", r.memory_reservation_bytes),
        // The daemon counts billionths of a core.
        ("cpu_millis", r.cpu_millis.map(|millis| millis.saturating_mul(1_000_000))),
        ("cpu_shares", r.cpu_shares),
        ("pids", r.pids),
        ("shm_bytes", r.shm_bytes),
    ];
    for (field, amount) in amounts {
        match amount {
            // For the daemon 0 means "no limit", which is said by leaving the field out.
            Some(0) => return Some((field, "cannot be 0: leave it out for no limit".to_owned())),
            Some(amount) if i64::try_from(amount).is_err() => {
                return Some((field, "is too large".to_owned()));
            }
            _ => {}
        }
    }
    None
}

fn health(check: &HealthCheck) -> Option<String> {
    if check.command.is_empty() {
        return Some("has no command".to_owned());
    }
    if check.retries == 0 {
        return Some("retries must be at least 1".to_owned());
    }
    for (name, duration) in [("interval", check.interval), ("timeout", check.timeout)] {
        if duration < HEALTH_DURATION_MIN {
            return Some(format!("{name} must be at least 1 ms"));
        }
    }
    if !check.start_period.is_zero() && check.start_period < HEALTH_DURATION_MIN {
        return Some("start_period must be 0 or at least 1 ms".to_owned());
    }
    let longest = check.interval.max(check.timeout).max(check.start_period);
    i64::try_from(longest.as_nanos()).is_err().then(|| "a duration is longer than 292 years".to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::spec::{Mount, Port, PortBinding};

    fn spec() -> ContainerSpec {
        ContainerSpec::new("web", "busybox:1")
    }

    fn field_of(spec: &ContainerSpec) -> String {
        match check(spec) {
            Err(RuntimeError::InvalidSpec { field, .. }) => field,
            other => panic!("expected an invalid specification, got {other:?}"),
        }
    }

    fn with(change: impl FnOnce(&mut ContainerSpec)) -> ContainerSpec {
        let mut spec = spec();
        change(&mut spec);
        spec
    }

    #[test]
    fn a_plain_specification_passes() {
        check(&spec()).unwrap();
    }

    #[test]
    fn the_field_that_is_wrong_is_named() {
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let binding = PortBinding { container: Port::tcp(80), host_ip: localhost, host_port: None };
        let health = HealthCheck::command(["true"]);
        for (field, spec) in [
            ("name", with(|s| s.name = "../x".to_owned())),
            ("image", with(|s| s.image = String::new())),
            ("env", with(|s| s.env = [("A=B".to_owned(), String::new())].into())),
            ("env", with(|s| s.env = [("A".to_owned(), "\0".to_owned())].into())),
            ("networks", with(|s| s.networks = [("a b".to_owned(), vec![])].into())),
            (
                "networks",
                with(|s| {
                    s.network_mode = NetworkMode::Host;
                    s.networks = [("n".to_owned(), vec![])].into();
                }),
            ),
            (
                "ports",
                with(|s| {
                    s.network_mode = NetworkMode::None;
                    s.ports.push(binding);
                }),
            ),
            ("ports", with(|s| s.exposed.push(Port::tcp(0)))),
            ("network_mode", with(|s| s.network_mode = NetworkMode::Container("a/b".to_owned()))),
            (
                "mounts",
                with(|s| {
                    let kind = MountKind::Bind { source: "data".to_owned() };
                    s.mounts.push(Mount::new(kind, "/data", false));
                }),
            ),
            ("memory_bytes", with(|s| s.resources.memory_bytes = Some(u64::MAX))),
            ("cpu_millis", with(|s| s.resources.cpu_millis = Some(u64::MAX / 1000))),
            ("pids", with(|s| s.resources.pids = Some(0))),
            ("health", with(|s| s.health = Some(HealthCheck { retries: 0, ..health.clone() }))),
            ("health", with(|s| s.health = Some(HealthCheck { interval: Duration::ZERO, ..health.clone() }))),
            ("health", with(|s| s.health = Some(HealthCheck { command: vec![], ..health.clone() }))),
            (
                "health",
                with(|s| s.health = Some(HealthCheck { start_period: Duration::MAX, ..health.clone() })),
            ),
            ("devices", with(|s| s.devices.push("net/tun".to_owned()))),
        ] {
            assert_eq!(field_of(&spec), field, "{spec:?}");
        }
    }
}
