//! What the API says, field by field. Fields are added and never change their meaning; readers ignore what they do
//! not know.

use std::net::{IpAddr, SocketAddr};

use constellation_core::{
    ClusterId, Generation, Health, InstanceId, NodeName, Priority, Role, ServiceId, WallTime,
};
use constellation_proxy::{GatewayStatus, http::ProxyStatus};
use serde::{Deserialize, Serialize};

/// How much of the system works, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Everything does.
    Full,
    /// The cluster has no leader that this node can reach: nobody may be given a lease.
    NoQuorum,
    /// Most peers are out of sight: it may be this node that is cut off.
    Isolated,
    /// The container runtime of this node does not answer.
    RuntimeDown,
}

impl Rung {
    /// What still works on this rung, in a sentence.
    pub const fn still_works(self) -> &'static str {
        match self {
            Self::Full => "everything works",
            Self::NoQuorum => {
                "routes follow gossip and containers are healed; no lease is given or renewed, so what they allow (DNS) stands still"
            }
            Self::Isolated => {
                "own containers are routed and healed; routes of nodes out of sight are kept as they last were"
            }
            Self::RuntimeDown => {
                "routes to all nodes are served, those to own containers as they last were; nothing is healed here"
            }
        }
    }
}

/// Something that a person should know of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which part of the agent says so, such as `routes` or `gossip`.
    pub area: String,
    /// What it is about, such as a container or a router.
    pub subject: String,
    /// What is wrong and what would help.
    pub message: String,
}

/// Where the agent can be reached and what it reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The address that other nodes reach.
    pub mesh: IpAddr,
    /// Gossip, UDP.
    pub gossip: SocketAddr,
    /// The provider that Traefik polls.
    pub provider: SocketAddr,
    /// The container runtime.
    pub runtime: String,
}

/// The agent's gossip.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GossipStatus {
    /// Whether datagrams are sealed with a key.
    pub sealed: bool,
    /// Datagrams received and opened since the start.
    pub datagrams_in: u64,
    /// Datagrams sent since the start.
    pub datagrams_out: u64,
    /// Datagrams dropped since the start, by reason.
    pub dropped: std::collections::BTreeMap<String, u64>,
    /// How often the gossip task had to be started again.
    pub restarts: u64,
}

/// The document that Traefik polls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraefikStatus {
    /// HTTP routers in the document.
    pub routers: usize,
    /// HTTP services in the document.
    pub services: usize,
    /// Its size in bytes.
    pub bytes: usize,
    /// Why a change is held back, while one is.
    pub held: Option<String>,
    /// The state of the copy on disk, in words.
    pub last_known_good: String,
}

/// A certificate that this node serves with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRow {
    /// The hosts that it is for.
    pub names: Vec<String>,
    /// Where it was read.
    pub file: String,
    /// From when on it is valid, in seconds since 1970.
    pub not_before: i64,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: i64,
    /// Whole days until then; negative when it has expired.
    pub days_left: i64,
    /// SHA-256 of the certificate, in hex.
    pub fingerprint: String,
}

/// Everything about one agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The node.
    pub node: NodeName,
    /// Its cluster.
    pub cluster: ClusterId,
    /// The version of the agent.
    pub version: String,
    /// Which run of the agent it is.
    pub generation: Generation,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// How much works.
    pub rung: Rung,
    /// What still works, in a sentence.
    pub still_works: String,
    /// Where it is.
    pub addresses: Addresses,
    /// Nodes that are known, this one included.
    pub nodes_known: usize,
    /// Nodes that are live, this one included.
    pub nodes_live: usize,
    /// Containers of this node.
    pub containers: usize,
    /// Instances in the whole cluster that may be sent traffic.
    pub routable: usize,
    /// Gossip.
    pub gossip: GossipStatus,
    /// Its part in the cluster's leases, in a line.
    #[serde(default)]
    pub leases: String,
    /// The zone that it looks after, in a line.
    #[serde(default)]
    pub dns: String,
    /// The provider.
    pub traefik: TraefikStatus,
    /// The mesh gateway's listeners.
    pub gateway: Vec<GatewayStatus>,
    /// The certificates that it serves with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateRow>,
    /// The failover proxy, on a node that serves HTTP with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<ProxyStatus>,
    /// What a person should know of; empty when all is well.
    pub problems: Vec<Problem>,
}

/// A node, as this agent sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRow {
    /// Its name.
    pub node: NodeName,
    /// `live`, `leaving` or `lost`.
    pub state: String,
    /// The address that the others reach.
    pub mesh: IpAddr,
    /// Its rank; lower goes first.
    pub priority: Priority,
    /// Whether it is cordoned.
    pub cordoned: bool,
    /// The version of its agent.
    pub agent: String,
    /// When its agent started, by its own calendar, in milliseconds since the Unix epoch.
    pub started: WallTime,
    /// Which run of its agent it is.
    pub generation: Generation,
    /// Its instances that count.
    pub instances: usize,
    /// Of these, the ones that may be sent traffic.
    pub routable: usize,
    /// Whether it is the node that answers.
    pub me: bool,
}

/// An instance, as this agent sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRow {
    /// The service.
    pub service: ServiceId,
    /// Where it runs.
    pub node: NodeName,
    /// Which instance it is.
    pub instance: InstanceId,
    /// What is known of it.
    pub health: Health,
    /// Where other nodes reach it, as `8080/tcp@100.64.0.7:40123`.
    pub endpoints: Vec<String>,
    /// Whether it takes part in routing.
    pub routed: bool,
    /// Which part it has among the instances of its service, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// What the API answers where it cannot do as asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{error}")]
pub struct Failure {
    /// What went wrong, and what would help.
    pub error: String,
}
