//! Between our types and the library's, and what of a foreign message the library can bear.
//!
//! The library answers some malformed messages by a panic. Peers are authenticated, so these would be bugs and not
//! attacks; they are refused all the same.

use prost::Message as _;
use raft::eraftpb;

use super::proto::{ConfState, Entry, EntryKind, HardState, Message, RaftId, Snapshot, SnapshotMeta};

/// A message or entry that the library must not see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed Raft message: {0}")]
pub struct Unsound(pub &'static str);

/// A change of members as an entry carries it, with the library's numbers.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Changes {
    #[prost(int32, tag = "1")]
    transition: i32,
    #[prost(message, repeated, tag = "2")]
    changes: Vec<Single>,
    #[prost(bytes = "bytes", tag = "3")]
    context: prost::bytes::Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct Single {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint64, tag = "2")]
    node: u64,
}

/// What a member is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// It votes.
    Voter,
    /// It follows without a vote.
    Learner,
    /// It is no member.
    None,
}

impl Seat {
    fn library(self) -> eraftpb::ConfChangeType {
        match self {
            Self::Voter => eraftpb::ConfChangeType::AddNode,
            Self::Learner => eraftpb::ConfChangeType::AddLearnerNode,
            Self::None => eraftpb::ConfChangeType::RemoveNode,
        }
    }
}

pub(super) fn changes(seats: &[(RaftId, Seat)]) -> eraftpb::ConfChangeV2 {
    let mut change = eraftpb::ConfChangeV2::default();
    let singles: Vec<eraftpb::ConfChangeSingle> =
        seats.iter().map(|(id, seat)| raft_single(id.0, seat.library())).collect();
    change.set_changes(singles.into());
    change
}

fn raft_single(node: u64, kind: eraftpb::ConfChangeType) -> eraftpb::ConfChangeSingle {
    eraftpb::ConfChangeSingle { node_id: node, change_type: kind, ..Default::default() }
}

/// Reads the change that a committed entry carries.
pub(super) fn read_changes(data: &[u8]) -> Result<eraftpb::ConfChangeV2, Unsound> {
    let bytes = Changes::decode(data).map_err(|_| Unsound("a change of members cannot be read"))?;
    let mut change = eraftpb::ConfChangeV2::default();
    change.set_transition(match bytes.transition {
        0 => eraftpb::ConfChangeTransition::Auto,
        1 => eraftpb::ConfChangeTransition::Implicit,
        2 => eraftpb::ConfChangeTransition::Explicit,
        _ => return Err(Unsound("a change of members has an unknown transition")),
    });
    let mut singles = Vec::with_capacity(bytes.changes.len());
    for single in bytes.changes {
        let kind = match single.kind {
            0 => eraftpb::ConfChangeType::AddNode,
            1 => eraftpb::ConfChangeType::RemoveNode,
            2 => eraftpb::ConfChangeType::AddLearnerNode,
            _ => return Err(Unsound("a change of members has an unknown kind")),
        };
        singles.push(raft_single(single.node, kind));
    }
    change.set_changes(singles.into());
    change.context = bytes.context;
    Ok(change)
}

pub(super) fn entry_from(entry: &eraftpb::Entry) -> Entry {
    let kind = match entry.get_entry_type() {
        eraftpb::EntryType::EntryNormal => EntryKind::Command,
        eraftpb::EntryType::EntryConfChange => EntryKind::Change,
        eraftpb::EntryType::EntryConfChangeV2 => EntryKind::Changes,
    };
    Entry {
        kind: kind.into(),
        term: entry.term,
        index: entry.index,
        data: entry.data.clone(),
        context: entry.context.clone(),
    }
}

pub(super) fn entry_to(entry: Entry) -> Result<eraftpb::Entry, Unsound> {
    let kind =
        EntryKind::try_from(entry.kind).map_err(|_| Unsound("an entry is of a kind that nobody knows"))?;
    let mut library = eraftpb::Entry::default();
    library.set_entry_type(match kind {
        EntryKind::Command => eraftpb::EntryType::EntryNormal,
        EntryKind::Change => eraftpb::EntryType::EntryConfChange,
        EntryKind::Changes => eraftpb::EntryType::EntryConfChangeV2,
    });
    library.term = entry.term;
    library.index = entry.index;
    library.data = entry.data;
    library.context = entry.context;
    Ok(library)
}

pub(super) fn hard_state_from(state: &eraftpb::HardState) -> HardState {
    HardState { term: state.term, vote: state.vote, commit: state.commit }
}

pub(super) fn hard_state_to(state: HardState) -> eraftpb::HardState {
    let HardState { term, vote, commit } = state;
    eraftpb::HardState { term, vote, commit, ..Default::default() }
}

/// Sorted, so that members that agree also have the same bytes.
pub(super) fn conf_state_from(state: &eraftpb::ConfState) -> ConfState {
    let sorted = |ids: &[u64]| {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids
    };
    ConfState {
        voters: sorted(state.get_voters()),
        learners: sorted(state.get_learners()),
        voters_outgoing: sorted(state.get_voters_outgoing()),
        learners_next: sorted(state.get_learners_next()),
        auto_leave: state.auto_leave,
    }
}

pub(super) fn conf_state_to(state: ConfState) -> eraftpb::ConfState {
    let mut library = eraftpb::ConfState::default();
    library.set_voters(state.voters);
    library.set_learners(state.learners);
    library.set_voters_outgoing(state.voters_outgoing);
    library.set_learners_next(state.learners_next);
    library.auto_leave = state.auto_leave;
    library
}

pub(super) fn snapshot_from(snapshot: &eraftpb::Snapshot) -> Snapshot {
    let meta = snapshot.get_metadata();
    let conf_state = Some(conf_state_from(meta.get_conf_state()));
    Snapshot {
        data: snapshot.data.clone(),
        meta: Some(SnapshotMeta { conf_state, index: meta.index, term: meta.term }),
    }
}

pub(super) fn snapshot_to(snapshot: Snapshot) -> eraftpb::Snapshot {
    let mut library = eraftpb::Snapshot { data: snapshot.data, ..Default::default() };
    if let Some(meta) = snapshot.meta {
        let SnapshotMeta { conf_state: _, index, term } = meta;
        let mut place = eraftpb::SnapshotMetadata { index, term, ..Default::default() };
        place.set_conf_state(conf_state_to(meta.conf_state.unwrap_or_default()));
        library.set_metadata(place);
    }
    library
}

pub(super) fn message_from(mut message: eraftpb::Message) -> Message {
    let entries: Vec<eraftpb::Entry> = message.take_entries().into();
    let snapshot = message.has_snapshot().then(|| snapshot_from(message.get_snapshot()));
    Message {
        kind: number_of(message.get_msg_type()),
        to: message.to,
        from: message.from,
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        entries: entries.iter().map(entry_from).collect(),
        commit: message.commit,
        snapshot,
        reject: message.reject,
        reject_hint: message.reject_hint,
        context: message.context,
        request_snapshot: message.request_snapshot,
        commit_term: message.commit_term,
        priority: message.priority,
    }
}

/// The library's message, if it is one that the library can bear from a peer.
pub(super) fn message_to(message: Message) -> Result<eraftpb::Message, Unsound> {
    use eraftpb::MessageType as Kind;
    let kind = kind_of(message.kind).ok_or(Unsound("its type is unknown, or not for the network"))?;
    let unsound = match kind {
        Kind::MsgPropose if message.entries.is_empty() => Some("a proposal without an entry"),
        // Members are changed by the leader alone; a forwarded change could only be a mistake.
        Kind::MsgPropose if message.entries.iter().any(|entry| entry.kind() != EntryKind::Command) => {
            Some("a forwarded change of members")
        }
        Kind::MsgReadIndex | Kind::MsgReadIndexResp if message.entries.len() != 1 => {
            Some("a read without its one entry")
        }
        Kind::MsgAppend if !follow_on(message.index, &message.entries) => Some("entries with a gap"),
        Kind::MsgSnapshot if message.snapshot.as_ref().is_none_or(|snapshot| snapshot.index() == 0) => {
            Some("a snapshot message without its snapshot")
        }
        _ => None,
    };
    if let Some(why) = unsound {
        return Err(Unsound(why));
    }
    let mut library = eraftpb::Message::default();
    library.set_msg_type(kind);
    library.to = message.to;
    library.from = message.from;
    library.term = message.term;
    library.log_term = message.log_term;
    library.index = message.index;
    let entries: Vec<_> = message.entries.into_iter().map(entry_to).collect::<Result<_, _>>()?;
    library.set_entries(entries.into());
    library.commit = message.commit;
    library.commit_term = message.commit_term;
    if let Some(snapshot) = message.snapshot {
        library.set_snapshot(snapshot_to(snapshot));
    }
    library.reject = message.reject;
    library.reject_hint = message.reject_hint;
    library.context = message.context;
    library.request_snapshot = message.request_snapshot;
    library.priority = message.priority;
    Ok(library)
}

fn follow_on(before: u64, entries: &[Entry]) -> bool {
    let mut last = before;
    entries.iter().all(|entry| {
        let follows = last.checked_add(1) == Some(entry.index);
        last = entry.index;
        follows
    })
}

/// The types that travel, by the library's numbers.
const TRAVELLING: [(i32, eraftpb::MessageType); 14] = {
    use eraftpb::MessageType as Kind;
    [
        (2, Kind::MsgPropose),
        (3, Kind::MsgAppend),
        (4, Kind::MsgAppendResponse),
        (5, Kind::MsgRequestVote),
        (6, Kind::MsgRequestVoteResponse),
        (7, Kind::MsgSnapshot),
        (8, Kind::MsgHeartbeat),
        (9, Kind::MsgHeartbeatResponse),
        (13, Kind::MsgTransferLeader),
        (14, Kind::MsgTimeoutNow),
        (15, Kind::MsgReadIndex),
        (16, Kind::MsgReadIndexResp),
        (17, Kind::MsgRequestPreVote),
        (18, Kind::MsgRequestPreVoteResponse),
    ]
};

fn kind_of(number: i32) -> Option<eraftpb::MessageType> {
    TRAVELLING.iter().find(|(known, _)| *known == number).map(|(_, kind)| *kind)
}

/// Zero, which never travels, for the library's local messages: a receiver refuses it.
fn number_of(kind: eraftpb::MessageType) -> i32 {
    TRAVELLING.iter().find(|(_, known)| *known == kind).map_or(0, |(number, _)| *number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_become_a_message_that_comes_back_the_same_or_are_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..120), kind in 0..20_i32, from in 0..4_u64,
        ) {
            let Ok(mut message) = Message::decode(bytes.as_slice()) else { return Ok(()) };
            (message.kind, message.from) = (kind, from);
            if let Ok(library) = message_to(message.clone()) {
                prop_assert_eq!(message_from(library).encode_to_vec().len(), message.encoded_len());
            }
        }

        #[test]
        fn any_bytes_are_a_change_of_members_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = read_changes(&bytes);
        }
    }

    #[test]
    fn what_would_make_the_library_panic_is_refused() {
        let of = |kind: i32| Message { kind, ..Message::default() };
        let gap = vec![Entry { index: 5, ..Entry::default() }];
        for message in [
            of(0),
            of(1),
            of(2),
            of(7),
            of(10),
            of(11),
            of(12),
            of(15),
            of(16),
            Message { index: 3, entries: gap, ..of(3) },
            Message { entries: vec![Entry { kind: 2, ..Entry::default() }], ..of(2) },
            Message { entries: vec![Entry { kind: 9, ..Entry::default() }], ..of(3) },
        ] {
            assert!(message_to(message.clone()).is_err(), "{message:?}");
        }
    }
}
