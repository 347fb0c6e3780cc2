//! How long leases last, and how patient everybody is.

use std::time::Duration;

use crate::clock::DriftBound;

/// The timing of leases. Every node of a cluster must use the same `ttl` and `drift`: the promise rests on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseConfig {
    /// How long the leader waits, after it saw the last renewal, before it takes a lease away. Longer rides out pauses,
    /// shorter hands over sooner.
    pub ttl: Duration,
    /// How far clocks may run apart.
    pub drift: DriftBound,
    /// How long a keeper waits for an answer before it asks again. A proposal may vanish with a leader, so this bounds
    /// what an election costs; asks that were overtaken stay good, each from its own moment.
    pub ask_again: Duration,
    /// How long a better node must have been there, without a break, before the holder hands over to it.
    pub takeover_after: Duration,
    /// How long a lease stays reserved for the node that it was handed to.
    pub reserve: Duration,
}

impl LeaseConfig {
    /// How long a holder may count from one ask.
    pub fn usable(&self) -> Duration {
        self.drift.usable(self.ttl)
    }

    /// How long after its last ask a holder asks for more: three tries fit into what it may use.
    pub fn renew_after(&self) -> Duration {
        self.usable() / 3
    }
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(3),
            drift: DriftBound::DEFAULT,
            ask_again: Duration::from_millis(250),
            takeover_after: Duration::from_secs(30),
            reserve: Duration::from_secs(1),
        }
    }
}
