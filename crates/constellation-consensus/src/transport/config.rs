//! How the transport behaves; one table of defaults.

use std::{net::SocketAddr, time::Duration};

use constellation_tasks::Schedule;

use super::codec::FRAME_BYTES_MAX;

/// How the transport listens, waits and bounds itself.
#[derive(Clone, Debug)]
pub struct TransportConfig {
    /// Where the other members reach this one. 8300 by default, on the mesh address.
    pub listen: SocketAddr,
    /// The epoch of the cluster: members of another are turned away.
    pub epoch: u64,
    /// How long a TCP connection may take to come about. Short, so that a peer whose link came back is tried anew, and not
    /// only when TCP's own patience, which doubles, thinks so.
    pub connect_timeout: Duration,
    /// How long both ends may take to agree on TLS.
    pub handshake_timeout: Duration,
    /// How often a connection is asked whether it is alive; the answers measure the round trip.
    pub keepalive: Duration,
    /// After so long without a sign of life a connection is given up. Several times `keepalive`.
    pub dead_after: Duration,
    /// How the waits between tries to connect grow.
    pub reconnect: Schedule,
    /// How many frames may wait for one peer before the oldest is dropped: some seconds of a busy leader's.
    pub queue_frames: usize,
    /// How many bytes may wait for one peer: at least a largest frame.
    pub queue_bytes: usize,
    /// How many bytes of frames may wait to be taken by this node before its peers' connections are read no further.
    pub inbound_bytes: usize,
    /// How many strangers may be in the middle of a handshake at once; each costs less than 100 KiB.
    pub handshakes_max: usize,
    /// How many of them may come from one address, so that one machine cannot take every place.
    pub handshakes_per_address_max: usize,
    /// How long it may take to decide whether a node may join, and so long again to send it what it needs.
    pub join_timeout: Duration,
    /// How many nodes may be joining at once. Their question has at most 16 KiB, the answer 1 MiB.
    pub joins_max: usize,
    /// How many of them may come from one address.
    pub joins_per_address_max: usize,
}

impl TransportConfig {
    /// The defaults, for members on a local network or a mesh overlay.
    pub fn at(listen: SocketAddr, epoch: u64) -> Self {
        Self {
            listen,
            epoch,
            connect_timeout: Duration::from_secs(1),
            handshake_timeout: Duration::from_secs(3),
            keepalive: Duration::from_millis(500),
            dead_after: Duration::from_secs(3),
            reconnect: Schedule::new(Duration::from_millis(50), Duration::from_secs(1)),
            queue_frames: 512,
            queue_bytes: 2 * FRAME_BYTES_MAX,
            inbound_bytes: 8 * FRAME_BYTES_MAX,
            handshakes_max: 64,
            handshakes_per_address_max: 16,
            join_timeout: Duration::from_secs(10),
            joins_max: 16,
            joins_per_address_max: 8,
        }
    }
}
