//! Whose log it is. A log that is replayed under another node's or cluster's name votes twice.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use constellation_core::{ClusterId, NodeName};
use sha2::{Digest, Sha256};

use super::{
    disk::{self, Files, Folder},
    error::StorageError,
};

/// The format of everything under the folder. It rises when a program of the version before could misread it.
pub const FORMAT: u32 = 1;
/// The largest identity file that is read: it has six short lines.
const BYTES_MAX: usize = 4096;
const FILE: &str = "identity";

/// Who a log belongs to, for as long as it exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataOwner {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node's name.
    pub node: NodeName,
    /// The node's id in Raft: never zero, and never used again by another.
    pub id: u64,
}

impl fmt::Display for DataOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node `{}` (raft id {}) of cluster `{}`", self.node, self.id, self.cluster)
    }
}

/// What the folder says of itself: its owner, and the epoch of the cluster that it has last taken part in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataIdentity {
    /// Whose it is.
    pub owner: DataOwner,
    /// How often the cluster was rebuilt from one survivor: members of an older epoch are fenced off.
    pub epoch: u64,
}

impl DataIdentity {
    /// Whose log is in a folder, without opening it or waiting for whoever has; `None` where there is none yet.
    pub fn of(root: &Path) -> Result<Option<Self>, StorageError> {
        let path = root.join(Folder::Stable.name()).join(FILE);
        let bytes = disk::read_bounded(&path, BYTES_MAX)
            .map_err(|source| StorageError::io("read", path.clone(), source))?;
        let marker = bytes.map(|bytes| Marker::parse(&bytes, &path)).transpose()?;
        Ok(marker.filter(|marker| marker.stage == Stage::Made).map(|marker| marker.identity))
    }
}

/// How far the folder has come into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The log may not be there yet: a crash cut its making short.
    Making,
    /// The log is there; when it is not, it was lost.
    Made,
}

/// The identity with its stage, as `stable/identity` holds it: text, so that a person can read it, with a checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) identity: DataIdentity,
    pub(super) stage: Stage,
}

impl Marker {
    pub(super) fn text(&self) -> String {
        let DataIdentity { owner, epoch } = &self.identity;
        let stage = match self.stage {
            Stage::Making => "making",
            Stage::Made => "made",
        };
        let body = format!(
            "format {FORMAT}\ncluster {}\nnode {}\nid {}\nepoch {epoch}\nlog {stage}\n",
            owner.cluster, owner.node, owner.id
        );
        let sum = checksum(&body);
        body + "sum " + &sum + "\n"
    }

    /// Writes it down; durable when this returns.
    pub(super) fn write(&self, files: &dyn Files) -> Result<(), StorageError> {
        files
            .write(Folder::Stable, FILE, self.text().as_bytes())
            .map_err(|source| StorageError::io("write", path(files), source))
    }

    /// Reads it; `None` where the folder is new.
    pub(super) fn read(files: &dyn Files) -> Result<Option<Self>, StorageError> {
        let bytes = files
            .read(Folder::Stable, FILE, BYTES_MAX)
            .map_err(|source| StorageError::io("read", path(files), source))?;
        bytes.map(|bytes| Self::parse(&bytes, &path(files))).transpose()
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self, StorageError> {
        let damaged = |line: usize, why: &str| StorageError::damaged(path, format!("line {line}"), why);
        let text = std::str::from_utf8(bytes).map_err(|_| damaged(1, "it is not text"))?;
        // The format comes first and without the checksum: another format may have another checksum.
        let format = text.lines().next().and_then(|line| line.strip_prefix("format "));
        let format = format.ok_or_else(|| damaged(1, "it does not begin with a format"))?;
        if format != FORMAT.to_string() {
            let found = format.chars().take(20).collect();
            return Err(StorageError::OtherFormat { path: path.to_owned(), found, supported: FORMAT });
        }
        let body = text.strip_suffix('\n').and_then(|text| text.rsplit_once("sum "));
        match body {
            Some((body, sum)) if checksum(body) == sum => {}
            _ => return Err(damaged(7, "its checksum is not that of its content")),
        }
        let mut lines = text.lines().zip(1..).skip(1);
        let mut field = |name: &str| {
            let (line, number) = lines.next().ok_or_else(|| damaged(7, "a line is missing"))?;
            match line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')) {
                Some(value) => Ok((value.to_owned(), number)),
                None => Err(damaged(number, "it is another line than expected")),
            }
        };
        let (cluster, node, id, epoch, log) =
            (field("cluster")?, field("node")?, field("id")?, field("epoch")?, field("log")?);
        let number = |(text, line): (String, usize)| {
            text.parse::<u64>().map_err(|_| damaged(line, "it is not a number"))
        };
        Ok(Self {
            identity: DataIdentity {
                owner: DataOwner {
                    cluster: cluster.0.parse().map_err(|_| damaged(cluster.1, "it is not a cluster id"))?,
                    node: node.0.parse().map_err(|_| damaged(node.1, "it is not a node name"))?,
                    id: number(id)?,
                },
                epoch: number(epoch)?,
            },
            stage: match log.0.as_str() {
                "making" => Stage::Making,
                "made" => Stage::Made,
                _ => return Err(damaged(log.1, "it is no stage of a log")),
            },
        })
    }
}

fn path(files: &dyn Files) -> PathBuf {
    files.path(Folder::Stable, FILE)
}

fn checksum(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(String::with_capacity(16), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marker() -> Marker {
        let owner = DataOwner { cluster: "home".parse().unwrap(), node: "web-1".parse().unwrap(), id: 7 };
        Marker { identity: DataIdentity { owner, epoch: 2 }, stage: Stage::Made }
    }

    fn parse(bytes: &[u8]) -> Result<Marker, StorageError> {
        Marker::parse(bytes, "raft/stable/identity".as_ref())
    }

    #[test]
    fn an_identity_is_read_as_it_was_written() {
        for stage in [Stage::Making, Stage::Made] {
            let marker = Marker { stage, ..marker() };
            assert_eq!(parse(marker.text().as_bytes()).unwrap(), marker);
        }
    }

    #[test]
    fn another_format_is_named_even_where_all_the_rest_is_different() {
        let error = parse(b"format 9\nwho knows\n").unwrap_err().to_string();
        assert!(error.contains("format 9") && error.contains("format 1"), "{error}");
        assert!(error.contains("raft/stable/identity") && error.contains("start the version"), "{error}");
    }

    proptest! {
        #[test]
        fn a_changed_byte_or_a_cut_is_refused(at in any::<prop::sample::Index>(), to: u8) {
            let text = marker().text().into_bytes();
            let at = at.index(text.len());
            let mut changed = text.clone();
            changed[at] = to;
            prop_assert!(to == text[at] || parse(&changed).is_err());
            prop_assert!(parse(&text[..at]).is_err());
        }

        #[test]
        fn garbage_is_refused_and_never_panics(bytes: Vec<u8>) {
            prop_assert!(parse(&bytes).is_err());
        }
    }
}
