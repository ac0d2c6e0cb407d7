//! One run of the simulation: generations of a store, each on what a crash of the one before left.

use std::{path::Path, sync::Arc};

use disk_sim::{Call, CrashPoints, Image, Random, SimDisk};
use rbdgate_store::{Options, Scrub, Stage, Store};

use crate::model::{BLOCK, DIRECT, History, REGION};

/// How often the store crashes and goes on from there.
const GENERATIONS: u64 = 5;
/// What is done to a store before that.
const ACTIONS: u64 = 60;

pub(crate) fn options(disk: &SimDisk) -> Options {
    Options {
        journal_bytes: 1 << 20,
        direct_threshold: DIRECT,
        uncopied_threshold: BLOCK,
        reserve_bytes: 0,
        // Many of them, so that not everything is suspect after a crash, and marks are pushed out.
        region_bytes: REGION,
        meta_cache_bytes: 1 << 20,
        // Little, so that it is full.
        read_cache_bytes: 64 << 10,
        read_cache_from: 4 << 10,
        disk: Arc::new(disk.clone()),
        stepped: true,
        ..Options::new(Path::new("/data/store"))
    }
}

pub(crate) struct Run {
    seed: u64,
    random: Random,
    disk: SimDisk,
    history: History,
    /// The last transaction that was acknowledged.
    acknowledged: u64,
    points: u64,
    trace: Vec<Call>,
    /// Whether blocks rot now and then.
    rots: bool,
    rotted: u64,
    outlined: u64,
}

/// What a run looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Crash points.
    pub(crate) points: u64,
    /// Blocks that rotted.
    pub(crate) rotted: u64,
    /// Journal writes with data behind the records.
    pub(crate) outlined: u64,
}

impl Run {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            seed,
            disk: SimDisk::new(random.number()),
            random,
            history: History::default(),
            acknowledged: 0,
            points: 0,
            trace: Vec::new(),
            rots: false,
            rotted: 0,
            outlined: 0,
        }
    }

    /// The same, with blocks that rot.
    pub(crate) fn with_rot(seed: u64) -> Self {
        Self {
            rots: true,
            ..Self::new(seed)
        }
    }

    /// Runs all generations.
    pub(crate) fn all(mut self) -> Seen {
        for generation in 0..GENERATIONS {
            let image = self.generation(generation);
            self.trace.extend(self.disk.kinds());
            self.outlined += self.disk.gathered();
            self.disk = SimDisk::of(&image, self.random.number());
        }
        Seen {
            points: self.points,
            rotted: self.rotted,
            outlined: self.outlined,
        }
    }

    /// The calls that a run makes.
    pub(crate) fn trace(mut self) -> Vec<Call> {
        for generation in 0..2 {
            let image = self.generation(generation);
            self.trace.extend(self.disk.kinds());
            self.disk = SimDisk::of(&image, self.random.number());
        }
        self.trace
    }

    fn generation(&mut self, generation: u64) -> Image {
        self.disk.crash_at(CrashPoints {
            at_syncs: 1,
            others: 6,
        });
        self.disk.note(self.acknowledged);
        let opened = Store::open(options(&self.disk));
        let mut store = opened.unwrap_or_else(|error| self.wrong(generation, &error.to_string()));
        self.check_images(generation);
        self.restart(generation, &store);
        if self.rots {
            self.rot(generation, &store);
        }
        for _ in 0..ACTIONS {
            if self.random.one_in(80) {
                store.close().unwrap();
                drop(store);
                self.acknowledge(self.history.newest());
                store = Store::open(options(&self.disk)).unwrap();
                self.check_images(generation);
                self.restart(generation, &store);
                continue;
            }
            if let Err(error) = self.act(&store) {
                self.wrong(generation, &error.to_string());
            }
            self.acknowledge(self.history.durable(store.durable()));
            self.check_images(generation);
        }
        self.disk.image()
    }

    fn acknowledge(&mut self, n: u64) {
        self.acknowledged = n;
        self.disk.note(n);
    }

    /// The model goes on from what the store holds: whoever read it may rely on it.
    fn restart(&mut self, generation: u64, store: &Store) {
        match self.history.check(store, self.acknowledged) {
            Ok((n, state)) => {
                self.history.restart(n, state);
                self.acknowledge(n);
            }
            Err(error) => self.wrong(generation, &error.to_string()),
        }
    }

    /// Damages some blocks that have sums, where nothing is suspect any more.
    fn rot(&mut self, generation: u64, store: &Store) {
        for (_, id) in store.volume_names() {
            // What is rotten already is told again, and nothing else.
            let scrubbed = store.scrub(id, Scrub::default(), |_| true);
            let scrubbed = scrubbed.unwrap_or_else(|error| self.wrong(generation, &error.to_string()));
            if !scrubbed.complete {
                self.wrong(generation, "a scrub was not complete");
            }
        }
        store.wait(store.progress().submitted).unwrap();
        self.check_images(generation);
        for (name, id) in store.volume_names() {
            let path = store.volume_place(id).unwrap();
            let sums = self.disk.content(Path::new(&format!("{path}.sums")));
            let sums = sums.unwrap_or_default();
            let summed = |block: &u64| {
                let at = *block as usize * 4;
                sums.get(at..at + 4).is_some_and(|sum| sum != [0; 4])
            };
            let blocks: Vec<u64> = (0..sums.len() as u64 / 4).filter(summed).collect();
            for _ in 0..self.random.below(4) {
                let Some(block) = blocks.get(self.random.below(blocks.len().max(1) as u64) as usize) else {
                    continue;
                };
                let offset = block * BLOCK + self.random.below(BLOCK - 8);
                self.disk
                    .damage(Path::new(&path), offset, &self.random.number().to_le_bytes());
                self.history.rots(&name, *block);
                self.rotted += 1;
            }
        }
    }

    fn act(&mut self, store: &Store) -> Result<(), rbdgate_store::StoreError> {
        let stage = match self.random.below(20) {
            0..8 => return self.history.submit(store, &mut self.random),
            8..11 => Stage::Direct,
            11..14 => Stage::Journal,
            14..18 => Stage::Apply,
            _ => Stage::Checkpoint,
        };
        store.step(stage).map(drop)
    }

    fn check_images(&mut self, generation: u64) {
        for image in self.disk.take_images() {
            let deeper = self.random.one_in(10);
            self.check_image(generation, &image, deeper);
        }
    }

    /// Opens what a crash left. With `deeper`, the opening crashes as well.
    fn check_image(&mut self, generation: u64, image: &Image, deeper: bool) {
        self.points += 1;
        let disk = SimDisk::of(image, self.random.number());
        disk.note(image.note);
        if deeper {
            disk.crash_at(CrashPoints {
                at_syncs: 1,
                others: 4,
            });
        }
        let checked = Store::open(options(&disk))
            .map_err(|error| error.to_string())
            .and_then(|store| {
                let checked = self.history.check(&store, image.note);
                checked.map_err(|error| error.to_string())
            });
        if let Err(text) = checked {
            self.wrong(generation, &format!("{image:?}: {text}"));
        }
        for image in disk.take_images() {
            self.check_image(generation, &image, false);
        }
    }

    fn wrong(&self, generation: u64, text: &str) -> ! {
        panic!(
            "seed {seed}, generation {generation}: {text}\nagain: RBDGATE_SIM_SEED={seed} cargo test -p rbdgate-store \
             --test simulation {test}",
            seed = self.seed,
            test = if self.rots {
                "blocks_that_rot"
            } else {
                "after_a_crash"
            }
        )
    }
}
