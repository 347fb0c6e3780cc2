//! Membership and shared facts: who is there, and what everybody says of itself.
//!
//! [`Gossip::start`] joins a cluster and gives a [`GossipHandle`]: [`publish`](GossipHandle::publish) tells the others,
//! [`view`](GossipHandle::view) is what they tell, derived into one [`ClusterView`](constellation_core::ClusterView).
//!
//! Below is chitchat (Scuttlebutt reconciliation and a phi accrual failure detector), handled as what it is. It
//! authenticates nothing: [`transport`] seals every datagram before it goes out and opens it before chitchat sees
//! it. Its failure detector is hasty after a storm and cannot tell its own sleep from the others': [`liveness`] gives a
//! second opinion. Its task can end: it is started again as a new generation. It tells of changes once per round:
//! we listen to each change, and push our own at once.
//!
//! Nothing here knows what the facts mean, who leads, or who acts on the view. There is no consensus here: two nodes may
//! see different things at one moment, and whoever needs one truth takes a lease.
//!
//! In reading order: `config`, `error`, `stats`; `gossip` is the front door and `driver` the one task behind it, which owns
//! `engine` (one run of chitchat), `knowledge` (what all say), `liveness` (who lives), `ledger` (what we say), `pace`
//! (when we push it), `rivalry` (two machines with one name), `generation` (which run of ours it is) and `seeds` (whom to
//! ask).

mod config;
mod driver;
mod engine;
mod error;
mod generation;
mod gossip;
mod knowledge;
mod ledger;
pub mod liveness;
mod pace;
mod rivalry;
mod seeds;
mod stats;
pub mod transport;

pub use self::{
    config::GossipConfig,
    error::GossipError,
    gossip::{Gossip, GossipHandle},
    stats::GossipStats,
    transport::{
        DatagramNetwork, DatagramSocket, Dropped, GossipSecurity, MemoryNetwork, Reason, Suspect, Traffic,
        UdpNetwork,
    },
};
