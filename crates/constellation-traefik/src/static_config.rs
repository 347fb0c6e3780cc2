//! The command line of a Traefik that is fed by our provider.

use std::{net::SocketAddr, time::Duration};

use crate::document::GoDuration;

/// What a Traefik needs to know before it can ask for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticConfig {
    /// Where our provider listens. Each Traefik asks its own node's agent, so that no other node is needed for it.
    pub provider: SocketAddr,
    /// Entry points by name, in the order in which they are given.
    pub entry_points: Vec<(String, SocketAddr)>,
    /// Where Traefik's own API, dashboard and `/ping` listen. Without TLS and without authentication: keep it local.
    pub api: SocketAddr,
    /// Between two polls. An unchanged document costs us nothing and Traefik 0.7 % of a core at 100 ms.
    pub poll_interval: Duration,
    /// How long Traefik puts off a change that follows another. Its default of 2 s delays the second half of a fail-over
    /// by as much.
    pub throttle: Duration,
    /// `ERROR`, `WARN`, `INFO` or `DEBUG`.
    pub log_level: String,
}

impl StaticConfig {
    /// Defaults for a provider: one entry point `web` on port 80, the API on 127.0.0.1:8080.
    pub fn for_provider(provider: SocketAddr) -> Self {
        Self {
            provider,
            entry_points: vec![("web".to_owned(), ([0, 0, 0, 0], 80).into())],
            api: ([127, 0, 0, 1], 8080).into(),
            poll_interval: Duration::from_millis(250),
            throttle: Duration::from_millis(100),
            log_level: "INFO".to_owned(),
        }
    }
}

/// The arguments to start Traefik with.
pub fn static_config(config: &StaticConfig) -> Vec<String> {
    let StaticConfig { provider, entry_points, api, poll_interval, throttle, log_level } = config;
    let mut arguments = vec![
        "--global.checkNewVersion=false".to_owned(),
        "--global.sendAnonymousUsage=false".to_owned(),
        format!("--log.level={log_level}"),
        format!("--providers.http.endpoint=http://{provider}/api/dynamic"),
        format!("--providers.http.pollInterval={}", GoDuration(*poll_interval)),
        "--providers.http.pollTimeout=5s".to_owned(),
        format!("--providers.providersThrottleDuration={}", GoDuration(*throttle)),
        "--api.insecure=true".to_owned(),
        "--ping=true".to_owned(),
        format!("--entryPoints.traefik.address={api}"),
    ];
    arguments
        .extend(entry_points.iter().map(|(name, address)| format!("--entryPoints.{name}.address={address}")));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traefik_is_told_to_ask_its_own_agent_often_and_to_apply_at_once() {
        let arguments = static_config(&StaticConfig::for_provider(([127, 0, 0, 1], 8081).into()));
        for expected in [
            "--providers.http.endpoint=http://127.0.0.1:8081/api/dynamic",
            "--providers.http.pollInterval=250ms",
            "--providers.providersThrottleDuration=100ms",
            "--entryPoints.web.address=0.0.0.0:80",
            "--global.checkNewVersion=false",
        ] {
            assert!(arguments.iter().any(|argument| argument == expected), "{arguments:?}");
        }
    }
}
