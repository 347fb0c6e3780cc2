//! Two specifications, field by field, in words that an operator reads.

use std::collections::BTreeMap;

use constellation_docker::{
    ContainerSpec, HealthCheck, Mount, MountKind, NetworkMode, PortBinding, Propagation, Resources,
    RestartPolicy,
};
use serde::{Deserialize, Serialize};

use crate::render::{DEFINITION_LABEL, SERVICE_LABEL, STACK_LABEL};

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Its name, such as `env.LOG_LEVEL`.
    pub field: String,
    /// What it is; `None` where there is nothing.
    pub from: Option<String>,
    /// What it should be; `None` where there should be nothing.
    pub to: Option<String>,
}

/// A specification as pairs of field and text.
type Fields = BTreeMap<String, String>;

/// What differs between two specifications that we made ourselves.
pub(crate) fn between(from: &ContainerSpec, to: &ContainerSpec) -> Vec<FieldChange> {
    changes(&fields(from), &fields(to))
}

/// What differs between what an engine tells of a container and what should run.
///
/// The engine's answer holds what the image added, so what the definition leaves to the image is not compared, and of
/// variables and labels only those that the definition sets.
pub(crate) fn observed(from: &ContainerSpec, to: &ContainerSpec) -> Vec<FieldChange> {
    let wanted = fields(to);
    let mut seen = fields(&in_our_words(from, to));
    seen.retain(|field, _| wanted.contains_key(field) || is_never_the_image_s(field));
    changes(&seen, &wanted)
}

/// The little that can change after a container was made: limits, the restart policy, and networks.
pub(crate) fn drift(from: &ContainerSpec, to: &ContainerSpec) -> Vec<FieldChange> {
    let mutable = |change: &FieldChange| {
        ["memory", "memory_reservation", "cpus", "cpu_shares", "pids", "restart"]
            .contains(&change.field.as_str())
            || change.field.starts_with("networks.")
    };
    observed(from, to).into_iter().filter(mutable).collect()
}

/// The host name of a container that is to take the place of another one of this name.
pub(crate) fn candidate_hostname(name: &str, definition: &str) -> String {
    // A host name has 63 characters at most.
    let name: String = name.chars().take(54).collect();
    let hash: String = definition.chars().take(8).collect();
    format!("{name}-{hash}")
}

fn changes(from: &Fields, to: &Fields) -> Vec<FieldChange> {
    let mut names: Vec<&String> = from.keys().chain(to.keys()).collect();
    names.sort();
    names.dedup();
    let differs = |name: &&String| from.get(*name) != to.get(*name);
    names
        .into_iter()
        .filter(differs)
        .map(|name| FieldChange {
            field: name.clone(),
            from: from.get(name).cloned(),
            to: to.get(name).cloned(),
        })
        .collect()
}

/// Fields that an image cannot bring along: if they are there and not wanted, somebody else put them there.
fn is_never_the_image_s(field: &str) -> bool {
    let labels = [
        "labels.traefik.",
        "labels.homepage.",
        "labels.kuma.",
        "labels.deunhealth.",
        "labels.constellation.",
    ];
    let fields = [
        "networks.",
        "ports.",
        "devices.",
        "sysctls.",
        "memory",
        "cpus",
        "cpu_shares",
        "privileged",
        "read_only_root",
        "network_mode",
    ];
    labels.iter().chain(&fields).any(|start| field.starts_with(start))
}

/// The engine's answer, brought to the form of ours where the two say the same in different words.
fn in_our_words(from: &ContainerSpec, to: &ContainerSpec) -> ContainerSpec {
    let mut from = from.clone();
    for cap in from.cap_add.iter_mut().chain(&mut from.cap_drop) {
        *cap = cap.trim_start_matches("CAP_").to_owned();
    }
    for (network, aliases) in &mut from.networks {
        // The engine adds the container's and the host's name.
        let wanted = to.networks.get(network).map(Vec::as_slice).unwrap_or_default();
        // By its own name it is found everywhere.
        if wanted.contains(&from.name) && !aliases.contains(&from.name) {
            aliases.push(from.name.clone());
        }
        aliases.retain(|alias| wanted.contains(alias));
        aliases.sort_by_key(|alias| wanted.iter().position(|other| other == alias));
    }
    if matches!(
        (&from.network_mode, &to.network_mode),
        (NetworkMode::Container(_), NetworkMode::Container(_))
    ) {
        // The engine may tell the other one's identity instead of its name.
        from.network_mode = to.network_mode.clone();
    }
    // A candidate that took its place keeps the host name that it was judged under.
    if to.hostname.as_ref() == Some(&to.name)
        && let (Some(hostname), Some(hash)) = (&from.hostname, to.labels.get(DEFINITION_LABEL))
        && *hostname == candidate_hostname(&to.name, hash)
    {
        from.hostname.clone_from(&to.hostname);
    }
    if to.privileged {
        // It brings every capability, and switches off what would confine it.
        from.security_opt.retain(|option| to.security_opt.contains(option));
    }
    from.resources.ulimits.retain(|limit| to.resources.ulimits.iter().any(|other| other.name == limit.name));
    if let Some(grace) = &mut from.stop_grace
        && to.stop_grace.is_some_and(|wanted| wanted.as_secs_f64().ceil() <= grace.as_secs_f64())
    {
        *grace = to.stop_grace.unwrap_or(*grace);
    }
    from
}

/// Every field that says something. Defaults are left out, so that the absence of a field is told as such.
fn fields(spec: &ContainerSpec) -> Fields {
    let mut out = Fields::new();
    let mut put = |field: &str, value: String| drop(out.insert(field.to_owned(), value));
    put("image", spec.image.clone());
    for (field, words) in [("entrypoint", &spec.entrypoint), ("command", &spec.command)] {
        if let Some(words) = words {
            put(field, format!("{words:?}"));
        }
    }
    for (name, value) in &spec.env {
        put(&format!("env.{name}"), value.clone());
    }
    for (name, value) in &spec.labels {
        if ![STACK_LABEL, SERVICE_LABEL, DEFINITION_LABEL].contains(&name.as_str()) {
            put(&format!("labels.{name}"), value.clone());
        }
    }
    for port in &spec.ports {
        let (key, value) = binding(port);
        put(&key, value);
    }
    match &spec.network_mode {
        NetworkMode::Networks => {}
        NetworkMode::Host => put("network_mode", "host".to_owned()),
        NetworkMode::None => put("network_mode", "none".to_owned()),
        NetworkMode::Container(name) => put("network_mode", format!("container:{name}")),
    }
    for (network, aliases) in &spec.networks {
        put(
            &format!("networks.{network}"),
            if aliases.is_empty() { "joined".to_owned() } else { aliases.join(", ") },
        );
    }
    for mount in &spec.mounts {
        put(&format!("volumes.{}", mount.target), mounted(mount));
    }
    if let Some(check) = &spec.health {
        health(check, &mut put);
    }
    put("restart", restart(spec.restart));
    resources(&spec.resources, &mut put);
    let texts = [
        ("user", &spec.user),
        ("workdir", &spec.working_dir),
        ("hostname", &spec.hostname),
        ("stop_signal", &spec.stop_signal),
    ];
    for (field, text) in texts {
        if let Some(text) = text {
            put(field, text.clone());
        }
    }
    if let Some(grace) = spec.stop_grace {
        put("stop_grace", format!("{grace:?}"));
    }
    let sorted = |items: &[String]| {
        let mut items = items.to_vec();
        items.sort();
        items.join(", ")
    };
    let lists = [
        ("caps", &spec.cap_add),
        ("caps_dropped", &spec.cap_drop),
        ("extra_hosts", &spec.extra_hosts),
        ("groups", &spec.group_add),
        ("security_opt", &spec.security_opt),
    ];
    for (field, items) in lists {
        if !items.is_empty() {
            put(field, sorted(items));
        }
    }
    for device in &spec.devices {
        put(&format!("devices.{device}"), "mapped".to_owned());
    }
    for (name, value) in &spec.sysctls {
        put(&format!("sysctls.{name}"), value.clone());
    }
    if !spec.dns.is_empty() {
        put("dns", format!("{:?}", spec.dns));
    }
    for (field, set) in
        [("read_only_root", spec.read_only_root), ("init", spec.init), ("privileged", spec.privileged)]
    {
        if set {
            put(field, "yes".to_owned());
        }
    }
    if let Some((driver, options)) = &spec.logging {
        put("logging", driver.clone());
        for (name, value) in options {
            put(&format!("logging.{name}"), value.clone());
        }
    }
    out
}

fn binding(port: &PortBinding) -> (String, String) {
    let host_port = port.host_port.map_or_else(|| "any".to_owned(), |port| port.to_string());
    (format!("ports.{}:{host_port}", port.host_ip), port.container.to_string())
}

fn mounted(mount: &Mount) -> String {
    let what = match &mount.kind {
        MountKind::Bind { source } => source.clone(),
        MountKind::Volume { name } => format!("volume {name}"),
        MountKind::Tmpfs { size_bytes: Some(size) } => format!("memory, {size} bytes"),
        MountKind::Tmpfs { size_bytes: None } => "memory".to_owned(),
    };
    let what = match mount.propagation {
        Propagation::Private => what,
        Propagation::Slave => format!("{what} (follows the host)"),
        Propagation::Shared => format!("{what} (shared with the host)"),
    };
    if mount.read_only { format!("{what} (read-only)") } else { what }
}

fn health(check: &HealthCheck, put: &mut impl FnMut(&str, String)) {
    put("health.command", format!("{:?}", check.command));
    put("health.every", format!("{:?}", check.interval));
    put("health.timeout", format!("{:?}", check.timeout));
    put("health.retries", check.retries.to_string());
    put("health.start_period", format!("{:?}", check.start_period));
}

fn restart(policy: RestartPolicy) -> String {
    match policy {
        RestartPolicy::No => "never".to_owned(),
        RestartPolicy::Always => "always".to_owned(),
        RestartPolicy::UnlessStopped => "unless stopped".to_owned(),
        RestartPolicy::OnFailure(times) => format!("on failure, {times} times"),
    }
}

fn resources(resources: &Resources, put: &mut impl FnMut(&str, String)) {
    let bytes = |bytes: u64| crate::language::Size::from_bytes(bytes).to_string();
    let said = [
        ("memory", resources.memory_bytes.map(bytes)),
        ("memory_reservation", resources.memory_reservation_bytes.map(bytes)),
        ("cpus", resources.cpu_millis.map(|millis| format!("{millis} thousandths"))),
        ("cpu_shares", resources.cpu_shares.map(|shares| shares.to_string())),
        ("pids", resources.pids.map(|pids| pids.to_string())),
        ("shm", resources.shm_bytes.map(bytes)),
    ];
    for (field, value) in said {
        if let Some(value) = value {
            put(field, value);
        }
    }
    for limit in &resources.ulimits {
        put(&format!("ulimits.{}", limit.name), format!("{}:{}", limit.soft, limit.hard));
    }
}
