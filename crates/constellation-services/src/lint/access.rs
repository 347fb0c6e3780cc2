//! What a service may do to the host, and who may do what to the service.

use super::{About, Lint, Severity};
use crate::{
    index::attachments,
    language::{Access, AnyRoute, Cap, Capabilities, PUBLICNET, Reach, Service, VolumeKind},
};

/// Capabilities with which a container is nearly root on the host, or on its network.
const STRONG: &[Cap] = &[
    Cap::SysAdmin,
    Cap::SysModule,
    Cap::SysRawio,
    Cap::SysPtrace,
    Cap::SysBoot,
    Cap::NetAdmin,
    Cap::DacReadSearch,
    Cap::Bpf,
    Cap::MacAdmin,
    Cap::MacOverride,
];

/// Images whose page is for administrators, or that have no login of their own, by the last part of their name.
const ADMINISTRATIVE: &[&str] = &[
    "traefik",
    "portainer-ce",
    "portainer-ee",
    "dozzle",
    "code-server",
    "rclone",
    "qdrant",
    "mcp-proxy",
    "mcpo",
    "homepage",
    "homer",
    "cadvisor",
    "prometheus",
    "alertmanager",
    "node-exporter",
    "blackbox-exporter",
    "adminer",
    "phpmyadmin",
    "mongo-express",
    "redisinsight",
    "filebrowser",
    "jackett",
    "flaresolverr",
    "zurg-rc",
    "pgadmin4",
    "watchtower",
    "victoria-metrics",
    "loki",
    "dns-server",
    "socket-proxy",
    "docker-socket-proxy",
];

/// Images of databases and queues, by the last part of their name.
const DATABASES: &[&str] = &[
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
    "mongo",
    "mongodb",
    "redis",
    "valkey",
    "keydb",
    "rabbitmq",
    "memcached",
    "elasticsearch",
    "opensearch",
    "clickhouse-server",
    "cassandra",
    "couchdb",
    "influxdb",
    "nats",
    "etcd",
    "timescaledb",
    "pgvector",
];

pub(super) fn look(about: &mut About<'_>) {
    let service = about.member.service;
    if service.privileged {
        let advice = "ask for the capabilities and devices that it needs with `caps` and `device`";
        about.find(Lint::Privileged, "it has every capability and device of the host", advice);
    }
    mounts(about);
    let (Capabilities::Only(caps) | Capabilities::EngineDefaultsAnd(caps)) = &service.capabilities;
    let strong: Vec<&str> = caps.iter().filter(|cap| STRONG.contains(cap)).map(|cap| cap.as_str()).collect();
    if !strong.is_empty() {
        let what = format!("it has {}", strong.join(" and "));
        about.find(Lint::StrongCapability, what, "check whether a narrower one does");
    }
    if matches!(service.capabilities, Capabilities::EngineDefaultsAnd(_)) {
        let advice = "find out which it needs: many need none, or `caps(STEP_DOWN)`";
        about.find(Lint::EngineCapabilities, "it keeps the engine's fourteen capabilities", advice);
    }
    if service.reach == Reach::Host {
        let advice = "give it networks and publish its ports, unless it is about the host's network";
        about.find(Lint::HostNetwork, "it reaches everything that listens on the host's loopback", advice);
    }
    ports(about);
    routes(about);
    if is_image(service, DATABASES) {
        let (networks, _) = attachments(service);
        if networks.iter().any(|attach| attach.network == PUBLICNET) {
            let advice = format!(
                "leave it on `backend`; a route needs `{PUBLICNET}` only where Traefik has no agent beside it"
            );
            about.find(Lint::PublicDatabase, format!("a database on `{PUBLICNET}`"), advice);
        }
    }
}

fn mounts(about: &mut About<'_>) {
    let service = about.member.service;
    for volume in &service.volumes {
        let VolumeKind::Bind { source, .. } = &volume.kind else { continue };
        let path = source.as_str().trim_end_matches('/');
        let has_socket = path.ends_with("/docker.sock") || path == "/var/run" || path == "/run";
        if has_socket || volume.target.ends_with("/docker.sock") {
            let what = format!("{} is in there, which is to be root on the host", source.as_str());
            let advice = "give it a socket proxy that lets through only what it needs";
            // Read-only keeps it from replacing the socket, not from using it; it shows that somebody thought of it.
            let severity = if volume.read_only { Severity::Warning } else { Severity::Error };
            about.find_as(severity, Lint::DockerSocket, what, advice);
        }
        if path.is_empty() {
            let (severity, how) =
                if volume.read_only { (Severity::Warning, "read") } else { (Severity::Error, "change") };
            let what = format!("it can {how} every file of the host");
            about.find_as(severity, Lint::HostRoot, what, "mount the folders that it needs");
        }
    }
}

fn ports(about: &mut About<'_>) {
    const AGENT: &[(u16, &str)] = &[(7946, "udp"), (8300, "tcp"), (8081, "tcp"), (8090, "tcp")];
    for port in about.member.service.ports.clone() {
        let inside = port.container.to_string();
        let protocol = inside.rsplit('/').next().unwrap_or_default();
        if port.is_everywhere() {
            let what = format!(
                "port {}/{protocol} is open on every address, past the host's firewall",
                port.host_port
            );
            let advice = "publish it with `localhost` or `on_address`, or route it";
            about.find(Lint::AllInterfaces, what, advice);
        }
        let is_agents =
            AGENT.contains(&(port.host_port, protocol)) || (40000..=44999).contains(&port.host_port);
        if is_agents {
            let what = format!("the agent uses {}/{protocol} of the host by default", port.host_port);
            about.find(Lint::AgentPort, what, "publish it on another port");
        }
    }
}

fn routes(about: &mut About<'_>) {
    let service = about.member.service;
    for route in &service.routes {
        let AnyRoute::Http(route) = route else { continue };
        if route.access != Access::Unsaid {
            continue;
        }
        let name = route.name.as_deref().unwrap_or(&service.name);
        let internal = route.target.as_deref().is_some_and(|target| target.ends_with("@internal"));
        let (severity, what) = if internal || is_image(service, ADMINISTRATIVE) {
            (
                Severity::Error,
                format!("route `{name}` leads to a page for administrators, and nobody asks who comes"),
            )
        } else {
            (Severity::Warning, format!("of route `{name}` nobody said who may use it"))
        };
        let advice = "say `.auth(\"middleware\")`, `.own_login()` or `.public(\"why\")`";
        about.find_as(severity, Lint::NoAuthentication, what, advice);
    }
}

/// The last part of an image's name, without tag and digest.
pub(super) fn is_image(service: &Service, names: &[&str]) -> bool {
    let name = service.image.reference().rsplit('/').next().unwrap_or_default();
    let name = name.split(['@', ':']).next().unwrap_or_default();
    names.contains(&name)
}
