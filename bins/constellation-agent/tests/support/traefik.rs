//! A real Traefik with one entry point for TCP, which polls an agent.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use constellation_traefik::{StaticConfig, static_config};

use super::{Cluster, Node, free_port};

pub(crate) struct Traefik {
    process: Child,
    pub(crate) listen: SocketAddr,
}

impl Traefik {
    pub(crate) fn start(cluster: &Cluster, node: &Node, entry_point: &str) -> Self {
        let binary = std::env::var("CONSTELLATION_E2E_TRAEFIK").unwrap_or_else(|_| {
            panic!("CONSTELLATION_E2E_TRAEFIK is not set: run this suite by `cargo xtask test`")
        });
        let listen = || SocketAddr::new(node.address, free_port(node.address));
        let (entry, api) = (listen(), listen());
        let config = StaticConfig {
            entry_points: vec![(entry_point.to_owned(), entry)],
            api,
            ..StaticConfig::for_provider(node.provider)
        };
        let log = std::fs::File::create(cluster.directory.path().join("traefik.log")).unwrap();
        let mut command = Command::new(binary);
        command
            .args(static_config(&config))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        Self { process: command.spawn().unwrap(), listen: entry }
    }
}

impl Drop for Traefik {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
