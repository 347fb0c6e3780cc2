//! What keeps us from an engine on another machine, and what to do about it.

use std::{path::PathBuf, time::Duration};

use constellation_security::SecretError;

/// The way to an engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Nothing came to an end in time.
    #[error(
        "the way to {address} did not open within {limit:?}: is the machine there, and does a firewall drop what we send?"
    )]
    TimedOut {
        /// Where to.
        address: String,
        /// How long we waited.
        limit: Duration,
    },
    /// The socket on this side could not be made.
    #[error("could not make a private socket in the folder for temporary files")]
    Socket {
        /// Why not.
        source: std::io::Error,
    },
    /// There is no `ssh` here.
    #[error("could not run `ssh`: install OpenSSH's client")]
    NoSsh {
        /// What the system said.
        source: std::io::Error,
    },
    /// The login failed, or the engine's socket could not be reached from it.
    #[error("{address} cannot be reached by ssh: {said}; {advice}")]
    Ssh {
        /// Where to.
        address: String,
        /// What `ssh` said, its last lines.
        said: String,
        /// What to do.
        advice: String,
    },
    /// A certificate could not be read.
    #[error("{path}: {reason}", path = .path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key could not be read, or others could read it.
    #[error("the key of the client's certificate cannot be used")]
    Key(#[from] SecretError),
    /// The machine does not take a connection.
    #[error(
        "{address} does not take a connection: does the engine listen there, and does the firewall let us through?"
    )]
    Connect {
        /// Where to.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// TLS was not agreed on.
    #[error("{address} and we do not agree on TLS: {said}; {advice}")]
    Tls {
        /// Where to.
        address: String,
        /// What is wrong.
        said: String,
        /// What to do.
        advice: &'static str,
    },
    /// Something answers, and it is no engine.
    #[error("no engine answers at {address}: {said}")]
    NoEngine {
        /// Where to.
        address: String,
        /// What came instead.
        said: String,
    },
}
