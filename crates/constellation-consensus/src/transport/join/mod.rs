//! How a node that has no certificate yet becomes a member: one question, one answer, on the port of the members.
//!
//! A newcomer says at the beginning of TLS that it wants to join (`constellation-join/1`), so it is not asked for a
//! certificate; whoever does not say so is. It shows that it may join in one of two ways:
//!
//! - With a [`JoinToken`](super::JoinToken), which names the cluster's authority by its fingerprint. So the newcomer knows
//!   whom it talks to before it says the token's secret.
//! - With the gossip key, where nodes that share one found a cluster together. Then neither side believes the other's
//!   certificate alone: each proves with a [`FoundingKey`] that it knows the key, over a value of this very TLS connection,
//!   which somebody in the middle has two of. Neither proof is of use anywhere else, and no guess at the key can be
//!   checked against them but by trying all keys.
//!
//! The newcomer makes its key itself; only the request for a certificate travels. [`Admission`] decides, for a question
//! whose proof was checked where it can be: whether a secret is open, and that it is used up by this, is replicated state.
//!
//! In reading order: [`JoinRequest`], [`JoinGrant`] and [`JoinRefusal`] are what is said, [`Admission`] who decides;
//! [`join()`] and [`join_founder()`] ask, and believe an answer only after they have checked it; `door` listens.

mod check;
mod client;
mod codec;
mod door;
mod error;
mod founding;
mod message;
mod stream;

pub(super) use self::door::JoinDoor;
pub use self::{
    check::Joined,
    client::{JoinAsk, JoinPatience, join, join_founder},
    error::JoinError,
    founding::FoundingKey,
    message::{Admission, JoinGrant, JoinMember, JoinProof, JoinRefusal, JoinRequest, RefusalKind},
};

/// What travels, for tests that say what no newcomer and no member says.
#[cfg(test)]
pub(super) mod testing {
    pub(in super::super) use super::{
        codec::{Answer, Ask, Question, Shown, Unreadable, decode_grant, encode_grant},
        stream::read,
    };
}
