//! The store against its model: the input says which transactions are submitted, which stages go on, and when the power is lost.

#[path = "../../crates/store/tests/simulation/model.rs"]
mod model;

use std::{path::Path, sync::Arc};

use disk_sim::{Random, SimDisk};
use model::{DIRECT, History};
use rbdgate_store::{Options, Stage, Store};

/// What a store takes, whatever is in it: its caches, and the zeros that a journal is filled with.
const STORE: usize = 32 << 20;
/// Longer inputs say nothing new.
const LONGEST: usize = 2000;

fn open(disk: &SimDisk) -> Store {
    let options = Options {
        journal_bytes: 1 << 20,
        direct_threshold: DIRECT,
        uncopied_threshold: 4096,
        reserve_bytes: 0,
        meta_cache_bytes: 1 << 20,
        disk: Arc::new(disk.clone()),
        stepped: true,
        ..Options::new(Path::new("/store"))
    };
    Store::open(options).expect("nothing fails but the power")
}

/// Plays an input.
///
/// # Panics
/// If the store and its model are not of one mind.
pub fn run(input: &[u8]) {
    let input = &input[..input.len().min(LONGEST)];
    // Writes hold up to 48 KiB for a few bytes of input.
    crate::bounded_beside(STORE + input.len() * (64 << 10), input.len(), || play(input));
}

fn play(input: &[u8]) {
    let mut random = Random::of_bytes(input);
    let mut history = History::default();
    let mut disk = SimDisk::new(1);
    let mut store = open(&disk);
    let mut acknowledged = 0;
    while !random.is_exhausted() {
        let stage = match random.below(16) {
            0..6 => {
                history.submit(&store, &mut random).expect("there is room");
                continue;
            }
            6..8 => Stage::Direct,
            8..10 => Stage::Journal,
            10..12 => Stage::Apply,
            12 => Stage::Checkpoint,
            13 => {
                let newest = history.newest();
                check(&mut history, &store, newest, false);
                continue;
            }
            14 => {
                store.close().expect("nothing fails");
                acknowledged = history.newest();
                drop(store);
                store = open(&disk);
                acknowledged = check(&mut history, &store, acknowledged, true);
                continue;
            }
            _ => {
                let image = disk.image();
                drop(store);
                disk = SimDisk::of(&image, random.number());
                store = open(&disk);
                acknowledged = check(&mut history, &store, acknowledged, true);
                continue;
            }
        };
        store.step(stage).expect("nothing fails");
        acknowledged = history.durable(store.durable());
    }
    let newest = history.newest();
    check(&mut history, &store, newest, false);
}

/// Compares; with `restart`, the model goes on from what the store has. Returns the newest transaction there.
fn check(history: &mut History, store: &Store, acknowledged: u64, restart: bool) -> u64 {
    match history.check(store, acknowledged) {
        Ok((n, state)) => {
            if restart {
                history.restart(n, state);
            }
            n
        }
        Err(wrong) => panic!("{wrong}"),
    }
}
