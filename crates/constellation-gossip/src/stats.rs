//! What a person or a metric may want to know of gossip.

use std::net::SocketAddr;

use constellation_core::{Generation, fact::Omitted};

use crate::transport::Traffic;

/// How gossip is, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GossipStats {
    /// Where the others reach us.
    pub advertise: SocketAddr,
    /// Which run of this node it is.
    pub generation: Generation,
    /// How often chitchat ended and was started again, each time as a new generation.
    pub restarts: u64,
    /// Why it ended last.
    pub last_restart: Option<String>,
    /// What of our own does not fit, and so is not told.
    pub omitted: Vec<Omitted>,
    /// A node with our name that was there first. As long as it is, we publish nothing.
    pub conflict: Option<SocketAddr>,
    /// How many runs of nodes are in every handshake, our own included.
    pub runs: usize,
    /// How many nodes are alive, our own included.
    pub live: usize,
    /// How often somebody was declared dead.
    pub deaths: u64,
    /// What came and went.
    pub traffic: Traffic,
}

/// The part of the statistics that the task that runs gossip writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) advertise: SocketAddr,
    pub(crate) generation: Generation,
    pub(crate) restarts: u64,
    pub(crate) last_restart: Option<String>,
    pub(crate) omitted: Vec<Omitted>,
    pub(crate) conflict: Option<SocketAddr>,
    pub(crate) runs: usize,
    pub(crate) live: usize,
    pub(crate) deaths: u64,
}

impl Condition {
    pub(crate) fn with(self, traffic: Traffic) -> GossipStats {
        let Self { advertise, generation, restarts, last_restart, omitted, conflict, runs, live, deaths } =
            self;
        GossipStats {
            advertise,
            generation,
            restarts,
            last_restart,
            omitted,
            conflict,
            runs,
            live,
            deaths,
            traffic,
        }
    }
}
