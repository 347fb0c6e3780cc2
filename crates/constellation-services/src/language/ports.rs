//! Ports on the host. The address is always said: there is no way to write a port alone.

use std::net::{IpAddr, Ipv4Addr};

use constellation_docker::{Port, Protocol};
use serde::Serialize;

/// A port of the service made reachable on an address of the host.
///
/// ```
/// use constellation_services::prelude::*;
/// let admin = localhost(9443);                // 127.0.0.1:9443 -> 9443/tcp
/// let mapped = localhost(8080).to(80);        // 127.0.0.1:8080 -> 80/tcp
/// let dns = all_interfaces(53).udp();         // everybody, and it is said
/// let mesh = on_address([100, 64, 0, 7], 6379);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Publish {
    pub(crate) host_ip: IpAddr,
    pub(crate) host_port: u16,
    pub(crate) container: Port,
}

/// A port that only this machine reaches.
pub fn localhost(port: u16) -> Publish {
    on_address(Ipv4Addr::LOCALHOST, port)
}

/// A port on one address of this machine.
pub fn on_address(address: impl Into<IpAddr>, port: u16) -> Publish {
    Publish { host_ip: address.into(), host_port: port, container: Port::tcp(port) }
}

/// A port on every IPv4 address of this machine, past any firewall rule that does not know Docker.
pub fn all_interfaces(port: u16) -> Publish {
    on_address(Ipv4Addr::UNSPECIFIED, port)
}

impl Publish {
    /// Another number inside.
    #[must_use]
    pub fn to(mut self, port: u16) -> Self {
        self.container.number = port;
        self
    }

    /// UDP instead of TCP.
    #[must_use]
    pub fn udp(mut self) -> Self {
        self.container.protocol = Protocol::Udp;
        self
    }

    pub(crate) fn is_everywhere(&self) -> bool {
        self.host_ip.is_unspecified()
    }
}
