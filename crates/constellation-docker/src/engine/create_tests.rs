//! Golden documents: one row per field of a specification.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use serde_json::{Value, json};

use super::{create, version::ApiVersion};
use crate::spec::{
    ContainerSpec, HealthCheck, Mount, MountKind, NetworkMode, Port, PortBinding, RestartPolicy, Ulimit,
};

const OLD: ApiVersion = ApiVersion { major: 1, minor: 41 };
const NEW: ApiVersion = ApiVersion { major: 1, minor: 44 };

fn document(spec: &ContainerSpec, api: ApiVersion) -> Value {
    serde_json::to_value(create::body(spec, api)).unwrap()
}

/// What a change of the specification adds to the plain document.
fn added_by(change: impl FnOnce(&mut ContainerSpec)) -> Value {
    let mut spec = ContainerSpec::new("web", "busybox:1");
    let plain = document(&spec, OLD);
    change(&mut spec);
    difference(&plain, &document(&spec, OLD))
}

fn difference(before: &Value, after: &Value) -> Value {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else { return after.clone() };
    assert!(before.keys().all(|key| after.contains_key(key)), "a field went away");
    after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(value))
        .map(|(key, value)| {
            (key.clone(), before.get(key).map_or_else(|| value.clone(), |old| difference(old, value)))
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

#[test]
fn a_plain_specification_says_nothing_that_was_not_asked_for() {
    let plain = document(&ContainerSpec::new("web", "busybox:1"), NEW);
    let expected = json!({
        "Image": "busybox:1",
        "HostConfig": { "RestartPolicy": { "Name": "no", "MaximumRetryCount": 0 } },
    });
    assert_eq!(plain, expected);
}

#[test]
fn every_field_stands_where_the_daemon_reads_it() {
    type Change = Box<dyn FnOnce(&mut ContainerSpec)>;
    let rows: Vec<(Change, Value)> = vec![
        (Box::new(|s| s.entrypoint = Some(strings(&["/a"]))), json!({"Entrypoint": ["/a"]})),
        (Box::new(|s| s.command = Some(strings(&["b", "c d"]))), json!({"Cmd": ["b", "c d"]})),
        (Box::new(|s| s.env = map(&[("A", "1"), ("B", "x=y")])), json!({"Env": ["A=1", "B=x=y"]})),
        (Box::new(|s| s.labels = map(&[("l", "v")])), json!({"Labels": {"l": "v"}})),
        (
            Box::new(|s| s.exposed = vec![Port::tcp(80), Port::udp(53)]),
            json!({"ExposedPorts": {"80/tcp": {}, "53/udp": {}}}),
        ),
        (Box::new(|s| s.user = Some("1:2".into())), json!({"User": "1:2"})),
        (Box::new(|s| s.working_dir = Some("/w".into())), json!({"WorkingDir": "/w"})),
        (Box::new(|s| s.hostname = Some("h".into())), json!({"Hostname": "h"})),
        (Box::new(|s| s.stop_signal = Some("SIGINT".into())), json!({"StopSignal": "SIGINT"})),
        (Box::new(|s| s.stop_grace = Some(Duration::from_millis(2500))), json!({"StopTimeout": 3})),
        (host(|s| s.network_mode = NetworkMode::Host), json!({"HostConfig": {"NetworkMode": "host"}})),
        (host(|s| s.network_mode = NetworkMode::None), json!({"HostConfig": {"NetworkMode": "none"}})),
        (
            host(|s| s.network_mode = NetworkMode::Container("vpn".into())),
            json!({"HostConfig": {"NetworkMode": "container:vpn"}}),
        ),
        (
            host(|s| s.restart = RestartPolicy::Always),
            json!({"HostConfig": {"RestartPolicy": {"Name": "always"}}}),
        ),
        (
            host(|s| s.restart = RestartPolicy::UnlessStopped),
            json!({"HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}}}),
        ),
        (
            host(|s| s.restart = RestartPolicy::OnFailure(4)),
            json!({"HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 4}}}),
        ),
        (host(|s| s.resources.memory_bytes = Some(64)), json!({"HostConfig": {"Memory": 64}})),
        (
            host(|s| s.resources.memory_reservation_bytes = Some(32)),
            json!({"HostConfig": {"MemoryReservation": 32}}),
        ),
        (
            host(|s| s.resources.cpu_millis = Some(1500)),
            json!({"HostConfig": {"NanoCpus": 1_500_000_000_u64}}),
        ),
        (host(|s| s.resources.cpu_shares = Some(512)), json!({"HostConfig": {"CpuShares": 512}})),
        (host(|s| s.resources.pids = Some(100)), json!({"HostConfig": {"PidsLimit": 100}})),
        (host(|s| s.resources.shm_bytes = Some(1 << 20)), json!({"HostConfig": {"ShmSize": 1_048_576}})),
        (
            host(|s| s.resources.ulimits = vec![Ulimit { name: "nofile".into(), soft: 1, hard: -1 }]),
            json!({"HostConfig": {"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": -1}]}}),
        ),
        (host(|s| s.cap_add = strings(&["NET_ADMIN"])), json!({"HostConfig": {"CapAdd": ["NET_ADMIN"]}})),
        (host(|s| s.cap_drop = strings(&["ALL"])), json!({"HostConfig": {"CapDrop": ["ALL"]}})),
        (
            host(|s| s.devices = strings(&["/dev/net/tun"])),
            json!({"HostConfig": {"Devices": [{"PathOnHost": "/dev/net/tun", "PathInContainer": "/dev/net/tun",
                "CgroupPermissions": "rw"}]}}),
        ),
        (
            host(|s| s.sysctls = map(&[("net.ipv4.ip_forward", "1")])),
            json!({"HostConfig": {"Sysctls": {"net.ipv4.ip_forward": "1"}}}),
        ),
        (
            host(|s| s.extra_hosts = strings(&["a:10.0.0.1"])),
            json!({"HostConfig": {"ExtraHosts": ["a:10.0.0.1"]}}),
        ),
        (host(|s| s.dns = vec![IpAddr::from([1, 1, 1, 1])]), json!({"HostConfig": {"Dns": ["1.1.1.1"]}})),
        (host(|s| s.group_add = strings(&["docker"])), json!({"HostConfig": {"GroupAdd": ["docker"]}})),
        (
            host(|s| s.security_opt = strings(&["no-new-privileges:true"])),
            json!({"HostConfig": {"SecurityOpt": ["no-new-privileges:true"]}}),
        ),
        (host(|s| s.read_only_root = true), json!({"HostConfig": {"ReadonlyRootfs": true}})),
        (host(|s| s.init = true), json!({"HostConfig": {"Init": true}})),
        (host(|s| s.privileged = true), json!({"HostConfig": {"Privileged": true}})),
        (
            host(|s| s.logging = Some(("json-file".into(), map(&[("max-size", "10m")])))),
            json!({"HostConfig": {"LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}}}}),
        ),
    ];
    for (change, expected) in rows {
        assert_eq!(added_by(change), expected);
    }
}

fn host(change: impl FnOnce(&mut ContainerSpec) + 'static) -> Box<dyn FnOnce(&mut ContainerSpec)> {
    Box::new(change)
}

#[test]
fn a_health_check_is_counted_in_nanoseconds() {
    let check = HealthCheck {
        command: strings(&["wget", "-q", "http://localhost"]),
        interval: Duration::from_millis(1500),
        timeout: Duration::from_secs(2),
        retries: 4,
        start_period: Duration::from_secs(30),
    };
    let expected = json!({"Healthcheck": {
        "Test": ["CMD", "wget", "-q", "http://localhost"],
        "Interval": 1_500_000_000_u64, "Timeout": 2_000_000_000_u64, "Retries": 4, "StartPeriod": 30_000_000_000_u64,
    }});
    assert_eq!(added_by(|spec| spec.health = Some(check)), expected);
}

#[test]
fn a_published_port_is_exposed_and_may_have_several_bindings() {
    let port = Port::tcp(80);
    let binding =
        |host_ip: [u8; 4], host_port| PortBinding { container: port, host_ip: host_ip.into(), host_port };
    let added =
        added_by(|spec| spec.ports = vec![binding([127, 0, 0, 1], Some(8080)), binding([10, 0, 0, 1], None)]);
    let expected = json!({
        "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"PortBindings": {"80/tcp": [
            {"HostIp": "127.0.0.1", "HostPort": "8080"},
            {"HostIp": "10.0.0.1", "HostPort": ""},
        ]}},
    });
    assert_eq!(added, expected);
}

#[test]
fn every_kind_of_mount_is_sent() {
    let mount = |kind, target: &str, read_only| Mount::new(kind, target, read_only);
    let added = added_by(|spec| {
        spec.mounts = vec![
            mount(MountKind::Bind { source: "/srv".into() }, "/data", true),
            mount(MountKind::Volume { name: "db".into() }, "/db", false),
            mount(MountKind::Tmpfs { size_bytes: Some(1024) }, "/tmp", false),
            mount(MountKind::Tmpfs { size_bytes: None }, "/run", false),
        ];
    });
    let expected = json!({"HostConfig": {"Mounts": [
        {"Type": "bind", "Source": "/srv", "Target": "/data", "ReadOnly": true},
        {"Type": "volume", "Source": "db", "Target": "/db", "ReadOnly": false},
        {"Type": "tmpfs", "Target": "/tmp", "ReadOnly": false, "TmpfsOptions": {"SizeBytes": 1024}},
        {"Type": "tmpfs", "Target": "/run", "ReadOnly": false},
    ]}});
    assert_eq!(added, expected);
}

#[test]
fn older_daemons_get_one_network_and_the_others_after() {
    let mut spec = ContainerSpec::new("web", "busybox:1");
    spec.networks = BTreeMap::from([("a".into(), strings(&["www"])), ("b".into(), vec![])]);

    let old = document(&spec, OLD);
    assert_eq!(old["NetworkingConfig"], json!({"EndpointsConfig": {"a": {"Aliases": ["www"]}}}));
    assert_eq!(old["HostConfig"]["NetworkMode"], "a");
    let after: Vec<&String> = create::networks_after_create(&spec, OLD).map(|(name, _)| name).collect();
    assert_eq!(after, ["b"]);

    let new = document(&spec, NEW);
    assert_eq!(new["NetworkingConfig"], json!({"EndpointsConfig": {"a": {"Aliases": ["www"]}, "b": {}}}));
    assert_eq!(create::networks_after_create(&spec, NEW).count(), 0);
}
