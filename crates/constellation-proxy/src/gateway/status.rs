//! What the gateway tells of its listeners.

use std::net::SocketAddr;

use constellation_core::{InstanceId, Protocol, ServiceId};
use serde::{Deserialize, Serialize};

/// One listener, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStatus {
    /// The service.
    pub service: ServiceId,
    /// The instance.
    pub instance: InstanceId,
    /// The port inside the container.
    pub port: u16,
    /// Its protocol.
    #[serde(default)]
    pub protocol: Protocol,
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// Where it forwards to.
    pub upstream: SocketAddr,
    /// Whether it is closed already, and only what was open goes on for a while.
    #[serde(default)]
    pub draining: bool,
    /// Connections that are open; of UDP, sessions.
    pub open: usize,
    /// Connections or sessions since it was opened.
    pub accepted: u64,
    /// Connections that were closed because too many were open; of UDP, datagrams that were dropped because of it.
    pub refused: u64,
    /// Connections that were closed because the container did not answer; of UDP, datagrams that it refused.
    pub unreachable: u64,
}
