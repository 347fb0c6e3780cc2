//! Whom this node talks to, and whom it lets in.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use constellation_core::NodeName;

use super::{error::LinkError, identity::PeerIdentity};
use crate::raft::RaftId;

/// Another member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its node: what its certificate must say.
    pub node: NodeName,
    /// Where it listens; `None` while that is not known.
    pub address: Option<SocketAddr>,
}

/// The members as this node knows them.
///
/// A certificate of the cluster's authority is enough to come in, as long as nothing speaks against it: a node that lags
/// behind must hear a member that it has not been told of yet, or it may lag for ever. What speaks against it: the id was
/// removed (ids are never used again), or it is another node's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// The others, without this node.
    pub peers: BTreeMap<RaftId, Peer>,
    /// Members that were removed: their certificates are still good, and they may not come in.
    pub removed: BTreeSet<RaftId>,
}

impl Roster {
    /// Whether somebody with a verified certificate may speak to `own`.
    pub(super) fn admits(&self, found: &PeerIdentity, own: &PeerIdentity) -> Result<(), LinkError> {
        let unwelcome = |why| Err(LinkError::Unwelcome { found: found.to_string(), why });
        if found.cluster != own.cluster {
            return unwelcome("it is of another cluster");
        }
        if found.id == own.id {
            return unwelcome(
                "it says that it is this very member; two nodes run with one node's credentials",
            );
        }
        if self.removed.contains(&found.id) {
            return unwelcome(
                "it was removed from the cluster; a node comes back under a new id, by joining",
            );
        }
        match self.peers.get(&found.id) {
            Some(peer) if peer.node != found.node => unwelcome("its id is another node's"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(text: &str) -> PeerIdentity {
        format!("constellation://{text}").parse().unwrap()
    }

    #[test]
    fn a_certificate_is_enough_unless_something_speaks_against_it() {
        let peer = |node: &str| Peer { node: node.parse().unwrap(), address: None };
        let roster = Roster {
            peers: [(RaftId(1), peer("a")), (RaftId(2), peer("b"))].into(),
            removed: [RaftId(5)].into(),
        };
        let own = member("home/c/3");
        for welcome in ["home/a/1", "home/b/2", "home/new/9", "home/a/10"] {
            assert!(roster.admits(&member(welcome), &own).is_ok(), "{welcome}");
        }
        for (unwelcome, why) in [
            ("away/a/1", "another cluster"),
            ("home/c/3", "very member"),
            ("home/x/3", "very member"),
            ("home/e/5", "removed"),
            ("home/b/1", "another node's"),
        ] {
            let error = roster.admits(&member(unwelcome), &own).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(unwelcome), "{error}");
        }
    }
}
