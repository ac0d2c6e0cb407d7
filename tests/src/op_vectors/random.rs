//! Vectors made by chance, the same for each seed: guards and reads first, then changes, with snapshots made in between
//! and read again.

use encoding::types::{NOSNAP, ObjectCopyCursor, OpCode, OsdFlags, OsdOp, SNAPDIR};

use super::Script;
use super::build::{
    Flagged, append, checksum, cmpext, cmpxattr, copy_from, copy_get, create, delete, fill, keys, omap_cmp,
    omap_keys, omap_rm_range, omap_set, omap_vals, plain, range, read, rollback, setxattr, sparse, stat,
    truncate, truncating, with_input, write, write_full, write_same, xattr, zero,
};
use crate::data::Random;

const OBJECTS: u64 = 4;

/// Adds `count` of them.
pub fn add(script: &mut Script, seed: u64, count: usize) {
    script.group("random");
    let mut random = Random::new(seed);
    let mut snaps: Vec<u64> = Vec::new();
    for _ in 0..count {
        if random.below(8) == 0 {
            one_snapshot_more(script, &mut random, &mut snaps, 2);
        }
        let oid = format!("random-{seed}-{}", random.below(OBJECTS));
        let newest = snaps.first().copied().unwrap_or_default();
        match random.below(10) {
            0 => drop_result(script.on(&oid, [plain(OpCode::LIST_SNAPS)]).at(SNAPDIR)),
            1 | 2 => {
                let ops: Vec<OsdOp> = (0..=random.below(3)).map(|_| look(&mut random)).collect();
                script.on(&oid, ops).at(1 + random.below(newest + 2));
            }
            3 => {
                let ops: Vec<OsdOp> = (0..=random.below(3)).map(|_| look(&mut random)).collect();
                script.on(&oid, ops);
            }
            _ => {
                let mut ops: Vec<OsdOp> = (0..random.below(2)).map(|_| guard(&mut random)).collect();
                ops.push(first_change(&mut random, newest));
                ops.extend((0..random.below(3)).map(|_| change(&mut random)));
                add_change(script, &mut random, &oid, ops);
            }
        }
    }
}

/// Adds `count` of those that read behind truncations, sum and compare data, change rows in all ways, and copy objects of the pool `pool`.
pub fn add_rarer(script: &mut Script, seed: u64, count: usize, pool: i64) {
    script.group("rarer");
    let mut random = Random::new(seed);
    let mut snaps: Vec<u64> = Vec::new();
    for _ in 0..count {
        if random.below(12) == 0 {
            one_snapshot_more(script, &mut random, &mut snaps, 3);
        }
        let newest = snaps.first().copied().unwrap_or_default();
        let object = random.below(OBJECTS);
        let oid = format!("rarer-{seed}-{object}");
        match random.below(8) {
            0 => {
                let snap = 1 + random.below(newest + 1);
                let snapid = random.pick(&[NOSNAP, snap]);
                // Never of itself: Ceph's OSD waits for itself then.
                let from = (object + 1 + random.below(OBJECTS - 1)) % OBJECTS;
                let copy = copy_from(
                    OpCode::COPY_FROM,
                    pool,
                    &format!("rarer-{seed}-{from}"),
                    snapid,
                    0,
                    0,
                );
                drop_result(script.on(&oid, [copy]));
            }
            1 | 2 => {
                let ops: Vec<OsdOp> = (0..=random.below(3)).map(|_| rarer_look(&mut random)).collect();
                let step = script.on(&oid, ops);
                if random.below(3) == 0 {
                    step.at(1 + random.below(newest + 2));
                }
            }
            _ => {
                let mut ops: Vec<OsdOp> = (0..random.below(2)).map(|_| guard(&mut random)).collect();
                ops.extend((0..=random.below(2)).map(|_| rarer_change(&mut random)));
                add_change(script, &mut random, &oid, ops);
            }
        }
    }
}

fn rarer_look(random: &mut Random) -> OsdOp {
    let at = place(random);
    match random.below(9) {
        // A truncation that a client of CephFS knows of.
        0 => {
            let (size, seq) = (place(random), random.below(5) as u32);
            truncating(OpCode::READ, at, length(random) as u64, size, seq, &[])
        }
        1 => checksum(
            random.below(4) as u8,
            at,
            8192,
            random.pick(&[0, 4096, 8192, 100]),
            &[0; 8],
        ),
        2 => plain(OpCode::OMAPGETHEADER),
        3 => omap_cmp(&[(name(random), &[random.below(4) as u8], random.below(7) as i32)]).failok(),
        4 => with_input(OpCode::OMAPGETVALSBYKEYS, keys(&["a", name(random)])),
        5 => copy_get(&ObjectCopyCursor::default(), 100_000),
        6 => plain(OpCode::LIST_WATCHERS),
        7 => cmpext(at, &[random.below(3) as u8; 300]).failok(),
        _ => look(random),
    }
}

fn rarer_change(random: &mut Random) -> OsdOp {
    let (at, len) = (place(random), length(random));
    let byte = random.below(4) as u8;
    // No truncations with a number: what writes behind them do is no longer as in 16.2.
    match random.below(11) {
        0 => zero(at, len as u64),
        1 => plain(OpCode::OMAPCLEAR),
        2 => with_input(OpCode::OMAPSETHEADER, random.bytes(20)),
        3 => with_input(OpCode::OMAPRMKEYS, keys(&["b", name(random)])),
        4 => omap_set(&[
            ("a", &[byte]),
            ("b", b""),
            (name(random), b"long enough to be told apart"),
        ]),
        5 => range(OpCode::SETALLOCHINT, 4 << 20, 1 << 16),
        6 => create(),
        7 => write_same(at, 300, &[byte; 100]),
        8 => write_same(at, 300, &[byte; 7]).failok(),
        _ => change(random),
    }
}

/// A snapshot that is newer than the others, by up to `most`. Twelve are enough.
fn one_snapshot_more(script: &mut Script, random: &mut Random, snaps: &mut Vec<u64>, most: u64) {
    if snaps.len() < 12 {
        let next = snaps.first().map_or(1, |newest| newest + 1 + random.below(most));
        snaps.insert(0, next);
        script.snaps(next, snaps);
    }
}

/// A vector that changes an object. Some clients want the outcome of each operation.
fn add_change(script: &mut Script, random: &mut Random, oid: &str, ops: Vec<OsdOp>) {
    let step = script.on(oid, ops);
    if random.below(4) == 0 {
        step.flagged(OsdFlags::RETURNVEC);
    }
}

fn drop_result<T>(_: T) {}

fn place(random: &mut Random) -> u64 {
    let grain = random.pick(&[1, 512, 4096, 65_536]);
    random.below(200_000 / grain) * grain
}

fn length(random: &mut Random) -> usize {
    random.pick(&[3, 512, 4096, 5000, 70_000])
}

fn name(random: &mut Random) -> &'static str {
    random.pick(&["a", "b", "c"])
}

fn look(random: &mut Random) -> OsdOp {
    let at = place(random);
    match random.below(8) {
        0 => stat(),
        1 => xattr(OpCode::GETXATTR, name(random), b"").failok(),
        2 => plain(OpCode::GETXATTRS),
        3 => omap_vals("", 10, ""),
        4 => omap_keys(name(random), 1),
        5 => sparse(at, length(random) as u64),
        _ => read(at, length(random) as u64),
    }
}

fn guard(random: &mut Random) -> OsdOp {
    let value = random.pick(&[b"1", b"2"]);
    let op = 1 + random.below(6) as u8;
    let guard = match random.below(4) {
        0 => cmpext(place(random), &[random.below(3) as u8; 10]),
        1 => stat(),
        _ => cmpxattr(name(random), value, op, 1),
    };
    match random.below(2) {
        0 => guard.failok(),
        _ => guard,
    }
}

/// What begins a change. Removals are nothing but that: of what the same vector wrote before them, Ceph's stores see
/// some and some not.
fn first_change(random: &mut Random, newest: u64) -> OsdOp {
    match random.below(16) {
        0 => delete().failok(),
        1 => omap_rm_range("a", name(random)).failok(),
        2 | 3 if newest > 0 => rollback(1 + random.below(newest)),
        _ => change(random),
    }
}

fn change(random: &mut Random) -> OsdOp {
    let (at, len) = (place(random), length(random));
    let byte = random.below(4) as u8;
    match random.below(17) {
        0 => create().failok(),
        1 => truncate(at),
        2 | 3 => zero(at, len as u64),
        4 => write_full(&random.bytes(len)),
        5 => append(&random.bytes(len)),
        6 => write_same(at, 4096, &[byte; 512]),
        7 => setxattr(name(random), &[b'0' + byte]),
        8 => xattr(OpCode::RMXATTR, name(random), b"").failok(),
        9 => omap_set(&[(name(random), &[byte])]),
        10 | 11 => fill(at, len, byte),
        _ => write(at, &random.bytes(len)),
    }
}
