//! What is said to the table of members, and what it answers.

use std::net::SocketAddr;

use constellation_core::{NodeName, WallTime};

use super::settings::Profile;
use crate::{raft::RaftId, transport::JoinSecretDigest};

/// What entitles a node to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdmissionKey {
    /// A join token's secret, which counts once.
    Secret(JoinSecretDigest),
    /// The key that the nodes of a founding cluster share. Whoever proposes has checked it.
    SharedKey {
        /// How many found it in all. Once so many were members the key opens nothing any more, also after one is removed.
        founders: u16,
    },
}

/// A change of the table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MemberCommand {
    /// A node whose token has this secret may join, until then.
    Offer {
        /// The secret, as far as the cluster keeps it.
        secret: JoinSecretDigest,
        /// Until when, by the proposer's calendar.
        expires: WallTime,
        /// On which node it was made.
        by: NodeName,
        /// Whether whoever joins by it is given the authority's key, so that it can let others in.
        authority: bool,
    },
    /// Let a node in.
    Admit {
        /// What entitles it.
        key: AdmissionKey,
        /// Its name.
        node: NodeName,
        /// Where the others reach its Raft port.
        address: SocketAddr,
        /// Which question this is: the hash of its request for a certificate. Asked again (the answer was lost) it gets the
        /// same id, and nobody else does.
        request: [u8; 32],
        /// Now, by the proposer's calendar.
        at: WallTime,
        /// The member of the same name that it takes the place of, which the proposer found to be gone.
        replaces: Option<RaftId>,
    },
    /// A member is reached at another address now.
    Locate {
        /// Which.
        id: RaftId,
        /// Where.
        address: SocketAddr,
    },
    /// A member belongs to the cluster no more.
    Remove {
        /// Which.
        id: RaftId,
    },
    /// Raft's lead is to go to this voter. Whoever leads when it is applied hands over.
    Lead {
        /// To which.
        id: RaftId,
    },
    /// Raft's pace from now on, on every member at once.
    Pace(Profile),
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberOutcome {
    /// The node is a member under this id.
    Admitted(RaftId),
    /// Done.
    Done,
    /// Nothing was changed.
    Refused(MemberRefusal),
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberRefusal {
    /// No token with this secret was made here, or it was forgotten since.
    #[error("the cluster knows no such join token: make one with `constellation-agent token` on a member")]
    UnknownSecret,
    /// The token let somebody in already.
    #[error(
        "the join token was used by `{0}` already: make another with `constellation-agent token` on a member"
    )]
    UsedSecret(NodeName),
    /// The token is too old.
    #[error("the join token has expired: make another with `constellation-agent token` on a member")]
    Expired,
    /// The nodes that found the cluster by their key are complete.
    #[error(
        "the {0} nodes that founded the cluster are complete: join with a token of `constellation-agent token`"
    )]
    FoundingClosed(u16),
    /// A member has this name.
    #[error("the cluster has a member `{0}` already: give this node another name, or remove that one first")]
    NameTaken(NodeName),
    /// There is no such member.
    #[error("there is no such member")]
    NoSuchMember,
    /// The cluster would be left without anybody.
    #[error("it is the cluster's only member")]
    LastMember,
    /// Too many tokens are open.
    #[error("{0} join tokens are open already: use them, or wait until they expire")]
    TooManyOffers(usize),
    /// The cluster is as large as it may be.
    #[error("the cluster has {0} members already, which is the most that there may be")]
    TooManyMembers(usize),
}
