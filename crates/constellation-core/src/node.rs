//! What a node says of itself.

use std::{collections::BTreeSet, fmt, net::IpAddr, num::NonZeroU16};

use serde::{Deserialize, Serialize};

use crate::{id::NodeName, time::WallTime};

/// Which run of a node's agent: rises with each start. Facts of an older run never count beside those of a newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A node's rank where one must be preferred: the lower number first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Priority(pub u16);

impl Default for Priority {
    /// 100: room on both sides.
    fn default() -> Self {
        Self(100)
    }
}

/// A node's part in the cluster's Raft group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaftFacts {
    /// Its member.
    pub id: u64,
    /// The TCP port of its Raft, on its mesh address.
    pub port: u16,
    /// The epoch of the cluster that it takes part in.
    pub epoch: u64,
}

/// A node that waits for a cluster to be founded, together with others that share its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundingFacts {
    /// How many nodes it waits for, itself included.
    pub expect: NonZeroU16,
    /// The TCP port of its Raft, on its mesh address.
    pub port: u16,
    /// The node that it wants to be the founder. Once said it is never taken back, so that two can never both be founders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vote: Option<NodeName>,
}

/// A node's word about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// The address at which the other nodes reach it.
    pub mesh: IpAddr,
    /// Addresses at which the world reaches it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub public: Vec<IpAddr>,
    /// Its rank.
    #[serde(default)]
    pub priority: Priority,
    /// What it can do, such as `ingress`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub capabilities: BTreeSet<String>,
    /// Nothing new is placed on it, and it gets traffic only for what no other node has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cordoned: bool,
    /// Its agent is on the way out: send it nothing more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
    /// Its part in the Raft group, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raft: Option<RaftFacts>,
    /// What it waits for, if it has none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub founding: Option<FoundingFacts>,
    /// Where it is, such as a room or a data centre: what must not all be lost at once is spread over these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The version of its agent.
    pub agent: String,
    /// When its agent started, by its own calendar.
    pub started: WallTime,
}

impl NodeFacts {
    /// A node at an address with every default.
    pub fn at(mesh: IpAddr) -> Self {
        Self {
            mesh,
            public: Vec::new(),
            priority: Priority::default(),
            capabilities: BTreeSet::new(),
            cordoned: false,
            leaving: false,
            raft: None,
            founding: None,
            zone: None,
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            started: WallTime::default(),
        }
    }
}
