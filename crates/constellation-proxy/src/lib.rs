//! The mesh gateway: an endpoint on a container network becomes reachable on the node's mesh address.
//!
//! A container on a bridge network is reachable from its own machine only. For every such endpoint that is routed,
//! [`Gateway`] listens on a port of the mesh address and forwards TCP or UDP to the container. [`PortBook`] chooses the
//! ports: stable per service and port, so that a restarted container or agent comes back where it was.
//!
//! [`http`] is the failover proxy: it gives each request to the best backend of its table, and to the next when that one
//! fails it.
//!
//! Nothing here knows of Traefik, of views of a cluster or of who asks: the agent says what is wanted and is told where it
//! listens.

mod gateway;
pub mod http;

pub use self::gateway::{
    Claim, Forward, Gateway, GatewayConfig, GatewayError, GatewayHandle, GatewayStatus, Opened, PortBook,
    PortRange, PortsExhausted, ProxyProtocol,
};
