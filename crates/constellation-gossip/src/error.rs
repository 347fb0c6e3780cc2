//! What can go wrong at the start. Once gossip runs, it goes on.

use std::{io, net::SocketAddr, path::PathBuf};

use constellation_core::NodeName;

/// Gossip could not be started.
#[derive(Debug, thiserror::Error)]
pub enum GossipError {
    /// A setting contradicts another or a bound.
    #[error("gossip cannot run with these settings: {problem}")]
    Config {
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The port is taken, or the address is not ours.
    #[error(
        "could not listen for gossip on {address}/udp; if another process has the port, `ss -lunp` names it, \
         and if the address is not of this machine, `ip addr` shows which are"
    )]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The place that keeps the generation cannot be used.
    #[error("could not keep this node's generation in {path}; make its directory writable for this user", path = .path.display())]
    State {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another machine has the name.
    #[error(
        "the node name `{name}` is taken: a node of that name is alive at {other}; \
         give this machine another name, or stop the other one"
    )]
    NameTaken {
        /// The name.
        name: NodeName,
        /// Where the other is.
        other: SocketAddr,
    },
    /// chitchat would not start.
    #[error("could not start gossip")]
    Start {
        /// Why.
        source: io::Error,
    },
}
