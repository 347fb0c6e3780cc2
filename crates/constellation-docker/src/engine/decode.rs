//! What the daemon says of its containers, read leniently.
//!
//! Engines add, drop and null fields from version to version (docker-api's own types stop at one that is missing).
//! So only what has no sensible substitute is demanded, the identity, and everything else has one.

use std::{collections::BTreeMap, net::IpAddr};

use serde_json::Value;

use super::timestamp::parse_ms;
use crate::{
    container::{
        Container, ContainerId, ContainerState, ContainerSummary, HealthReport, NetworkAttachment,
        PublishedPort, RunState,
    },
    spec::Port,
};

/// The document has no identity, so it is not about a container.
#[derive(Debug, thiserror::Error)]
#[error("a document about a container without its `Id`")]
pub(super) struct NoIdentity;

/// One element of `GET /containers/json`.
pub(super) fn summary(document: &Value) -> Result<ContainerSummary, NoIdentity> {
    // A container that others link to carries `/other/alias` beside its own `/name`.
    let name = document["Names"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|name| name.trim_start_matches('/'))
        .find(|name| !name.contains('/'));
    Ok(ContainerSummary {
        id: identity(document)?,
        name: name.unwrap_or_default().to_owned(),
        image: text(&document["Image"]).to_owned(),
        state: run_state(text(&document["State"])).unwrap_or(RunState::Dead),
        labels: labels(&document["Labels"]),
    })
}

/// The answer of `GET /containers/{id}/json`.
pub(super) fn container(document: &Value) -> Result<Container, NoIdentity> {
    let config = &document["Config"];
    let settings = &document["NetworkSettings"];
    let mut exposed: Vec<Port> = keys(&config["ExposedPorts"]).filter_map(|key| key.parse().ok()).collect();
    exposed.sort_unstable();
    let networks = settings["Networks"].as_object().into_iter().flatten().map(|(name, endpoint)| {
        let address = address(&endpoint["IPAddress"]).or_else(|| address(&endpoint["GlobalIPv6Address"]));
        NetworkAttachment { name: name.clone(), address }
    });
    let mut networks: Vec<NetworkAttachment> = networks.collect();
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Container {
        id: identity(document)?,
        name: text(&document["Name"]).trim_start_matches('/').to_owned(),
        image: text(&config["Image"]).to_owned(),
        labels: labels(&config["Labels"]),
        created_at_ms: parse_ms(text(&document["Created"])),
        state: state(document),
        exposed,
        published: published(&settings["Ports"]),
        networks,
        host_network: document["HostConfig"]["NetworkMode"] == "host",
    })
}

/// Whether its output is one raw stream instead of frames.
pub(super) fn has_terminal(document: &Value) -> bool {
    document["Config"]["Tty"].as_bool().unwrap_or(false)
}

fn state(document: &Value) -> ContainerState {
    let state = &document["State"];
    let run = run_state(text(&state["Status"])).unwrap_or_else(|| run_state_from_flags(state));
    let has_ended =
        matches!(run, RunState::Exited | RunState::Dead | RunState::Restarting | RunState::Removing);
    ContainerState {
        run,
        health: health(text(&state["Health"]["Status"])),
        pid: state["Pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0),
        exit_code: state["ExitCode"].as_i64().filter(|_| has_ended),
        oom_killed: state["OOMKilled"].as_bool().unwrap_or(false),
        started_at_ms: parse_ms(text(&state["StartedAt"])),
        finished_at_ms: parse_ms(text(&state["FinishedAt"])),
        restarts: document["RestartCount"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
    }
}

fn run_state(status: &str) -> Option<RunState> {
    Some(match status {
        "created" => RunState::Created,
        "running" => RunState::Running,
        "paused" => RunState::Paused,
        "restarting" => RunState::Restarting,
        "removing" => RunState::Removing,
        "exited" | "stopped" => RunState::Exited,
        "dead" => RunState::Dead,
        _ => return None,
    })
}

/// For a status that this program does not know: the flags that have been there since the first engines.
fn run_state_from_flags(state: &Value) -> RunState {
    let is = |flag: &str| state[flag].as_bool().unwrap_or(false);
    // The order matters: a container that restarts or is paused counts as running, too.
    if is("Dead") {
        RunState::Dead
    } else if is("Restarting") {
        RunState::Restarting
    } else if is("Paused") {
        RunState::Paused
    } else if is("Running") {
        RunState::Running
    } else if parse_ms(text(&state["StartedAt"])).is_some() {
        RunState::Exited
    } else {
        RunState::Created
    }
}

fn health(status: &str) -> HealthReport {
    match status {
        "starting" => HealthReport::Starting,
        "healthy" => HealthReport::Healthy,
        "unhealthy" => HealthReport::Unhealthy,
        _ => HealthReport::None,
    }
}

fn published(ports: &Value) -> Vec<PublishedPort> {
    let mut published = Vec::new();
    for (key, bindings) in ports.as_object().into_iter().flatten() {
        let Ok(container) = key.parse::<Port>() else { continue };
        // `null` where the port is only exposed.
        for binding in bindings.as_array().into_iter().flatten() {
            let host_ip = match text(&binding["HostIp"]) {
                "" => Some(IpAddr::from([0, 0, 0, 0])),
                other => other.parse().ok(),
            };
            let host_port = match &binding["HostPort"] {
                Value::Number(number) => number.as_u64().and_then(|port| u16::try_from(port).ok()),
                other => text(other).parse().ok(),
            };
            if let (Some(host_ip), Some(host_port)) = (host_ip, host_port.filter(|port| *port != 0)) {
                published.push(PublishedPort { container, host_ip, host_port });
            }
        }
    }
    published.sort_unstable();
    published
}

fn identity(document: &Value) -> Result<ContainerId, NoIdentity> {
    document["Id"].as_str().filter(|id| !id.is_empty()).map(ContainerId::new).ok_or(NoIdentity)
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn address(value: &Value) -> Option<IpAddr> {
    text(value).parse().ok()
}

fn keys(value: &Value) -> impl Iterator<Item = &String> {
    value.as_object().into_iter().flatten().map(|(key, _)| key)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
