//! What goes wrong in a CurveBS cluster below, beside what happens to the server itself.

use std::time::{Duration, Instant};

use super::{Soak, Wrong};

/// All of it.
pub(super) const WRONGS: [(&str, Wrong); 11] = [
    ("stop and start", Soak::stopped_and_started),
    ("chunkservers restart", chunkservers_restarted),
    ("the MDS fails over", mds_fails_over),
    ("replies, requests and connections are lost", lost),
    ("overload, and writes that are late", overloaded),
    ("leaders move", leaders_moved),
    ("chunkservers have no space", no_space),
    // The MDS refuses everything meanwhile.
    ("the clock is stepped", Soak::clock_stepped),
    ("no descriptors are left", Soak::no_descriptors),
    ("kill -9", Soak::killed),
    ("kill -9 while the cluster is in trouble", killed_in_trouble),
];

/// Commands to the simulator, some time, and no more faults.
fn for_a_while(soak: &Soak, commands: &[&str], time: Duration) {
    for command in commands {
        tell(soak, command);
    }
    std::thread::sleep(time);
    tell(soak, "clear");
}

fn tell(soak: &Soak, command: &str) {
    let curve = soak.cluster.curve().unwrap();
    let _ = curve.tell(command).unwrap();
}

fn chunkservers_restarted(soak: &mut Soak) {
    for id in 1..=3 {
        tell(soak, &format!("kill-chunkserver {id}"));
        std::thread::sleep(Duration::from_millis(1200));
        tell(soak, &format!("start-chunkserver {id}"));
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn mds_fails_over(soak: &mut Soak) {
    for _ in 0..2 {
        tell(soak, "fail-over-mds");
        std::thread::sleep(Duration::from_millis(1500));
    }
}

/// Of whatever is called.
const LOST: [&str; 4] = [
    "fault * 0.005 lose-reply",
    "fault * 0.005 lose-request",
    "fault * 0.002 close-before",
    "fault * 0.002 close-after",
];

fn lost(soak: &mut Soak) {
    for_a_while(soak, &LOST, Duration::from_secs(6));
}

fn overloaded(soak: &mut Soak) {
    let faults = [
        "fault WriteChunk 0.005 late 1300",
        "fault ChunkService 0.05 status 9",
    ];
    for_a_while(soak, &faults, Duration::from_secs(6));
}

fn leaders_moved(soak: &mut Soak) {
    for _ in 0..4 {
        tell(soak, "move-leaders 50");
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Writes wait then, and pools are full; both are over soon after it is.
fn no_space(soak: &mut Soak) {
    for_a_while(soak, &["fault WriteChunk 1 status 5"], Duration::from_secs(3));
    let begun = Instant::now();
    while soak.cluster.ceph(&["health"]).text().contains("full") {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn killed_in_trouble(soak: &mut Soak) {
    for command in LOST {
        tell(soak, command);
    }
    tell(soak, "kill-chunkserver 2");
    soak.killed();
    tell(soak, "fail-over-mds");
    soak.killed();
    tell(soak, "start-chunkserver 2");
    tell(soak, "clear");
}
