//! Random changes, snapshots and their removal, compared with copies of the whole object.

use std::collections::BTreeMap;

use bytes::Bytes;
use encoding::types::{OpArgs, OpCode, OsdOp};
use proptest::prelude::*;

use super::{IMAGE, Rig};
use crate::{
    objects::{
        Data, Objects,
        fetched::Access,
        onode::ObjectState,
        slots::{SLOT_SIZE, UNIT},
    },
    osd::object_rig::{content, extent},
};

#[derive(Debug, Clone)]
enum Step {
    Write { at: u64, len: u64, fill: Fill },
    Zero { at: u64, len: u64 },
    Truncate { size: u64 },
    Delete,
    Snap,
    Remove(u64),
    Trim,
    Reopen,
    MakeOld,
}

/// What is written.
#[derive(Debug, Clone, Copy)]
enum Fill {
    Zeros,
    Bytes(u8),
    /// Some units are zeros, by the bits.
    Mixed(u64),
}

impl Fill {
    fn data(self, at: u64, len: u64) -> Vec<u8> {
        let byte = |at: u64| match self {
            Self::Zeros => 0,
            Self::Bytes(byte) => byte,
            Self::Mixed(bits) if bits >> (at / UNIT % 64) & 1 == 0 => 0,
            Self::Mixed(bits) => (bits ^ (at / 512)) as u8 | 1,
        };
        (at..at + len).map(byte).collect()
    }
}

/// Places and lengths: of units, of blocks, and odd ones.
fn place() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => (0..60_u64).prop_map(|unit| unit * UNIT),
        1 => (0..4_u64).prop_map(|block| block * SLOT_SIZE),
        2 => 0..240_000_u64,
    ]
}

fn length() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => Just(UNIT),
        2 => (1..40_u64).prop_map(|units| units * UNIT),
        2 => 1..6000_u64,
        1 => 1..150_000_u64,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let fill = prop_oneof![
        1 => Just(Fill::Zeros),
        3 => (1..=255_u8).prop_map(Fill::Bytes),
        2 => any::<u64>().prop_map(Fill::Mixed),
    ];
    prop_oneof![
        14 => (place(), length(), fill).prop_map(|(at, len, fill)| Step::Write { at, len, fill }),
        2 => (place(), length()).prop_map(|(at, len)| Step::Zero { at, len }),
        2 => place().prop_map(|size| Step::Truncate { size }),
        1 => Just(Step::Delete),
        5 => Just(Step::Snap),
        3 => any::<u64>().prop_map(Step::Remove),
        3 => Just(Step::Trim),
        1 => Just(Step::Reopen),
        1 => Just(Step::MakeOld),
    ]
}

#[derive(Debug, Default)]
struct Model {
    head: Option<Vec<u8>>,
    snaps: BTreeMap<u64, Option<Vec<u8>>>,
}

fn run_step(rig: &mut Rig, model: &mut Model, step: &Step) {
    match *step {
        Step::Write { at, len, fill } => {
            let data = fill.data(at, len);
            rig.write(at, &data);
            let head = model.head.get_or_insert_default();
            let end = (at + len) as usize;
            head.resize(head.len().max(end), 0);
            head[at as usize..end].copy_from_slice(&data);
        }
        Step::Zero { at, len } => {
            if rig.apply(extent(OpCode::ZERO, at, len, Vec::new())) {
                let head = model.head.as_mut().unwrap();
                match (at + len) as usize {
                    end if end >= head.len() => head.truncate(at as usize),
                    end => head[at as usize..end].fill(0),
                }
            }
        }
        Step::Truncate { size } => {
            if rig.apply(extent(OpCode::TRUNCATE, size, 0, Vec::new())) {
                model.head.as_mut().unwrap().resize(size as usize, 0);
            }
        }
        Step::Delete if model.head.is_some() => {
            rig.apply(OsdOp::new(OpCode::DELETE, OpArgs::Raw([0; 28]), Bytes::new()));
            model.head = None;
        }
        Step::Delete => {}
        Step::Snap => {
            let snap = rig.make_snap();
            model.snaps.insert(snap, model.head.clone());
        }
        Step::Remove(which) => {
            let all: Vec<u64> = rig.live.iter().copied().collect();
            if !all.is_empty() {
                let snap = all[(which % all.len() as u64) as usize];
                rig.remove(snap);
                model.snaps.remove(&snap);
            }
        }
        Step::Trim => rig.trim(),
        Step::Reopen => rig.objects = Objects::open(rig.objects.store().clone()).unwrap(),
        Step::MakeOld => rig.make_old(),
    }
}

fn check(rig: &Rig, model: &Model) {
    let state = rig.state();
    let head = state.exists.then(|| content(&rig.objects, &rig.id, &state).data);
    assert!(head == model.head, "the head");
    for (snap, then) in &model.snaps {
        let found = rig.at(*snap);
        let at = found
            .iter()
            .flatten()
            .zip(then.iter().flatten())
            .position(|(a, b)| a != b);
        assert!(found == *then, "snapshot {snap}, at {at:?}");
        read_in_pieces(rig, &state, *snap, then.as_deref());
    }
    rig.check();
}

/// Reads odd parts of a snapshot.
fn read_in_pieces(rig: &Rig, head: &ObjectState, snap: u64, then: Option<&[u8]>) {
    let Some(then) = then else { return };
    let state = rig.objects.at_snap(head, snap, false).unwrap().unwrap();
    let mut at = 1;
    while at < then.len() {
        let end = then.len().min(at + 70_001);
        let len = (end - at) as u64;
        let read = rig.objects.read(&rig.id, &state, at as u64, len, Access::Wait);
        let Data::Ready(data) = read.unwrap() else {
            panic!("reads wait")
        };
        assert!(data[..] == then[at..end], "snapshot {snap}, {at} to {end}");
        at = end + 5000;
    }
}

fn play(name: &str, steps: &[Step]) {
    let mut rig = Rig::new(name);
    let mut model = Model::default();
    for (n, step) in steps.iter().enumerate() {
        run_step(&mut rig, &mut model, step);
        if n % 4 == 3 || n + 1 == steps.len() {
            check(&rig, &model);
        }
    }
    for snap in rig.live.clone() {
        rig.remove(snap);
    }
    rig.trim();
    run_step(&mut rig, &mut model, &Step::Delete);
    rig.check();
    assert_eq!(rig.slots_taken(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_snapshot_of_an_image_object_is_what_the_object_was(steps in prop::collection::vec(step(), 1..60)) {
        play(IMAGE, &steps);
    }

    #[test]
    fn every_snapshot_of_a_plain_object_is_what_the_object_was(steps in prop::collection::vec(step(), 1..60)) {
        play("plain", &steps);
    }
}
