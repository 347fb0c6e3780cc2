//! Who a peer is, as its certificate says.

use std::{fmt, str::FromStr};

use constellation_core::{ClusterId, NodeName};

use crate::raft::RaftId;

const SCHEME: &str = "constellation://";

/// A member of a cluster: what its certificate is issued to, and nothing else ever is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerIdentity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeName,
    /// The node's id in Raft: a node that lost its disk is another member.
    pub id: RaftId,
}

/// A text is no member of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not of the form `{SCHEME}<cluster>/<node>/<raft id>`")]
pub struct InvalidPeerIdentity;

impl PeerIdentity {
    /// The name that whoever dials this member asks TLS to verify. Nobody looks it up: `.internal` is set aside for that.
    ///
    /// The Raft id is not part of it and is compared after the handshake.
    pub fn server_name(&self) -> String {
        format!("{}.{}.constellation.internal", self.node, self.cluster)
    }
}

impl fmt::Display for PeerIdentity {
    /// As in the certificate: `constellation://home/web-1/7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}/{}", self.cluster, self.node, self.id.0)
    }
}

impl FromStr for PeerIdentity {
    type Err = InvalidPeerIdentity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.strip_prefix(SCHEME).ok_or(InvalidPeerIdentity)?.split('/');
        let (Some(cluster), Some(node), Some(id), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidPeerIdentity);
        };
        let number: u64 = id.parse().map_err(|_| InvalidPeerIdentity)?;
        // One form for each: no sign, no leading zero, and zero is nobody.
        if number == 0 || number.to_string() != id {
            return Err(InvalidPeerIdentity);
        }
        Ok(Self {
            cluster: cluster.parse().map_err(|_| InvalidPeerIdentity)?,
            node: node.parse().map_err(|_| InvalidPeerIdentity)?,
            id: RaftId(number),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_identity_has_one_text() {
        let text = "constellation://home/web-1/7";
        let identity: PeerIdentity = text.parse().unwrap();
        assert_eq!(identity.to_string(), text);
        assert_eq!(identity.server_name(), "web-1.home.constellation.internal");
        for bad in [
            "constellation://home/web-1",
            "constellation://home/web-1/7/8",
            "constellation://home/web-1/0",
            "constellation://home/web-1/07",
            "constellation://home/web-1/+7",
            "constellation://home/Web/7",
            "constellation:///web-1/7",
            "https://home/web-1/7",
            "",
        ] {
            assert!(bad.parse::<PeerIdentity>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_prints_back(text in "(constellation://)?[a-z0-9/+-]{0,40}") {
            if let Ok(identity) = text.parse::<PeerIdentity>() { prop_assert_eq!(identity.to_string(), text); }
        }
    }
}
