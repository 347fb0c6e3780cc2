//! Where the nodes of a cluster are.

use std::{net::Ipv4Addr, path::Path, process::Command, sync::Arc};

use crate::network::Namespaces;

/// How the nodes reach each other.
#[derive(Clone)]
pub(crate) enum Network {
    /// Each has an address of this machine's loopback: node 1 is at `127.0.0.<base + 1>`.
    Loopback { base: u8 },
    /// Each has a network namespace, which can be cut off.
    Namespaces(Arc<Namespaces>),
}

impl Network {
    /// The address of node `number`.
    pub(super) fn address(&self, number: u8) -> Ipv4Addr {
        match self {
            Self::Loopback { base } => Ipv4Addr::new(127, 0, 0, base + number),
            Self::Namespaces(_) => Namespaces::address(number),
        }
    }

    /// A command that runs `program` where node `number` is.
    pub(super) fn command(&self, number: u8, program: &Path) -> Command {
        match self {
            Self::Loopback { .. } => Command::new(program),
            Self::Namespaces(namespaces) => namespaces.command(number, program),
        }
    }

    /// Whether this process can connect to the nodes' ports; their sockets it always can.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::Loopback { .. })
    }
}
