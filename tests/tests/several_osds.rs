//! A cluster that shows several OSDs, and clients that die with a lock.

use std::time::Duration;

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::images::bench;

#[test]
fn clients_spread_over_several_osds_and_see_the_same_objects() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start_with(&["--osd-count", "3"]);
    assert_eq!(cluster.ceph(&["osd", "ls"]).lines(), ["0", "1", "2"]);
    let data: Vec<u8> = (0..8_u32 << 20).map(|n| (n / 4099) as u8).collect();
    let file = cluster.file("content", &data);
    cluster.rbd(&["import", "--no-progress", &file, "disk"]);
    cluster.kill();
    cluster.launch();
    let back = cluster.path("back");
    cluster.rbd(&["export", "--no-progress", "disk", &back]);
    assert!(cluster.read("back") == data);
}

#[test]
fn the_exclusive_lock_of_a_client_that_died_is_taken_over() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    let mut holder = cluster.python("verified_writer.py", &["disk"]).spawn().unwrap();
    // The lock is there once something was written.
    let begun = std::time::Instant::now();
    while cluster.rbd(&["lock", "ls", "disk"]).text().is_empty() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "the writer takes no lock"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
    let bench = bench("write", "4K", "64K", &["disk"]);
    let program = cluster.client("rbd", &bench).deadline(Duration::from_secs(90));
    cluster.run(program);
    let blocklist = cluster.ceph(&["osd", "blocklist", "ls"]).text();
    assert!(blocklist.contains("127.0.0.1"), "{blocklist}");
}
