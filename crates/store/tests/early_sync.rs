//! What is written back before a checkpoint.

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
            meta_cache_bytes: 1 << 20,
            idle_checkpoint: Duration::from_secs(3600),
            sync_after: 1 << 20,
            disk: Arc::new(disk.clone()),
            ..Options::new(Path::new("/store"))
        };
        let store = Store::open(options).unwrap();
        let volume = store.volume("volume").unwrap();
        Self { disk, store, volume }
    }

    /// Writes so many bytes in pieces, and waits until they are in the file. Then files have been synced so often since.
    fn syncs_for(&self, bytes: usize, piece: usize, expected: usize) {
        let before = self.syncs();
        for at in (0..bytes).step_by(piece) {
            let mut tx = Transaction::new();
            tx.write(self.volume, at as u64, vec![7; piece]);
            self.store.commit(tx).unwrap();
        }
        let until = Instant::now() + PATIENCE;
        let is_done = || {
            let progress = self.store.progress();
            progress.applied == progress.submitted && self.syncs() >= before + expected
        };
        while !is_done() {
            assert!(Instant::now() < until, "{} syncs", self.syncs() - before);
            sleep(Duration::from_millis(1));
        }
        // For one too many.
        sleep(Duration::from_millis(100));
        assert_eq!(self.syncs(), before + expected);
    }

    fn syncs(&self) -> usize {
        self.calls(Call::Sync)
    }

    /// How many calls of a kind there were.
    fn calls(&self, kind: Call) -> usize {
        let kinds = self.disk.kinds();
        kinds.iter().filter(|other| **other == kind).count()
    }
}

#[test]
fn large_writes_are_synced_before_there_is_a_checkpoint() {
    let stored = Stored::new();
    stored.syncs_for(512 << 10, 64 << 10, 0);
    stored.syncs_for(512 << 10, 64 << 10, 1);
    stored.syncs_for(512 << 10, 64 << 10, 0);
}

#[test]
fn what_is_synced_was_written_back_in_turns_before() {
    let stored = Stored::new();
    let before = stored.calls(Call::WriteBack);
    stored.syncs_for(1 << 20, 64 << 10, 1);
    // Four turns of a quarter of a MiB: all are begun, and those before the last are waited for before the sync.
    assert_eq!(stored.calls(Call::WriteBack) - before, 7);
}

#[test]
fn small_writes_are_left_to_the_checkpoint() {
    Stored::new().syncs_for(4 << 20, 16 << 10, 0);
}
