//! A disk that runs full: clients are told, nothing is lost, and service goes on when there is space again.
//! Needs the right to mount a file system of the test's own; says so and does nothing without.

use std::path::Path;
use std::time::{Duration, Instant};

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::curve::on_curve;
use rbdgate_tests::small_disk::SmallDisk;

fn cluster_on(mount: &Path) -> Cluster {
    let folder = tempfile::Builder::new()
        .prefix("rbdgate-")
        .tempdir_in(mount)
        .expect("a file of the test's own");
    Cluster::start_at(folder, &[])
}

/// Waits until the pool has the full flag, or no longer has it.
fn wait_for_full(cluster: &Cluster, full: bool) {
    let begun = Instant::now();
    while cluster
        .ceph(&["osd", "pool", "ls", "detail"])
        .text()
        .contains("full")
        != full
    {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "the pool's full flag is not {full}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_full_disk_is_told_to_clients_and_service_goes_on_when_there_is_space() {
    if against_ceph() || on_curve() {
        return;
    }
    let Some(disk) = SmallDisk::new(384) else { return };
    let cluster = cluster_on(&disk.mount());
    let kept = cluster.file("kept", vec![7_u8; 1 << 20]);
    cluster.rados(&["-p", "rbd", "put", "kept", &kept]);
    // Something else fills the disk.
    let filler = disk.fill(16 << 20);
    // The write that finds out is refused; later ones wait for space, as with Ceph, so the flag is looked at.
    wait_for_full(&cluster, true);
    let health = cluster.ceph(&["health"]).text();
    assert!(health.contains("full"), "{health}");
    // What is there can be read and removed.
    assert_eq!(
        cluster
            .rados(&["-p", "rbd", "stat", "kept"])
            .text()
            .matches("size 1048576")
            .count(),
        1
    );
    cluster.rados(&["-p", "rbd", "rm", "kept", "--force-full"]);
    std::fs::remove_file(&filler).unwrap();
    wait_for_full(&cluster, false);
    cluster.rados(&["-p", "rbd", "put", "again", &kept]);
    cluster.rbd(&["create", "--size", "1G", "disk"]);
}

#[test]
fn the_write_that_finds_the_disk_full_fails_with_enospc() {
    const ENOSPC: i32 = 28;
    if against_ceph() || on_curve() {
        return;
    }
    let Some(disk) = SmallDisk::new(384) else { return };
    let cluster = cluster_on(&disk.mount());
    let elsewhere = tempfile::tempdir().unwrap();
    let big = elsewhere.path().join("big").display().to_string();
    std::fs::File::create(&big).unwrap().set_len(48 << 20).unwrap();
    let mut refused = false;
    for n in 0..16 {
        let put = ["-p", "rbd", "put", &format!("object-{n}"), &big];
        let outcome = cluster.attempt(cluster.client("rados", &put).deadline(Duration::from_secs(20)));
        if !outcome.status.success() {
            refused = true;
            assert!(outcome.errors().contains(&format!("({ENOSPC})")), "{outcome}");
            break;
        }
    }
    assert!(refused, "16 x 48 MiB fitted on 384 MiB");
    wait_for_full(&cluster, true);
}
