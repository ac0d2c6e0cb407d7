//! Random op vectors, run as requests of a client are, against a model of what objects are. The fuzz target `op_vectors` has
//! the same with inputs that a fuzzer chooses.
//!
//! `RBDGATE_MODEL_SEED=n` runs one seed again; `RBDGATE_MODEL_RUNS` says how many there are.

use disk_sim::Random;

use super::{play, rig::Rig};

/// Runs of the test, each of some dozen vectors.
const RUNS: u64 = 150;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn random_op_vectors_do_to_objects_what_they_do_to_a_model() {
    let rig = Rig::new();
    let seeds = match number("RBDGATE_MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RBDGATE_MODEL_RUNS").unwrap_or(RUNS),
    };
    for seed in seeds {
        println!("RBDGATE_MODEL_SEED={seed}");
        let mut random = Random::new(seed);
        let mut left = 60;
        play::play(&rig, &format!("seed-{seed}"), &mut random, |_| {
            left -= 1;
            left > 0
        });
    }
}
