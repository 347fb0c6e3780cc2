//! Rot: what was acknowledged and does not verify any more is refused, never guessed, and never a panic.

use proptest::prelude::*;

use super::*;
use crate::storage::Folder;

fn lose(disk: &SimulatedDisk, folder: Folder, suffix: &str) {
    disk.damage_files(|files| files.retain(|(of, name), _| *of != folder || !name.ends_with(suffix)));
}

#[test]
fn a_log_that_is_gone_is_not_begun_anew_under_the_same_id() {
    let disk = SimulatedDisk::new();
    drop(well_used(&disk));
    disk.damage_database(Vec::clear);
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, StorageError::Lost { .. }), "{error}");
    assert!(error.to_string().contains("log.redb") && error.to_string().contains("new id"), "{error}");
    assert!(matches!(create(&disk), Err(StorageError::Exists { .. })));
}

#[test]
fn a_log_without_an_identity_is_neither_opened_nor_made_anew() {
    let disk = SimulatedDisk::new();
    drop(well_used(&disk));
    lose(&disk, Folder::Stable, "identity");
    for error in [open(&disk).unwrap_err(), create(&disk).unwrap_err()] {
        assert!(matches!(error, StorageError::Lost { .. }), "{error}");
        assert!(error.to_string().contains("identity"), "{error}");
    }
}

#[test]
fn a_snapshot_that_is_gone_or_changed_is_named() {
    let disk = SimulatedDisk::new();
    drop(well_used(&disk));
    disk.damage_files(|files| {
        let snapshot = files.iter_mut().find(|((folder, _), _)| *folder == Folder::Snapshots).unwrap().1;
        let last = snapshot.len() - 1;
        snapshot[last] ^= 1;
    });
    let error = open(&disk).unwrap_err().to_string();
    assert!(error.contains(".snapshot") && error.contains("damaged"), "{error}");
    disk.damage_files(|files| {
        let snapshot = files.iter_mut().find(|((folder, _), _)| *folder == Folder::Snapshots).unwrap().1;
        snapshot.truncate(10);
    });
    let error = open(&disk).unwrap_err().to_string();
    assert!(error.contains("offset 10"), "{error}");
    lose(&disk, Folder::Snapshots, ".snapshot");
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, StorageError::Lost { .. }), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let disk = SimulatedDisk::new();
    drop(well_used(&disk));
    disk.damage_database(|bytes| bytes[..64].fill(0));
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("look at the disk"), "{error}");
}

/// Offset of redb's one byte that no checksum covers: it says which of its two roots counts, and a flip of that one bit may
/// be a step back. Disks lose sectors, not bits, and the sector that has it is tested below.
const ROOT_CHOICE: usize = 9;

/// A log that was closed, or one whose process was killed with all it wrote acknowledged, and what is in it.
fn used_log(killed: bool) -> (SimulatedDisk, Vec<u8>, Recovered) {
    let disk = SimulatedDisk::new();
    let mut log = well_used(&disk);
    let expected = log.recover().unwrap();
    if killed {
        disk.crash(|_| 0);
    }
    drop(log);
    let mut database = Vec::new();
    disk.damage_database(|bytes| database.clone_from(bytes));
    (disk, database, expected)
}

/// What is made of a database with one damage: the same, or an error that names the file.
fn same_or_refused(
    database: Vec<u8>,
    disk: &SimulatedDisk,
    expected: &Recovered,
) -> Result<(), TestCaseError> {
    disk.damage_database(|bytes| *bytes = database);
    match open(disk).map(|mut log| log.recover()) {
        Ok(Ok(found)) => prop_assert_eq!(&found, expected),
        Ok(Err(error)) => return Err(TestCaseError::fail(format!("opened, then: {error}"))),
        Err(error) => prop_assert!(error.to_string().contains("log.redb"), "{}", error),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_byte_changes_nothing_or_is_refused(at in any::<prop::sample::Index>(), change in 1u8.., in_use: bool, killed: bool) {
        let (disk, mut database, expected) = used_log(killed);
        // Most of the file is free space; half of the cases go for the part that is not.
        let used: Vec<usize> = (0..database.len()).filter(|at| !in_use || database[*at] != 0).collect();
        let at = used[at.index(used.len())];
        prop_assume!(at != ROOT_CHOICE);
        database[at] ^= change;
        same_or_refused(database, &disk, &expected)?;
    }

    #[test]
    fn a_file_that_ends_early_is_refused(cut in any::<prop::sample::Index>(), killed: bool) {
        let (disk, mut database, expected) = used_log(killed);
        database.truncate(cut.index(database.len()));
        same_or_refused(database, &disk, &expected)?;
    }
}

#[test]
fn a_lost_sector_changes_nothing_or_is_refused_also_where_only_the_last_commit_has_it() {
    for killed in [false, true] {
        let (disk, whole, expected) = used_log(killed);
        let sectors = whole.chunks(512).enumerate();
        let used = sectors.filter(|(_, sector)| sector.iter().any(|byte| *byte != 0)).map(|(at, _)| at);
        for (sector, fill) in used.flat_map(|sector| [(sector, 0), (sector, 0xff)]) {
            let mut database = whole.clone();
            let end = database.len().min((sector + 1) * 512);
            database[sector * 512..end].fill(fill);
            same_or_refused(database, &disk, &expected).unwrap();
        }
    }
}

#[test]
fn a_value_from_elsewhere_does_not_verify() {
    // Even where the store itself is content: values are sealed to their owner and place.
    let disk = SimulatedDisk::new();
    drop(well_used(&disk));
    disk.damage_files(|files| {
        let marker = files.get_mut(&(Folder::Stable, "identity".to_owned())).unwrap();
        let mut other = identity();
        other.owner.id = 8;
        let made = crate::storage::identity::Marker {
            identity: other,
            stage: crate::storage::identity::Stage::Made,
        };
        *marker = made.text().into_bytes();
    });
    let error = open(&disk).unwrap_err().to_string();
    assert!(error.contains("meta `hard-state`") || error.contains("meta `header`"), "{error}");
}
