//! What the store promises where its volumes lie on devices, one behaviour a test.

#![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

mod memory;

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use memory::{Memory, SEGMENT};
use rbdgate_store::{Options, Store, StoreError, Transaction, VolumeId};

fn open(dir: &Path, memory: &Arc<Memory>) -> Store {
    let options = Options {
        journal_bytes: 1 << 20,
        reserve_bytes: 0,
        meta_cache_bytes: 1 << 20,
        direct_writers: 8,
        read_cache_bytes: 100_000,
        read_cache_from: 4096,
        devices: Some(memory.devices()),
        ..Options::new(dir)
    };
    Store::open(options).unwrap()
}

fn write(volume: VolumeId, offset: u64, data: Vec<u8>) -> Transaction {
    let mut tx = Transaction::new();
    tx.write(volume, offset, data);
    tx
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Writes to the slots wait for as long as this lives: also if a test fails, whose store would never be closed.
struct Held(Arc<Memory>);

impl Held {
    fn by(memory: &Arc<Memory>) -> Self {
        memory.held.store(true, SeqCst);
        Self(Arc::clone(memory))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.held.store(false, SeqCst);
    }
}

#[test]
fn what_is_acknowledged_is_on_the_device() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(512, 0));
    let store = open(dir.path(), &memory);
    let volume = store.volume("v").unwrap();
    store.commit(write(volume, 1024, vec![7; 512])).unwrap();
    let place = store.volume_place(volume).unwrap();
    let content = memory.content(&place).unwrap();
    let content = content.lock().unwrap();
    assert_eq!(content.bytes[1024..1536], [7; 512]);
    // The rest of its unit is zeros on the device, too, and nothing else was touched.
    assert_eq!(content.bytes[..1024], [0; 1024]);
    assert_eq!(content.bytes[1536..4096], [0; 2560]);
    assert_eq!(content.bytes[4096], 0xee);
}

#[test]
fn what_was_never_written_is_zeros_and_does_not_ask_the_device() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    let store = open(dir.path(), &memory);
    let volume = store.volume("v").unwrap();
    assert_eq!(
        store.try_read_cached(volume, 5, 10).unwrap().unwrap(),
        vec![0; 10]
    );
    store.commit(write(volume, 100, vec![1; 10])).unwrap();
    wait_until("applied", || {
        store.progress().applied == store.progress().submitted
    });
    assert_eq!(
        store.try_read_cached(volume, 8192, 10).unwrap().unwrap(),
        vec![0; 10]
    );
    assert_eq!(store.try_read_cached(volume, 100, 10).unwrap(), None);
    assert_eq!(memory.reads.load(SeqCst), 0);
    assert_eq!(store.read(volume, 98, 14).unwrap()[..3], [0, 0, 1]);
}

#[test]
fn how_long_a_device_must_be_is_told_by_the_last_block_that_holds_data() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    let store = open(dir.path(), &memory);
    let volume = store.volume("v").unwrap();
    assert_eq!(store.volume_end(volume).unwrap(), 0);
    store.commit(write(volume, 0, vec![1; 4096])).unwrap();
    store.commit(write(volume, (9 << 20) + 10, vec![1; 10])).unwrap();
    assert_eq!(store.volume_end(volume).unwrap(), (9 << 20) + 4096);
    let mut tx = Transaction::new();
    tx.discard(volume, 8 << 20, 4 << 20);
    store.commit(tx).unwrap();
    assert_eq!(store.volume_end(volume).unwrap(), 4096);
}

#[test]
fn writes_within_one_block_do_not_lose_each_other() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 500));
    let store = open(dir.path(), &memory);
    let volume = store.volume("v").unwrap();
    for n in 0..64u8 {
        store
            .submit(write(volume, u64::from(n) * 64, vec![n + 1; 64]))
            .unwrap();
    }
    store.wait(store.progress().submitted).unwrap();
    drop(store);
    let store = open(dir.path(), &memory);
    let read = store.read(volume, 0, 4096).unwrap();
    assert!((0..64u8).all(|n| read[usize::from(n) * 64..][..64] == [n + 1; 64]));
}

#[test]
fn a_discard_changes_nothing_on_the_device_and_reads_as_zeros() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    let store = open(dir.path(), &memory);
    let volume = store.volume("v").unwrap();
    store.commit(write(volume, 0, vec![9; 64 << 10])).unwrap();
    let before = memory.written.load(SeqCst);
    let mut tx = Transaction::new();
    tx.discard(volume, 4096, 8192);
    store.commit(tx).unwrap();
    assert_eq!(memory.written.load(SeqCst), before);
    drop(store);
    let store = open(dir.path(), &memory);
    let read = store.read(volume, 0, 16384).unwrap();
    assert_eq!(read[..4096], [9; 4096]);
    assert_eq!(read[4096..12288], [0; 8192]);
    assert_eq!(read[12288..], [9; 4096]);
    assert_eq!(
        store.allocated_extents(volume, 0, 1 << 20).unwrap(),
        [(0, 4096), (12288, (64 << 10) - 12288)]
    );
}

#[test]
fn what_was_discarded_does_not_come_back_with_a_write_beside_it() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(512, 0));
    let store = open(dir.path(), &memory);
    let volume = store.volume("v").unwrap();
    store.commit(write(volume, 0, vec![9; 8192])).unwrap();
    let mut tx = Transaction::new();
    tx.discard(volume, 0, 8192);
    tx.write(volume, 4096 + 512, vec![1; 512]);
    store.commit(tx).unwrap();
    let read = store.read(volume, 0, 8192).unwrap();
    assert!(
        read.iter()
            .enumerate()
            .all(|(at, byte)| *byte == u8::from((4608..5120).contains(&at)))
    );
}

#[test]
fn an_empty_segment_is_given_back_and_can_be_written_again() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    let store = open(dir.path(), &memory);
    let volume = store.volume("v").unwrap();
    store
        .commit(write(volume, SEGMENT + 5000, vec![9; 100_000]))
        .unwrap();
    store.commit(write(volume, 0, vec![8; 100])).unwrap();
    let mut tx = Transaction::new();
    tx.discard(volume, SEGMENT, SEGMENT);
    store.commit(tx).unwrap();
    let content = memory.content(&store.volume_place(volume).unwrap()).unwrap();
    wait_until("given back", || content.lock().unwrap().given_back == 1);
    store.commit(write(volume, SEGMENT + 100, vec![7; 10])).unwrap();
    assert_eq!(
        store.read(volume, SEGMENT + 99, 12).unwrap()[..],
        [0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0]
    );
    assert_eq!(store.read(volume, 0, 3).unwrap()[..], [8; 3]);
    assert_eq!(content.lock().unwrap().given_back, 1);
}

#[test]
fn a_deleted_volume_loses_its_device_even_if_that_takes_a_restart() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    let store = open(dir.path(), &memory);
    let volume = store.volume("v").unwrap();
    store.commit(write(volume, 0, vec![1; 10])).unwrap();
    let place = store.volume_place(volume).unwrap();
    memory.delete_fails.store(true, SeqCst);
    let mut tx = Transaction::new();
    tx.delete_volume(volume);
    store.commit(tx).unwrap();
    assert!(matches!(
        store.read(volume, 0, 1),
        Err(StoreError::UnknownVolume(_))
    ));
    drop(store);
    assert!(memory.content(&place).is_some());
    memory.delete_fails.store(false, SeqCst);
    let _store = open(dir.path(), &memory);
    wait_until("removed", || memory.content(&place).is_none());
}

#[test]
fn a_failed_device_write_ends_all_acknowledgements() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    let store = open(dir.path(), &memory);
    let volume = store.volume("v").unwrap();
    store.commit(write(volume, 0, vec![1; 4096])).unwrap();
    memory.writes_fail.store(true, SeqCst);
    let failed = store.commit(write(volume, 0, vec![2; 4096]));
    assert!(matches!(failed, Err(StoreError::Failed(text)) if text.contains("fenced")));
    let mut tx = Transaction::new();
    tx.put("key", "value");
    assert!(matches!(store.commit(tx), Err(StoreError::Failed(_))));
    drop(store);
    memory.writes_fail.store(false, SeqCst);
    let store = open(dir.path(), &memory);
    assert_eq!(store.get(b"key").unwrap(), None);
    assert_eq!(store.read(volume, 0, 1).unwrap()[..], [1]);
}

#[test]
fn a_store_that_failed_is_closed_after_the_writes_that_its_devices_still_do() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    let store = open(dir.path(), &memory);
    let (head, slots) = (store.volume("head").unwrap(), store.volume("slots").unwrap());
    memory.held.store(true, SeqCst);
    store.submit(write(slots, 0, vec![1; 4096])).unwrap();
    memory.writes_fail.store(true, SeqCst);
    store.commit(write(head, 0, vec![2; 4096])).unwrap_err();
    let release = {
        let memory = Arc::clone(&memory);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            memory.writes_fail.store(false, SeqCst);
            memory.held.store(false, SeqCst);
        })
    };
    drop(store);
    assert_eq!(
        memory.written.load(SeqCst),
        1,
        "closed with a write still on its way"
    );
    open(dir.path(), &memory);
    release.join().unwrap();
}

#[test]
fn a_write_without_room_is_refused_and_the_store_goes_on() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    let store = open(dir.path(), &memory);
    let volume = store.volume("v").unwrap();
    memory.reserve_fails.store(true, SeqCst);
    let refused = store.submit(write(volume, 0, vec![1; 10]));
    assert!(matches!(refused, Err(StoreError::NoSpace(_))));
    memory.reserve_fails.store(false, SeqCst);
    store.commit(write(volume, 0, vec![1; 10])).unwrap();
}

#[test]
fn nothing_is_overwritten_before_what_preserves_it_is_durable() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    let store = open(dir.path(), &memory);
    let (head, slots) = (store.volume("head").unwrap(), store.volume("slots").unwrap());
    store.commit(write(head, 0, vec![1; 4096])).unwrap();
    memory.held.store(true, SeqCst);
    let preserved = store.submit(write(slots, 0, vec![1; 4096])).unwrap();
    let mut tx = write(head, 0, vec![2; 4096]);
    tx.start_after(preserved);
    let seq = store.submit(tx).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let content = memory.content(&store.volume_place(head).unwrap()).unwrap();
    assert_eq!(content.lock().unwrap().bytes[0], 1);
    memory.held.store(false, SeqCst);
    store.wait(seq).unwrap();
    assert!(store.durable() >= preserved);
    assert_eq!(store.read(head, 0, 1).unwrap()[..], [2]);
}

#[test]
fn a_write_that_waits_for_its_device_holds_up_only_what_builds_on_it() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    let store = open(dir.path(), &memory);
    let (head, slots) = (store.volume("head").unwrap(), store.volume("slots").unwrap());
    let held = Held::by(&memory);
    // More than there are writing threads.
    let stuck: Vec<_> = (0..20u64)
        .map(|n| store.submit(write(slots, n * 4096, vec![1; 4096])).unwrap())
        .collect();
    let behind = store.submit(write(slots, 100, vec![2; 100])).unwrap();
    let mut tx = Transaction::new();
    tx.put("told", "of it").builds_on(stuck[0]);
    let told = store.submit(tx).unwrap();
    // Enough for several checkpoints, if there were any.
    let mut free = Vec::new();
    for n in 0..200u64 {
        let mut tx = write(head, n % 50 * 4096, vec![3; 4096]);
        tx.put(format!("key/{n}"), "value");
        free.push(store.submit(tx).unwrap());
        wait_until("durable", || store.is_durable(free[n as usize]));
    }
    assert!(
        stuck
            .iter()
            .chain([&behind, &told])
            .all(|seq| !store.is_durable(*seq))
    );
    assert!(store.durable() < stuck[0], "not everything is durable");
    // What a crash leaves here: what was told to be durable.
    let copy = tempfile::tempdir().unwrap();
    for name in ["meta.redb", "journal"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let crashed = open(copy.path(), &memory);
    assert_eq!(crashed.get(b"key/199").unwrap().unwrap(), "value");
    assert_eq!(crashed.get(b"told").unwrap(), None);
    let (head2, slots2) = (
        crashed.find_volume("head").unwrap(),
        crashed.find_volume("slots").unwrap(),
    );
    assert_eq!(crashed.read(head2, 49 * 4096, 1).unwrap()[..], [3]);
    assert_eq!(crashed.read(slots2, 0, 1).unwrap()[..], [0]);
    drop(crashed);
    drop(held);
    store.wait(told).unwrap();
    assert_eq!(store.read(slots, 99, 3).unwrap()[..], [1, 2, 2]);
    wait_until("a checkpoint", || {
        let progress = store.progress();
        store.wait(progress.submitted).unwrap();
        progress.applied == progress.submitted
    });
    drop(store);
    let store = open(dir.path(), &memory);
    assert_eq!(store.get(b"told").unwrap().unwrap(), "of it");
    assert_eq!(store.read(slots, 99, 3).unwrap()[..], [1, 2, 2]);
}

#[test]
fn parts_of_blocks_that_wait_for_their_device_hold_up_nothing_else() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    let store = open(dir.path(), &memory);
    let (head, slots) = (store.volume("head").unwrap(), store.volume("slots").unwrap());
    store.commit(write(slots, 0, vec![1; 256 << 10])).unwrap();
    store.commit(write(head, 0, vec![1; 8192])).unwrap();
    wait_until("applied", || {
        store.progress().applied == store.progress().submitted
    });
    memory.held.store(true, SeqCst);
    // More than there are threads: each has to read the rest of its block first.
    let stuck: Vec<_> = (0..40u64)
        .map(|n| store.submit(write(slots, n * 4096 + 100, vec![2; 100])).unwrap())
        .collect();
    let (told, read) = std::sync::mpsc::channel();
    for n in 40..60 {
        let told = told.clone();
        store.start_read(slots, n * 4096, 4096, move |read| told.send(read).unwrap());
    }
    for n in 0..20 {
        store.commit(write(head, 100 + n, vec![3; 4000])).unwrap();
    }
    assert_eq!(store.read(head, 99, 2).unwrap()[..], [1, 3]);
    assert!(stuck.iter().all(|seq| !store.is_durable(*seq)) && read.try_recv().is_err());
    memory.held.store(false, SeqCst);
    store.wait(*stuck.last().unwrap()).unwrap();
    assert!((0..20).all(|_| read.recv().unwrap().unwrap() == vec![1; 4096]));
    let bytes = store.read(slots, 39 * 4096, 4096).unwrap();
    let expected = |at: usize| if (100..200).contains(&at) { 2 } else { 1 };
    assert!(bytes.iter().enumerate().all(|(at, byte)| *byte == expected(at)));
}

/// The journal goes round many times while a write waits, and a crash then finds what was told to be durable and nothing else.
#[test]
fn checkpoints_are_made_around_what_waits_for_its_device() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    let store = open(dir.path(), &memory);
    let (head, slots) = (store.volume("head").unwrap(), store.volume("slots").unwrap());
    let mut tx = Transaction::new();
    tx.put("page", "0123456789").put("gone/1", "x").put("gone/2", "x");
    store.commit(tx).unwrap();
    memory.held.store(true, SeqCst);
    let mut tx = write(slots, 0, vec![1; 4096]);
    tx.put("stuck", "value")
        .patch("page", 2, "STU")
        .delete_range("gone/", "gone0");
    let stuck = store.submit(tx).unwrap();
    let late = store.volume("made meanwhile").unwrap();
    for n in 0..1000u64 {
        let mut tx = write(head, n % 50 * 4096, vec![n as u8; 4096]);
        tx.put(format!("key/{:03}", n % 500), n.to_le_bytes().to_vec())
            .patch("page", 5 + n % 3, "k");
        store.commit(tx).unwrap();
    }
    store.commit(write(late, 0, vec![8; 10])).unwrap();
    assert!(!store.is_durable(stuck));
    assert!(store.progress().journal_used <= 1 << 20);
    // Everybody sees what waits, too.
    assert_eq!(store.get(b"page").unwrap().unwrap(), "01STUkkk89");
    assert_eq!(store.scan_prefix(b"gone/", None, 9).unwrap(), []);
    assert_eq!(store.get(b"stuck").unwrap().unwrap(), "value");
    let copy = tempfile::tempdir().unwrap();
    for name in ["meta.redb", "journal"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let crashed = open(copy.path(), &memory);
    assert_eq!(crashed.get(b"page").unwrap().unwrap(), "01234kkk89");
    assert_eq!(crashed.scan_prefix(b"gone/", None, 9).unwrap().len(), 2);
    assert_eq!(crashed.get(b"stuck").unwrap(), None);
    for n in 500..1000u64 {
        let found = crashed.get(format!("key/{:03}", n % 500).as_bytes()).unwrap();
        assert_eq!(found.unwrap()[..], n.to_le_bytes());
    }
    assert_eq!(
        crashed
            .read(crashed.find_volume("made meanwhile").unwrap(), 0, 1)
            .unwrap()[..],
        [8]
    );
    drop(crashed);
    let backup = copy.path().join("backup");
    store.backup(&backup).unwrap();
    memory.held.store(false, SeqCst);
    store.wait(stuck).unwrap();
    drop(store);
    let store = open(dir.path(), &memory);
    assert_eq!(store.get(b"page").unwrap().unwrap(), "01STUkkk89");
    assert_eq!(store.scan_prefix(b"gone/", None, 9).unwrap(), []);
    assert_eq!(store.read(slots, 0, 1).unwrap()[..], [1]);
}

#[test]
fn an_adopted_volume_keeps_its_data_and_is_handed_back_as_its_users_see_it() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    memory.devices().open("/old").reserve(SEGMENT).unwrap();
    let store = open(dir.path(), &memory);
    let volume = store
        .adopt_volume("image", "/old", |_| Transaction::new())
        .unwrap();
    assert_eq!(store.read(volume, 10, 5).unwrap()[..], [0xee; 5]);
    let mut tx = write(volume, 100, vec![1; 10]);
    tx.discard(volume, 8192, 4096);
    store.commit(tx).unwrap();
    drop(store);
    let store = open(dir.path(), &memory);
    assert_eq!(store.read(volume, 99, 2).unwrap()[..], [0xee, 1]);
    assert_eq!(store.read(volume, 8191, 2).unwrap()[..], [0xee, 0]);
    assert_eq!(
        store.release_volume(volume, SEGMENT, Transaction::new()).unwrap(),
        "/old"
    );
    assert!(store.find_volume("image").is_none());
    drop(store);
    // Nothing that gives back what deleted volumes held must find it, now or after a restart.
    let store = open(dir.path(), &memory);
    std::thread::sleep(Duration::from_millis(500));
    assert!(store.find_volume("image").is_none());
    drop(store);
    let content = memory.content("/old").unwrap();
    let content = content.lock().unwrap();
    assert_eq!(content.bytes[8192..12288], [0; 4096]);
    assert_eq!(
        (content.bytes[99], content.bytes[100], content.bytes[12288]),
        (0xee, 1, 0xee)
    );
}

#[test]
fn a_store_stays_with_the_backend_it_was_made_with() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    let store = open(dir.path(), &memory);
    store.volume("v").unwrap();
    store.close().unwrap();
    drop(store);
    assert!(matches!(
        Store::open(Options::new(dir.path())),
        Err(StoreError::Backend(_))
    ));
    let files = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(files.path())).unwrap();
    store.volume("v").unwrap();
    store.close().unwrap();
    drop(store);
    let options = Options {
        devices: Some(memory.devices()),
        ..Options::new(files.path())
    };
    assert!(matches!(Store::open(options), Err(StoreError::Backend(_))));
}

#[test]
fn a_store_refuses_the_devices_of_another_cluster_and_deletes_nothing_there() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    let name = |text: &str| *memory.identity.lock().unwrap() = Some(text.to_owned());
    name("one");
    let store = open(dir.path(), &memory);
    let volume = store.volume("v").unwrap();
    store.commit(write(volume, 0, vec![1; 10])).unwrap();
    let place = store.volume_place(volume).unwrap();
    memory.delete_fails.store(true, SeqCst);
    let mut tx = Transaction::new();
    tx.delete_volume(volume);
    store.commit(tx).unwrap();
    drop(store);
    memory.delete_fails.store(false, SeqCst);
    name("two");
    let options = Options {
        devices: Some(memory.devices()),
        ..Options::new(dir.path())
    };
    match Store::open(options).map(|_| ()) {
        Err(StoreError::OtherCluster { recorded, found }) => {
            assert_eq!((&*recorded, &*found), ("one", "two"));
        }
        other => panic!("{other:?}"),
    }
    assert!(memory.content(&place).is_some());
    name("one");
    let _store = open(dir.path(), &memory);
    wait_until("removed", || memory.content(&place).is_none());
}

#[test]
fn a_backup_made_while_the_store_is_open_is_a_store_again() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    let store = open(dir.path(), &memory);
    let volume = store.volume("v").unwrap();
    let mut tx = write(volume, 0, vec![5; 100]);
    tx.put("key", "value");
    let seq = store.submit(tx).unwrap();
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("copy");
    assert!(store.backup(&copy).unwrap() >= seq);
    assert!(store.backup(&copy).is_err(), "nothing is overwritten");
    drop(store);
    let fresh = tempfile::tempdir().unwrap();
    assert!(
        rbdgate_store::restore(&copy, dir.path()).is_err(),
        "nothing is overwritten"
    );
    rbdgate_store::restore(&copy, fresh.path()).unwrap();
    let store = open(fresh.path(), &memory);
    assert_eq!(store.get(b"key").unwrap().unwrap(), "value");
    let volume = store.find_volume("v").unwrap();
    assert_eq!(store.read(volume, 99, 2).unwrap()[..], [5, 0]);
}

#[test]
fn what_is_written_after_a_discard_does_not_overtake_what_was_discarded() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    let store = open(dir.path(), &memory);
    let volume = store.volume("slots").unwrap();
    store.commit(write(volume, 0, vec![1; 4096])).unwrap();
    let held = Held::by(&memory);
    store.submit(write(volume, 0, vec![2; 4096])).unwrap();
    let mut tx = Transaction::new();
    tx.discard(volume, 0, 4096);
    let discarded = store.submit(tx).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    // Were it, nothing would tell the next write of the one that is still under way.
    assert!(!store.is_durable(discarded));
    let last = store.submit(write(volume, 0, vec![3; 4096])).unwrap();
    drop(held);
    store.wait(last).unwrap();
    assert_eq!(memory.written.load(SeqCst), 3);
    assert_eq!(store.read(volume, 0, 1).unwrap()[..], [3]);
}

#[test]
fn a_discard_of_other_blocks_does_not_wait_for_a_write() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(4096, 0));
    let store = open(dir.path(), &memory);
    let volume = store.volume("slots").unwrap();
    store.commit(write(volume, 0, vec![1; 8192])).unwrap();
    let held = Held::by(&memory);
    store.submit(write(volume, 0, vec![2; 4096])).unwrap();
    let mut tx = Transaction::new();
    tx.discard(volume, 4096, 4096);
    store.commit(tx).unwrap();
    drop(held);
}

#[test]
fn a_checkpoint_that_is_asked_for_does_not_wait_for_what_waits_for_its_device() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Memory::new(512, 0));
    let store = open(dir.path(), &memory);
    let volume = store.volume("slots").unwrap();
    let held = Held::by(&memory);
    store.submit(write(volume, 0, vec![1; 4096])).unwrap();
    let mut tx = Transaction::new();
    tx.put("key", "value");
    store.commit(tx).unwrap();
    store.checkpoint().unwrap();
    assert_eq!(store.memory().direct.items, 1);
    store.checkpoint().unwrap();
    drop(held);
    wait_until("the write", || store.progress().submitted == store.durable());
    store.checkpoint().unwrap();
    let progress = store.progress();
    assert_eq!(progress.checkpointed, progress.submitted);
}
