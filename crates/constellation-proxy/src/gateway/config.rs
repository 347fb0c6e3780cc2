//! How the gateway is set up.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use super::ports::PortRange;

/// How the gateway is set up.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// The address to listen on, and no other.
    pub mesh: IpAddr,
    /// The ports to choose from.
    pub ports: PortRange,
    /// Where the choice of ports is remembered; `None` forgets it with the process.
    pub memory: Option<PathBuf>,
    /// Open connections per endpoint; further ones are closed at once.
    pub connections_max: usize,
    /// Open connections over TCP through all endpoints together, which bounds the file descriptors: two for each.
    pub connections_all_max: usize,
    /// Sessions over UDP through all endpoints together: a file descriptor for each.
    pub sessions_all_max: usize,
    /// How long a container may take to accept a connection.
    pub connect_timeout: Duration,
    /// How long open connections may go on after their endpoint is not wanted any more, or they were let go.
    pub linger: Duration,
    /// How long a client's session over UDP may be silent in both directions; it ends within twice that.
    pub session_idle: Duration,
}

impl GatewayConfig {
    /// Defaults: 4,096 connections or sessions per endpoint, 16,384 connections and 8,192 sessions in all, 1 s to connect (a container is
    /// on the same machine), 10 s to linger, 60 s of silence.
    pub fn at(mesh: IpAddr) -> Self {
        Self {
            mesh,
            ports: PortRange::default(),
            memory: None,
            connections_max: 4096,
            connections_all_max: 16_384,
            sessions_all_max: 8192,
            connect_timeout: Duration::from_secs(1),
            linger: Duration::from_secs(10),
            session_idle: Duration::from_secs(60),
        }
    }
}
