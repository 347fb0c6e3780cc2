//! What a container was made with, read back from the daemon: the other direction of [`create`](super::create).
//!
//! What the image adds (variables, labels, ports, the entry point) cannot be told from what was asked for, and is in
//! there, too. What the daemon fills in by itself is left out where it is known.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{
    DockerEngine, decode,
    fault::{self, Failure, Fault},
    link::{Load, Request},
    text::{is_object_name, query},
};
use crate::{
    container::{Container, ContainerId},
    error::RuntimeError,
    spec::{
        ContainerSpec, HealthCheck, Mount, MountKind, NetworkMode, Port, PortBinding, Propagation, Resources,
        RestartPolicy, Ulimit,
    },
};

/// A container and what it was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What it is doing.
    pub container: Container,
    /// What it was made with, and what its image added.
    pub spec: ContainerSpec,
    /// The identity of its image; empty for a runtime without images.
    pub image_id: String,
}

impl DockerEngine {
    /// Everything about a container, and what it was made with, in one call.
    pub async fn observe(&self, id: &ContainerId) -> Result<Observed, RuntimeError> {
        let (deed, document) = self.document(id).await?;
        let container = decode::container(&document).map_err(|error| fault::nonsense(&deed, error))?;
        let spec = spec(&document, &container);
        let image_id = text(&document["Image"]).to_owned();
        Ok(Observed { container, spec, image_id })
    }

    /// Gives a container another name. [`RuntimeError::NameTaken`] where it is in use.
    pub async fn rename(&self, id: &ContainerId, name: &str) -> Result<(), RuntimeError> {
        let deed = format!("rename container `{}` to `{name}`", id.short());
        if !is_object_name(id.as_str()) {
            return Err(RuntimeError::NotFound { id: id.as_str().chars().take(64).collect() });
        }
        let path = format!("/containers/{id}/rename{}", query(&[("name", name)]));
        let request = Request::post(path, Load::Nothing, &deed, self.link.limits.change);
        match self.link.call(request).await {
            Ok(_) => Ok(()),
            Err(Failure::Fault(Fault { status: 409, message })) if message.contains("in use") => {
                Err(RuntimeError::NameTaken { name: name.to_owned() })
            }
            Err(failure) => Err(failure.about_container(&deed, id.as_str())),
        }
    }
}

fn spec(document: &Value, container: &Container) -> ContainerSpec {
    let (config, host) = (&document["Config"], &document["HostConfig"]);
    let network_mode = network_mode(text(&host["NetworkMode"]));
    let networks = match network_mode {
        NetworkMode::Networks => networks(&document["NetworkSettings"]["Networks"], container),
        _ => BTreeMap::new(),
    };
    ContainerSpec {
        name: container.name.clone(),
        image: container.image.clone(),
        entrypoint: command(&config["Entrypoint"]),
        command: command(&config["Cmd"]),
        env: strings(&config["Env"])
            .into_iter()
            .map(|line| match line.split_once('=') {
                Some((key, value)) => (key.to_owned(), value.to_owned()),
                None => (line, String::new()),
            })
            .collect(),
        labels: container.labels.clone(),
        exposed: container.exposed.clone(),
        ports: bindings(&host["PortBindings"]),
        network_mode,
        networks,
        mounts: mounts(host),
        health: health(&config["Healthcheck"]),
        restart: restart(&host["RestartPolicy"]),
        resources: resources(host),
        user: said(&config["User"]),
        working_dir: said(&config["WorkingDir"]),
        hostname: said(&config["Hostname"]),
        stop_signal: said(&config["StopSignal"]),
        stop_grace: config["StopTimeout"].as_u64().map(Duration::from_secs),
        cap_add: strings(&host["CapAdd"]),
        cap_drop: strings(&host["CapDrop"]),
        devices: entries(&host["Devices"]).map(|device| text(&device["PathOnHost"]).to_owned()).collect(),
        sysctls: map(&host["Sysctls"]),
        extra_hosts: strings(&host["ExtraHosts"]),
        dns: strings(&host["Dns"]).iter().filter_map(|address| address.parse().ok()).collect(),
        group_add: strings(&host["GroupAdd"]),
        security_opt: strings(&host["SecurityOpt"]),
        read_only_root: flag(&host["ReadonlyRootfs"]),
        init: flag(&host["Init"]),
        privileged: flag(&host["Privileged"]),
        logging: said(&host["LogConfig"]["Type"]).map(|driver| (driver, map(&host["LogConfig"]["Config"]))),
    }
}

fn network_mode(mode: &str) -> NetworkMode {
    match mode {
        "host" => NetworkMode::Host,
        "none" => NetworkMode::None,
        other => match other.strip_prefix("container:") {
            Some(name) => NetworkMode::Container(name.to_owned()),
            None => NetworkMode::Networks,
        },
    }
}

fn networks(value: &Value, container: &Container) -> BTreeMap<String, Vec<String>> {
    let endpoints = value.as_object().into_iter().flatten();
    endpoints
        .map(|(name, endpoint)| {
            let mut aliases = strings(&endpoint["Aliases"]);
            // Older daemons add the short identity by themselves.
            aliases.retain(|alias| *alias != container.id.short());
            (name.clone(), aliases)
        })
        .collect()
}

fn bindings(value: &Value) -> Vec<PortBinding> {
    let mut found = Vec::new();
    for (key, bindings) in value.as_object().into_iter().flatten() {
        let Ok(container) = key.parse::<Port>() else { continue };
        for binding in entries(bindings) {
            let host_ip = match text(&binding["HostIp"]) {
                "" => [0, 0, 0, 0].into(),
                other => match other.parse() {
                    Ok(address) => address,
                    Err(_) => continue,
                },
            };
            let host_port = text(&binding["HostPort"]).parse().ok().filter(|port| *port != 0);
            found.push(PortBinding { container, host_ip, host_port });
        }
    }
    found
}

/// Mounts as they were asked for: in the engine's own form, and as `source:target[:options]`.
fn mounts(host: &Value) -> Vec<Mount> {
    let mut found = Vec::new();
    for mount in entries(&host["Mounts"]) {
        let source = text(&mount["Source"]).to_owned();
        let kind = match text(&mount["Type"]) {
            "bind" => MountKind::Bind { source },
            "volume" => MountKind::Volume { name: source },
            "tmpfs" => MountKind::Tmpfs {
                size_bytes: mount["TmpfsOptions"]["SizeBytes"].as_u64().filter(|size| *size > 0),
            },
            _ => continue,
        };
        let mut found_mount = Mount::new(kind, text(&mount["Target"]), flag(&mount["ReadOnly"]));
        found_mount.propagation = propagation([text(&mount["BindOptions"]["Propagation"])]);
        found.push(found_mount);
    }
    for bind in strings(&host["Binds"]) {
        let mut parts = bind.split(':');
        let (Some(source), Some(target)) = (parts.next(), parts.next()) else { continue };
        let options: Vec<&str> = parts.next().unwrap_or_default().split(',').collect();
        let read_only = options.contains(&"ro");
        let kind = if source.starts_with('/') {
            MountKind::Bind { source: source.to_owned() }
        } else {
            MountKind::Volume { name: source.to_owned() }
        };
        let mut mount = Mount::new(kind, target, read_only);
        mount.propagation = propagation(options.iter().copied());
        found.push(mount);
    }
    found.sort_by(|a, b| a.target.cmp(&b.target));
    found
}

fn propagation<'a>(options: impl IntoIterator<Item = &'a str>) -> Propagation {
    let known = options.into_iter().find_map(|option| match option {
        "rslave" | "slave" => Some(Propagation::Slave),
        "rshared" | "shared" => Some(Propagation::Shared),
        _ => None,
    });
    known.unwrap_or_default()
}

fn health(value: &Value) -> Option<HealthCheck> {
    let test = strings(&value["Test"]);
    let command = match test.split_first() {
        Some((kind, rest)) if kind == "CMD" => rest.to_vec(),
        Some((kind, rest)) if kind == "CMD-SHELL" => {
            ["/bin/sh".to_owned(), "-c".to_owned()].into_iter().chain(rest.to_vec()).collect()
        }
        _ => return None,
    };
    // 0 stands for the daemon's own.
    let time = |field: &str, default: u64| match value[field].as_u64() {
        None | Some(0) => Duration::from_secs(default),
        Some(nanos) => Duration::from_nanos(nanos),
    };
    Some(HealthCheck {
        command,
        interval: time("Interval", 30),
        timeout: time("Timeout", 30),
        retries: value["Retries"]
            .as_u64()
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n > 0)
            .unwrap_or(3),
        start_period: time("StartPeriod", 0),
    })
}

fn restart(value: &Value) -> RestartPolicy {
    match text(&value["Name"]) {
        "always" => RestartPolicy::Always,
        "unless-stopped" => RestartPolicy::UnlessStopped,
        "on-failure" => {
            let times = value["MaximumRetryCount"].as_u64().and_then(|n| u32::try_from(n).ok());
            RestartPolicy::OnFailure(times.unwrap_or(0))
        }
        _ => RestartPolicy::No,
    }
}

fn resources(host: &Value) -> Resources {
    // The daemon writes 0, and -1 for processes, where nothing was said.
    let amount = |value: &Value| value.as_u64().filter(|amount| *amount > 0);
    Resources {
        memory_bytes: amount(&host["Memory"]),
        memory_reservation_bytes: amount(&host["MemoryReservation"]),
        cpu_millis: amount(&host["NanoCpus"]).map(|nanos| nanos / 1_000_000),
        cpu_shares: amount(&host["CpuShares"]),
        pids: amount(&host["PidsLimit"]),
        shm_bytes: amount(&host["ShmSize"]),
        ulimits: entries(&host["Ulimits"])
            .map(|limit| Ulimit {
                name: text(&limit["Name"]).to_owned(),
                soft: limit["Soft"].as_i64().unwrap_or_default(),
                hard: limit["Hard"].as_i64().unwrap_or_default(),
            })
            .collect(),
    }
}

fn command(value: &Value) -> Option<Vec<String>> {
    let words = strings(value);
    (!words.is_empty()).then_some(words)
}

fn strings(value: &Value) -> Vec<String> {
    entries(value).filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn entries(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn map(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn said(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::{create, version::ApiVersion};

    /// What a daemon that adds nothing would tell of a container made with this.
    fn told(spec: &ContainerSpec) -> Value {
        let body = serde_json::to_value(create::body(spec, ApiVersion { major: 1, minor: 44 })).unwrap();
        let networks: serde_json::Map<String, Value> = spec
            .networks
            .iter()
            .map(|(name, aliases)| (name.clone(), json!({ "Aliases": aliases })))
            .collect();
        json!({
            "Id": "4f53cda18c2baa0c", "Name": format!("/{}", spec.name), "Image": "sha256:1",
            "Config": body, "HostConfig": body["HostConfig"], "NetworkSettings": {"Networks": networks},
        })
    }

    fn read_back(spec: &ContainerSpec) -> ContainerSpec {
        let document = told(spec);
        super::spec(&document, &decode::container(&document).unwrap())
    }

    #[test]
    fn what_is_asked_for_is_read_back() {
        let words = |items: &[&str]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut spec = ContainerSpec::new("web", "x:1").command(["serve"]).env("A", "b=c").label("l", "v");
        spec.entrypoint = Some(words(&["/bin/x"]));
        spec.exposed = vec![Port::tcp(80)];
        spec.ports = vec![PortBinding {
            container: Port::tcp(80),
            host_ip: [127, 0, 0, 1].into(),
            host_port: Some(8080),
        }];
        spec.networks = [("backend".to_owned(), words(&["web"])), ("public".to_owned(), vec![])].into();
        let mount = |kind, target: &str, read_only| Mount::new(kind, target, read_only);
        spec.mounts = vec![
            Mount {
                propagation: Propagation::Shared,
                ..mount(MountKind::Bind { source: "/a".into() }, "/0", false)
            },
            mount(MountKind::Bind { source: "/a".into() }, "/1", true),
            mount(MountKind::Volume { name: "v1".into() }, "/2", false),
            mount(MountKind::Tmpfs { size_bytes: Some(1024) }, "/3", false),
        ];
        spec.health =
            Some(HealthCheck { start_period: Duration::from_secs(7), ..HealthCheck::command(["true"]) });
        spec.restart = RestartPolicy::OnFailure(3);
        spec.resources = Resources {
            memory_bytes: Some(64 << 20),
            memory_reservation_bytes: Some(32 << 20),
            cpu_millis: Some(330),
            cpu_shares: Some(512),
            pids: Some(64),
            shm_bytes: Some(1 << 20),
            ulimits: vec![Ulimit { name: "nofile".into(), soft: 1, hard: 2 }],
        };
        spec.user = Some("1:2".into());
        spec.working_dir = Some("/srv".into());
        spec.hostname = Some("web".into());
        spec.stop_signal = Some("SIGQUIT".into());
        spec.stop_grace = Some(Duration::from_secs(3));
        spec.cap_add = words(&["NET_ADMIN"]);
        spec.cap_drop = words(&["ALL"]);
        spec.devices = words(&["/dev/fuse"]);
        spec.sysctls = [("net.core.somaxconn".to_owned(), "1".to_owned())].into();
        spec.extra_hosts = words(&["a:10.0.0.1"]);
        spec.dns = vec![[1, 1, 1, 1].into()];
        spec.group_add = words(&["5"]);
        spec.security_opt = words(&["no-new-privileges:true"]);
        spec.read_only_root = true;
        spec.init = true;
        spec.logging = Some(("json-file".into(), [("max-size".to_owned(), "1m".to_owned())].into()));
        assert_eq!(read_back(&spec), spec);
    }

    #[test]
    fn network_modes_are_read_back() {
        for mode in [NetworkMode::Host, NetworkMode::None, NetworkMode::Container("vpn".into())] {
            let spec = ContainerSpec { network_mode: mode.clone(), ..ContainerSpec::new("web", "x:1") };
            assert_eq!(read_back(&spec).network_mode, mode);
        }
    }

    #[test]
    fn what_the_daemon_fills_in_is_not_taken_for_what_was_asked_for() {
        let document = json!({"Id": "4f53cda18c2baa0c", "Name": "/web", "Config": {"Healthcheck": {"Test": ["NONE"]}},
            "HostConfig": {"Memory": 0, "NanoCpus": 0, "PidsLimit": null, "CapAdd": null, "Binds": ["/a:/b:ro,z", "v:/c"]}});
        let spec = spec(&document, &decode::container(&document).unwrap());
        assert_eq!(spec.resources, Resources::default());
        assert_eq!(spec.health, None);
        assert_eq!(
            spec.mounts.iter().map(|mount| (mount.target.as_str(), mount.read_only)).collect::<Vec<_>>(),
            [("/b", true), ("/c", false)]
        );
    }

    #[test]
    fn a_check_by_the_shell_and_the_daemon_s_own_times_are_spelt_out() {
        let check = health(&json!({"Test": ["CMD-SHELL", "curl x"]})).unwrap();
        assert_eq!(check.command, ["/bin/sh", "-c", "curl x"]);
        assert_eq!((check.interval, check.retries), (Duration::from_secs(30), 3));
    }
}
