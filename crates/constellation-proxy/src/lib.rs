//! The mesh gateway: an endpoint on a container network becomes reachable on the node's mesh address.
//!
//! A container on a bridge network is reachable from its own machine only. For every such endpoint that is routed,
//! [`Gateway`] listens on a port of the mesh address and forwards TCP to the container. [`PortBook`] chooses the
//! ports: stable per service and port, so that a restarted container or agent comes back where it was.
//!
//! Nothing here knows what a route is or who asks: the agent says what is wanted and is told where it listens. The
//! HTTP failover proxy is to join this crate later.

mod forward;
mod gateway;
mod ports;

pub use self::{
    gateway::{Forward, Gateway, GatewayConfig, GatewayError, GatewayHandle, GatewayStatus, Opened},
    ports::{Claim, PortBook, PortRange, PortsExhausted},
};
