//! What is said when a node joins, and who decides.

use std::{fmt, net::SocketAddr};

use async_trait::async_trait;
use constellation_core::NodeName;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{super::token::JoinSecretDigest, founding::FoundingKey};
use crate::raft::RaftId;

/// Decides who becomes a member.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Takes a node in, or says why not. `Ok` means that the cluster has agreed: a majority knows the new member, and that
    /// the secret is used up.
    ///
    /// The answer may be lost on its way, and then the same question comes again, here or at another member. So a secret
    /// that was used up by the same question ([`JoinRequest::digest`]) is granted again, with the same id.
    ///
    /// What is not known for sure (a member that lags behind does not know a new secret) is
    /// [`RefusalKind::NoQuorum`] or [`RefusalKind::NotHere`], which the newcomer tries again; the other kinds end its try.
    /// The future is dropped when it takes longer than [`join_timeout`](super::super::TransportConfig::join_timeout).
    async fn admit(&self, request: JoinRequest, from: SocketAddr) -> Result<JoinGrant, JoinRefusal>;

    /// The keys that nodes may found this cluster with, where that is still open. Asked anew for each question.
    fn founding_keys(&self) -> Vec<FoundingKey> {
        Vec::new()
    }
}

/// "Take me in."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRequest {
    /// Why it may.
    pub proof: JoinProof,
    /// What it is called.
    pub node: NodeName,
    /// Where the others will reach it: its Raft port.
    pub address: SocketAddr,
    /// Its request for a certificate, in DER: for [`ClusterCa::issue`](super::super::ClusterCa::issue), which checks it.
    pub certificate_request: Vec<u8>,
    /// The version that it runs, for people.
    pub agent_version: String,
}

impl JoinRequest {
    /// Knows a question again that comes twice: a newcomer asks with one key until it has an answer.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(b"constellation join request\0");
        hash.update(self.node.as_str());
        hash.update([0]);
        hash.update(&self.certificate_request);
        hash.finalize().into()
    }
}

/// What a newcomer has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinProof {
    /// A secret with this digest; whether it is good for anything is not known yet.
    Secret(JoinSecretDigest),
    /// That it knows one of the [`Admission::founding_keys`]. This was checked.
    SharedKey,
}

/// "You are one of us", and all that a member needs.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinGrant {
    /// Its id in Raft, which nobody had before.
    pub id: RaftId,
    /// The epoch of the cluster.
    pub epoch: u64,
    /// Its certificate, in DER.
    pub certificate: CertificateDer<'static>,
    /// The authorities that the members believe: that of the certificate, and others in a time of change.
    pub trusted: Vec<CertificateDer<'static>>,
    /// The authority with its key, as [`ClusterCa::to_pem`](super::super::ClusterCa::to_pem) has it, for a node that shall
    /// be able to take others in.
    pub authority_pem: Option<Zeroizing<String>>,
    /// The keys of the gossip, as in their file.
    pub gossip_keys: Option<Zeroizing<String>>,
    /// What else the members agree on. Nothing here looks into it.
    pub settings: Vec<u8>,
    /// The members to begin with.
    pub members: Vec<JoinMember>,
}

impl fmt::Debug for JoinGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinGrant")
            .field("id", &self.id)
            .field("epoch", &self.epoch)
            .field("authority", &self.authority_pem.is_some())
            .field("gossip_keys", &self.gossip_keys.is_some())
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

/// A member, as a newcomer is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinMember {
    /// Its id in Raft.
    pub id: RaftId,
    /// Its node.
    pub node: NodeName,
    /// Where it listens, where that is known.
    pub address: Option<SocketAddr>,
}

/// "No", and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct JoinRefusal {
    /// What kind of no: the newcomer goes by it.
    pub kind: RefusalKind,
    /// The reason, for people: at most 300 characters arrive.
    pub text: String,
}

impl JoinRefusal {
    /// A refusal in words.
    pub fn new(kind: RefusalKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// The kinds of no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalKind {
    /// Nobody gave out this secret, or it was taken back.
    SecretUnknown,
    /// The secret has let a node in already: another one, or this one with another key.
    SecretUsed,
    /// The secret has run out.
    SecretExpired,
    /// A member has this name, and is not to be replaced.
    NameTaken,
    /// The cluster cannot agree on anything now. Again later.
    NoQuorum,
    /// Others can take nodes in, this member cannot: it has not the authority's key, or does not know enough yet. Again
    /// elsewhere.
    NotHere,
    /// Too many ask at once. Again later.
    Busy,
    /// It joins in a way that this version does not know.
    OtherVersion,
    /// This is another cluster.
    OtherCluster,
    /// The shared key was not shown: it is another one, or somebody is in the middle.
    KeyUnknown,
    /// Nodes cannot found this cluster any more, or never could: they join with a token.
    FoundingClosed,
    /// The question is not in its form.
    Malformed,
    /// Something else: see the text. A newer member may have kinds that this version does not know.
    Other,
}

impl RefusalKind {
    /// Whether asking again, as it is, may help.
    pub fn may_pass(self) -> bool {
        matches!(self, Self::NoQuorum | Self::NotHere | Self::Busy)
    }
}
