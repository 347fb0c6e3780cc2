//! What can go wrong between two members.

use std::{io, net::SocketAddr};

use super::identity::PeerIdentity;

/// The transport could not be started, or a certificate not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The listening address could not be taken.
    #[error(
        "could not listen for the other members at {address}; is another agent running, or the address not this machine's?"
    )]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate could not be made.
    #[error("could not make a certificate for {subject}")]
    Issue {
        /// For whom.
        subject: String,
        /// Why not.
        source: rcgen::Error,
    },
    /// A key, a certificate or a request is not one.
    #[error("could not read {what}: {why}")]
    Unreadable {
        /// What it should have been.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The parts do not go together.
    #[error("the certificate of {found} does not serve: {why}")]
    Unfit {
        /// Whose it is.
        found: String,
        /// Why it does not.
        why: String,
    },
    /// The TLS library refused the key or certificate.
    #[error("could not set up TLS with the node's certificate")]
    Tls {
        /// Why.
        source: rustls::Error,
    },
}

/// Why a connection did not come about, or ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No connection.
    #[error("could not connect to {address}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The other end did not do its part in time.
    #[error("nothing came of {what} in time")]
    Silent {
        /// What was waited for.
        what: &'static str,
    },
    /// The handshake failed: most often, a certificate of another cluster.
    #[error("could not agree on TLS")]
    Handshake {
        /// Why.
        source: io::Error,
    },
    /// The certificate is good, and somebody else's.
    #[error("met {found} and not {expected}")]
    SomebodyElse {
        /// Whom the certificate is for.
        found: String,
        /// Who should have been there.
        expected: PeerIdentity,
    },
    /// A certificate of our cluster that may not come in.
    #[error("{found} may not speak here: {why}")]
    Unwelcome {
        /// Who.
        found: String,
        /// Why not.
        why: &'static str,
    },
    /// The other end said no.
    #[error("was turned away: {why}")]
    TurnedAway {
        /// In its words, cut at 200 characters.
        why: String,
    },
    /// What came is not in our form.
    #[error("got what no member says: {why}")]
    Garbled {
        /// What is wrong with it.
        why: String,
    },
    /// The connection ended.
    #[error("the connection ended")]
    Ended {
        /// How; none where the other end closed it in order.
        source: Option<io::Error>,
    },
}
