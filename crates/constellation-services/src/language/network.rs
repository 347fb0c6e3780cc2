//! Networks, and how a service meets them.

use std::collections::BTreeMap;

use serde::Serialize;

/// The node-local network that every service is on unless it says otherwise.
pub const BACKEND: &str = "backend";
/// Traefik's side: services that are routed are on it.
pub const PUBLICNET: &str = "publicnet";
/// Anonymous egress through the WARP gateway. Nothing on it may have a second way out.
pub const WARP_NAT_NET: &str = "warp-nat-net";
/// Between Traefik and the nginx that authenticates for it.
pub const NGINX_NET: &str = "nginx_net";
/// What Compose calls the default network of a project.
pub const DEFAULT_NET: &str = "default";

/// A network that a stack brings along, or one that several stacks share.
///
/// ```
/// use constellation_services::prelude::*;
/// let cache = Network::new("cache").internal();
/// let lab = Network::new("lab").subnet("10.9.0.0/24").gateway("10.9.0.1").bridge("br_lab");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Network {
    pub(crate) key: String,
    pub(crate) name: Option<String>,
    pub(crate) subnet: Option<String>,
    pub(crate) gateway: Option<String>,
    pub(crate) internal: bool,
    pub(crate) attachable: bool,
    pub(crate) options: BTreeMap<String, String>,
}

/// The option of the bridge driver that names the bridge on the host.
const BRIDGE_NAME: &str = "com.docker.network.bridge.name";
/// The option of the bridge driver that hides the containers behind the host's address.
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";

impl Network {
    /// A bridge network. The engine knows it as `<stack>_<key>`, the stack's services as `key`, other stacks as
    /// `stack/key`.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            name: None,
            subnet: None,
            gateway: None,
            internal: false,
            attachable: true,
            options: BTreeMap::new(),
        }
    }

    /// The engine knows it by exactly this name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Its IPv4 range.
    #[must_use]
    pub fn subnet(mut self, cidr: impl Into<String>) -> Self {
        self.subnet = Some(cidr.into());
        self
    }

    /// The host's address on it; it needs a subnet.
    #[must_use]
    pub fn gateway(mut self, address: impl Into<String>) -> Self {
        self.gateway = Some(address.into());
        self
    }

    /// Without a way out: no default route, so it may stand beside `warp-nat-net`.
    #[must_use]
    pub fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    /// The name of the bridge on the host, at most 15 characters.
    #[must_use]
    pub fn bridge(self, name: impl Into<String>) -> Self {
        self.option(BRIDGE_NAME, name)
    }

    /// Containers keep their own address on the way out: somebody else translates it, or nobody gets out.
    #[must_use]
    pub fn no_masquerade(self) -> Self {
        self.option(MASQUERADE, "false")
    }

    /// An option of the bridge driver.
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.insert(name.into(), value.into());
        self
    }

    /// The key that services name it by.
    pub fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn bridge_name(&self) -> Option<&str> {
        self.options.get(BRIDGE_NAME).map(String::as_str)
    }
}

/// A network that a service is on, with the names by which others find it there beside its own.
///
/// ```
/// use constellation_services::prelude::*;
/// let both = [attach(BACKEND), attach("cache").alias("redis")];
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attach {
    pub(crate) network: String,
    pub(crate) aliases: Vec<String>,
}

/// On this network.
pub fn attach(network: impl Into<String>) -> Attach {
    Attach { network: network.into(), aliases: Vec::new() }
}

impl Attach {
    /// One more name there.
    #[must_use]
    pub fn alias(mut self, name: impl Into<String>) -> Self {
        self.aliases.push(name.into());
        self
    }
}

impl From<&str> for Attach {
    fn from(network: &str) -> Self {
        attach(network)
    }
}

/// How a service meets the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reach {
    /// The networks that follow from what the service is.
    #[default]
    Derived,
    /// Exactly these.
    Networks(Vec<Attach>),
    /// The host's own network.
    Host,
    /// Loopback only.
    None,
    /// The network of another service.
    Service(String),
}

/// Which way a service's connections leave the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Egress {
    /// With the host's address.
    #[default]
    Direct,
    /// Through the WARP gateway, and never past it: only `warp-nat-net`, and networks without a way out.
    Warp,
}
