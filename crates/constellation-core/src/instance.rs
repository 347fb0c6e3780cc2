//! One running thing on one node.

use serde::{Deserialize, Serialize};

use crate::{
    endpoint::Endpoint,
    health::Health,
    id::{InstanceId, NetworkName, RouteSetId, ServiceId},
    role::Role,
    time::WallTime,
};

/// A container, as its node tells the others of it. Under 512 bytes on the wire; see [`fact`](crate::fact).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Which container; unique on its node.
    #[serde(rename = "i")]
    pub id: InstanceId,
    /// The service that it is an instance of.
    #[serde(rename = "s")]
    pub service: ServiceId,
    /// What is known of it.
    #[serde(rename = "h")]
    pub health: Health,
    /// When its container was made, by its node's calendar. Orders rival claims of one name: the older stays, also when
    /// it is restarted.
    #[serde(rename = "t")]
    pub since: WallTime,
    /// Where it is reached from other nodes, by port.
    #[serde(rename = "e", default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
    /// The container networks that it is on.
    #[serde(rename = "n", default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkName>,
    /// What is to reach it; `None` where it takes no part in routing.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<RouteSetId>,
    /// A hash of the definition that it was made from, where there was one.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// Which part it has among the instances of its service, where somebody knows. Agents from before there were roles do
    /// not see it.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

impl Instance {
    /// Where a port of it is reached over TCP.
    pub fn tcp(&self, port: u16) -> Option<std::net::SocketAddr> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.port == port && endpoint.protocol == crate::Protocol::Tcp)
            .map(|endpoint| endpoint.address)
    }

    /// Where a port of it is reached over UDP.
    pub fn udp(&self, port: u16) -> Option<std::net::SocketAddr> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.port == port && endpoint.protocol == crate::Protocol::Udp)
            .map(|endpoint| endpoint.address)
    }
}
