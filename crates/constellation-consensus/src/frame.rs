//! The seam to the network: what travels between two nodes, and what a carrier of it promises.

use crate::raft::{RaftId, proto};

/// What one node says to another.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Frame {
    /// The cluster's epoch: `recover` begins a new one, and whoever speaks of an old one is not heard.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// Who says it. The carrier has checked it against the peer's certificate.
    #[prost(uint64, tag = "2")]
    pub from: u64,
    /// Whom it is for. A frame for another id (the peer's address was given to a new node) is dropped.
    #[prost(uint64, tag = "3")]
    pub to: u64,
    /// What is said.
    #[prost(oneof = "Body", tags = "4, 5")]
    pub body: Option<Body>,
}

/// The kinds of things that are said.
#[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
#[expect(clippy::large_enum_variant, reason = "most are messages, and none is kept")]
pub enum Body {
    /// Raft's own talk.
    #[prost(message, tag = "4")]
    Raft(proto::Message),
    /// Proof that a process is dead, from the notary of its own node.
    #[prost(message, tag = "5")]
    Obituary(Obituary),
}

/// "This run of this node's process has ended", said under the node's own key by whoever saw its exit status.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Obituary {
    /// The node. The receiver checks that the frame came authenticated as this very node.
    #[prost(string, tag = "1")]
    pub node: String,
    /// The run that ended, big-endian.
    #[prost(bytes = "vec", tag = "2")]
    pub boot: Vec<u8>,
    /// Whether the node is back already, as a later run that says so itself. Then only the run is dead and not the member,
    /// which may lead by now: nobody need stand in its place.
    #[prost(bool, tag = "3")]
    pub returned: bool,
}

/// Carries frames to the other members. Sending never waits and never fails: a frame may be lost, doubled or late, which
/// Raft is made for. A queue that is full drops its oldest frame.
pub trait Transport: Send + Sync + 'static {
    /// Sends a frame to the member that it names, if there is a way.
    fn send(&self, to: RaftId, frame: Frame);
}
