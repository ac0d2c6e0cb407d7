//! Requests of a client of the OSD against a model of objects: the input says which op vectors on which objects, which snapshots,
//! and what vectors of any ops with any arguments are.

// As the test of the gateway has them, with random choices.
#[path = "../../crates/gateway/tests/osd/model.rs"]
mod model;
#[path = "../../crates/gateway/tests/osd/play.rs"]
mod play;
#[path = "../../crates/gateway/tests/osd/rig.rs"]
#[allow(dead_code, reason = "others use the rest of it")]
mod rig;
#[path = "../../crates/gateway/tests/osd/wild.rs"]
mod wild;

use std::cell::RefCell;

use disk_sim::Random;
use rbdgate_store as disk_store;
use rig::Rig;

/// Longer inputs say nothing new.
const LONGEST: usize = 2000;
/// An OSD runs so many inputs; then its disk in memory has grown, and another one takes over.
const INPUTS: u32 = 100;
/// What an OSD takes, and what few bytes may ask for: an object of Ceph's largest size (`osd_max_object_size`) is read, and
/// is held as what was read, as the reply, and as what is decoded of it.
const BESIDE: usize = (64 + 4 * 128) << 20;

thread_local! {
    static RIG: RefCell<Option<(Rig, u32)>> = const { RefCell::new(None) };
}

/// Plays an input.
///
/// # Panics
/// If the OSD and the model are not of one mind.
pub fn run(input: &[u8]) {
    let input = &input[..input.len().min(LONGEST)];
    RIG.with_borrow_mut(|kept| {
        let (rig, inputs) = kept
            .take()
            .filter(|(_, inputs)| *inputs < INPUTS)
            .unwrap_or_else(|| (Rig::new(), 0));
        // Vectors hold up to 100 KB an op for a few bytes of input.
        crate::bounded_beside(BESIDE + input.len() * (64 << 10), input.len(), || {
            let mut random = Random::of_bytes(input);
            play::play(&rig, &format!("input-{inputs}"), &mut random, |random| {
                !random.is_exhausted()
            });
        });
        *kept = Some((rig, inputs + 1));
    });
}
