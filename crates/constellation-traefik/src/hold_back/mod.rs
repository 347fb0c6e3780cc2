//! Holding back what looks like our own isolation: better yesterday's routes than none.
//!
//! A node that lost sight of its peers would render a document without their servers, and its Traefik would answer 503
//! for all of them, although often only the gossip between the nodes is broken and the servers are well. So a change
//! that would take most servers or routers away while most peers are out of sight is held back. What is certain always
//! applies: what this node's own containers do, and every server that is still seen.

mod l4;
mod memory;
mod settle;

use constellation_core::Evidence;
use serde::Serialize;

pub use self::{
    memory::{HoldBack, Settled},
    settle::{Situation, settle},
};

/// What is held back, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// How many routers keep servers that are out of sight.
    pub routers: usize,
    /// On what grounds.
    pub reason: HeldReason,
}

/// Why a change is held back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldReason {
    /// The agent has just started, and what it does not see yet may still come.
    Starting,
    /// Most peers are out of sight.
    CutOff {
        /// How many are known.
        peers_known: usize,
        /// How many of them are in sight.
        peers_live: usize,
    },
}

impl HeldReason {
    const fn cut_off(evidence: Evidence) -> Self {
        Self::CutOff { peers_known: evidence.peers_known, peers_live: evidence.peers_live }
    }
}

#[cfg(test)]
mod tests;
