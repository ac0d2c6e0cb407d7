//! How a checkpoint writes back what lies in the page cache.

#![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

use std::{
    path::Path,
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use disk_sim::{Call, SimDisk};
use rbdgate_store::{Options, Store, Transaction, VolumeId};

const PATIENCE: Duration = Duration::from_secs(20);
const MIB: usize = 1 << 20;

struct Stored {
    disk: SimDisk,
    store: Store,
    volume: VolumeId,
}

impl Stored {
    /// A store that makes no checkpoint by itself.
    fn new() -> Self {
        let disk = SimDisk::new(1);
        let options = Options {
            reserve_bytes: 0,
            journal_bytes: 64 << 20,
            meta_cache_bytes: 1 << 20,
            idle_checkpoint: Duration::from_secs(3600),
            disk: Arc::new(disk.clone()),
            ..Options::new(Path::new("/store"))
        };
        let store = Store::open(options).unwrap();
        let volume = store.volume("volume").unwrap();
        Self { disk, store, volume }
    }

    fn write(&self, offset: usize, len: usize) {
        write(&self.store, self.volume, offset, len);
    }

    /// Has so many bytes come when the next checkpoint begins to write back.
    fn write_meanwhile(&self, len: usize) {
        let (store, volume) = (self.store.clone(), self.volume);
        self.disk
            .at_write_back(move || write(&store, volume, 16 * MIB, len));
    }

    /// How many calls of a kind a checkpoint makes.
    fn calls_of_checkpoint(&self, kind: Call) -> usize {
        let before = self.disk.kinds().len();
        self.store.checkpoint().unwrap();
        let kinds = self.disk.kinds();
        kinds[before..].iter().filter(|other| **other == kind).count()
    }
}

/// Writes so many bytes in pieces that travel in the journal, and waits until they are in the file.
fn write(store: &Store, volume: VolumeId, offset: usize, len: usize) {
    const PIECE: usize = 64 << 10;
    for at in (offset..offset + len).step_by(PIECE) {
        let mut tx = Transaction::new();
        tx.write(volume, at as u64, vec![7; PIECE]);
        store.commit(tx).unwrap();
    }
    let until = Instant::now() + PATIENCE;
    while store.progress().applied < store.progress().submitted {
        assert!(Instant::now() < until, "{:?}", store.progress());
        sleep(Duration::from_millis(1));
    }
}

/// The calls for so much without gaps: each turn of a quarter of a MiB is begun, and all but the last are waited for before the sync.
fn calls_for(bytes: usize) -> usize {
    2 * bytes.div_ceil(MIB / 4) - 1
}

#[test]
fn a_checkpoint_writes_back_in_turns() {
    let stored = Stored::new();
    stored.write(0, MIB);
    assert_eq!(stored.calls_of_checkpoint(Call::WriteBack), calls_for(MIB));
}

#[test]
fn what_comes_during_a_checkpoint_is_written_back_in_turns_too() {
    let stored = Stored::new();
    stored.write(0, 5 * MIB);
    stored.write_meanwhile(8 * MIB);
    let expected = calls_for(5 * MIB) + calls_for(8 * MIB);
    assert_eq!(stored.calls_of_checkpoint(Call::WriteBack), expected);
}

/// Has 5 MiB come at the first of so many calls that write back 5 MiB, each time.
fn write_at_each_round(disk: &SimDisk, store: Store, volume: VolumeId, call: usize) {
    let then = disk.clone();
    disk.at_write_back(move || {
        if call.is_multiple_of(calls_for(5 * MIB)) {
            write(&store, volume, (16 + call) * MIB, 5 * MIB);
        }
        write_at_each_round(&then, store, volume, call + 1);
    });
}

#[test]
fn what_comes_as_fast_as_it_is_written_back_is_left_to_the_sync() {
    let stored = Stored::new();
    stored.write(0, 5 * MIB);
    write_at_each_round(&stored.disk, stored.store.clone(), stored.volume, 0);
    assert_eq!(
        stored.calls_of_checkpoint(Call::WriteBack),
        2 * calls_for(5 * MIB)
    );
    // The hook holds the store.
    stored.disk.at_write_back(|| {});
}

#[test]
fn a_file_is_synced_once_however_often_it_was_written_back() {
    let syncs = |meanwhile: usize| {
        let stored = Stored::new();
        stored.write(0, 5 * MIB);
        stored.write_meanwhile(meanwhile);
        stored.calls_of_checkpoint(Call::Sync)
    };
    assert_eq!(syncs(8 * MIB), syncs(0));
}

#[test]
fn little_is_left_to_the_sync() {
    let stored = Stored::new();
    stored.write(0, MIB);
    stored.write_meanwhile(MIB);
    assert_eq!(stored.calls_of_checkpoint(Call::WriteBack), calls_for(MIB));
}
