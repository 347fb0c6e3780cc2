//! What Raft's own words are read from: entries, changes of members, messages and snapshots.

use prost::Message as _;

use super::super::{
    convert::{self, Unsound},
    proto::{ConfState, Entry, Message, Snapshot, SnapshotMeta},
};
use crate::corpus::Decoder;

fn entry(index: u64) -> Entry {
    Entry { term: 2, index, data: b"command".as_slice().into(), ..Entry::default() }
}

fn snapshot() -> Snapshot {
    let conf_state = Some(ConfState { voters: vec![1, 2, 3], learners: vec![9], ..ConfState::default() });
    let meta = Some(SnapshotMeta { conf_state, index: 300, term: 2 });
    Snapshot { data: b"state".as_slice().into(), meta }
}

fn words(error: impl std::error::Error) -> String {
    error.to_string()
}

#[test]
fn entries_are_read_or_refused() {
    let context = vec![0; 24].into();
    let written = vec![
        ("command", Entry { context, ..entry(300) }.encode_to_vec()),
        ("begin-of-a-term", Entry { term: 2, index: 301, ..Entry::default() }.encode_to_vec()),
        ("changes", Entry { kind: 2, ..entry(302) }.encode_to_vec()),
    ];
    let read = |bytes: &[u8]| {
        let entry = Entry::decode(bytes).map_err(words)?;
        let library = convert::entry_to(entry.clone()).map_err(words)?;
        assert_eq!(convert::entry_from(&library), entry);
        Ok(())
    };
    Decoder { corpus: include_str!("../../../corpus/entry.txt"), written, read }.check();
}

#[test]
fn changes_of_members_are_read_or_refused() {
    let read = |bytes: &[u8]| convert::read_changes(bytes).map(drop).map_err(words);
    Decoder { corpus: include_str!("../../../corpus/changes.txt"), written: vec![], read }.check();
}

#[test]
fn snapshots_are_read_or_refused() {
    let written = vec![("at-300", snapshot().encode_to_vec())];
    let read = |bytes: &[u8]| {
        let snapshot = Snapshot::decode(bytes).map_err(words)?;
        let once = convert::snapshot_from(&convert::snapshot_to(snapshot));
        assert_eq!(convert::snapshot_from(&convert::snapshot_to(once.clone())), once);
        Ok(())
    };
    Decoder { corpus: include_str!("../../../corpus/snapshot.txt"), written, read }.check();
}

#[test]
fn messages_are_read_or_refused() {
    let head = |kind: i32| Message { kind, to: 2, from: 1, term: 5, ..Message::default() };
    let entries = vec![entry(300), entry(301)];
    let append = Message { log_term: 2, index: 299, commit: 298, entries, ..head(3) };
    let written = vec![
        ("append", append.encode_to_vec()),
        ("vote", head(6).encode_to_vec()),
        ("heartbeat", Message { commit: 300, ..head(8) }.encode_to_vec()),
        ("snapshot", Message { snapshot: Some(snapshot()), ..head(7) }.encode_to_vec()),
        ("read", Message { entries: vec![Entry::default()], ..head(15) }.encode_to_vec()),
    ];
    let read = |bytes: &[u8]| {
        let message = Message::decode(bytes).map_err(words)?;
        let once = convert::message_to(message).map(convert::message_from).map_err(words)?;
        let again = convert::message_to(once.clone()).map(convert::message_from);
        assert_eq!(again, Ok::<_, Unsound>(once));
        Ok(())
    };
    Decoder { corpus: include_str!("../../../corpus/message.txt"), written, read }.check();
}
