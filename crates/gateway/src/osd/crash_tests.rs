//! Objects on a disk that loses power: random changes of objects with snapshots, a crash at every call that makes something
//! durable and at random others, and then all objects and all their snapshots compared with a model.
//!
//! `RBDGATE_SIM_SEED=n cargo test -p rbdgate --lib crash_tests` runs one seed again, exactly as before;
//! `RBDGATE_SIM_POINTS` says how many crash points there are to be (default 2,000).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use disk_sim::{CrashPoints, Image, Random, SimDisk};
use encoding::types::{OpArgs, OpCode, OsdOp};
use store::{Options, Seq, Stage, Store};

use super::{
    context::Context,
    object_rig::{Content, GRAIN, POOL, content, extent, omap, request, xattr},
    ops::{self, Effects, WatchView},
    watch::Watchers,
};
use crate::{
    fsck,
    objects::{Objects, fetched::Access, id::ObjectId, keys, mutation::WriterSnaps, preserve::Preserve},
};

const GENERATIONS: u64 = 4;
const ACTIONS: u64 = 70;
/// Longest object, in grains.
const GRAINS: u64 = 150;
/// Two objects of an image, and two others.
const NAMES: [&str; 4] = [
    "rbd_data.img.0000000000000000",
    "rbd_data.img.0000000000000003",
    "plain",
    "other",
];

fn options(disk: &SimDisk) -> Options {
    Options {
        // What changes and preserves more than 128 KiB does not fit into it.
        journal_bytes: 2 << 20,
        // Larger than the pieces that data is journaled in.
        direct_threshold: 48 << 10,
        reserve_bytes: 0,
        region_bytes: 128 << 10,
        meta_cache_bytes: 1 << 20,
        disk: Arc::new(disk.clone()),
        stepped: true,
        ..Options::new(Path::new("/data/store"))
    }
}

fn open(disk: &SimDisk) -> Objects {
    Objects::open(Store::open(options(disk)).unwrap()).unwrap()
}

fn id(which: usize) -> ObjectId {
    ObjectId::new(POOL, "", NAMES[which])
}

/// What all objects are, and were at each snapshot.
#[derive(Debug, Clone, Default)]
struct Model {
    heads: [Option<Content>; NAMES.len()],
    /// The newest snapshot.
    snap: u64,
    snaps: BTreeMap<u64, [Option<Content>; NAMES.len()]>,
}

/// A change that was submitted.
struct Submitted {
    seq: Seq,
    model: Model,
    object: usize,
    /// What it filled its object with: grains and byte.
    written: Option<(u64, u64, u8)>,
}

struct Run {
    seed: u64,
    random: Random,
    disk: SimDisk,
    base: Model,
    /// The number of the last change in `base`.
    first: u64,
    submitted: Vec<Submitted>,
    acknowledged: u64,
    /// For each object, the last transaction that preserved old data of it.
    preserved: [Option<Seq>; NAMES.len()],
    /// As it is now, with snapshots that no change has seen yet.
    model: Model,
    /// Snapshots that were removed. What is left of them may be trimmed or not.
    removed: BTreeSet<u64>,
    points: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let disk = SimDisk::new(random.number());
        let objects = open(&disk);
        let mut this = Self {
            seed,
            random,
            disk,
            base: Model::default(),
            first: 0,
            submitted: Vec::new(),
            acknowledged: 0,
            preserved: [None; NAMES.len()],
            model: Model::default(),
            removed: BTreeSet::new(),
            points: 0,
        };
        // The image's header says that its objects are 1 MiB long.
        let header = ObjectId::new(POOL, "", "rbd_header.img");
        this.commit(&objects, &header, omap(b"order", &[20]), None, 0);
        objects.store().close().unwrap();
        this
    }

    fn newest(&self) -> u64 {
        self.first + self.submitted.len() as u64
    }

    fn model_after(&self, n: u64) -> &Model {
        match n.checked_sub(self.first + 1) {
            Some(at) => &self.submitted[at as usize].model,
            None => &self.base,
        }
    }

    /// Runs one op as the OSD does, with change number `n`. Returns its transaction, if it changed anything.
    fn commit(
        &mut self,
        objects: &Objects,
        id: &ObjectId,
        op: OsdOp,
        which: Option<usize>,
        n: u64,
    ) -> Option<Seq> {
        let state = objects.load(id).unwrap();
        let snaps = self.model.snaps.keys().rev().copied();
        let snaps = snaps.filter(|snap| !self.removed.contains(snap));
        let snaps = WriterSnaps {
            seq: self.model.snap,
            fresh: snaps.take_while(|snap| *snap > state.seq).collect(),
        };
        let watchers = Watchers::default();
        let view = WatchView {
            watchers: &watchers,
            next_notify_id: &|| 1,
        };
        let mut ctx = Context::new(objects, id, &state, &[], request(), snaps, Access::Wait);
        let result = ops::run(&mut ctx, &mut [op], &[], &view, &mut Effects::default());
        if result < 0 || !ctx.modified() {
            return None;
        }
        let mut change = ctx.into_change();
        change.new.version = objects.next_version().unwrap();
        let durable = objects.store().durable();
        let before = which.and_then(|which| self.preserved[which]);
        change.preserved = before.filter(|seq| durable < *seq);
        change.journaled = change.preserved.is_some();
        objects.prepare(id, &mut change, Access::Wait).unwrap();
        let preserves = change.preserve.as_ref().is_some_and(Preserve::overwrites);
        let committed = objects.commit(id, &mut change, |tx| {
            tx.put(keys::counter("last"), n.to_le_bytes().to_vec());
        });
        let seq = committed.unwrap();
        if let Some(which) = which.filter(|_| preserves) {
            self.preserved[which] = Some(seq);
        }
        Some(seq)
    }

    fn change(&mut self, objects: &Objects) {
        if self.random.one_in(6) {
            self.model.snap += 1;
            self.model.snaps.insert(self.model.snap, self.model.heads.clone());
            return;
        }
        let object = self.random.below(NAMES.len() as u64) as usize;
        let n = self.newest() + 1;
        let fill = (n % 255) as u8 + 1;
        let longest = if self.random.one_in(2) { 8 } else { GRAINS };
        let (at, len) = (self.random.below(GRAINS), self.random.below(longest) + 1);
        let mut head = self.model.heads[object].clone().unwrap_or_default();
        let exists = self.model.heads[object].is_some();
        let (mut written, mut removed) = (None, false);
        let data = || vec![fill; (len * GRAIN) as usize];
        let op = match self.random.below(12) {
            0..6 => {
                head.write(at, len, fill);
                written = Some((at, at + len, fill));
                extent(OpCode::WRITE, at * GRAIN, len * GRAIN, data())
            }
            6 => {
                head.data.clear();
                head.write(0, len, fill);
                written = Some((0, len, fill));
                extent(OpCode::WRITEFULL, 0, len * GRAIN, data())
            }
            7 if exists => {
                head.data.resize((at * GRAIN) as usize, 0);
                extent(OpCode::TRUNCATE, at * GRAIN, 0, Vec::new())
            }
            8 if exists => {
                removed = true;
                OsdOp::new(OpCode::DELETE, OpArgs::Raw([0; 28]), Bytes::new())
            }
            9 => {
                head.xattr = Some(fill);
                xattr(&[fill])
            }
            _ => {
                head.omap = Some(fill);
                omap(b"k", &[fill])
            }
        };
        if let Some(seq) = self.commit(objects, &id(object), op, Some(object), n) {
            self.model.heads[object] = (!removed).then_some(head);
            self.submitted.push(Submitted {
                seq,
                model: self.model.clone(),
                object,
                written,
            });
        }
    }

    /// Removes a snapshot, and trims all that were removed, as the OSD does.
    fn remove_snap(&mut self, objects: &Objects) {
        let there: Vec<u64> = self.model.snaps.keys().copied().collect();
        if there.is_empty() {
            return;
        }
        let which = self.random.below(there.len() as u64) as usize;
        self.removed.insert(there[which]);
        for snap in &self.removed {
            while let Some(which) = objects.clones_of_snap(POOL, *snap, 1).unwrap().first() {
                let state = objects.load(&which.id).unwrap();
                let of_it = |tx: &&Submitted| id(tx.object) == which.id;
                let last = self.submitted.iter().rfind(of_it).map(|tx| tx.seq);
                let removed = |snap| self.removed.contains(&snap);
                objects.trim(which, &state, last, removed).unwrap();
            }
        }
    }

    /// Compares everything with the model. Returns the last change that is there.
    fn check(&self, objects: &Objects, acknowledged: u64) -> Result<(u64, Model), String> {
        let last = objects.store().get(&keys::counter("last")).unwrap();
        let n = last.map_or(0, |last| u64::from_le_bytes(last[..].try_into().unwrap()));
        if !(acknowledged..=self.newest()).contains(&n) {
            return Err(format!("change {n} is the last, {acknowledged} was acknowledged"));
        }
        let mut model = self.model_after(n).clone();
        // Before anything is mended or tidied up.
        let (problems, _) = fsck::check_objects(objects.store()).unwrap();
        if !problems.is_empty() {
            return Err(format!("after change {n}: {problems:?}"));
        }
        for object in 0..NAMES.len() {
            let id = id(object);
            let state = objects.load(&id).unwrap();
            let head = state.exists.then(|| content(objects, &id, &state));
            if head != model.heads[object] {
                self.excuse(n, object, head.as_ref(), model.heads[object].as_ref())?;
                // A snapshot that no change has seen yet shows the head as well.
                let seen = |snap: &u64| *snap <= state.seq;
                let was = model.heads[object].clone();
                let unseen = model.snaps.iter_mut().filter(|(snap, _)| !seen(snap));
                for (_, then) in unseen.filter(|(_, then)| then[object] == was) {
                    then[object] = head.clone();
                }
                model.heads[object] = head;
            }
            let live = model
                .snaps
                .iter()
                .filter(|(snap, _)| !self.removed.contains(snap));
            for (snap, then) in live {
                let state = objects.at_snap(&state, *snap, false).unwrap();
                let found = state.map(|state| content(objects, &id, &state));
                if found != then[object] {
                    return Err(format!(
                        "{} at snapshot {snap} after change {n}: {}; {}",
                        NAMES[object],
                        difference(found.as_ref(), then[object].as_ref()),
                        self.changes_of(object)
                    ));
                }
            }
        }
        Ok((n, model))
    }

    /// Whether a head is what it should be but for data that changes under way have written in place.
    fn excuse(
        &self,
        n: u64,
        object: usize,
        found: Option<&Content>,
        wanted: Option<&Content>,
    ) -> Result<(), String> {
        let wrong = || format!("{} after change {n}", NAMES[object]);
        let (Some(found), Some(wanted)) = (found, wanted) else {
            return Err(wrong());
        };
        let same =
            (found.xattr, found.omap, found.data.len()) == (wanted.xattr, wanted.omap, wanted.data.len());
        let under_way = &self.submitted[(n - self.first) as usize..];
        let by_another = |at: usize| {
            let grain = at as u64 / GRAIN;
            let mut written = under_way.iter().filter(|tx| tx.object == object);
            written.any(|tx| {
                tx.written
                    .is_some_and(|(from, to, fill)| (from..to).contains(&grain) && found.data[at] == fill)
            })
        };
        let excused = |at: usize| found.data[at] == wanted.data[at] || by_another(at);
        if same && (0..found.data.len()).all(excused) {
            Ok(())
        } else {
            Err(wrong())
        }
    }

    fn changes_of(&self, object: usize) -> String {
        let all = (self.first + 1..).zip(&self.submitted);
        let of_it = all.filter(|(_, tx)| tx.object == object);
        of_it
            .map(|(n, tx)| {
                format!(
                    "\n  change {n} (seq {}, snap {}): {:?}",
                    tx.seq, tx.model.snap, tx.written
                )
            })
            .collect()
    }

    fn restart(&mut self, objects: &Objects) {
        match self.check(objects, self.acknowledged) {
            Ok((n, mut model)) => {
                // The monitor never gives a number twice.
                model.snap = self.model.snap;
                self.base = model.clone();
                self.model = model;
                self.first = n;
                self.submitted.clear();
                // What is in the store when it is opened is durable.
                self.preserved = [None; NAMES.len()];
                self.acknowledge(n);
            }
            Err(text) => self.wrong(&text),
        }
    }

    fn acknowledge(&mut self, n: u64) {
        self.acknowledged = n;
        self.disk.note(n);
    }

    fn check_images(&mut self) {
        for image in self.disk.take_images() {
            self.points += 1;
            let disk = SimDisk::of(&image, self.random.number());
            if let Err(text) = self.check(&open(&disk), image.note) {
                self.wrong(&format!("{image:?}: {text}"));
            }
        }
    }

    fn generation(&mut self) -> Image {
        self.disk.note(self.acknowledged);
        self.disk.crash_at(CrashPoints {
            at_syncs: 1,
            others: 10,
        });
        let objects = open(&self.disk);
        self.check_images();
        self.restart(&objects);
        for _ in 0..ACTIONS {
            let stage = match self.random.below(20) {
                0..8 => None,
                8..11 => Some(Stage::Direct),
                11..14 => Some(Stage::Journal),
                14..18 => Some(Stage::Apply),
                _ => Some(Stage::Checkpoint),
            };
            match stage {
                None if self.random.one_in(16) => self.remove_snap(&objects),
                None => self.change(&objects),
                Some(stage) => drop(objects.store().step(stage).unwrap()),
            }
            let durable = objects.store().durable();
            let known = self.submitted.iter().take_while(|tx| tx.seq <= durable).count();
            self.acknowledge(self.first + known as u64);
            self.check_images();
        }
        self.disk.image()
    }

    /// Returns how many crash points were looked at.
    fn all(mut self) -> u64 {
        for _ in 0..GENERATIONS {
            let image = self.generation();
            self.disk = SimDisk::of(&image, self.random.number());
        }
        self.points
    }

    fn wrong(&self, text: &str) -> ! {
        panic!(
            "seed {seed}: {text}\nagain: RBDGATE_SIM_SEED={seed} cargo test -p rbdgate --lib crash_tests",
            seed = self.seed
        )
    }
}

/// Where two contents differ, for who has to find out why.
fn difference(found: Option<&Content>, wanted: Option<&Content>) -> String {
    let (Some(found), Some(wanted)) = (found, wanted) else {
        return format!("exists {}, wanted {}", found.is_some(), wanted.is_some());
    };
    let at = found.data.iter().zip(&wanted.data).position(|(a, b)| a != b);
    format!(
        "size {} wanted {}, differs at {at:?}: {:?} wanted {:?}; {:?} {:?} wanted {:?} {:?}",
        found.data.len(),
        wanted.data.len(),
        at.map(|at| found.data[at]),
        at.map(|at| wanted.data[at]),
        found.xattr,
        found.omap,
        wanted.xattr,
        wanted.omap
    )
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn after_a_crash_anywhere_objects_and_their_snapshots_are_as_acknowledged() {
    if let Some(seed) = number("RBDGATE_SIM_SEED") {
        println!("seed {seed}: {} crash points", Run::new(seed).all());
        return;
    }
    let wanted = number("RBDGATE_SIM_POINTS").unwrap_or(2_000);
    let (seed, points) = (AtomicU64::new(1), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while points.load(SeqCst) < wanted {
                    let run = Run::new(seed.fetch_add(1, SeqCst));
                    points.fetch_add(run.all(), SeqCst);
                }
            });
        }
    });
    println!("seeds 1 to {}: {points:?} crash points", seed.load(SeqCst) - 1);
}
