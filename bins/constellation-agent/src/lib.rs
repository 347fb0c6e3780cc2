//! The agent as a library: what the binary runs, a test can build.
//!
//! [`Cli`] is what a person may say; [`Config`] is what it means, checked; [`Agent`] joins the crates into the running
//! daemon and takes it down in order; [`publish`] is what this node tells the others; `cluster` is its part in the leases, `dns` in the zone, and `notary` the parent process that vouches for its
//! death; [`commands`] are the verbs of the
//! binary.

pub mod cli;
mod cluster;
pub mod commands;
pub mod config;
mod cordon;
mod daemon;
pub mod dns;
#[cfg(test)]
mod fixtures;
pub mod greeting;
pub mod ingress;
mod local_status;
mod logging;
mod notary;
pub mod publish;
mod publisher;
mod roles;
mod tls;

pub use self::{cli::Cli, config::Config, daemon::Agent};
