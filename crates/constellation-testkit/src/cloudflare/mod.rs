//! Cloudflare's API v4, as far as DNS goes, over HTTP: real clients speak to it unchanged.
//!
//! [`zone`] is what a zone is and takes, pure; [`fault`] is what goes wrong when it is ordered; the rest is HTTP. Every rule
//! names the public source that it was learned from. It is no better than these: where a source gives no number for an error,
//! the general one (1004) is answered.

mod answer;
pub mod fault;
mod routes;
mod server;
#[cfg(test)]
mod tests;
pub mod zone;

pub use self::{
    fault::Fault,
    server::{Rights, Simulator, Token},
    zone::{Limits, StoredRecord},
};
