//! The store on a simulated disk: random transactions, with a crash at every call that makes something durable and at random others,
//! each of which is opened again and compared with a model.
//!
//! `RBDGATE_SIM_SEED=n cargo test -p rbdgate-store --test simulation` runs one seed again, exactly as before.
//! `RBDGATE_SIM_POINTS` says how many crash points there are to be (default 10,000), `RBDGATE_SIM_FROM` the first seed.

#![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

mod errors;
mod model;
mod run;

use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
    time::Instant,
};

use run::Run;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Runs seeds until there were so many crash points.
fn crash_points(wanted: u64, run: fn(u64) -> Run) {
    if let Some(seed) = number("RBDGATE_SIM_SEED") {
        println!("seed {seed}: {:?}", run(seed).all());
        return;
    }
    let wanted = number("RBDGATE_SIM_POINTS").unwrap_or(wanted);
    let first = number("RBDGATE_SIM_FROM").unwrap_or(1);
    let (seed, points) = (AtomicU64::new(first), AtomicU64::new(0));
    let (rotted, outlined) = (AtomicU64::new(0), AtomicU64::new(0));
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while points.load(SeqCst) < wanted {
                    let seed = seed.fetch_add(1, SeqCst);
                    let seen = run(seed).all();
                    points.fetch_add(seen.points, SeqCst);
                    rotted.fetch_add(seen.rotted, SeqCst);
                    outlined.fetch_add(seen.outlined, SeqCst);
                }
            });
        }
    });
    println!(
        "seeds {first} to {}: {} crash points, {} blocks rotted, {} journal writes with data behind the records, in {:.1} s",
        seed.load(SeqCst) - 1,
        points.load(SeqCst),
        rotted.load(SeqCst),
        outlined.load(SeqCst),
        started.elapsed().as_secs_f64()
    );
    assert!(
        outlined.load(SeqCst) * 200 > points.load(SeqCst),
        "the journal was hardly ever written from where data lies"
    );
}

#[test]
fn after_a_crash_anywhere_everything_acknowledged_is_there_and_nothing_by_halves() {
    crash_points(10_000, Run::new);
}

#[test]
fn blocks_that_rot_cannot_be_read_and_are_never_wrong_data() {
    crash_points(4_000, Run::with_rot);
}

#[test]
fn a_seed_takes_the_same_course_each_time() {
    let once = Run::new(3).trace();
    assert!(once.len() > 200);
    assert_eq!(once, Run::new(3).trace());
}
