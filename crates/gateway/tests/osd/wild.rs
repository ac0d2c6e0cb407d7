//! Vectors of any ops with any arguments on an object of their own. Nobody knows what they do; but they are answered, and
//! those that fail have done nothing.

use bytes::Bytes;
use disk_sim::Random;
use encoding::types::{NOSNAP, OpArgs, OpCode, OpFlags, OsdOp};

use super::{play::content, rig::Space};

const NAME: &str = "wild";
/// How much of the object is looked at.
const MOST: u64 = 64 << 10;

/// Runs such a vector.
///
/// # Panics
/// If one that failed has changed the object.
pub(crate) fn play(space: &Space, random: &mut Random, newest: u64) {
    let vector: Vec<OsdOp> = (0..=random.below(4)).map(|_| op(random)).collect();
    let before = content(space, NAME, NOSNAP, MOST);
    let shown: Vec<_> = vector
        .iter()
        .map(|op| (op.op, op.args(), op.indata.clone()))
        .collect();
    if let Err(error) = space.write(NAME, vector, newest) {
        let after = content(space, NAME, NOSNAP, MOST);
        assert!(
            before == after,
            "failed with {error}, and changed its object: {shown:?}"
        );
    }
}

fn op(random: &mut Random) -> OsdOp {
    if random.one_in(3) {
        let table = cls::table();
        let method = &table[random.below(table.len() as u64) as usize];
        return OsdOp::call(method.class, method.name, &input(random));
    }
    let known = OpCode::ALL[random.below(OpCode::ALL.len() as u64) as usize];
    let code = match random.below(20) {
        0 => OpCode(random.below(65_536) as u16),
        _ => known,
    };
    let code = match code {
        // Their answers come when watchers have answered.
        OpCode::WATCH | OpCode::NOTIFY => OpCode::STAT,
        code => code,
    };
    let mut union = [0; 28];
    for field in union.chunks_mut(8) {
        // Small numbers mostly, and some from the ends of what there is.
        let number = match random.below(8) {
            0..5 => random.below(100_000),
            5 => 0,
            6 => u64::MAX - random.below(5000),
            _ => 1 << random.below(64),
        };
        let len = field.len();
        field.copy_from_slice(&number.to_le_bytes()[..len]);
    }
    let mut op = OsdOp::new(code, OpArgs::Raw(union), input(random));
    if random.one_in(6) {
        op.flags = OpFlags::from_bits_retain(random.below(64) as u32);
    }
    op
}

fn input(random: &mut Random) -> Bytes {
    let len = random.below(60);
    (0..len)
        .map(|_| {
            if random.one_in(2) {
                0
            } else {
                random.below(256) as u8
            }
        })
        .collect()
}
