//! The server is killed in the middle of a verified load. Clients go on by themselves, and everything that was
//! acknowledged is there.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::time::Duration;

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::curve::on_curve;
use rbdgate_tests::data::Random;
use rbdgate_tests::exec::Program;
use rbdgate_tests::verified_writer::Writer;

fn rounds(default: usize) -> usize {
    let asked = std::env::var("RBDGATE_TEST_CRASH_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok());
    asked.unwrap_or(if against_ceph() { 3 } else { default })
}

#[test]
fn acknowledged_writes_survive_kill_9_and_the_client_goes_on() {
    let mut cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    let mut writer = Writer::start(&cluster);
    writer.ask(&cluster, "check", "checked ");
    let mut random = Random::new(25);
    for round in 0..rounds(25) {
        std::thread::sleep(Duration::from_millis(150 + random.below(700)));
        cluster.kill();
        // Sometimes at once, sometimes late enough for clients to have been refused.
        std::thread::sleep(Duration::from_millis(random.below(300)));
        cluster.launch();
        let answer = writer.ask(&cluster, "check", "checked ");
        println!("round {round}: {answer}");
    }
    let answer = writer.ask(&cluster, "finish", "finished ");
    let expected = answer.split_whitespace().nth(1).expect("a checksum").to_owned();
    // A new client sees the same.
    cluster.rbd(&["export", "--no-progress", "disk", &cluster.path("back")]);
    let found = cluster
        .run(Program::new("sha256sum").args([cluster.path("back")]))
        .text();
    assert_eq!(found.split_whitespace().next(), Some(expected.as_str()));
    cluster.rbd(&["object-map", "check", "--no-progress", "disk"]);
    let info = cluster.rbd(&["info", "disk", "--format", "json"]).json();
    assert_eq!(info["flags"], serde_json::json!([]));
}

#[test]
fn images_and_metadata_survive_kill_9() {
    let mut cluster = Cluster::start();
    for round in 0..rounds(5) {
        let name = format!("disk-{round}");
        cluster.rbd(&["create", "--size", "1G", &name]);
        cluster.rbd(&["resize", "--size", "2G", "--no-progress", &name]);
        cluster.rbd(&["image-meta", "set", &name, "round", &round.to_string()]);
        cluster.kill();
        cluster.launch();
        assert_eq!(cluster.rbd(&["ls"]).lines().len(), round + 1);
        assert_eq!(
            cluster.rbd(&["info", &name, "--format", "json"]).json()["size"],
            2u64 << 30
        );
        assert_eq!(
            cluster.rbd(&["image-meta", "get", &name, "round"]).text(),
            round.to_string()
        );
    }
}

/// Whether nothing of a deleted pool is left in the data of a server that was killed, which must be clean.
fn deletions_are_over(cluster: &Cluster) -> bool {
    let data = cluster.path("data");
    let fsck = Program::new(rbdgate_tests::rbdgate::binary().unwrap()).args(["fsck", "--data", &data]);
    !cluster.run(fsck).text().contains("was deleted")
}

#[test]
fn the_deletion_of_a_pool_goes_on_after_kill_9() {
    if against_ceph() || on_curve() {
        return;
    }
    let mut cluster = Cluster::start();
    let file = cluster.file("content", rbdgate_tests::data::bytes(3, 100_000));
    for round in 0..rounds(5) as u64 {
        let pool = format!("doomed{round}");
        cluster.ceph(&["osd", "pool", "create", &pool, "8"]);
        cluster.rbd(&["create", "--size", "1G", &format!("{pool}/disk")]);
        for n in 0..10 {
            cluster.run(cluster.client("rados", &["-p", &pool, "put", &format!("object{n}"), &file]));
        }
        let words = ["osd", "pool", "rm", &pool, &pool, "--yes-i-really-really-mean-it"];
        let mut asking = cluster.client("ceph", &words).spawn().unwrap();
        // Before the monitor is asked, while objects are deleted, or afterwards.
        std::thread::sleep(Duration::from_millis(150 + 150 * round));
        cluster.kill();
        asking.kill().unwrap();
        asking.wait().unwrap();
        println!("over before the restart: {}", deletions_are_over(&cluster));
        cluster.launch();
    }
    let begun = std::time::Instant::now();
    loop {
        std::thread::sleep(Duration::from_secs(1));
        cluster.kill();
        if deletions_are_over(&cluster) {
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "objects of a pool are left"
        );
        cluster.launch();
    }
    cluster.launch();
    cluster.rbd(&["create", "--size", "8M", "disk"]);
}

#[test]
fn a_client_waits_for_a_server_that_is_down_for_seconds() {
    let mut cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    let mut writer = Writer::start(&cluster);
    writer.ask(&cluster, "check", "checked ");
    cluster.kill();
    std::thread::sleep(Duration::from_secs(5));
    cluster.launch();
    writer.ask(&cluster, "check", "checked ");
    writer.ask(&cluster, "finish", "finished ");
}
