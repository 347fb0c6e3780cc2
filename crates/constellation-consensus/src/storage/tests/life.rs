//! A log from its making on, on a disk that does as it is told.

use super::*;
use crate::storage::{Folder, identity::FORMAT};

#[test]
fn a_log_that_was_never_written_is_empty() {
    let disk = SimulatedDisk::new();
    let mut log = create(&disk).unwrap();
    assert_eq!(log.recover().unwrap(), Recovered::default());
    drop(log);
    assert_eq!(recovered(&disk), Recovered::default());
}

#[test]
fn what_was_written_is_found_by_the_next_process() {
    let disk = SimulatedDisk::new();
    drop(well_used(&disk));
    let found = recovered(&disk);
    assert_eq!(found.hard_state, HardState { term: 2, vote: 7, commit: 5 });
    assert_eq!(found.snapshot, snapshot(1, 1));
    assert_eq!(found.entries, entries(2..=9, 1));
}

#[test]
fn entries_take_the_place_of_those_that_nobody_agreed_on() {
    let disk = SimulatedDisk::new();
    let mut log = well_used(&disk);
    log.write(&Batch { entries: entries(7..=8, 2), ..batch() }).unwrap();
    drop(log);
    assert_eq!(recovered(&disk).entries, [entries(2..=6, 1), entries(7..=8, 2)].concat());
}

#[test]
fn a_checkpoint_drops_entries_up_to_where_it_was_told() {
    let disk = SimulatedDisk::new();
    let mut log = well_used(&disk);
    let checkpoint = Some(Checkpoint { snapshot: snapshot(5, 1), keep_from: 4 });
    log.write(&Batch { checkpoint, ..batch() }).unwrap();
    drop(log);
    let found = recovered(&disk);
    assert_eq!((found.snapshot, found.entries), (snapshot(5, 1), entries(4..=9, 1)));
}

#[test]
fn a_checkpoint_never_drops_what_comes_after_it() {
    let disk = SimulatedDisk::new();
    let mut log = well_used(&disk);
    let checkpoint = Some(Checkpoint { snapshot: snapshot(5, 1), keep_from: 100 });
    log.write(&Batch { checkpoint, ..batch() }).unwrap();
    drop(log);
    assert_eq!(recovered(&disk).entries, entries(6..=9, 1));
}

#[test]
fn a_snapshot_from_the_leader_takes_the_place_of_everything() {
    let disk = SimulatedDisk::new();
    let mut log = well_used(&disk);
    let install = Some(snapshot(40, 3));
    log.write(&Batch { install, entries: entries(41..=42, 3), hard_state: hard_state(3, 0, 40), ..batch() })
        .unwrap();
    drop(log);
    let found = recovered(&disk);
    assert_eq!((found.snapshot, found.entries), (snapshot(40, 3), entries(41..=42, 3)));
    let mut snapshots = 0;
    disk.damage_files(|files| {
        snapshots = files.keys().filter(|(folder, _)| *folder == Folder::Snapshots).count();
    });
    assert_eq!(snapshots, 1, "old snapshots are removed");
}

#[test]
fn what_raft_would_never_ask_for_is_refused_and_changes_nothing() {
    let disk = SimulatedDisk::new();
    let mut log = well_used(&disk);
    let before = log.recover().unwrap();
    let checkpoint = |index| Some(Checkpoint { snapshot: snapshot(index, 1), keep_from: index });
    let refused = [
        ("leave a gap", Batch { entries: entries(11..=11, 2), ..batch() }),
        ("agreed on already", Batch { entries: entries(5..=5, 2), ..batch() }),
        ("before the snapshot", Batch { entries: entries(1..=1, 2), ..batch() }),
        ("follows on", Batch { entries: vec![entry(10, 2), entry(12, 2)], ..batch() }),
        ("the vote was given to 7", Batch { hard_state: hard_state(2, 9, 5), ..batch() }),
        ("the vote was given to 7", Batch { hard_state: hard_state(2, 0, 5), ..batch() }),
        ("lower than term 2", Batch { hard_state: hard_state(1, 7, 5), ..batch() }),
        ("not within the log", Batch { checkpoint: checkpoint(10), ..batch() }),
        ("is empty", Batch { install: Some(Snapshot::default()), ..batch() }),
    ];
    for (why, batch) in refused {
        let error = constellation_core::error_chain(&log.write(&batch).unwrap_err());
        assert!(error.contains(why), "{error} should say {why}");
    }
    assert_eq!(log.recover().unwrap(), before);
    log.write(&Batch { hard_state: hard_state(3, 9, 5), ..batch() }).unwrap();
}

#[test]
fn a_log_is_never_written_over() {
    let disk = SimulatedDisk::new();
    drop(well_used(&disk));
    let error = create(&disk).unwrap_err();
    assert!(matches!(&error, StorageError::Exists { owner, .. } if owner.contains("web-1")), "{error}");
    assert_eq!(recovered(&disk).entries.len(), 8);
}

#[test]
fn where_there_is_no_log_none_is_made_by_opening() {
    let disk = SimulatedDisk::new();
    assert!(matches!(open(&disk), Err(StorageError::Absent { .. })));
    assert!(matches!(open(&disk), Err(StorageError::Absent { .. })));
}

#[test]
fn another_nodes_and_another_clusters_log_is_refused() {
    let disk = SimulatedDisk::new();
    drop(well_used(&disk));
    for (cluster, node) in [("home", "web-2"), ("away", "web-1")] {
        let files = Arc::new(disk.clone());
        let opened =
            RedbLog::open_on(files, disk.database(), &cluster.parse().unwrap(), &node.parse().unwrap());
        let error = opened.unwrap_err().to_string();
        assert!(error.contains("`web-1`") && error.contains("`home`"), "{error}");
        assert!(error.contains(node) && error.contains(cluster), "{error}");
    }
}

#[test]
fn a_database_that_was_moved_here_from_another_node_is_refused() {
    let (ours, theirs) = (SimulatedDisk::new(), SimulatedDisk::new());
    drop(well_used(&ours));
    let mut other = identity();
    other.owner.node = "web-2".parse().unwrap();
    drop(RedbLog::create_on(Arc::new(theirs.clone()), theirs.database(), &other).unwrap());
    let mut database = Vec::new();
    theirs.damage_database(|theirs| database.clone_from(theirs));
    ours.damage_database(|ours| *ours = database);
    let error = open(&ours).unwrap_err().to_string();
    assert!(error.contains("log.redb") && error.contains("meta `header`"), "{error}");
}

#[test]
fn a_log_of_another_format_is_refused_before_anything_is_touched() {
    let disk = SimulatedDisk::new();
    drop(well_used(&disk));
    disk.damage_files(|files| {
        let marker = files.get_mut(&(Folder::Stable, "identity".to_owned())).unwrap();
        let text = String::from_utf8(marker.clone()).unwrap();
        *marker = text.replace(&format!("format {FORMAT}"), "format 99").into_bytes();
    });
    let operations = disk.operations();
    for error in [open(&disk).unwrap_err(), create(&disk).unwrap_err()] {
        assert!(matches!(error, StorageError::OtherFormat { ref found, .. } if found == "99"), "{error}");
    }
    assert_eq!(disk.operations(), operations);
}

#[test]
fn a_new_epoch_is_begun_once_and_only_upwards() {
    let disk = SimulatedDisk::new();
    let mut log = well_used(&disk);
    let alone = Batch { install: Some(snapshot(9, 2)), hard_state: hard_state(3, 0, 9), ..batch() };
    log.begin_epoch(2, &alone).unwrap();
    assert!(matches!(log.begin_epoch(2, &alone), Err(StorageError::Misused { .. })));
    drop(log);
    let mut log = open(&disk).unwrap();
    assert_eq!(log.identity().epoch, 2);
    let found = log.recover().unwrap();
    assert_eq!((found.snapshot, found.entries.len()), (snapshot(9, 2), 0));
}

#[test]
fn a_log_that_is_used_for_long_stays_small() {
    let disk = SimulatedDisk::new();
    let mut log = create(&disk).unwrap();
    log.write(&birth()).unwrap();
    let (mut last, mut largest_early) = (1, 0);
    let size = |disk: &SimulatedDisk| {
        let mut size = 0;
        disk.damage_database(|bytes| size = bytes.len());
        size
    };
    for round in 0..300 {
        let entries = entries(last + 1..=last + 20, 1);
        last += 20;
        log.write(&Batch { entries, hard_state: hard_state(1, 0, last), ..batch() }).unwrap();
        let checkpoint = Some(Checkpoint { snapshot: snapshot(last, 1), keep_from: last - 10 });
        log.write(&Batch { checkpoint, ..batch() }).unwrap();
        if round == 30 {
            largest_early = size(&disk);
        }
    }
    assert!(size(&disk) <= largest_early, "{} grew from {largest_early}", size(&disk));
    drop(log);
    assert_eq!(recovered(&disk).entries.len(), 11);
}

#[test]
fn on_a_real_folder_a_log_is_found_again_and_held_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("raft");
    let owner = identity().owner;
    assert_eq!(DataIdentity::of(&root).unwrap(), None);
    let mut log = RedbLog::create(&root, &identity()).unwrap();
    log.write(&birth()).unwrap();
    log.write(&Batch { entries: entries(2..=9, 1), hard_state: hard_state(2, 7, 5), ..batch() }).unwrap();
    assert!(matches!(RedbLog::open(&root, &owner.cluster, &owner.node), Err(StorageError::Locked { .. })));
    assert_eq!(DataIdentity::of(&root).unwrap(), Some(identity()));
    drop(log);
    let mut log = RedbLog::open(&root, &owner.cluster, &owner.node).unwrap();
    assert_eq!(log.identity(), &identity());
    let found = log.recover().unwrap();
    assert_eq!((found.entries.len(), found.hard_state.vote), (8, 7));
}
