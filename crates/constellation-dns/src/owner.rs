//! Whose a record is. The marker is the record's own comment, so the record and the word on who owns it are one object:
//! no second record that can be lost, no moment in which one is there without the other.

use std::fmt;

use constellation_core::{ClusterId, FencingToken};
use serde::{Deserialize, Serialize};

use crate::record::Found;

const PREFIX: &str = "constellation/";

/// What our records carry: the cluster, and the token under which the record was last written.
///
/// At most 98 characters long, which fits Cloudflare's smallest plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Whose it is.
    pub cluster: ClusterId,
    /// Who wrote it last.
    pub token: FencingToken,
}

impl Marker {
    /// Reads a comment. A person may have added words after the marker.
    pub fn read(comment: &str) -> Option<Self> {
        let marker = comment.split_whitespace().next()?.strip_prefix(PREFIX)?;
        let (cluster, token) = marker.split_once('/')?;
        Some(Self { cluster: cluster.parse().ok()?, token: FencingToken(token.parse().ok()?) })
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}/{}", self.cluster, self.token.0)
    }
}

/// Whose a record is, seen from one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This cluster's, written under this token.
    Us(FencingToken),
    /// Another cluster's.
    OtherCluster(ClusterId),
    /// A person's, or another program's.
    Foreign,
}

/// Whose a record is.
pub fn owner_of(found: &Found, us: &ClusterId) -> Owner {
    match found.comment.as_deref().and_then(Marker::read) {
        Some(marker) if marker.cluster == *us => Owner::Us(marker.token),
        Some(marker) => Owner::OtherCluster(marker.cluster),
        None => Owner::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_reads_back_and_fits_the_smallest_comment() {
        let cluster = "x".repeat(63).parse().unwrap();
        let marker = Marker { cluster, token: FencingToken(u64::MAX) };
        assert_eq!(Marker::read(&marker.to_string()), Some(marker.clone()));
        assert!(marker.to_string().len() <= 100);
    }

    #[test]
    fn what_only_looks_like_a_marker_makes_nothing_ours() {
        for comment in [
            "",
            "constellation",
            "constellation/home",
            "constellation/home/",
            "constellation/home/x",
            "my constellation/home/7",
            "constellation/Home/7",
            "constellation/home/-1",
        ] {
            assert_eq!(Marker::read(comment), None, "{comment}");
        }
        let marker = Marker::read("constellation/home/7 do not touch, says Ada").unwrap();
        assert_eq!((marker.cluster.as_str(), marker.token), ("home", FencingToken(7)));
    }
}
