//! Damage of a store's own files: what a check says of it, and what opening the store does.

#![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

use std::{path::Path, sync::Arc};

use disk_sim::{SimDisk, placed};
use rbdgate_store::{Options, Stage, Store, StoreError, Transaction, check};

const DIR: &str = "/data/store";

fn options(disk: &SimDisk) -> Options {
    Options {
        journal_bytes: 1 << 20,
        reserve_bytes: 0,
        disk: Arc::new(disk.clone()),
        stepped: true,
        ..Options::new(Path::new(DIR))
    }
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(DIR).join(name)
}

/// A disk with a store that was killed when so many transactions were in its journal, each in a batch of its own.
fn killed(transactions: u8) -> SimDisk {
    let disk = SimDisk::new(1);
    let store = Store::open(options(&disk)).unwrap();
    let volume = store.volume("v").unwrap();
    for n in 1..=transactions {
        let mut tx = Transaction::new();
        tx.put("last", vec![n])
            .write(volume, u64::from(n) * 4096, vec![n; 5000]);
        store.submit(tx).unwrap();
        while store.step(Stage::Journal).unwrap() {}
    }
    SimDisk::of(&disk.image_of_kill(), 2)
}

fn last(store: &Store) -> Option<u8> {
    store.get(b"last").unwrap().map(|value| value[0])
}

/// Where batches begin in the journal.
fn batches(disk: &SimDisk) -> Vec<u64> {
    let journal = disk.content(&path("journal")).unwrap();
    let blocks = journal.chunks(4096).zip((0..).step_by(4096));
    blocks
        .filter(|(block, _)| block.starts_with(b"rbdgJNL1"))
        .map(|(_, at)| at)
        .collect()
}

#[test]
fn a_store_that_was_killed_has_nothing_wrong_and_a_journal_to_take_up() {
    let disk = killed(5);
    let report = check(&options(&disk)).unwrap();
    assert!(report.readable);
    assert_eq!(report.damage, []);
    assert!(
        report.notes.iter().any(|note| note.contains("6 transactions")),
        "{:?}",
        report.notes
    );
    assert_eq!(last(&Store::open(options(&disk)).unwrap()), Some(5));
}

#[test]
fn a_batch_that_rotted_in_the_midst_of_the_journal_is_told_and_nothing_is_forgotten_in_silence() {
    let disk = killed(5);
    let third = batches(&disk)[2];
    disk.damage(&path("journal"), third + 100, &[0xff; 8]);
    let report = check(&options(&disk)).unwrap();
    let [damage] = &report.damage[..] else {
        panic!("{:?}", report.damage)
    };
    assert!(damage.what.contains("the journal is damaged: transaction 4") && damage.mends);
    let refused = Store::open(options(&disk)).err().unwrap();
    assert!(matches!(refused, StoreError::Corrupt(text) if text.contains("transaction 4")));
    // Who accepts it has what comes before, and a store that is right again.
    let accepting = Options {
        accept_damage: true,
        ..options(&disk)
    };
    let store = Store::open(accepting).unwrap();
    assert_eq!(last(&store), Some(2));
    store.close().unwrap();
    drop(store);
    assert_eq!(check(&options(&disk)).unwrap().damage, []);
    assert_eq!(last(&Store::open(options(&disk)).unwrap()), Some(2));
}

#[test]
fn a_first_batch_that_rotted_is_told_as_well() {
    let disk = killed(3);
    disk.damage(&path("journal"), batches(&disk)[0], &[0; 4096]);
    assert!(
        check(&options(&disk)).unwrap().damage[0]
            .what
            .contains("transaction 1")
    );
    assert!(matches!(Store::open(options(&disk)), Err(StoreError::Corrupt(_))));
}

#[test]
fn a_last_batch_that_is_torn_was_never_acknowledged() {
    let disk = killed(5);
    let end = *batches(&disk).last().unwrap();
    disk.damage(&path("journal"), end + 4096, &[0; 512]);
    assert_eq!(check(&options(&disk)).unwrap().damage, []);
    assert_eq!(last(&Store::open(options(&disk)).unwrap()), Some(4));
}

#[test]
fn data_behind_the_records_is_checked_as_they_are() {
    let disk = SimDisk::new(1);
    let store = Store::open(options(&disk)).unwrap();
    let volume = store.volume("v").unwrap();
    for n in 1..=3u8 {
        let mut tx = Transaction::new();
        tx.put("last", vec![n])
            .write(volume, u64::from(n) << 16, placed(&[n; 16 << 10], 0));
        store.submit(tx).unwrap();
        while store.step(Stage::Journal).unwrap() {}
    }
    assert_eq!(disk.gathered(), 3);
    let batches = batches(&disk);
    let killed = || SimDisk::of(&disk.image_of_kill(), 2);
    assert_eq!(check(&options(&killed())).unwrap().damage, []);
    // In the midst: it was acknowledged.
    let damaged = killed();
    damaged.damage(&path("journal"), batches[1] + 2 * 4096 + 5, &[9]);
    let report = check(&options(&damaged)).unwrap();
    assert!(report.damage[0].what.contains("transaction 3 "), "{report:?}");
    // At the end: it was not.
    let torn = killed();
    torn.damage(&path("journal"), batches[2] + 4 * 4096, &[0; 512]);
    assert_eq!(check(&options(&torn)).unwrap().damage, []);
    assert_eq!(last(&Store::open(options(&torn)).unwrap()), Some(2));
}

#[test]
fn damaged_metadata_is_told() {
    let disk = SimDisk::new(1);
    let store = Store::open(options(&disk)).unwrap();
    for n in 0..200_u32 {
        let mut tx = Transaction::new();
        tx.put(format!("key {n}"), vec![n as u8; 500]);
        store.submit(tx).unwrap();
    }
    store.close().unwrap();
    drop(store);
    let meta = disk.content(&path("meta.redb")).unwrap();
    let at = meta.windows(500).position(|bytes| bytes == [77; 500]).unwrap();
    disk.damage(&path("meta.redb"), at as u64 + 250, &[1]);
    let report = check(&options(&disk)).unwrap();
    assert!(
        report
            .damage
            .iter()
            .any(|damage| damage.what.contains("restore a backup") && !damage.mends)
    );
    assert!(!report.readable);
}

#[test]
fn metadata_that_is_no_metadata_is_told() {
    let disk = killed(1);
    disk.damage(&path("meta.redb"), 0, &[0; 4096]);
    let report = check(&options(&disk)).unwrap();
    assert!(
        report.damage[0].what.contains("cannot be read"),
        "{:?}",
        report.damage
    );
}

#[test]
fn a_store_that_is_open_is_not_checked() {
    let disk = SimDisk::new(1);
    let _store = Store::open(options(&disk)).unwrap();
    assert!(matches!(check(&options(&disk)), Err(StoreError::InUse { .. })));
}

#[test]
fn where_there_is_no_store_a_check_makes_none() {
    let disk = SimDisk::new(1);
    assert!(check(&options(&disk)).is_err());
    assert!(disk.files().is_empty());
}

#[test]
fn a_file_of_no_volume_is_noted() {
    let disk = killed(3);
    let store = Store::open(options(&disk)).unwrap();
    store.close().unwrap();
    drop(store);
    use rbdgate_store::{Access, Disk};
    disk.open(&path("volumes/old.0000000000000000"), Access::Create)
        .unwrap();
    let report = check(&options(&disk)).unwrap();
    assert_eq!(report.damage, []);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("old.0000000000000000"))
    );
}

#[test]
fn volumes_without_metadata_are_not_taken_for_leftovers() {
    use rbdgate_store::Disk;
    let disk = killed(3);
    let store = Store::open(options(&disk)).unwrap();
    store.close().unwrap();
    drop(store);
    disk.remove(&path("meta.redb")).unwrap();
    let volumes = disk.files().len();
    let refused = Store::open(options(&disk)).err().unwrap();
    assert!(matches!(refused, StoreError::Corrupt(text) if text.contains("restore a backup")));
    assert_eq!(disk.files().len(), volumes);
}
