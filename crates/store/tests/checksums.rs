//! What is not what was written cannot be read, and everything else can.

#![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use disk_sim::{Random, SimDisk};
use rbdgate_store::{Options, Scrub, Stage, Store, StoreError, Transaction, VolumeId};

const BLOCK: usize = 4096;
const DIRECT: usize = 64 << 10;

fn options(disk: &SimDisk) -> Options {
    Options {
        journal_bytes: 4 << 20,
        direct_threshold: DIRECT as u64,
        reserve_bytes: 0,
        region_bytes: 1 << 20,
        disk: Arc::new(disk.clone()),
        stepped: true,
        ..Options::new(Path::new("/data/store"))
    }
}

fn without(disk: &SimDisk) -> Options {
    Options {
        checksums: false,
        ..options(disk)
    }
}

/// Content that is different everywhere.
fn content(len: usize) -> Vec<u8> {
    (0..len / 8)
        .flat_map(|n| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect()
}

fn write(store: &Store, volume: VolumeId, offset: u64, data: Vec<u8>) {
    let mut tx = Transaction::new();
    tx.write(volume, offset, data);
    store.submit(tx).unwrap();
}

/// Does all that is to be done, and makes a checkpoint.
fn settle(store: &Store) {
    while Stage::ALL.into_iter().any(|stage| store.step(stage).unwrap()) {}
}

fn path(store: &Store, volume: VolumeId) -> PathBuf {
    store.volume_place(volume).unwrap().into()
}

/// A volume of 64 KiB on a disk.
fn stored() -> (SimDisk, Store, VolumeId) {
    let disk = SimDisk::new(1);
    let store = Store::open(options(&disk)).unwrap();
    let volume = store.volume("rbd/image").unwrap();
    write(&store, volume, 0, content(16 * BLOCK));
    settle(&store);
    (disk, store, volume)
}

/// Where it cannot be read, if it cannot.
fn unreadable(store: &Store, volume: VolumeId, offset: usize, len: usize) -> Option<u64> {
    match store.read(volume, offset as u64, len) {
        Ok(_) => None,
        Err(StoreError::Checksum { volume, offset }) => {
            assert_eq!(&*volume, "rbd/image");
            Some(offset)
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_block_that_rotted_is_an_error_and_its_neighbours_are_not() {
    let (disk, store, volume) = stored();
    disk.damage(&path(&store, volume), 5 * BLOCK as u64 + 77, &[1]);
    assert_eq!(unreadable(&store, volume, 0, 16 * BLOCK), Some(5 * BLOCK as u64));
    assert_eq!(
        unreadable(&store, volume, 5 * BLOCK + 4000, 8),
        Some(5 * BLOCK as u64)
    );
    assert_eq!(store.read(volume, 0, 5 * BLOCK).unwrap(), content(5 * BLOCK));
    assert_eq!(
        store.read(volume, 6 * BLOCK as u64 + 100, 900).unwrap(),
        content(16 * BLOCK)[6 * BLOCK + 100..6 * BLOCK + 1000]
    );
    let integrity = store.integrity();
    assert_eq!(
        integrity.damaged,
        [("rbd/image".to_owned(), volume, 5 * BLOCK as u64)]
    );
    assert_eq!(integrity.met, 2);
}

#[test]
fn data_that_is_not_there_any_more_is_an_error() {
    let (disk, store, volume) = stored();
    disk.damage(&path(&store, volume), 0, &[0; BLOCK]);
    assert_eq!(unreadable(&store, volume, 0, BLOCK), Some(0));
}

#[test]
fn what_was_never_written_or_was_discarded_has_no_sum() {
    let (disk, store, volume) = stored();
    let mut tx = Transaction::new();
    tx.discard(volume, 4 * BLOCK as u64, 4 * BLOCK as u64);
    store.submit(tx).unwrap();
    settle(&store);
    let sums = disk
        .content(&path(&store, volume).with_extension("0000000000000001.sums"))
        .unwrap();
    let has = |block: usize| sums[block * 4..block * 4 + 4] != [0; 4];
    assert_eq!((0..20).filter(|block| has(*block)).count(), 12);
    assert!(has(3) && !has(4) && !has(7) && has(8));
    assert_eq!(
        store.read(volume, 4 * BLOCK as u64, 4 * BLOCK).unwrap(),
        vec![0; 4 * BLOCK]
    );
}

#[test]
fn a_damaged_block_that_is_written_as_a_whole_or_discarded_is_right_again() {
    let (disk, store, volume) = stored();
    for block in [3, 9] {
        disk.damage(&path(&store, volume), block * BLOCK as u64, &[9; 9]);
        assert!(unreadable(&store, volume, block as usize * BLOCK, 1).is_some());
    }
    write(&store, volume, 3 * BLOCK as u64, vec![7; BLOCK]);
    assert_eq!(
        store.read(volume, 3 * BLOCK as u64, BLOCK).unwrap(),
        vec![7; BLOCK]
    );
    let mut tx = Transaction::new();
    tx.discard(volume, 9 * BLOCK as u64, BLOCK as u64);
    store.submit(tx).unwrap();
    settle(&store);
    assert_eq!(unreadable(&store, volume, 0, 16 * BLOCK), None);
    assert!(store.integrity().damaged.is_empty());
}

#[test]
fn a_damaged_block_stays_unreadable_when_a_part_of_it_is_written_also_after_a_crash() {
    let (disk, store, volume) = stored();
    disk.damage(&path(&store, volume), 2 * BLOCK as u64 + 4000, &[9; 9]);
    write(&store, volume, 2 * BLOCK as u64 + 10, vec![1; 100]);
    while store.step(Stage::Journal).unwrap() || store.step(Stage::Apply).unwrap() {}
    assert_eq!(
        unreadable(&store, volume, 2 * BLOCK, BLOCK),
        Some(2 * BLOCK as u64)
    );
    for image in [disk.image_of_kill(), disk.image()] {
        let disk = SimDisk::of(&image, 3);
        let store = Store::open(options(&disk)).unwrap();
        assert_eq!(
            unreadable(&store, volume, 2 * BLOCK, BLOCK),
            Some(2 * BLOCK as u64)
        );
        write(&store, volume, 2 * BLOCK as u64, vec![1; BLOCK]);
        settle(&store);
        assert_eq!(unreadable(&store, volume, 2 * BLOCK, BLOCK), None);
    }
}

#[test]
fn parts_of_blocks_keep_the_rest_verified() {
    let (disk, store, volume) = stored();
    let mut wanted = content(16 * BLOCK);
    for (at, len) in [(100, 50), (4000, 200), (3 * BLOCK - 1, BLOCK + 2)] {
        write(&store, volume, at as u64, vec![8; len]);
        wanted[at..at + len].fill(8);
    }
    let mut tx = Transaction::new();
    tx.discard(volume, 5 * BLOCK as u64 - 100, 200);
    store.submit(tx).unwrap();
    wanted[5 * BLOCK - 100..5 * BLOCK + 100].fill(0);
    settle(&store);
    assert_eq!(store.read(volume, 0, 16 * BLOCK).unwrap(), wanted);
    disk.damage(&path(&store, volume), 4 * BLOCK as u64, &[0xee]);
    assert_eq!(
        unreadable(&store, volume, 5 * BLOCK - 50, 10),
        Some(4 * BLOCK as u64)
    );
}

#[test]
fn direct_writes_have_sums_wherever_they_begin_and_end() {
    let (disk, store, volume) = stored();
    for (offset, len) in [
        (1 << 20, DIRECT),
        ((2 << 20) + 1000, 2 * DIRECT),
        (8 << 20, 64 * DIRECT),
    ] {
        let data = content(len);
        write(&store, volume, offset, data.clone());
        settle(&store);
        assert_eq!(store.read(volume, offset, len).unwrap(), data);
        for at in [offset, offset + len as u64 / 2, offset + len as u64 - 1] {
            let old = store.read(volume, at, 1).unwrap()[0];
            disk.damage(&path(&store, volume), at, &[!old]);
            assert!(unreadable(&store, volume, at as usize, 1).is_some(), "at {at}");
            disk.damage(&path(&store, volume), at, &[old]);
            assert_eq!(unreadable(&store, volume, at as usize, 1), None);
        }
    }
}

#[test]
fn direct_writes_that_do_not_fit_the_journal_are_right() {
    let (_disk, store, volume) = stored();
    let mut tx = Transaction::new();
    for n in 0..100_u64 {
        tx.write(volume, n * 9000 + 3, vec![n as u8 + 1; 8000]);
    }
    store.submit(tx).unwrap();
    settle(&store);
    for n in 0..100_u64 {
        assert_eq!(
            store.read(volume, n * 9000 + 3, 8000).unwrap(),
            vec![n as u8 + 1; 8000]
        );
    }
}

#[test]
fn what_an_unfinished_direct_write_left_can_be_read_and_a_scrub_ends_that() {
    let (disk, store, volume) = stored();
    write(&store, volume, 0, vec![1; 32 * BLOCK]);
    settle(&store);
    write(&store, volume, 0, vec![2; 32 * BLOCK]);
    while store.step(Stage::Journal).unwrap() || store.step(Stage::Apply).unwrap() {}
    assert!(store.step(Stage::Direct).unwrap());
    // The data is there, and the journal does not say so.
    let disk = SimDisk::of(&disk.image_of_kill(), 1);
    let store = Store::open(options(&disk)).unwrap();
    assert!(store.integrity().suspect);
    assert_eq!(store.read(volume, 0, 16 * BLOCK).unwrap(), vec![2; 16 * BLOCK]);
    let scrubbed = store.scrub(volume, Scrub::default(), |_| true).unwrap();
    assert!(scrubbed.complete && scrubbed.damaged.is_empty());
    assert!(!store.integrity().suspect);
    disk.damage(&path(&store, volume), 20 * BLOCK as u64, &[9]);
    assert_eq!(unreadable(&store, volume, 0, 32 * BLOCK), Some(20 * BLOCK as u64));
    // For good.
    store.close().unwrap();
    drop(store);
    let store = Store::open(options(&disk)).unwrap();
    assert_eq!(unreadable(&store, volume, 0, 32 * BLOCK), Some(20 * BLOCK as u64));
}

#[test]
fn a_store_that_was_closed_in_order_suspects_nothing() {
    let (disk, store, volume) = stored();
    write(&store, volume, 0, vec![1; 32 * BLOCK]);
    store.close().unwrap();
    drop(store);
    let store = Store::open(options(&disk)).unwrap();
    assert!(!store.integrity().suspect);
    disk.damage(&path(&store, volume), 0, &[9]);
    assert_eq!(unreadable(&store, volume, 0, 32 * BLOCK), Some(0));
}

#[test]
fn a_scrub_finds_what_rotted_and_that_is_known_after_a_restart() {
    let (disk, store, volume) = stored();
    disk.damage(&path(&store, volume), 11 * BLOCK as u64, &[9]);
    let scrubbed = store.scrub(volume, Scrub::default(), |_| true).unwrap();
    assert_eq!(scrubbed.damaged, [11 * BLOCK as u64]);
    store.close().unwrap();
    drop(store);
    let store = Store::open(options(&disk)).unwrap();
    assert_eq!(store.integrity().damaged.len(), 1);
    // Only who asks for it gets what is there.
    let accept = Scrub {
        accept: true,
        ..Scrub::default()
    };
    store.scrub(volume, accept, |_| true).unwrap();
    assert_eq!(unreadable(&store, volume, 0, 16 * BLOCK), None);
    assert!(store.integrity().damaged.is_empty());
    assert!(
        store
            .scrub(volume, Scrub::default(), |_| true)
            .unwrap()
            .damaged
            .is_empty()
    );
}

#[test]
fn a_volume_of_before_is_as_it_was_until_a_scrub_gives_it_sums() {
    let disk = SimDisk::new(1);
    let store = Store::open(without(&disk)).unwrap();
    let volume = store.volume("rbd/image").unwrap();
    write(&store, volume, 0, content(8 * BLOCK));
    store.close().unwrap();
    drop(store);
    assert!(
        !disk
            .files()
            .iter()
            .any(|file| file.to_string_lossy().ends_with(".sums"))
    );
    let store = Store::open(options(&disk)).unwrap();
    write(&store, volume, 8 * BLOCK as u64, content(DIRECT));
    settle(&store);
    disk.damage(&path(&store, volume), 0, &[9]);
    assert_eq!(unreadable(&store, volume, 0, BLOCK), None);
    let add = Scrub {
        add_sums: true,
        ..Scrub::default()
    };
    // It is as it is found: there was nothing to tell that it was otherwise.
    assert!(store.scrub(volume, add, |_| true).unwrap().damaged.is_empty());
    store.close().unwrap();
    drop(store);
    // For good, whatever the options are.
    let store = Store::open(without(&disk)).unwrap();
    disk.damage(&path(&store, volume), 3 * BLOCK as u64, &[9]);
    assert_eq!(unreadable(&store, volume, 0, 8 * BLOCK), Some(3 * BLOCK as u64));
    assert_eq!(
        store.read(volume, 8 * BLOCK as u64, DIRECT).unwrap(),
        content(DIRECT)
    );
}

#[test]
fn the_sums_of_a_deleted_volume_go_with_it() {
    let (disk, store, volume) = stored();
    let mut tx = Transaction::new();
    tx.delete_volume(volume);
    store.submit(tx).unwrap();
    settle(&store);
    assert!(
        !disk
            .files()
            .iter()
            .any(|file| file.starts_with("/data/store/volumes"))
    );
}

#[test]
fn a_check_of_the_files_finds_nothing_wrong_with_sums() {
    let (disk, store, _) = stored();
    write(
        &store,
        store.find_volume("rbd/image").unwrap(),
        0,
        vec![1; DIRECT],
    );
    settle(&store);
    drop(store);
    let report = rbdgate_store::check(&options(&disk)).unwrap();
    assert_eq!(report.damage, []);
    assert!(
        !report
            .notes
            .iter()
            .any(|note| note.contains("no file of rbdgate"))
    );
}

#[test]
fn readers_meet_no_damage_while_others_write_the_same_blocks() {
    const SPAN: u64 = 1 << 20;
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        journal_bytes: 8 << 20,
        reserve_bytes: 0,
        region_bytes: 256 << 10,
        direct_threshold: DIRECT as u64,
        idle_checkpoint: Duration::from_millis(20),
        ..Options::new(dir.path())
    };
    let store = Store::open(options.clone()).unwrap();
    let volume = store.volume("rbd/image").unwrap();
    let done = AtomicBool::new(false);
    let place = |random: &mut Random, longest: u64| {
        let unit = if random.one_in(2) { 4096 } else { 1 };
        let len = (random.below(longest) + 1).next_multiple_of(unit);
        (random.below(SPAN - len) / unit * unit, len)
    };
    thread::scope(|scope| {
        for seed in 0..3 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                let mut random = Random::new(seed);
                while !done.load(SeqCst) {
                    let (offset, len) = place(&mut random, if seed == 0 { 200 << 10 } else { 12 << 10 });
                    let mut tx = Transaction::new();
                    if random.one_in(8) {
                        tx.discard(volume, offset, len);
                    } else {
                        tx.write(volume, offset, vec![random.number() as u8; len as usize]);
                    }
                    let seq = store.submit(tx).unwrap();
                    if random.one_in(4) {
                        store.wait(seq).unwrap();
                    }
                }
            });
        }
        let readers: Vec<_> = (10..13)
            .map(|seed| {
                let store = &store;
                scope.spawn(move || {
                    let mut random = Random::new(seed);
                    for _ in 0..20_000 {
                        let (offset, len) = place(&mut random, 16 << 10);
                        match store.try_read_cached(volume, offset, len as usize).unwrap() {
                            Some(read) => assert_eq!(read.len() as u64, len),
                            None => drop(store.read(volume, offset, len as usize).unwrap()),
                        }
                    }
                    store.scrub(volume, Scrub::default(), |_| true).unwrap()
                })
            })
            .collect();
        let scrubs: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
        done.store(true, SeqCst);
        assert!(scrubs.into_iter().all(|scrub| scrub.unwrap().damaged.is_empty()));
    });
    assert_eq!(store.integrity().met, 0);
    store.close().unwrap();
    drop(store);
    let store = Store::open(options).unwrap();
    let scrubbed = store.scrub(volume, Scrub::default(), |_| true).unwrap();
    assert!(scrubbed.complete && scrubbed.bytes > 0 && scrubbed.damaged.is_empty());
}
