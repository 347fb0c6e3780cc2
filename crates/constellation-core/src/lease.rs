//! What the rest of the system may know of a lease: who holds it, and until when it may be believed.
//!
//! How leases are agreed on is another crate's business; whoever acts under one only reads these values.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{id::NodeName, time::Moment};

/// What only one node at a time may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaseKind {
    /// Be the address that the apex of the domain points at.
    LbLeader,
    /// Write the domain's DNS records.
    DnsWriter,
}

impl fmt::Display for LeaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LbLeader => "lb-leader",
            Self::DnsWriter => "dns-writer",
        })
    }
}

/// A number that rises with every grant of any lease. An effect stamped with a lower one is stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FencingToken(pub u64);

/// Who holds a lease: a node, and which run of it, so that a restarted process does not inherit the lease by its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaseHolder {
    /// The node.
    pub node: NodeName,
    /// The run of its process.
    pub boot: u128,
}

/// What this node knows of one lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LeaseStatus {
    /// Nobody is known to hold it.
    #[default]
    Unheld,
    /// Another node was last seen to hold it.
    HeldBy {
        /// Who.
        holder: LeaseHolder,
        /// Under which token.
        token: FencingToken,
    },
    /// This process holds it, until `until` and not a moment longer.
    Held {
        /// Under which token.
        token: FencingToken,
        /// On this process's own clock.
        until: Moment,
    },
}

impl LeaseStatus {
    /// The token under which this process may act at `now`.
    ///
    /// Ask right before each effect: a status that was true when it was published may have run out since, because a
    /// stalled loop cannot publish its own end.
    pub fn may_act(&self, now: Moment) -> Option<FencingToken> {
        match self {
            Self::Held { token, until } if now < *until => Some(*token),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_lease_that_ran_out_lets_nobody_act_even_if_nobody_said_so() {
        let until = Moment::after_start(Duration::from_secs(8));
        let status = LeaseStatus::Held { token: FencingToken(7), until };
        assert_eq!(status.may_act(Moment::after_start(Duration::from_millis(7999))), Some(FencingToken(7)));
        assert_eq!(status.may_act(until), None);
    }
}
