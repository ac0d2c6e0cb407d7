//! Random changes of an object with snapshots made, rolled back to, removed and trimmed in between, compared with a
//! model that copies everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use encoding::{
    Decode, Reader,
    types::{ListSnapsResponse, NOSNAP, OpArgs, OpCode, OsdOp, snap::Extents},
};
use proptest::prelude::*;
use store::{Options, Store};

use super::{
    context::Context,
    memory_device::Memory,
    object_rig::{Content, GRAIN, POOL, apply, content, extent, omap, request, xattr},
};
use crate::objects::{
    Objects, fetched::Access, id::ObjectId, keys, mutation::WriterSnaps, onode::ObjectState,
};

const GRAINS: u64 = 300;

#[derive(Debug, Clone)]
enum Step {
    Write { at: u64, len: u64, fill: u8 },
    WriteFull { len: u64, fill: u8 },
    Zero { at: u64, len: u64 },
    Truncate { size: u64 },
    Delete,
    Xattr(u8),
    Omap(u8),
    Snap,
    Remove(Which),
    Rollback(Which),
    Trim,
    Reopen,
}

/// A choice among what there is.
#[derive(Debug, Clone, Copy)]
struct Which(u64);

impl Which {
    fn get<T>(self, from: &[T]) -> &T {
        &from[(self.0 % from.len() as u64) as usize]
    }
}

fn grains() -> impl Strategy<Value = u64> {
    prop_oneof![1 => 0..4_u64, 2 => 0..GRAINS]
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![3 => 1..8_u64, 1 => 1..150_u64];
    let fill = prop_oneof![1 => Just(0_u8), 4 => 1..=255_u8];
    prop_oneof![
        12 => (grains(), len.clone(), fill.clone()).prop_map(|(at, len, fill)| Step::Write { at, len, fill }),
        1 => (grains(), fill).prop_map(|(len, fill)| Step::WriteFull { len, fill }),
        3 => (grains(), len).prop_map(|(at, len)| Step::Zero { at, len }),
        2 => grains().prop_map(|size| Step::Truncate { size }),
        1 => Just(Step::Delete),
        1 => any::<u8>().prop_map(Step::Xattr),
        1 => any::<u8>().prop_map(Step::Omap),
        6 => Just(Step::Snap),
        3 => any::<u64>().prop_map(|n| Step::Remove(Which(n))),
        2 => any::<u64>().prop_map(|n| Step::Rollback(Which(n))),
        2 => Just(Step::Trim),
        1 => Just(Step::Reopen),
    ]
}

/// A clone as list-snaps must tell of it.
#[derive(Debug, Clone)]
struct CloneModel {
    id: u64,
    snaps: BTreeSet<u64>,
    size: u64,
    shared: Vec<bool>,
}

impl CloneModel {
    /// Bytes that only the clone has.
    fn own_bytes(&self) -> u64 {
        self.size - self.overlap().iter().map(|(_, len)| len).sum::<u64>()
    }

    fn overlap(&self) -> Extents {
        let mut found: Extents = Vec::new();
        for grain in (0..GRAINS * 2).filter(|g| self.shared[*g as usize]) {
            match found.last_mut() {
                Some((start, len)) if *start + *len == grain * GRAIN => *len += GRAIN,
                _ => found.push((grain * GRAIN, GRAIN)),
            }
        }
        found
    }
}

#[derive(Debug, Default)]
struct Model {
    head: Option<Content>,
    seq: u64,
    next: u64,
    live: BTreeMap<u64, Option<Content>>,
    removed: BTreeSet<u64>,
    clones: Vec<CloneModel>,
}

impl Model {
    fn fresh(&self) -> Vec<u64> {
        let newer = self.live.keys().rev().copied();
        newer.take_while(|s| *s > self.seq).collect()
    }

    /// What a change does before it is made: `touched` are its grains.
    fn before_change(&mut self, touched: std::ops::Range<u64>) {
        let fresh = self.fresh();
        if let (Some(head), false) = (&self.head, fresh.is_empty()) {
            let size = head.data.len() as u64;
            self.clones.push(CloneModel {
                id: self.next,
                snaps: fresh.into_iter().collect(),
                size,
                shared: (0..GRAINS * 2).map(|g| g * GRAIN < size).collect(),
            });
        }
        if let Some(newest) = self.clones.last_mut() {
            for grain in touched.start..touched.end.min(GRAINS * 2) {
                newest.shared[grain as usize] = false;
            }
        }
        self.seq = self.seq.max(self.next);
    }

    fn after_change(&mut self) {
        if self.head.is_none() && self.clones.is_empty() {
            self.seq = 0;
        }
    }

    fn trim(&mut self) {
        for clone in &mut self.clones {
            clone.snaps.retain(|s| !self.removed.contains(s));
        }
        while let Some(at) = self.clones.iter().position(|c| c.snaps.is_empty()) {
            let gone = self.clones.remove(at);
            if let Some(older) = at.checked_sub(1).and_then(|a| self.clones.get_mut(a)) {
                for (mine, its) in older.shared.iter_mut().zip(gone.shared) {
                    *mine &= its;
                }
            }
        }
        self.removed.clear();
        self.after_change();
    }
}

/// The object under test.
struct Rig {
    objects: Objects,
    id: ObjectId,
    state: ObjectState,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new(name: &str, devices: Option<Arc<dyn store::Devices>>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options::new(dir.path());
        options.journal_bytes = 32 << 20;
        options.reserve_bytes = 0;
        options.devices = devices;
        let objects = Objects::open(Store::open(options).unwrap()).unwrap();
        let header = ObjectId::new(POOL, "", "rbd_header.img");
        let mut rig = Self {
            state: objects.load(&header).unwrap(),
            objects,
            id: header,
            _dir: dir,
        };
        rig.apply(omap(b"order", &[20]), WriterSnaps::default()).unwrap();
        rig.id = ObjectId::new(POOL, "", name.to_owned());
        rig.state = rig.objects.load(&rig.id).unwrap();
        rig
    }

    /// Runs one op. Returns whether it changed anything.
    fn apply(&mut self, op: OsdOp, snaps: WriterSnaps) -> Result<bool, i32> {
        let changed = apply(&self.objects, &self.id, &self.state, op, snaps)?;
        let modified = changed.is_some();
        self.state = changed.unwrap_or_else(|| self.state.clone());
        Ok(modified)
    }

    fn content(&self, state: &ObjectState) -> Content {
        content(&self.objects, &self.id, state)
    }

    fn at(&self, snap: u64) -> Option<Content> {
        let state = self.objects.at_snap(&self.state, snap, false).unwrap()?;
        Some(self.content(&state))
    }

    fn list(&self) -> ListSnapsResponse {
        let ctx = Context::new(
            &self.objects,
            &self.id,
            &self.state,
            &[],
            request(),
            WriterSnaps::default(),
            Access::Wait,
        );
        let mut op = OsdOp::new(OpCode::LIST_SNAPS, OpArgs::Raw([0; 28]), Bytes::new());
        super::ops_snap::list(&ctx, &mut op).unwrap();
        let raw = Bytes::from(op.outdata.concat());
        ListSnapsResponse::decode(&mut Reader::new(&raw)).unwrap()
    }

    fn trim(&mut self, removed: &BTreeSet<u64>) {
        for snap in removed {
            loop {
                let found = self.objects.clones_of_snap(POOL, *snap, 2).unwrap();
                let Some(which) = found.first() else { break };
                assert_eq!(which.id, self.id);
                let trimmed = self
                    .objects
                    .trim(which, &self.state, None, |s| removed.contains(&s));
                self.state = trimmed.unwrap().state;
            }
        }
    }

    /// How many rows there are in the tables of `tables`, and how many slots are taken.
    fn leftovers(&self, tables: &[u8]) -> Vec<(u8, usize)> {
        let rows = |table: u8| {
            let (from, to) = keys::whole_table(table);
            self.objects.store().scan(&from..&to, usize::MAX).unwrap()
        };
        let mut found: Vec<_> = tables.iter().map(|t| (*t, rows(*t).len())).collect();
        let taken = |page: &[u8]| page.iter().filter(|b| **b != 0).count();
        found.push((b'S', rows(b'S').iter().map(|(_, page)| taken(page)).sum()));
        found.retain(|(_, n)| *n != 0);
        found
    }
}

fn run_step(rig: &mut Rig, model: &mut Model, step: &Step) {
    let snaps = WriterSnaps {
        seq: model.next,
        fresh: model.fresh(),
    };
    let exists = model.head.is_some();
    let end = GRAINS * 2;
    match step {
        Step::Write { at, len, fill } => {
            let data = vec![*fill; (len * GRAIN) as usize];
            rig.apply(extent(OpCode::WRITE, at * GRAIN, len * GRAIN, data), snaps)
                .unwrap();
            model.before_change(*at..at + len);
            model.head.get_or_insert_default().write(*at, *len, *fill);
        }
        Step::WriteFull { len, fill } => {
            let data = vec![*fill; (len * GRAIN) as usize];
            rig.apply(extent(OpCode::WRITEFULL, 0, len * GRAIN, data), snaps)
                .unwrap();
            model.before_change(0..end);
            let head = model.head.get_or_insert_default();
            head.data.clear();
            head.write(0, *len, *fill);
        }
        Step::Zero { at, len } => {
            if rig
                .apply(extent(OpCode::ZERO, at * GRAIN, len * GRAIN, Vec::new()), snaps)
                .unwrap()
            {
                let size = model.head.as_ref().map_or(0, |h| h.data.len() as u64);
                let to_end = (at + len) * GRAIN >= size;
                model.before_change(*at..if to_end { end } else { at + len });
                let head = model.head.as_mut().unwrap();
                match to_end {
                    true => head.data.truncate((at * GRAIN) as usize),
                    false => head.write(*at, *len, 0),
                }
            }
        }
        Step::Truncate { size } => {
            if rig
                .apply(extent(OpCode::TRUNCATE, size * GRAIN, 0, Vec::new()), snaps)
                .unwrap()
            {
                model.before_change(*size..end);
                model
                    .head
                    .as_mut()
                    .unwrap()
                    .data
                    .resize((size * GRAIN) as usize, 0);
            }
        }
        Step::Delete => {
            let op = OsdOp::new(OpCode::DELETE, OpArgs::Raw([0; 28]), Bytes::new());
            assert_eq!(rig.apply(op, snaps).is_ok(), exists);
            if exists {
                model.before_change(0..end);
                model.head = None;
            }
        }
        Step::Xattr(value) => {
            rig.apply(xattr(&[*value]), snaps).unwrap();
            model.before_change(0..0);
            model.head.get_or_insert_default().xattr = Some(*value);
        }
        Step::Omap(value) => {
            rig.apply(omap(b"k", &[*value]), snaps).unwrap();
            model.before_change(0..0);
            model.head.get_or_insert_default().omap = Some(*value);
        }
        Step::Snap => {
            model.next += 1;
            model.live.insert(model.next, model.head.clone());
        }
        Step::Remove(which) => {
            if !model.live.is_empty() {
                let snap = *which.get(&model.live.keys().collect::<Vec<_>>());
                let snap = *snap;
                model.live.remove(&snap);
                model.removed.insert(snap);
                model.next += 1;
            }
        }
        Step::Rollback(which) => {
            if model.live.is_empty() {
                return;
            }
            let snap = **which.get(&model.live.keys().collect::<Vec<_>>());
            let shared: Vec<_> = model.clones.iter().filter(|c| c.id >= snap).cloned().collect();
            let op = OsdOp::new(OpCode::ROLLBACK, OpArgs::Snap { snapid: snap }, Bytes::new());
            if rig.apply(op, snaps).unwrap() {
                let then = model.live[&snap].clone();
                let to_head = snap > model.seq;
                model.before_change(0..0);
                // Everything that some clone on the way to the head does not share was written.
                if !to_head && let Some(newest) = model.clones.last_mut() {
                    for (grain, mine) in newest.shared.iter_mut().enumerate() {
                        *mine &= then.is_some() && shared.iter().all(|c| c.shared[grain]);
                    }
                }
                model.head = then;
            }
        }
        Step::Trim => {
            rig.trim(&model.removed);
            model.trim();
        }
        Step::Reopen => {
            let counted = |objects: &Objects| {
                let figures = objects.usage().pool(POOL).figures();
                (figures.objects, figures.clones, figures.bytes)
            };
            let before = counted(&rig.objects);
            rig.objects = Objects::open(rig.objects.store().clone()).unwrap();
            assert_eq!(
                counted(&rig.objects),
                before,
                "objects, clones and bytes, counted anew"
            );
            let own = model.clones.iter().map(CloneModel::own_bytes).sum::<u64>();
            let head = model.head.as_ref().map_or(0, |h| h.data.len() as u64);
            assert_eq!((before.1, before.2), (model.clones.len() as u64, head + own));
            rig.state = rig.objects.load(&rig.id).unwrap();
        }
    }
    model.after_change();
}

fn differ(what: &str, snap: u64, is: Option<&Content>, wanted: Option<&Content>) {
    if is == wanted {
        return;
    }
    let (Some(is), Some(wanted)) = (is, wanted) else {
        panic!(
            "{what} {snap}: exists {}, wanted {}",
            is.is_some(),
            wanted.is_some()
        );
    };
    let at = is.data.iter().zip(&wanted.data).position(|(a, b)| a != b);
    panic!(
        "{what} {snap}: size {} wanted {}, differs at {at:?}: {:?} wanted {:?}; {:?} {:?} wanted {:?} {:?}",
        is.data.len(),
        wanted.data.len(),
        at.map(|at| is.data[at]),
        at.map(|at| wanted.data[at]),
        is.xattr,
        is.omap,
        wanted.xattr,
        wanted.omap
    );
}

fn check(rig: &Rig, model: &Model) {
    let stored = rig.objects.load(&rig.id).unwrap();
    match rig.state.recorded() {
        true => assert_eq!(stored, rig.state),
        false => assert!(!stored.recorded()),
    }
    assert_eq!(rig.state.exists, model.head.is_some());
    assert_eq!(rig.state.seq, model.seq);
    if let Some(head) = &model.head {
        differ("head", 0, Some(&rig.content(&rig.state)), Some(head));
    }
    for (snap, content) in &model.live {
        differ("snapshot", *snap, rig.at(*snap).as_ref(), content.as_ref());
    }
    let listed = rig.list();
    let clones: Vec<_> = listed.clones.iter().filter(|c| c.cloneid != NOSNAP).collect();
    assert_eq!(clones.len(), model.clones.len());
    for (clone, wanted) in clones.into_iter().zip(&model.clones) {
        assert_eq!(
            (clone.cloneid, clone.size, &clone.overlap),
            (wanted.id, wanted.size, &wanted.overlap())
        );
        assert_eq!(clone.snaps, wanted.snaps.iter().copied().collect::<Vec<_>>());
    }
}

fn play(name: &str, steps: &[Step], devices: Option<Arc<dyn store::Devices>>) {
    let mut rig = Rig::new(name, devices);
    let mut model = Model {
        next: 1,
        ..Model::default()
    };
    let tables = *b"OEXHMDBCI";
    let before = rig.leftovers(&tables);
    for step in steps {
        run_step(&mut rig, &mut model, step);
        check(&rig, &model);
    }
    // When all snapshots and the object are gone, nothing is left.
    model.removed.extend(model.live.keys());
    model.live.clear();
    run_step(&mut rig, &mut model, &Step::Trim);
    run_step(&mut rig, &mut model, &Step::Delete);
    check(&rig, &model);
    assert_eq!(rig.leftovers(&tables), before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_image_data_object_shows_every_snapshot_as_it_was(steps in prop::collection::vec(step(), 1..60)) {
        play("rbd_data.img.0000000000000003", &steps, None);
    }

    #[test]
    fn an_image_data_object_on_a_device_shows_every_snapshot_as_it_was(steps in prop::collection::vec(step(), 1..60)) {
        play("rbd_data.img.0000000000000003", &steps, Some(Arc::new(Memory::default())));
    }

    #[test]
    fn a_plain_object_on_a_device_shows_every_snapshot_as_it_was(steps in prop::collection::vec(step(), 1..60)) {
        play("plain", &steps, Some(Arc::new(Memory::default())));
    }

    #[test]
    fn a_plain_object_shows_every_snapshot_as_it_was(steps in prop::collection::vec(step(), 1..60)) {
        play("plain", &steps, None);
    }
}

/// A clone inherited a block that it could still have shared, and a second one in its place: the first was lost.
#[test]
fn a_clone_that_outlives_two_newer_ones_takes_no_block_that_it_shares_with_the_third() {
    let write = |at, len, fill| Step::Write { at, len, fill };
    let newest = || Which(1);
    let steps = [
        write(0, 1, 0),
        write(0, 1, 1),
        Step::Snap,
        write(1, 17, 0),
        Step::Snap,
        write(1, 1, 0),
        Step::Remove(newest()),
        Step::Snap,
        write(0, 1, 0),
        Step::Remove(newest()),
        Step::Trim,
    ];
    play("rbd_data.img.0000000000000003", &steps, None);
}
