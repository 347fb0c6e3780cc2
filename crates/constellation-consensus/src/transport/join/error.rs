//! Why a node could not join, and what to do about it.

use std::net::SocketAddr;

use constellation_core::{ClusterId, NodeName};

use super::super::error::TransportError;

/// A node could not join. The text says what a person does next.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Nothing could be asked, because the question could not be made.
    #[error("could not prepare to join")]
    Prepare {
        /// Why.
        source: TransportError,
    },
    /// No member answered.
    #[error(
        "nobody answered to let this node join: {}; is the agent running there, and its raft port open to this machine?",
        list(.tried)
    )]
    NobodyAnswered {
        /// Who was tried, and what came of it.
        tried: Vec<(SocketAddr, String)>,
    },
    /// The members could not take the node in now. What was shown is still good.
    #[error(
        "the members cannot take a node in now: {}; nothing is lost: try again when a majority of the voters runs",
        list(.tried)
    )]
    NotNow {
        /// Who was tried, and what came of it.
        tried: Vec<(SocketAddr, String)>,
    },
    /// The cluster does not know the token.
    #[error(
        "the cluster does not know this token ({address} says: {text}): make one with `constellation-agent token` on a \
         member"
    )]
    SecretUnknown {
        /// Who said so.
        address: SocketAddr,
        /// In its words.
        text: String,
    },
    /// The token has let a node in.
    #[error(
        "the token was used up ({address} says: {text}), and each lets one node in: make another with \
         `constellation-agent token` on a member"
    )]
    SecretUsed {
        /// Who said so.
        address: SocketAddr,
        /// In its words.
        text: String,
    },
    /// The token has run out.
    #[error(
        "the token has expired ({address} says: {text}): make another with `constellation-agent token` on a member, and \
         use it sooner or give it longer with `--expires`"
    )]
    SecretExpired {
        /// Who said so.
        address: SocketAddr,
        /// In its words.
        text: String,
    },
    /// A member is called so already.
    #[error(
        "the name `{node}` is taken ({address} says: {text}): choose another, or, if that node will not come back, remove \
         it with `constellation-agent raft remove {node}` on a member"
    )]
    NameTaken {
        /// The name.
        node: NodeName,
        /// Who said so.
        address: SocketAddr,
        /// In its words.
        text: String,
    },
    /// The members speak another version.
    #[error("{address} joins nodes in another way ({text}): run the version that the members run")]
    OtherVersion {
        /// Who said so.
        address: SocketAddr,
        /// In its words.
        text: String,
    },
    /// Another cluster is met there.
    #[error("another cluster than `{cluster}` is met at {address} ({text}): check the address and the name")]
    OtherCluster {
        /// The cluster that was meant.
        cluster: ClusterId,
        /// Where.
        address: SocketAddr,
        /// What was met.
        text: String,
    },
    /// Whoever answers is not certified by the authority that the token names.
    #[error(
        "who answers at {address} is not of the cluster that the token was made for: the token is of another cluster (or of \
         this one before it was founded anew), or somebody is in the middle; nothing was told them"
    )]
    WrongAuthority {
        /// Where.
        address: SocketAddr,
    },
    /// Certificates are not good yet or not any more, by this machine's clock.
    #[error(
        "a certificate is not good at the time that it is here ({why}): set this machine's clock, or the clock of the member \
         at {address}"
    )]
    Clock {
        /// Who showed or made the certificate.
        address: SocketAddr,
        /// What is wrong, with the times.
        why: String,
    },
    /// The other end did not show that it knows the shared key.
    #[error(
        "who answers at {address} did not show that it knows this node's gossip key: it is of another cluster with the same \
         name, or somebody is in the middle; nothing that it said was believed"
    )]
    Unproven {
        /// Where.
        address: SocketAddr,
    },
    /// The other end does not know our shared key.
    #[error(
        "the member at {address} does not know this node's gossip key ({text}): give both nodes the same `gossip.key`, or join \
         with a token"
    )]
    KeyUnknown {
        /// Who said so.
        address: SocketAddr,
        /// In its words.
        text: String,
    },
    /// The cluster was founded already.
    #[error(
        "the cluster is founded already ({address} says: {text}): make a token with `constellation-agent token` on a member \
         and join with it"
    )]
    FoundingClosed {
        /// Who said so.
        address: SocketAddr,
        /// In its words.
        text: String,
    },
    /// A member granted what was not asked for.
    #[error("the member at {address} answered with what cannot be used: {why}; nothing of it was kept")]
    WrongGrant {
        /// Who.
        address: SocketAddr,
        /// What is wrong.
        why: String,
    },
    /// A member refused for a reason of its own.
    #[error("the member at {address} does not let this node join: {text}")]
    Refused {
        /// Who.
        address: SocketAddr,
        /// In its words.
        text: String,
    },
}

fn list(tried: &[(SocketAddr, String)]) -> String {
    if tried.is_empty() {
        return "there is no address to ask at".to_owned();
    }
    let tried: Vec<String> = tried.iter().map(|(address, why)| format!("{address} ({why})")).collect();
    tried.join(", ")
}
