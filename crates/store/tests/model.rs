//! Random transactions against a model in memory, with reopening at random points.

#![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]
mod memory;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use disk_sim::placed;
use memory::Memory;
use proptest::prelude::*;
use rbdgate_store::{Options, Store, Transaction};

const VOLUME_BYTES: usize = 600 << 10;

#[derive(Debug, Clone)]
enum Change {
    Put(u8, Vec<u8>),
    Patch(u8, u16, Vec<u8>),
    Delete(u8),
    DeleteRange(u8, Option<u8>),
    Write {
        volume: u8,
        offset: u32,
        len: u32,
        byte: u8,
        /// Whole blocks, in the volume as in memory.
        aligned: bool,
    },
    Discard {
        volume: u8,
        offset: u32,
        len: u32,
    },
    DeleteVolume(u8),
}

#[derive(Debug, Clone)]
enum Step {
    Submit(Vec<Change>),
    Wait,
    Close,
    /// Leaves the store as a crash of the machine would find the journal: by copying what is on disk.
    Crash,
    Scan(u8, Option<u8>, u8),
}

fn changes() -> impl Strategy<Value = Change> {
    let value = || proptest::collection::vec(any::<u8>(), 0..40);
    let at = 0u32..(500 << 10);
    let len = prop_oneof![3 => 1u32..5000, 1 => 30_000u32..100_000];
    prop_oneof![
        4 => (0u8..40, value()).prop_map(|(k, v)| Change::Put(k, v)),
        3 => (0u8..40, 0u16..300, value()).prop_map(|(k, o, v)| Change::Patch(k, o, v)),
        2 => (0u8..40).prop_map(Change::Delete),
        1 => (0u8..40, proptest::option::of(0u8..45)).prop_map(|(s, e)| Change::DeleteRange(s, e)),
        6 => (0u8..3, at.clone(), len.clone(), 1u8.., any::<bool>()).prop_map(|(volume, offset, len, byte, aligned)| {
            let (offset, len) = if aligned { (offset / 4096 * 4096, len.next_multiple_of(4096)) } else { (offset, len) };
            Change::Write { volume, offset, len, byte, aligned }
        }),
        2 => (0u8..3, at, len).prop_map(|(volume, offset, len)| Change::Discard { volume, offset, len }),
        1 => (0u8..3).prop_map(Change::DeleteVolume),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => proptest::collection::vec(changes(), 1..5).prop_map(Step::Submit),
        3 => Just(Step::Wait),
        1 => Just(Step::Close),
        1 => Just(Step::Crash),
        3 => (0u8..40, proptest::option::of(0u8..45), 1u8..30).prop_map(|(s, e, n)| Step::Scan(s, e, n)),
    ];
    proptest::collection::vec(step, 1..60)
}

#[derive(Default)]
struct Model {
    keys: BTreeMap<Vec<u8>, Vec<u8>>,
    volumes: BTreeMap<u8, Vec<u8>>,
}

fn key(k: u8) -> Vec<u8> {
    format!("key-{k:03}").into_bytes()
}

fn end(k: Option<u8>) -> Vec<u8> {
    k.map(key).unwrap_or_default()
}

impl Model {
    fn apply(&mut self, store: &Store, changes: &[Change]) -> Transaction {
        let mut tx = Transaction::new();
        let mut deleted = Vec::new();
        for change in changes {
            match change {
                Change::Put(k, v) => {
                    tx.put(key(*k), v.clone());
                    self.keys.insert(key(*k), v.clone());
                }
                Change::Patch(k, offset, v) => {
                    tx.patch(key(*k), u64::from(*offset), v.clone());
                    let value = self.keys.entry(key(*k)).or_default();
                    let to = usize::from(*offset) + v.len();
                    if value.len() < to {
                        value.resize(to, 0);
                    }
                    value[usize::from(*offset)..to].copy_from_slice(v);
                }
                Change::Delete(k) => {
                    tx.delete(key(*k));
                    self.keys.remove(&key(*k));
                }
                Change::DeleteRange(s, e) => {
                    tx.delete_range(key(*s), end(*e));
                    self.keys
                        .retain(|k, _| *k < key(*s) || e.is_some_and(|e| *k >= key(e)));
                }
                // A volume that this transaction deletes is left alone behind that.
                Change::Write { volume, .. } | Change::Discard { volume, .. } if deleted.contains(volume) => {
                }
                Change::Write {
                    volume,
                    offset,
                    len,
                    byte,
                    aligned,
                } => {
                    let id = store.volume(&format!("pool/{volume}")).unwrap();
                    let data = vec![*byte; *len as usize];
                    let behind = usize::from(!aligned);
                    tx.write(id, u64::from(*offset), placed(&data, behind));
                    let bytes = self
                        .volumes
                        .entry(*volume)
                        .or_insert_with(|| vec![0; VOLUME_BYTES]);
                    bytes[*offset as usize..(*offset + *len) as usize].copy_from_slice(&data);
                }
                Change::Discard { volume, offset, len } => {
                    let id = store.volume(&format!("pool/{volume}")).unwrap();
                    tx.discard(id, u64::from(*offset), u64::from(*len));
                    let bytes = self
                        .volumes
                        .entry(*volume)
                        .or_insert_with(|| vec![0; VOLUME_BYTES]);
                    bytes[*offset as usize..(*offset + *len) as usize].fill(0);
                }
                Change::DeleteVolume(volume) => {
                    if !deleted.contains(volume)
                        && let Some(id) = store.find_volume(&format!("pool/{volume}"))
                    {
                        tx.delete_volume(id);
                        self.volumes.remove(volume);
                        deleted.push(*volume);
                    }
                }
            }
        }
        tx
    }

    fn check(&self, store: &Store) {
        let all = store.scan(b"".as_slice()..b"", usize::MAX).unwrap();
        let all: BTreeMap<Vec<u8>, Vec<u8>> = all.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        assert_eq!(all, self.keys);
        for (k, v) in &self.keys {
            assert_eq!(store.get(k).unwrap(), Some(Bytes::copy_from_slice(v)));
        }
        for (volume, bytes) in &self.volumes {
            let id = store.find_volume(&format!("pool/{volume}")).unwrap();
            let read = store.read(id, 0, VOLUME_BYTES).unwrap();
            if let Some(at) = (0..VOLUME_BYTES).find(|at| read[*at] != bytes[*at]) {
                panic!(
                    "volume {volume} differs at {at}: {} instead of {}",
                    read[at], bytes[at]
                );
            }
            let mut covered = vec![false; VOLUME_BYTES];
            for (offset, len) in store.allocated_extents(id, 0, VOLUME_BYTES as u64).unwrap() {
                covered[offset as usize..(offset + len) as usize].fill(true);
            }
            assert!(
                (0..VOLUME_BYTES).all(|at| covered[at] || bytes[at] == 0),
                "an extent is missing"
            );
        }
    }
}

fn options(dir: &std::path::Path, memory: Option<&Arc<Memory>>) -> Options {
    Options {
        journal_bytes: 2 << 20,
        direct_threshold: 50_000,
        reserve_bytes: 0,
        meta_dirty_bytes: 20_000,
        meta_cache_bytes: 1 << 20,
        read_cache_bytes: 300_000,
        read_cache_from: 5_000,
        open_files: 8,
        direct_writers: 8,
        devices: memory.map(Memory::devices),
        ..Options::new(dir)
    }
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Copies while nothing changes: the copy is not taken at one instant.
fn copy_at_rest(store: &Store, from: &std::path::Path, to: &std::path::Path) {
    loop {
        let before = store.progress();
        if before.applied == before.submitted && !before.checkpointing {
            copy_dir(from, to);
            if store.progress() == before {
                return;
            }
            std::fs::remove_dir_all(to).unwrap();
        }
        std::thread::yield_now();
    }
}

fn run(steps: Vec<Step>, memory: Option<&Arc<Memory>>) {
    let root = tempfile::tempdir().unwrap();
    let mut generation = 0;
    let mut dir = root.path().join("0");
    let mut store = Store::open(options(&dir, memory)).unwrap();
    let mut model = Model::default();
    let mut last = 0;
    for step in steps {
        match step {
            Step::Submit(changes) => {
                let tx = model.apply(&store, &changes);
                let seq = store.submit(tx).unwrap();
                assert!(seq >= last);
                last = seq;
            }
            Step::Wait => store.wait(last).unwrap(),
            Step::Close => {
                store.close().unwrap();
                drop(store);
                store = Store::open(options(&dir, memory)).unwrap();
                model.check(&store);
            }
            Step::Crash => {
                store.wait(store.progress().submitted).unwrap();
                generation += 1;
                let next = root.path().join(generation.to_string());
                copy_at_rest(&store, &dir, &next);
                drop(store);
                dir = next;
                store = Store::open(options(&dir, memory)).unwrap();
                model.check(&store);
            }
            Step::Scan(s, e, n) => {
                let (start, stop) = (key(s), end(e));
                let got = store.scan(&start[..]..&stop[..], usize::from(n)).unwrap();
                let wanted: Vec<_> = model
                    .keys
                    .iter()
                    .filter(|(k, _)| **k >= start && e.is_none_or(|e| **k < key(e)))
                    .take(usize::from(n))
                    .map(|(k, v)| (Bytes::copy_from_slice(k), Bytes::copy_from_slice(v)))
                    .collect();
                assert_eq!(got, wanted);
            }
        }
    }
    model.check(&store);
    drop(store);
    model.check(&Store::open(options(&dir, memory)).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_store_behaves_like_its_model(steps in steps()) {
        run(steps, None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_store_behaves_the_same_on_devices_with_blocks_of_512_bytes(steps in steps()) {
        run(steps, Some(&Memory::new(512, 300)));
    }

    #[test]
    fn the_store_behaves_the_same_on_devices_with_blocks_of_4_kib(steps in steps()) {
        run(steps, Some(&Memory::new(4096, 300)));
    }
}
