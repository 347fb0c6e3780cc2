//! Raft: one order of commands on every member, kept by a majority.
//!
//! [`RaftNode`] is one member as a plain value: it is told [`Input`]s and says [`Output`]s. [`Log`] is what it wants of the
//! disk, [`Machine`] is what it replicates; [`proto`] is what it says to others.

mod cache;
mod config;
mod convert;
mod event;
mod log;
mod logger;
mod machine;
mod node;
pub mod proto;
mod ready;
mod tickets;

#[cfg(test)]
mod tests;

pub use self::{
    config::{RaftConfig, Timing},
    convert::{Seat, Unsound},
    event::{Fault, Input, Output, Role},
    log::{Batch, Checkpoint, Log, LogError, Recovered},
    machine::Machine,
    node::{RaftNode, birth},
    proto::RaftId,
    tickets::{Lost, Ticket},
};
