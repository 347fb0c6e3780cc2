//! The log against a disk that fails, and against a model that does not.

mod corpus;
mod damage;
mod faults;
mod life;
mod model;

use std::sync::Arc;

use prost::bytes::Bytes;

use super::{DataIdentity, DataOwner, RedbLog, SimulatedDisk, StorageError};
use crate::raft::{
    Batch, Checkpoint, Log, LogError, Recovered,
    proto::{ConfState, Entry, HardState, Snapshot, SnapshotMeta},
};

fn identity() -> DataIdentity {
    let owner = DataOwner { cluster: "home".parse().unwrap(), node: "web-1".parse().unwrap(), id: 7 };
    DataIdentity { owner, epoch: 1 }
}

fn create(disk: &SimulatedDisk) -> Result<RedbLog, StorageError> {
    RedbLog::create_on(Arc::new(disk.clone()), disk.database(), &identity())
}

fn open(disk: &SimulatedDisk) -> Result<RedbLog, StorageError> {
    let owner = identity().owner;
    RedbLog::open_on(Arc::new(disk.clone()), disk.database(), &owner.cluster, &owner.node)
}

fn recovered(disk: &SimulatedDisk) -> Recovered {
    open(disk).unwrap().recover().unwrap()
}

fn entry(index: u64, term: u64) -> Entry {
    let data = Bytes::from(vec![u8::try_from(term % 251).unwrap(); usize::try_from(index % 97).unwrap()]);
    Entry { kind: 0, term, index, data, context: Bytes::from_static(b"ctx") }
}

fn entries(indexes: std::ops::RangeInclusive<u64>, term: u64) -> Vec<Entry> {
    indexes.map(|index| entry(index, term)).collect()
}

fn snapshot(index: u64, term: u64) -> Snapshot {
    let conf_state = ConfState { voters: vec![1, 7, 9], learners: vec![11], ..ConfState::default() };
    let data = Bytes::from(vec![u8::try_from(index % 251).unwrap(); 300]);
    Snapshot { data, meta: Some(SnapshotMeta { conf_state: Some(conf_state), index, term }) }
}

fn hard_state(term: u64, vote: u64, commit: u64) -> Option<HardState> {
    Some(HardState { term, vote, commit })
}

fn batch() -> Batch {
    Batch { sync: true, ..Batch::default() }
}

/// The first batch of a member: the group's birth, or what its leader sent it.
fn birth() -> Batch {
    Batch { install: Some(snapshot(1, 1)), hard_state: hard_state(1, 0, 1), ..batch() }
}

/// A log with entries 2 to 9, agreed on up to 5.
fn well_used(disk: &SimulatedDisk) -> RedbLog {
    let mut log = create(disk).unwrap();
    log.write(&birth()).unwrap();
    log.write(&Batch { entries: entries(2..=9, 1), hard_state: hard_state(2, 7, 5), ..batch() }).unwrap();
    log
}

/// A generator of choices that a seed repeats.
fn chooser(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    move |ways| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % ways.max(1)
    }
}
