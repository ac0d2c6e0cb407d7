//! Images on a simulated CurveBS cluster: what only that backend has. Skipped on any other (`RBDGATE_TEST_BACKEND=curve`).

#![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

use std::time::Duration;

use rbdgate_tests::cluster::Cluster;
use rbdgate_tests::curve::on_curve;
use rbdgate_tests::exec::{Outcome, Program, until};
use rbdgate_tests::images::bench;
use rustix::process::Signal;

fn start() -> Option<Cluster> {
    if !on_curve() {
        eprintln!("skipped: not on CurveBS");
        return None;
    }
    Some(Cluster::start())
}

fn succeed(cluster: &Cluster, args: &[&str]) -> Outcome {
    cluster.run(cluster.command(args))
}

fn fail(cluster: &Cluster, args: &[&str]) -> String {
    let outcome = cluster.attempt(cluster.command(args));
    assert!(!outcome.status.success(), "{outcome}");
    outcome.to_string()
}

/// An image with some data, which is also returned.
fn image(cluster: &Cluster, name: &str) -> Vec<u8> {
    let data = rbdgate_tests::data::bytes(1, 3 << 20);
    let file = cluster.file("disk.img", &data);
    let _ = cluster.rbd(&["import", &file, name]);
    let _ = cluster.rbd(&["resize", "--size", "1G", name]);
    data
}

fn content(cluster: &Cluster, name: &str) -> Vec<u8> {
    let to = cluster.path("exported");
    let _ = std::fs::remove_file(&to);
    let _ = cluster.rbd(&["export", name, &to]);
    cluster.read("exported")
}

#[test]
fn a_disk_of_1_gib_is_one_to_clients_and_a_volume_in_its_pools_directory() {
    let Some(cluster) = start() else { return };
    let data = image(&cluster, "disk");
    let info = cluster.rbd(&["info", "--format", "json", "disk"]).json();
    assert_eq!(info["size"], 1 << 30);
    let place = succeed(&cluster, &["map", "rbd/disk"]).text();
    assert_eq!(place.trim(), format!("/rbd/{}", info["id"].as_str().unwrap()));
    let _ = cluster.rbd(&["create", "--size", "1G", "empty"]);
    assert!(fail(&cluster, &["map", "rbd/empty"]).contains("nothing was ever written"));
    assert!(fail(&cluster, &["map", "rbd/none"]).contains("no image is called none"));
    assert_eq!(content(&cluster, "disk")[..data.len()], data);
}

#[test]
fn an_image_is_handed_back_as_a_plain_volume_and_adopted_again() {
    let Some(mut cluster) = start() else { return };
    let data = image(&cluster, "disk");
    let place = succeed(&cluster, &["map", "rbd/disk"]).text();
    let place = place.trim();
    let _ = cluster.rbd(&["snap", "create", "disk@monday"]);
    cluster.rbdgate().stop(Signal::TERM).unwrap();
    let refused = fail(&cluster, &["release", "rbd/disk"]);
    assert!(refused.contains("monday"), "{refused}");
    cluster.launch();
    let _ = cluster.rbd(&["snap", "rm", "disk@monday"]);
    cluster.rbdgate().stop(Signal::TERM).unwrap();
    let _ = succeed(&cluster, &["release", "rbd/disk"]);
    assert!(fail(&cluster, &["adopt", "/rbd/none", "rbd/again"]).contains("/rbd/none"));
    let _ = succeed(&cluster, &["adopt", place, "rbd/again"]);
    assert!(fail(&cluster, &["adopt", place, "rbd/twice"]).contains("already"));
    cluster.launch();
    assert_eq!(cluster.rbd(&["ls"]).text().trim(), "again");
    let info = cluster.rbd(&["info", "--format", "json", "again"]).json();
    assert_eq!(info["size"].as_u64(), Some(10 << 30), "the volume's own size");
    let _ = cluster.rbd(&["resize", "--size", "1G", "--allow-shrink", "again"]);
    let read = content(&cluster, "again");
    assert_eq!(read[..data.len()], data);
    assert!(read[data.len()..].iter().all(|byte| *byte == 0));
}

#[test]
fn an_adopted_volume_can_be_written_snapshotted_and_cloned() {
    let Some(mut cluster) = start() else { return };
    let data = image(&cluster, "disk");
    let place = succeed(&cluster, &["map", "rbd/disk"]).text();
    cluster.rbdgate().stop(Signal::TERM).unwrap();
    let _ = succeed(&cluster, &["release", "rbd/disk"]);
    let _ = succeed(&cluster, &["adopt", place.trim(), "rbd/vm"]);
    cluster.launch();
    let _ = cluster.rbd(&["snap", "create", "vm@s"]);
    let _ = cluster.rbd(&bench("write", "4K", "256K", &["vm"]));
    let _ = cluster.rbd(&["clone", "--rbd_default_clone_format=2", "vm@s", "child"]);
    let _ = cluster.rbd(&["resize", "--size", "1G", "--allow-shrink", "child"]);
    assert_eq!(content(&cluster, "child")[..data.len()], data);
}

#[test]
fn a_second_gateway_on_a_volume_ends_the_firsts_acknowledgements() {
    let Some(cluster) = start() else { return };
    let _ = image(&cluster, "disk");
    let place = succeed(&cluster, &["map", "rbd/disk"]).text();
    // Another data folder on the same cluster takes the volume over, and reads from it.
    let other = rbdgate_tests::cluster::temporary_folder().unwrap();
    let config = cluster.path("curve.toml");
    let mut second = rbdgate_tests::rbdgate::Rbdgate::start(other.path(), &["--config", &config]).unwrap();
    second.stop(Signal::TERM).unwrap();
    let binary = rbdgate_tests::rbdgate::binary().unwrap();
    let adopt = Program::new(binary.to_str().unwrap())
        .args(["adopt", place.trim(), "rbd/taken", "--config", &config, "--data"])
        .args([second.data()]);
    let _ = cluster.run(adopt);
    second.launch().unwrap();
    let conf = second.conf().display().to_string();
    let write = bench("write", "4K", "64K", &["taken"]);
    let _ = cluster.run(Program::new("rbd").args(["-c", &conf]).args(write));
    let fenced = bench("write", "4K", "64K", &["disk"]);
    let outcome = cluster.attempt(cluster.client("rbd", &fenced));
    // The tool reports the error, and exits with 0 all the same.
    assert!(outcome.errors().contains("Input/output error"), "{outcome}");
    assert!(cluster.log_tail().contains("fenced"), "{}", cluster.log_tail());
    second.stop(Signal::TERM).unwrap();
}

#[test]
fn metadata_backed_up_while_the_server_runs_serves_the_same_images() {
    let Some(mut cluster) = start() else { return };
    let data = image(&cluster, "disk");
    let copy = cluster.path("copy");
    let _ = succeed(&cluster, &["meta", "backup", &copy]);
    cluster.kill();
    let store = cluster.rbdgate().data().join("store");
    std::fs::remove_dir_all(store).unwrap();
    let _ = succeed(&cluster, &["meta", "restore", &copy]);
    assert!(fail(&cluster, &["meta", "restore", &copy]).contains("exists"));
    cluster.launch();
    assert_eq!(content(&cluster, "disk")[..data.len()], data);
}

#[test]
fn health_tells_that_the_cluster_below_is_gone() {
    let Some(mut cluster) = start() else { return };
    assert!(cluster.ceph(&["health"]).text().contains("HEALTH_OK"));
    cluster.stop_curve();
    let since = std::time::Instant::now();
    loop {
        let health = cluster.ceph(&["health"]).text();
        if health.contains("HEALTH_ERR") && health.contains("no MDS") {
            break;
        }
        assert!(since.elapsed().as_secs() < 40, "{health}");
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

#[test]
fn a_chunkserver_without_space_makes_pools_full_until_there_is_some_again() {
    let Some(cluster) = start() else { return };
    let _ = image(&cluster, "disk");
    let curve = cluster.curve().unwrap();
    let _ = curve.tell("fault WriteChunk 1 status 5").unwrap();
    let write = bench("write", "4K", "64K", &["disk"]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| cluster.rbd(&write));
        wait_for(&cluster, "POOL_FULL");
        assert!(!waiting.is_finished());
        let put = cluster.client("rados", &["-p", "rbd", "put", "object", "/etc/passwd"]);
        let put = put.deadline(std::time::Duration::from_secs(5)).run();
        assert!(put.is_err(), "a client that knows no better waits");
        let _ = curve.tell("clear").unwrap();
        let _ = waiting.join().unwrap();
    });
    wait_for(&cluster, "HEALTH_OK");
    let _ = cluster.rbd(&write);
}

/// Waits until `ceph health detail` has a text.
fn wait_for(cluster: &Cluster, text: &str) {
    let since = std::time::Instant::now();
    loop {
        let health = cluster.ceph(&["health", "detail"]).text();
        if health.contains(text) {
            return;
        }
        assert!(since.elapsed().as_secs() < 40, "{text}: {health}");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
}

#[test]
fn while_the_clock_is_not_the_mdss_images_go_on_and_health_says_so() {
    let Some(cluster) = start() else { return };
    let data = image(&cluster, "disk");
    let told = |of: &str| cluster.ceph(&["health", "detail"]).text().contains(of);
    let _ = cluster.curve().unwrap().tell("shift-clock -60").unwrap();
    until("health tells of it", Duration::from_secs(30), || {
        told("CURVE_MDS_REFUSES")
    });
    let _ = cluster.rbd(&bench("write", "64K", "2M", &["disk"]));
    assert_eq!(content(&cluster, "disk")[2 << 20..data.len()], data[2 << 20..]);
    // No place for it can be had. The client's cache hides that from its exit code.
    let file = cluster.file("small.img", &data);
    let late = cluster.attempt(cluster.client("rbd", &["import", &file, "late"]));
    assert!(late.to_string().contains("Input/output error"), "{late}");
    let _ = cluster.curve().unwrap().tell("shift-clock 0").unwrap();
    until("it is over", Duration::from_secs(30), || {
        !told("CURVE_MDS_REFUSES")
    });
    let _ = cluster.rbd(&["import", &file, "again"]);
    assert!(content(&cluster, "again") == data);
}
