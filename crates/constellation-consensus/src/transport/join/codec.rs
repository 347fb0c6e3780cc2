//! The bytes of a question and its answer: a length, a kind and a body, as members write theirs, with kinds of their own.
//!
//! What a proof is made over travels as bytes within bytes, so that both ends make it over the same.

use std::net::SocketAddr;

use constellation_core::{ClusterId, NodeName};
use prost::Message as _;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::{
    super::{codec::plain_text, token::JoinSecret},
    message::{JoinGrant, JoinMember, JoinRefusal, RefusalKind},
};
use crate::raft::RaftId;

/// What this version speaks. Another number is a protocol that it does not know.
pub(in super::super) const VERSION: u32 = 1;
/// The largest question, without its length.
pub(in super::super) const REQUEST_BYTES_MAX: usize = 16 << 10;
/// The largest answer, without its length.
pub(in super::super) const ANSWER_BYTES_MAX: usize = 1 << 20;
/// The longest text of a refusal that is sent or believed.
const TEXT_CHARS_MAX: usize = 300;
/// The longest version text that is believed.
const VERSION_CHARS_MAX: usize = 64;
pub(in super::super) const LENGTH_BYTES: usize = 4;

/// The kinds of messages; those of members are others, so that neither is ever taken for the other.
const REQUEST: u8 = 64;
const GRANT: u8 = 65;
const REFUSAL: u8 = 66;

/// What a newcomer says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Ask {
    pub(in super::super) cluster: ClusterId,
    pub(in super::super) node: NodeName,
    pub(in super::super) address: SocketAddr,
    pub(in super::super) certificate_request: Vec<u8>,
    pub(in super::super) agent_version: String,
}

/// Why it may join, as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Shown {
    Secret(JoinSecret),
    Founding { nonce: [u8; 32], mac: [u8; 32] },
}

/// A whole question: the bytes of the [`Ask`], and the proof that goes with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Question {
    pub(in super::super) ask: Vec<u8>,
    pub(in super::super) shown: Shown,
}

/// An answer. The proof is over the bytes of the grant, which are read only after it was checked.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Answer {
    Granted { grant: Zeroizing<Vec<u8>>, mac: Option<[u8; 32]> },
    Refused(JoinRefusal),
}

/// What came is no question or answer that this version knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Unreadable {
    #[error("it is of version {0}, and version {VERSION} is known here")]
    Version(u32),
    #[error("{0}")]
    Form(String),
}

fn form(why: impl Into<String>) -> Unreadable {
    Unreadable::Form(why.into())
}

#[derive(Clone, PartialEq, prost::Message)]
struct QuestionBytes {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(bytes = "vec", tag = "2")]
    ask: Vec<u8>,
    #[prost(oneof = "ProofBytes", tags = "3, 4")]
    proof: Option<ProofBytes>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum ProofBytes {
    #[prost(bytes = "vec", tag = "3")]
    Secret(Vec<u8>),
    #[prost(message, tag = "4")]
    Founding(FoundingBytes),
}

#[derive(Clone, PartialEq, prost::Message)]
struct FoundingBytes {
    #[prost(bytes = "vec", tag = "1")]
    nonce: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    mac: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AskBytes {
    #[prost(string, tag = "1")]
    cluster: String,
    #[prost(string, tag = "2")]
    node: String,
    #[prost(string, tag = "3")]
    address: String,
    #[prost(bytes = "vec", tag = "4")]
    certificate_request: Vec<u8>,
    #[prost(string, tag = "5")]
    agent_version: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GrantedBytes {
    #[prost(bytes = "vec", tag = "1")]
    grant: Vec<u8>,
    #[prost(bytes = "vec", optional, tag = "2")]
    mac: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GrantBytes {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    epoch: u64,
    #[prost(bytes = "vec", tag = "3")]
    certificate: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    trusted: Vec<Vec<u8>>,
    #[prost(string, optional, tag = "5")]
    authority_pem: Option<String>,
    #[prost(string, optional, tag = "6")]
    gossip_keys: Option<String>,
    #[prost(bytes = "vec", tag = "7")]
    settings: Vec<u8>,
    #[prost(message, repeated, tag = "8")]
    members: Vec<MemberBytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MemberBytes {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    node: String,
    #[prost(string, optional, tag = "3")]
    address: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RefusalBytes {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(string, tag = "2")]
    text: String,
}

/// The kinds and their numbers; zero and every unknown number is [`RefusalKind::Other`].
const KINDS: [(RefusalKind, u32); 12] = [
    (RefusalKind::SecretUnknown, 1),
    (RefusalKind::SecretUsed, 2),
    (RefusalKind::SecretExpired, 3),
    (RefusalKind::NameTaken, 4),
    (RefusalKind::NoQuorum, 5),
    (RefusalKind::NotHere, 6),
    (RefusalKind::Busy, 7),
    (RefusalKind::OtherVersion, 8),
    (RefusalKind::OtherCluster, 9),
    (RefusalKind::KeyUnknown, 10),
    (RefusalKind::FoundingClosed, 11),
    (RefusalKind::Malformed, 12),
];

impl Ask {
    pub(in super::super) fn encode(&self) -> Vec<u8> {
        let bytes = AskBytes {
            cluster: self.cluster.to_string(),
            node: self.node.to_string(),
            address: self.address.to_string(),
            certificate_request: self.certificate_request.clone(),
            agent_version: self.agent_version.chars().take(VERSION_CHARS_MAX).collect(),
        };
        bytes.encode_to_vec()
    }

    pub(in super::super) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let bytes = AskBytes::decode(bytes).map_err(|error| form(error.to_string()))?;
        if bytes.certificate_request.is_empty() {
            return Err(form("there is no request for a certificate"));
        }
        let address: SocketAddr =
            bytes.address.parse().map_err(|_| form("the address is not one with a port"))?;
        if address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast() {
            return Err(form(format!("nobody can reach a node at {address}: give it an address of its own")));
        }
        Ok(Self {
            cluster: bytes.cluster.parse().map_err(|error| form(format!("the cluster's name: {error}")))?,
            node: bytes.node.parse().map_err(|error| form(format!("the node's name: {error}")))?,
            address,
            certificate_request: bytes.certificate_request,
            agent_version: plain_text(&bytes.agent_version, VERSION_CHARS_MAX),
        })
    }
}

impl Question {
    /// The bytes on the stream.
    pub(in super::super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let proof = match &self.shown {
            Shown::Secret(secret) => ProofBytes::Secret(secret.bytes().to_vec()),
            Shown::Founding { nonce, mac } => {
                ProofBytes::Founding(FoundingBytes { nonce: nonce.to_vec(), mac: mac.to_vec() })
            }
        };
        let bytes = QuestionBytes { version: VERSION, ask: self.ask.clone(), proof: Some(proof) };
        let message = message(REQUEST, &bytes);
        if let Some(ProofBytes::Secret(secret)) = bytes.proof {
            drop(Zeroizing::new(secret));
        }
        message
    }

    /// Reads what came off the stream.
    pub(in super::super) fn decode(message: &[u8]) -> Result<Self, Unreadable> {
        let [REQUEST, body @ ..] = message else { return Err(unknown_kind(message)) };
        let bytes = QuestionBytes::decode(body).map_err(|error| form(error.to_string()))?;
        if bytes.version != VERSION {
            return Err(Unreadable::Version(bytes.version));
        }
        let shown = match bytes.proof {
            Some(ProofBytes::Secret(secret)) => {
                let secret = Zeroizing::new(secret);
                Shown::Secret(JoinSecret::from_bytes(array(&secret, "the secret")?))
            }
            Some(ProofBytes::Founding(founding)) => Shown::Founding {
                nonce: array(&founding.nonce, "the nonce")?,
                mac: array(&founding.mac, "the proof")?,
            },
            None => return Err(form("it shows neither a secret nor a key")),
        };
        Ok(Self { ask: bytes.ask, shown })
    }
}

impl Answer {
    /// The bytes on the stream.
    pub(in super::super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Granted { grant, mac } => {
                let bytes = GrantedBytes { grant: grant.to_vec(), mac: mac.map(|mac| mac.to_vec()) };
                let message = message(GRANT, &bytes);
                drop(Zeroizing::new(bytes.grant));
                message
            }
            Self::Refused(refusal) => {
                let kind = KINDS.iter().find(|(kind, _)| *kind == refusal.kind);
                let bytes = RefusalBytes {
                    kind: kind.map_or(0, |(_, number)| *number),
                    text: refusal.text.chars().take(TEXT_CHARS_MAX).collect(),
                };
                message(REFUSAL, &bytes)
            }
        }
    }

    /// Reads what came off the stream.
    pub(in super::super) fn decode(message: &[u8]) -> Result<Self, Unreadable> {
        match message {
            [GRANT, body @ ..] => {
                let bytes = GrantedBytes::decode(body).map_err(|error| form(error.to_string()))?;
                let mac = bytes.mac.map(|mac| array(&mac, "the proof")).transpose()?;
                Ok(Self::Granted { grant: Zeroizing::new(bytes.grant), mac })
            }
            [REFUSAL, body @ ..] => {
                let bytes = RefusalBytes::decode(body).map_err(|error| form(error.to_string()))?;
                let kind = KINDS.iter().find(|(_, number)| *number == bytes.kind);
                let kind = kind.map_or(RefusalKind::Other, |(kind, _)| *kind);
                Ok(Self::Refused(JoinRefusal::new(kind, plain_text(&bytes.text, TEXT_CHARS_MAX))))
            }
            _ => Err(unknown_kind(message)),
        }
    }
}

/// The bytes of a grant, within an answer.
pub(in super::super) fn encode_grant(grant: &JoinGrant) -> Zeroizing<Vec<u8>> {
    let members = grant.members.iter().map(|member| MemberBytes {
        id: member.id.0,
        node: member.node.to_string(),
        address: member.address.map(|address| address.to_string()),
    });
    let mut bytes = GrantBytes {
        id: grant.id.0,
        epoch: grant.epoch,
        certificate: grant.certificate.to_vec(),
        trusted: grant.trusted.iter().map(|authority| authority.to_vec()).collect(),
        authority_pem: grant.authority_pem.as_ref().map(|pem| pem.to_string()),
        gossip_keys: grant.gossip_keys.as_ref().map(|keys| keys.to_string()),
        settings: grant.settings.clone(),
        members: members.collect(),
    };
    let encoded = Zeroizing::new(bytes.encode_to_vec());
    drop(bytes.authority_pem.take().map(Zeroizing::new));
    drop(bytes.gossip_keys.take().map(Zeroizing::new));
    encoded
}

/// Reads a grant. Nothing of it is believed by that.
pub(in super::super) fn decode_grant(bytes: &[u8]) -> Result<JoinGrant, Unreadable> {
    let bytes = GrantBytes::decode(bytes).map_err(|error| form(error.to_string()))?;
    let (authority_pem, gossip_keys) =
        (bytes.authority_pem.map(Zeroizing::new), bytes.gossip_keys.map(Zeroizing::new));
    let id = |number: u64| match number {
        0 => Err(form("an id is zero, which is nobody's")),
        number => Ok(RaftId(number)),
    };
    let members = bytes.members.into_iter().map(|member| {
        let address = member.address.map(|address| address.parse());
        Ok(JoinMember {
            id: id(member.id)?,
            node: member.node.parse().map_err(|error| form(format!("a member's name: {error}")))?,
            address: address.transpose().map_err(|_| form("a member's address is none"))?,
        })
    });
    Ok(JoinGrant {
        id: id(bytes.id)?,
        epoch: bytes.epoch,
        certificate: CertificateDer::from(bytes.certificate),
        trusted: bytes.trusted.into_iter().map(CertificateDer::from).collect(),
        authority_pem,
        gossip_keys,
        settings: bytes.settings,
        members: members.collect::<Result<_, Unreadable>>()?,
    })
}

fn array(bytes: &[u8], what: &str) -> Result<[u8; 32], Unreadable> {
    bytes.try_into().map_err(|_| form(format!("{what} has {} bytes and not 32", bytes.len())))
}

fn unknown_kind(message: &[u8]) -> Unreadable {
    match message.first() {
        Some(kind) => form(format!("a message of kind {kind} has no place here")),
        None => form("the message is empty"),
    }
}

fn message(kind: u8, body: &impl prost::Message) -> Zeroizing<Vec<u8>> {
    let bytes = 1 + body.encoded_len();
    // Room for all of it at once: a buffer that grows leaves copies of secrets behind.
    let mut message = Zeroizing::new(Vec::with_capacity(LENGTH_BYTES + bytes));
    // What is too large for a length is too large for the other end in any case.
    message.extend_from_slice(&u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes());
    message.push(kind);
    // A vector grows as needed, so this cannot fail.
    let _ = body.encode(&mut *message);
    message
}
