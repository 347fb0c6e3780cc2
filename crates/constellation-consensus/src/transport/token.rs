//! The join token: all that a new node has to be given.

use std::{fmt, net::SocketAddr, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use constellation_core::ClusterId;
use prost::Message;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::pki::Fingerprint;

/// Every token begins so: people and secret scanners know it by this.
const PREFIX: &str = "cst1-";
const CHECKSUM_BYTES: usize = 4;
const SECRET_BYTES: usize = 32;
/// More members to ask first than this help nobody.
const ADDRESSES_MAX: usize = 16;
/// The longest token that is looked at: no more than the above can need.
const TEXT_MAX: usize = 2048;

/// Lets one node join: which cluster, how to know it, where to ask, and a secret that counts once.
///
/// Its text is one word of `A-Z a-z 0-9 - _`, so it survives shells, chats and line breaks at its ends; a checksum tells a
/// slip of the mouse from a token that was used up.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The cluster's name.
    pub cluster: ClusterId,
    /// The authority that the members' certificates come from.
    pub authority: Fingerprint,
    /// Members to ask, in this order; at least one.
    pub addresses: Vec<SocketAddr>,
    /// What shows that the cluster asked for a new node.
    pub secret: JoinSecret,
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, authority, addresses, secret: _ } = self;
        f.debug_struct("JoinToken")
            .field("cluster", cluster)
            .field("authority", authority)
            .field("addresses", addresses)
            .finish_non_exhaustive()
    }
}

/// A secret that is good for one joining.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinSecret(Zeroizing<[u8; SECRET_BYTES]>);

impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinSecret(..)")
    }
}

/// What the cluster keeps of a secret: enough to know it again, not to use it. Looking a digest up is safe against
/// timing, because nobody can choose a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JoinSecretDigest(pub [u8; 32]);

impl JoinSecret {
    /// A new secret, from the machine's generator.
    pub fn generate() -> Self {
        Self(Zeroizing::new(rand::random()))
    }

    pub(super) fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }

    /// What the cluster keeps: whether a secret with this digest is open, and that it is used up, is replicated state.
    pub fn digest(&self) -> JoinSecretDigest {
        let hash = Sha256::new_with_prefix(b"constellation join secret\0").chain_update(self.0.as_slice());
        JoinSecretDigest(hash.finalize().into())
    }
}

/// A text is no join token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJoinToken {
    /// It does not begin as tokens do.
    #[error("it is not a join token: those begin with `{PREFIX}`")]
    Prefix,
    /// It was cut or changed on its way.
    #[error("the join token is not whole: copy it again, from `{PREFIX}` to its end")]
    Checksum,
    /// It is whole, and says what cannot be.
    #[error("the join token was made by another version: make it with the version that this node runs")]
    Content,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Wire {
    #[prost(string, tag = "1")]
    cluster: String,
    #[prost(bytes = "vec", tag = "2")]
    authority: Vec<u8>,
    #[prost(string, repeated, tag = "3")]
    addresses: Vec<String>,
    #[prost(bytes = "vec", tag = "4")]
    secret: Vec<u8>,
}

impl JoinToken {
    /// The text. It is a secret.
    pub fn encode(&self) -> Zeroizing<String> {
        let wire = Wire {
            cluster: self.cluster.to_string(),
            authority: self.authority.0.to_vec(),
            addresses: self.addresses.iter().take(ADDRESSES_MAX).map(SocketAddr::to_string).collect(),
            secret: self.secret.0.to_vec(),
        };
        let mut bytes = Zeroizing::new(wire.encode_to_vec());
        drop(Zeroizing::new(wire.secret));
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&*bytes)))
    }
}

impl FromStr for JoinToken {
    type Err = InvalidJoinToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let body = text.trim().strip_prefix(PREFIX).ok_or(InvalidJoinToken::Prefix)?;
        if body.len() > TEXT_MAX {
            return Err(InvalidJoinToken::Checksum);
        }
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| InvalidJoinToken::Checksum)?;
        let bytes = Zeroizing::new(bytes);
        let (content, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(InvalidJoinToken::Checksum)?;
        if checksum(content) != *sum {
            return Err(InvalidJoinToken::Checksum);
        }
        let wire = Wire::decode(content).map_err(|_| InvalidJoinToken::Content)?;
        let secret = Zeroizing::new(wire.secret);
        let addresses = wire.addresses.iter().map(|address| address.parse());
        let addresses: Vec<SocketAddr> =
            addresses.collect::<Result<_, _>>().map_err(|_| InvalidJoinToken::Content)?;
        if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
            return Err(InvalidJoinToken::Content);
        }
        let array = |bytes: &[u8]| bytes.try_into().map_err(|_| InvalidJoinToken::Content);
        Ok(Self {
            cluster: wire.cluster.parse().map_err(|_| InvalidJoinToken::Content)?,
            authority: Fingerprint(array(&wire.authority)?),
            addresses,
            secret: JoinSecret(Zeroizing::new(array(&secret)?)),
        })
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&digest[..CHECKSUM_BYTES]);
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn token()(cluster in "[a-z][a-z0-9]{0,20}", authority: [u8; 32], addresses in prop::collection::vec(any::<SocketAddr>(), 1..ADDRESSES_MAX), secret: [u8; 32]) -> JoinToken {
            // Flow labels and scopes have no part in a text address.
            let addresses = addresses.iter().map(|address| SocketAddr::new(address.ip(), address.port())).collect();
            JoinToken { cluster: cluster.parse().unwrap(), authority: Fingerprint(authority), addresses, secret: JoinSecret(Zeroizing::new(secret)) }
        }
    }

    proptest! {
        #[test]
        fn a_token_is_one_word_and_is_read_as_it_was_written(token in token()) {
            let text = token.encode();
            prop_assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
            prop_assert_eq!(&text.parse::<JoinToken>().unwrap(), &token);
            prop_assert_eq!(format!(" {}\n", *text).parse::<JoinToken>().unwrap(), token);
        }

        #[test]
        fn a_cut_or_changed_token_is_not_whole(token in token(), at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_-]") {
            let text = token.encode();
            let at = PREFIX.len() + at.index(text.len() - PREFIX.len());
            prop_assert_eq!(text[..at].parse::<JoinToken>(), Err(InvalidJoinToken::Checksum));
            let changed = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            if changed != *text { prop_assert_eq!(changed.parse::<JoinToken>(), Err(InvalidJoinToken::Checksum)); }
        }

        #[test]
        fn garbage_is_refused_and_never_panics(text in "(cst1-)?[A-Za-z0-9_-]{0,200}") {
            prop_assert!(text.parse::<JoinToken>().is_err());
        }
    }

    #[test]
    fn a_secret_is_never_printed_and_is_known_by_its_digest() {
        let secret = JoinSecret::generate();
        assert_eq!(secret.digest(), secret.clone().digest());
        assert_ne!(secret.digest(), JoinSecret::generate().digest());
        let token = JoinToken {
            cluster: "home".parse().unwrap(),
            authority: Fingerprint([7; 32]),
            addresses: vec!["192.0.2.1:8300".parse().unwrap()],
            secret,
        };
        let printed = format!("{token:?}");
        assert!(printed.contains("192.0.2.1") && !printed.contains("secret"), "{printed}");
    }
}
