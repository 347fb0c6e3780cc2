//! What a node says of itself.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::time::WallTime;

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
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            started: WallTime::default(),
        }
    }
}
