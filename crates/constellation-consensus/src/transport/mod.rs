//! The way between members: frames over TCP, with mutual TLS from the cluster's own authority.
//!
//! In reading order: [`ClusterCa`] issues a certificate to each [`PeerIdentity`], and a node's [`NodeCredentials`] hold it;
//! a [`TlsIdentity`] makes them ready; a [`Roster`] says whom to talk to and whom to let in; [`TcpTransport`] is the
//! [`Transport`](crate::Transport) that carries frames, and hands what comes in on as [`Incoming`]; [`announce()`] says one
//! thing and leaves. A node that is no member yet has a [`JoinToken`], or shares a [`FoundingKey`], and asks with [`join()`]
//! or [`join_founder()`] on the same port, where [`Admission`] decides.
//!
//! # Why mutual TLS, and not Noise with the cluster's key
//!
//! - A lease is taken away at once on the word of a node about its own dead process, and a vote counts for the one that
//!   gives it. With one key for all, each member can speak as any other, and whoever reads the key on one machine is every
//!   machine. Certificates name the speaker, and one that is lost names one node, whose id is then removed.
//! - Noise with a key pair for each node would name the speaker too, and would need a way to say which keys belong to
//!   the cluster, to hand that to a new node, to let keys end and to change them under way. That is a certificate authority,
//!   written anew.
//! - rustls is in the program in any case, for Docker over TCP and Cloudflare. What operators know of certificates
//!   (`openssl x509`) works on these.
//!
//! Gossip stays on the cluster's key: it is datagrams, and nothing is decided on a single one.
//!
//! # What holds
//!
//! - Nothing is read from, or sent to, anybody before both certificates were verified, but for one question and one answer
//!   of a node that says that it wants to join; a stranger gets a bounded place, a bounded time and less than 100 KiB, and
//!   whoever wants to join the same again.
//! - Only who says at the beginning of TLS that it wants to join, and nothing else, is not asked for a certificate, and from
//!   there no way leads to the frames of members.
//! - A node that wants to join tells its secret only to members that the authority of its token certifies, and believes
//!   nothing but a certificate by that authority, for its own key and name. Where nodes found a cluster with a shared key,
//!   both ends prove it for that connection alone.
//! - Who dials gets the member that it meant, by name and Raft id, or no connection. Who is dialled hears members of its
//!   cluster, except those that were removed, and delivers only frames that are from whom the certificate names, for this
//!   member, of this epoch. Whoever is turned away is told why.
//! - Frames of one connection arrive in order and whole. Between connections any may be lost, and none comes twice: TLS
//!   refuses what is replayed, there is no early data and no resumption.
//! - Sending never waits. A queue that is full drops its oldest. A node that does not take what came lets TCP tell the
//!   senders so.
//!
//! Nothing here knows what a vote is, or which members there should be.

mod announce;
mod carrier;
mod certificate;
mod codec;
mod config;
mod dialer;
mod error;
mod guests;
mod identity;
mod join;
mod link;
mod listener;
mod newcomer;
mod pki;
mod places;
mod queue;
mod roster;
mod status;
#[cfg(test)]
mod tests;
mod tls;
mod token;

pub use self::{
    announce::announce,
    carrier::{Delivery, Incoming, TcpTransport},
    codec::FRAME_BYTES_MAX,
    config::TransportConfig,
    error::{LinkError, TransportError},
    identity::{InvalidPeerIdentity, PeerIdentity},
    join::{
        Admission, FoundingKey, JoinAsk, JoinError, JoinGrant, JoinMember, JoinPatience, JoinProof,
        JoinRefusal, JoinRequest, Joined, RefusalKind, join, join_founder,
    },
    pki::{AUTHORITY_LIFETIME, CERTIFICATE_LIFETIME, ClusterCa, Fingerprint, NodeCredentials, NodeKey},
    roster::{Peer, Roster},
    status::PeerStatus,
    tls::TlsIdentity,
    token::{InvalidJoinToken, JoinSecret, JoinSecretDigest, JoinToken},
};
