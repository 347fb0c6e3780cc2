//! This node's part in the leases: how it came to it, and what it does with it.
//!
//! In reading order: [`files`] is what is kept on disk; [`found`] begins a cluster and [`join`] enters one, both before the
//! agent runs; [`part`] takes part while it runs, with the tasks beside it: [`roster`] (whom to talk to), [`wishes`]
//! (whether this node would hold a lease), [`steward`] (who votes; the leader's work), [`admission`] (who is let in) and
//! [`founding`] (nodes that found a cluster together). [`desk`] answers for all that over the API (with [`report`]), and [`rescue`] begins
//! again where nothing else helps.

pub(crate) mod admission;
pub(crate) mod assemble;
pub(crate) mod attendance;
pub(crate) mod desk;
pub(crate) mod files;
pub(crate) mod found;
pub(crate) mod founding;
pub(crate) mod join;
pub(crate) mod membership;
pub(crate) mod obituary;
pub(crate) mod part;
mod report;
pub(crate) mod rescue;
pub(crate) mod roster;
pub(crate) mod steward;
pub(crate) mod wishes;
