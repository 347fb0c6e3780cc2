//! How chitchat's messages travel: sealed, in datagrams that no network fragments, and only from who is there now.
//!
//! chitchat authenticates nothing, and one forged message can end it, so nothing reaches it that was not sealed with
//! one of the cluster's keys. In reading order: `envelope` seals a datagram and binds it to the cluster;
//! `frame` is what stands inside; `replay` remembers what was seen; `reassembly` joins fragments;
//! `directory` knows which run of a peer listens at an address; `codec` is all of them as one plain value, without a
//! socket; `network` is the socket, and a network in memory for tests; `socket` joins the two for chitchat;
//! `traffic` counts.
//!
//! # Why an old datagram is refused
//! Each run of a node picks a random *session*. A datagram carries the sender's session, the session of the receiver it
//! is meant for, and a counter. One that names another receiver session was made before the receiver started (or
//! by somebody who has not met it), and is answered with a *hello* that says the current one; one whose counter was seen
//! is dropped. So a recording is worthless after a restart of either side, and no clock takes part. It costs one
//! round trip when two nodes meet.

mod codec;
mod directory;
mod envelope;
mod frame;
mod network;
mod reassembly;
mod replay;
mod socket;
mod traffic;

pub use self::{
    envelope::GossipSecurity,
    network::{DatagramNetwork, DatagramSocket, MemoryNetwork, UdpNetwork},
    traffic::{Dropped, Reason, Suspect, Traffic},
};
pub(crate) use self::{
    socket::{Farewell, SealedTransport},
    traffic::Meter,
};
