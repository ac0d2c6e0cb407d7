//! `rbdgate fsck` on data folders of servers that were killed, and on damaged ones. Of rbdgate alone.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::curve::on_curve;
use rbdgate_tests::exec::{Outcome, Program};
use rbdgate_tests::images::bench;
use rbdgate_tests::rbdgate::binary;

fn fsck(cluster: &Cluster, more: &[&str]) -> Outcome {
    let fsck = cluster.command(&["fsck"]).args(more);
    fsck.deadline(Duration::from_secs(60)).run().unwrap()
}

/// Runs it, and expects a status and words.
#[track_caller]
fn tells(cluster: &mut Cluster, more: &[&str], status: i32, words: &str) {
    let outcome = fsck(cluster, more);
    assert_eq!(outcome.status.code(), Some(status), "{outcome}");
    assert!(outcome.to_string().contains(words), "no {words:?}\n{outcome}");
}

/// A cluster with an image with snapshots, and with objects. Ten of them are written last.
fn filled() -> Cluster {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    let bench = bench("write", "64K", "4M", &["disk"]);
    cluster.rbd(&bench);
    cluster.rbd(&["snap", "create", "disk@one"]);
    cluster.rbd(&bench);
    cluster.rbd(&["snap", "create", "disk@two"]);
    cluster.rbd(&["snap", "rm", "disk@one"]);
    let file = cluster.file("bytes", vec![7; 100_000]);
    for n in 0..10 {
        cluster.rados(&["-p", "rbd", "put", &format!("object{n}"), &file]);
    }
    cluster
}

fn journal(cluster: &mut Cluster) -> PathBuf {
    cluster.rbdgate().data().join("store/journal")
}

#[test]
fn a_folder_with_a_server_is_refused_and_one_whose_server_was_killed_is_clean() {
    if against_ceph() {
        return;
    }
    let mut cluster = filled();
    tells(&mut cluster, &[], 8, "another rbdgate serves this data folder");
    cluster.kill();
    tells(&mut cluster, &[], 0, "nothing is wrong");
    tells(&mut cluster, &["--repair"], 0, "nothing is wrong");
    cluster.launch();
    assert_eq!(
        cluster.rbd(&["snap", "ls", "disk", "--format", "json"]).json()[0]["name"],
        "two"
    );
}

#[test]
fn a_damaged_journal_keeps_the_server_from_starting_until_it_is_repaired() {
    if against_ceph() {
        return;
    }
    let mut cluster = filled();
    cluster.kill();
    let path = journal(&mut cluster);
    let bytes = std::fs::read(&path).unwrap();
    let batches: Vec<u64> = (0..bytes.len())
        .step_by(4096)
        .filter(|at| bytes[*at..].starts_with(b"rbdgJNL1"))
        .map(|at| at as u64)
        .collect();
    // The newest that can be told: before the place where the numbers stop to rise.
    let number = |at: u64| u64::from_le_bytes(bytes[at as usize + 24..at as usize + 32].try_into().unwrap());
    let newest = batches.iter().copied().max_by_key(|at| number(*at)).unwrap();
    let earlier = batches
        .iter()
        .copied()
        .filter(|at| number(*at) + 6 < number(newest));
    let damaged = earlier.max_by_key(|at| number(*at)).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[0xa5; 16], damaged + 60).unwrap();

    tells(&mut cluster, &[], 4, "the journal is damaged: transaction");
    let serve = ["serve", "--mon-v2", "127.0.0.1:0", "--mon-v1", "127.0.0.1:0"];
    let ports = ["--osd", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let refused = cluster.command(&serve).args(ports).run().unwrap();
    assert!(!refused.status.success(), "{refused}");
    assert!(
        refused.errors().contains("`rbdgate fsck` tells more"),
        "{refused}"
    );

    tells(&mut cluster, &["--repair"], 1, "all repaired");
    tells(&mut cluster, &[], 0, "nothing is wrong");
    cluster.launch();
    cluster.rbd(&["info", "disk"]);
    cluster.rados(&["-p", "rbd", "get", "object0", "/dev/null"]);
}

#[test]
fn volumes_that_the_curvebs_cluster_no_longer_has_are_told() {
    if !on_curve() {
        return;
    }
    let mut cluster = filled();
    let id = cluster.rbd(&["info", "--format", "json", "disk"]).json()["id"].clone();
    let volume = format!("/rbd/{}", id.as_str().unwrap());
    // Metadata from before its removal.
    let data = cluster.rbdgate().data().display().to_string();
    let copy = cluster.path("copy");
    let meta = |words: &[&str]| {
        Program::new(binary().unwrap())
            .args(["meta"])
            .args(words)
            .args(["--data", &data])
    };
    meta(&["backup", &copy]).run().unwrap().success().unwrap();
    cluster.rbd(&["snap", "purge", "disk"]);
    cluster.rbd(&["rm", "disk"]);
    let since = Instant::now();
    while cluster
        .curve()
        .unwrap()
        .tell(&format!("copyset {volume} 0"))
        .is_ok()
    {
        assert!(
            since.elapsed() < Duration::from_secs(60),
            "{volume} is still there"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    cluster.kill();
    std::fs::remove_dir_all(cluster.rbdgate().data().join("store")).unwrap();
    meta(&["restore", &copy]).run().unwrap().success().unwrap();
    let told = format!(
        "{volume} (pool-1.image-{}), which holds data, is not in the cluster",
        id.as_str().unwrap()
    );
    tells(&mut cluster, &[], 4, &told);
    tells(&mut cluster, &["--repair"], 4, &told);
    let without = Program::new(binary().unwrap())
        .args(["fsck", "--data", &data])
        .run()
        .unwrap();
    assert_eq!(without.status.code(), Some(8), "{without}");
    assert!(without.errors().contains("on devices"), "{without}");
}

#[test]
fn where_there_is_no_data_folder_it_says_so() {
    if against_ceph() || on_curve() {
        return;
    }
    let fsck = Program::new(binary().unwrap()).args(["fsck", "--data", "/nonexistent/rbdgate"]);
    let outcome = fsck.run().unwrap();
    assert_eq!(outcome.status.code(), Some(8), "{outcome}");
    assert!(outcome.errors().contains("/nonexistent/rbdgate"), "{outcome}");
}
