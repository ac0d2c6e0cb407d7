//! Random operations on images, their snapshots and clones through librbd, compared with a model in memory
//! (`tests/python/snapshot_model.py`).
//!
//! Seeds are printed; `RBDGATE_MODEL_SEED` and `RBDGATE_MODEL_STEPS` choose others.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::data::{Random, chosen};
use rbdgate_tests::exec::{Outcome, Program};

/// How long the long walk may take, on a slow machine.
const DEADLINE: Duration = Duration::from_secs(1200);

fn walk(cluster: &Cluster, seed: u64, steps: u64) -> Program {
    println!("RBDGATE_MODEL_SEED={seed} RBDGATE_MODEL_STEPS={steps}");
    let (seed, steps) = (seed.to_string(), steps.to_string());
    cluster
        .python("snapshot_model.py", &[&seed, &steps])
        .deadline(DEADLINE)
}

const ABORT: i32 = rustix::process::Signal::ABORT.as_raw();

/// Whether the client ended itself: on a busy machine librbd 16.2.15 aborts now and then out of a thread of its own, with the error of
/// a lock or thread that is none. Nothing the server says can be that; wrong data, errors and hangs are not.
fn client_aborted(outcome: &Outcome) -> bool {
    outcome.status.signal() == Some(ABORT) && outcome.errors().contains("std::system_error")
}

#[test]
fn random_operations_agree_with_a_model() {
    let seed = chosen("RBDGATE_MODEL_SEED", 1);
    let mut tries = (0..3).map(|_| {
        let cluster = Cluster::start();
        cluster.attempt(walk(&cluster, seed, 300))
    });
    let outcome = tries
        .find(|outcome| !client_aborted(outcome))
        .expect("a client that does not abort");
    let outcome = outcome.success().unwrap();
    assert_eq!(outcome.lines().last().map(String::as_str), Some("ok"));
}

#[test]
fn ten_thousand_random_operations_agree_with_a_model_though_the_server_is_killed_again_and_again() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    let seed = chosen("RBDGATE_MODEL_SEED", 2);
    let steps = chosen("RBDGATE_MODEL_STEPS", 10_000);
    let walk = walk(&cluster, seed, steps);
    let begun = Instant::now();
    let walker = std::thread::spawn(move || walk.run());
    let mut random = Random::new(seed);
    let mut kills = 0;
    while !walker.is_finished() {
        // A few seconds of work between two kills, fewer at first: images are made and opened then.
        let pause = Duration::from_millis(500 + random.below(if kills < 5 { 1500 } else { 8000 }));
        let until = Instant::now() + pause;
        while Instant::now() < until && !walker.is_finished() {
            std::thread::sleep(Duration::from_millis(20));
        }
        if !walker.is_finished() {
            cluster.kill();
            cluster.launch();
            kills += 1;
        }
    }
    let outcome = walker.join().unwrap().unwrap();
    println!("{steps} operations and {kills} kills in {:?}", begun.elapsed());
    assert_eq!(
        outcome.lines().last().map(String::as_str),
        Some("ok"),
        "{outcome}\n{}",
        cluster.log_tail()
    );
    assert!(kills > 0, "the server was never killed");
}
