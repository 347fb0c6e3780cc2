//! Raft's own words, as they travel and as they are kept.
//!
//! The library brings its messages as protobuf 2 types, whose parser has no limit on recursion (RUSTSEC-2024-0437).
//! What comes from a socket or from a disk is therefore read by `prost` into these types, field for field with the same
//! numbers, and only then becomes the library's (`convert`, beside this); the old parser never sees a foreign byte.

use std::fmt;

use prost::bytes::Bytes;

/// A member of the Raft group. Zero is nobody. A number is never given out twice: a node that lost its disk comes back
/// under a new one, because the group may count on what the old one has promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RaftId(pub u64);

impl fmt::Display for RaftId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "raft-{}", self.0)
    }
}

/// What kind of thing an entry carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum EntryKind {
    /// A command for the state machine; empty where a leader marks the beginning of its term.
    Command = 0,
    /// A change of one member. We never write it, but the library may.
    Change = 1,
    /// A change of any number of members.
    Changes = 2,
}

/// One entry of the log.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Entry {
    /// What it carries.
    #[prost(enumeration = "EntryKind", tag = "1")]
    pub kind: i32,
    /// The term of the leader that wrote it.
    #[prost(uint64, tag = "2")]
    pub term: u64,
    /// Its place in the log; the first is 2, because every group is born from a snapshot at 1.
    #[prost(uint64, tag = "3")]
    pub index: u64,
    /// The command, or the change of members.
    #[prost(bytes = "bytes", tag = "4")]
    pub data: Bytes,
    /// Who proposed it, so that the proposer recognises its answer.
    #[prost(bytes = "bytes", tag = "6")]
    pub context: Bytes,
}

/// What a member must never forget: its term and its vote. The commit index may be old.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct HardState {
    /// The term that it is in.
    #[prost(uint64, tag = "1")]
    pub term: u64,
    /// Whom it voted for in that term; zero for nobody.
    #[prost(uint64, tag = "2")]
    pub vote: u64,
    /// Up to where it knows the log to be committed.
    #[prost(uint64, tag = "3")]
    pub commit: u64,
}

/// Who belongs to the group, at some place of the log.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ConfState {
    /// Members that vote.
    #[prost(uint64, repeated, tag = "1")]
    pub voters: Vec<u64>,
    /// Members that follow without a vote.
    #[prost(uint64, repeated, tag = "2")]
    pub learners: Vec<u64>,
    /// In the middle of a change: the voters of before, whose majority is needed as well.
    #[prost(uint64, repeated, tag = "3")]
    pub voters_outgoing: Vec<u64>,
    /// In the middle of a change: voters of before that will become learners.
    #[prost(uint64, repeated, tag = "4")]
    pub learners_next: Vec<u64>,
    /// Whether the leader ends the change by itself.
    #[prost(bool, tag = "5")]
    pub auto_leave: bool,
}

/// Where a snapshot stands.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct SnapshotMeta {
    /// The members at that place.
    #[prost(message, optional, tag = "1")]
    pub conf_state: Option<ConfState>,
    /// The last entry that is in it.
    #[prost(uint64, tag = "2")]
    pub index: u64,
    /// That entry's term.
    #[prost(uint64, tag = "3")]
    pub term: u64,
}

/// The state machine at some place of the log, in its own encoding.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Snapshot {
    /// The state machine's bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub data: Bytes,
    /// Where it stands.
    #[prost(message, optional, tag = "2")]
    pub meta: Option<SnapshotMeta>,
}

impl Snapshot {
    /// The last entry that is in it; zero for the empty snapshot.
    pub fn index(&self) -> u64 {
        self.meta.as_ref().map_or(0, |meta| meta.index)
    }

    /// That entry's term.
    pub fn term(&self) -> u64 {
        self.meta.as_ref().map_or(0, |meta| meta.term)
    }
}

/// One message between two members. The fields mean what the library says; only it reads them.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Message {
    /// The library's number of the message's type.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// Whom it is for.
    #[prost(uint64, tag = "2")]
    pub to: u64,
    /// Who says it.
    #[prost(uint64, tag = "3")]
    pub from: u64,
    /// The sender's term.
    #[prost(uint64, tag = "4")]
    pub term: u64,
    /// The term of the entry at `index`.
    #[prost(uint64, tag = "5")]
    pub log_term: u64,
    /// A place in the log.
    #[prost(uint64, tag = "6")]
    pub index: u64,
    /// Entries that follow it.
    #[prost(message, repeated, tag = "7")]
    pub entries: Vec<Entry>,
    /// The sender's commit index.
    #[prost(uint64, tag = "8")]
    pub commit: u64,
    /// The state machine, for a member that fell behind the log.
    #[prost(message, optional, tag = "9")]
    pub snapshot: Option<Snapshot>,
    /// Whether it says no.
    #[prost(bool, tag = "10")]
    pub reject: bool,
    /// Where the sender's log might agree.
    #[prost(uint64, tag = "11")]
    pub reject_hint: u64,
    /// Whatever the message's type wants to have back.
    #[prost(bytes = "bytes", tag = "12")]
    pub context: Bytes,
    /// A snapshot that the sender wants, by its index.
    #[prost(uint64, tag = "13")]
    pub request_snapshot: u64,
    /// The term of the entry at `commit`.
    #[prost(uint64, tag = "15")]
    pub commit_term: u64,
    /// The candidate's priority.
    #[prost(int64, tag = "16")]
    pub priority: i64,
}
