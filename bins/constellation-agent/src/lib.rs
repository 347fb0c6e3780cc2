//! The agent as a library: what the binary runs, a test can build.
//!
//! [`Cli`] is what a person may say; [`Config`] is what it means, checked; [`Agent`] joins the crates into the running
//! daemon and takes it down in order; [`publish`] is what this node tells the others; [`commands`] are the verbs of the
//! binary.

pub mod cli;
pub mod commands;
pub mod config;
mod daemon;
mod local_status;
mod logging;
pub mod publish;
mod publisher;

pub use self::{cli::Cli, config::Config, daemon::Agent};
