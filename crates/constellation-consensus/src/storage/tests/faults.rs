//! Power cuts, full disks and disks that go away, at each operation in turn.

use super::*;
use crate::storage::{DiskFault, Folder};

/// Batches of every kind, in an order that Raft could give them.
fn story() -> Vec<Batch> {
    vec![
        birth(),
        Batch { entries: entries(2..=6, 1), hard_state: hard_state(1, 7, 1), ..batch() },
        Batch { hard_state: hard_state(1, 7, 4), sync: false, ..Batch::default() },
        Batch { entries: entries(5..=9, 2), hard_state: hard_state(2, 0, 4), ..batch() },
        Batch { checkpoint: Some(Checkpoint { snapshot: snapshot(4, 1), keep_from: 3 }), ..batch() },
        Batch { install: Some(snapshot(30, 4)), hard_state: hard_state(4, 9, 30), ..batch() },
        Batch { entries: entries(31..=33, 4), hard_state: hard_state(4, 9, 32), ..batch() },
    ]
}

/// What is there after each batch of the story; the first is before all.
fn chapters() -> Vec<Recovered> {
    let disk = SimulatedDisk::new();
    let mut log = create(&disk).unwrap();
    let mut chapters = vec![log.recover().unwrap()];
    for batch in story() {
        log.write(&batch).unwrap();
        chapters.push(log.recover().unwrap());
    }
    chapters
}

#[test]
fn a_power_cut_at_any_operation_leaves_what_was_acknowledged_or_the_whole_next_batch() {
    let (story, chapters) = (story(), chapters());
    let undisturbed = {
        let disk = SimulatedDisk::new();
        let mut log = create(&disk).unwrap();
        let from = disk.operations();
        story.iter().for_each(|batch| log.write(batch).unwrap());
        disk.operations() - from
    };
    assert!(undisturbed > 30, "the story makes the disk work");
    for cut_after in 0..undisturbed {
        for seed in 0..4 {
            let disk = SimulatedDisk::new();
            let mut log = create(&disk).unwrap();
            disk.fail_after(cut_after, DiskFault::Gone);
            let (mut acknowledged, mut durable) = (0, 0);
            for batch in &story {
                if log.write(batch).is_err() {
                    break;
                }
                acknowledged += 1;
                if batch.sync {
                    durable = acknowledged;
                }
            }
            disk.crash(chooser(seed));
            drop(log);
            let found = recovered(&disk);
            let allowed = &chapters[durable..=(acknowledged + 1).min(story.len())];
            assert!(
                allowed.contains(&found),
                "cut after {cut_after} operations, seed {seed}: {acknowledged} were acknowledged, {durable} durably: {found:?}"
            );
            // And what was found stays.
            assert_eq!(recovered(&disk), found);
        }
    }
}

#[test]
fn a_power_cut_while_a_log_is_made_lets_it_be_made_again() {
    let undisturbed = {
        let disk = SimulatedDisk::new();
        drop(create(&disk).unwrap());
        disk.operations()
    };
    for cut_after in 0..undisturbed {
        for seed in 0..4 {
            let disk = SimulatedDisk::new();
            disk.fail_after(cut_after, DiskFault::Gone);
            let first = create(&disk);
            disk.crash(chooser(seed));
            drop(first);
            match open(&disk) {
                Ok(mut log) => assert_eq!(log.recover().unwrap(), Recovered::default()),
                Err(StorageError::Absent { .. }) => drop(create(&disk).unwrap()),
                Err(error) => panic!("cut after {cut_after} operations, seed {seed}: {error}"),
            }
        }
    }
}

#[test]
fn a_power_cut_while_an_epoch_begins_leaves_the_old_or_the_new() {
    let alone = Batch { install: Some(snapshot(9, 2)), hard_state: hard_state(3, 0, 9), ..batch() };
    let (before, after) = {
        let disk = SimulatedDisk::new();
        let mut log = well_used(&disk);
        let before = log.recover().unwrap();
        log.begin_epoch(2, &alone).unwrap();
        (before, log.recover().unwrap())
    };
    for cut_after in 0..40 {
        let disk = SimulatedDisk::new();
        let mut log = well_used(&disk);
        disk.fail_after(cut_after, DiskFault::Gone);
        let begun = log.begin_epoch(2, &alone);
        disk.crash(chooser(cut_after));
        drop(log);
        let mut log = open(&disk).unwrap();
        let found = (log.identity().epoch, log.recover().unwrap());
        let new = (2, after.clone());
        assert!(found == new || begun.is_err() && found == (1, before.clone()), "{found:?}");
    }
}

#[test]
fn a_full_disk_stops_every_promise_until_the_log_is_opened_anew() {
    for room in 0..6 {
        let disk = SimulatedDisk::new();
        let mut log = well_used(&disk);
        let before = log.recover().unwrap();
        disk.fail_after(room, DiskFault::Full);
        let more = Batch { entries: entries(10..=12, 2), hard_state: hard_state(3, 7, 9), ..batch() };
        let Err(first) = log.write(&more) else { continue };
        let text = constellation_core::error_chain(&first);
        assert!(text.contains("full") && text.contains("votes no more"), "{text}");
        disk.mend();
        let vote = Batch { hard_state: hard_state(4, 1, 9), ..batch() };
        assert!(
            matches!(log.write(&vote), Err(LogError::Poisoned { .. })),
            "there is room again, but trust is gone"
        );
        assert!(matches!(log.recover(), Err(LogError::Poisoned { .. })));
        drop(log);
        let mut log = open(&disk).unwrap();
        let found = log.recover().unwrap();
        assert!(found == before || found.entries == entries_up_to_12(), "{found:?}");
        log.write(&vote).unwrap();
    }
}

fn entries_up_to_12() -> Vec<Entry> {
    [entries(2..=9, 1), entries(10..=12, 2)].concat()
}

#[test]
fn a_snapshot_that_cannot_be_written_poisons_the_log_and_leaves_the_old_one() {
    let disk = SimulatedDisk::new();
    let mut log = well_used(&disk);
    disk.fail_after(0, DiskFault::Full);
    let checkpoint = Some(Checkpoint { snapshot: snapshot(5, 1), keep_from: 5 });
    assert!(log.write(&Batch { checkpoint, ..batch() }).is_err());
    assert!(matches!(log.write(&batch()), Err(LogError::Poisoned { .. })));
    disk.mend();
    drop(log);
    let found = recovered(&disk);
    assert_eq!((found.snapshot, found.entries.len()), (snapshot(1, 1), 8));
}

#[test]
fn old_snapshots_that_could_not_be_removed_are_the_next_time() {
    let disk = SimulatedDisk::new();
    drop(well_used(&disk));
    let stray = (Folder::Snapshots, "00000000000000000099-0000000001-00000000.snapshot".to_owned());
    let foreign = (Folder::Snapshots, "notes.txt".to_owned());
    disk.damage_files(|files| {
        files.insert(stray.clone(), b"half".to_vec());
        files.insert(foreign.clone(), b"mine".to_vec());
    });
    drop(open(&disk).unwrap());
    disk.damage_files(|files| {
        assert!(!files.contains_key(&stray));
        assert!(files.contains_key(&foreign), "what is not ours is left alone");
    });
}
