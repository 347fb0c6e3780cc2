//! Where this node is on the overlay network, and which other nodes may be out there.
//!
//! [`Overlay`] is the seam. [`StaticPeers`] serves it from flags, a DNS name and a file; it needs nothing but a network.
//! Asking Tailscale itself is not yet here; it will stand behind the same trait.
//!
//! This crate only suggests whom to talk to: who is alive, and who belongs to the cluster, is gossip's business.

mod static_peers;

use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;

pub use self::static_peers::{InvalidPeer, PeerSource, StaticPeers};

/// A network on which every node of the cluster reaches every other.
#[async_trait]
pub trait Overlay: Send + Sync + 'static {
    /// The address of this node that the others reach.
    async fn own_address(&self) -> Result<IpAddr, OverlayError>;

    /// Where other agents may listen: without duplicates, in a stable order, and never this node itself.
    ///
    /// `Ok` with some peers missing is normal, because a source that fails is left out while another answers; it is
    /// an error only where there are sources and none of them does.
    async fn peers(&self) -> Result<Vec<SocketAddr>, OverlayError>;
}

/// The overlay could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OverlayError {
    /// No source of peers answered.
    #[error("no source of peers answered, the last to fail was {source_name}")]
    NoSource {
        /// The source as it was given.
        source_name: String,
        /// Why it failed.
        source: std::io::Error,
    },
}
