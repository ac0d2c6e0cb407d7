//! Snapshots, clones and differences of images, and snapshots of pools.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::time::{Duration, Instant};

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::curve::on_curve;
use rbdgate_tests::data;
use rbdgate_tests::exec::Program;
use rbdgate_tests::images::{export, fill};
use serde_json::json;

const SIZE: usize = 20 << 20;

/// An image `disk` of some data, most of it holes; returns its bytes.
fn import(cluster: &Cluster) -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    bytes[..5 << 20].copy_from_slice(&data::bytes(1, 5 << 20));
    bytes[(12 << 20) + 1000..(12 << 20) + 9000].copy_from_slice(&data::bytes(2, 8000));
    let file = cluster.file("first", &bytes);
    cluster.rbd(&["import", "--no-progress", &file, "disk"]);
    bytes
}

/// Some changes of the image, those of a few bytes and of whole objects.
fn change(cluster: &Cluster, image: &str, bytes: &mut [u8]) {
    fill(cluster, image, bytes, 0x11, 4096, 4096);
    fill(cluster, image, bytes, 0x22, (4 << 20) - 512, 1024);
    fill(cluster, image, bytes, 0x33, 16 << 20, 4 << 20);
    fill(cluster, image, bytes, 0, 12 << 20, 4 << 20);
}

#[test]
fn a_snapshot_keeps_what_the_image_was() {
    let cluster = Cluster::start();
    let first = import(&cluster);
    cluster.rbd(&["snap", "create", "--no-progress", "disk@one"]);
    let mut second = first.clone();
    change(&cluster, "disk", &mut second);
    cluster.rbd(&["snap", "create", "--no-progress", "disk@two"]);
    let mut third = second.clone();
    fill(&cluster, "disk", &mut third, 0x44, 0, 8 << 20);
    assert!(export(&cluster, "disk@one") == first);
    assert!(export(&cluster, "disk@two") == second);
    assert!(export(&cluster, "disk") == third);
    let list = cluster.rbd(&["snap", "ls", "disk", "--format", "json"]).json();
    assert_eq!(
        (&list[0]["name"], &list[0]["size"], &list[1]["name"]),
        (&json!("one"), &json!(SIZE), &json!("two"))
    );
    cluster.rbd(&["snap", "rollback", "--no-progress", "disk@one"]);
    assert!(export(&cluster, "disk") == first);
    assert!(export(&cluster, "disk@two") == second);
    cluster.rbd(&["snap", "rm", "--no-progress", "disk@one"]);
    assert!(export(&cluster, "disk@two") == second);
    cluster.rbd_fails(2, &["export", "--no-progress", "disk@one", "-"]);
    cluster.rbd_fails(39, &["rm", "--no-progress", "disk"]);
    cluster.rbd(&["snap", "purge", "--no-progress", "disk"]);
    cluster.rbd(&["rm", "--no-progress", "disk"]);
}

#[test]
fn removed_snapshots_are_trimmed_and_leave_nothing() {
    let cluster = Cluster::start();
    import(&cluster);
    cluster.rbd(&["snap", "create", "--no-progress", "disk@one"]);
    change(&cluster, "disk", &mut vec![0; SIZE]);
    cluster.rbd(&["snap", "rm", "--no-progress", "disk@one"]);
    cluster.rbd(&["rm", "--no-progress", "disk"]);
    let begun = Instant::now();
    loop {
        let map = cluster.ceph(&["osd", "dump", "--format", "json"]).json();
        let objects = cluster.rados(&["ls"]).text();
        if map["removed_snaps_queue"] == json!([]) && !objects.contains("rbd_data") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{map}\n{objects}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Bytes that the volume files of a server take on disk.
fn volume_bytes(cluster: &mut Cluster) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut folders = vec![cluster.rbdgate().data().to_owned()];
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if entry.path().parent().unwrap().ends_with("volumes") {
                bytes += metadata.blocks() * 512;
            }
        }
    }
    bytes
}

#[test]
fn a_small_write_after_a_snapshot_preserves_4_kib() {
    // Looks at files that only that backend has.
    if against_ceph() || on_curve() {
        return;
    }
    let mut cluster = Cluster::start();
    let content = data::bytes(3, 32 << 20);
    let file = cluster.file("content", content.clone());
    cluster.rbd(&["import", "--no-progress", &file, "disk"]);
    cluster.rbd(&["snap", "create", "--no-progress", "disk@one"]);
    let before = volume_bytes(&mut cluster);
    assert!(before >= 32 << 20, "{before}");
    // In each of 8 objects 16 writes, no two of them to one block of 64 KiB.
    let places = (0..8).flat_map(|object| (0..16).map(move |n| (object << 22) + n * (200 << 10)));
    let commands: Vec<String> = places.map(|at| format!("write -P 7 {at} 4096")).collect();
    let commands = commands.iter().flat_map(|command| ["-c", command]);
    let image = cluster.qemu("disk");
    cluster.run(
        Program::new("qemu-io")
            .args(["-f", "raw"])
            .args(commands)
            .args([&image]),
    );
    // What travels in the journal is in the volumes after a stop.
    cluster.rbdgate().stop(rustix::process::Signal::TERM).unwrap();
    let preserved = volume_bytes(&mut cluster) - before;
    println!("128 writes of 4 KiB preserved {preserved} bytes");
    // A file system may count a few blocks of its own, such as those of an extent tree.
    let units = 128 * 4096;
    assert!((units..units + units / 8).contains(&preserved), "{preserved}");
    cluster.launch();
    assert!(export(&cluster, "disk@one") == content);
}

#[test]
fn snapshots_survive_kill_9() {
    let mut cluster = Cluster::start();
    let first = import(&cluster);
    cluster.rbd(&["snap", "create", "--no-progress", "disk@one"]);
    let mut second = first.clone();
    change(&cluster, "disk", &mut second);
    cluster.kill();
    cluster.launch();
    assert!(export(&cluster, "disk@one") == first);
    assert!(export(&cluster, "disk") == second);
    cluster.rbd(&["snap", "rm", "--no-progress", "disk@one"]);
    cluster.kill();
    cluster.launch();
    assert!(export(&cluster, "disk") == second);
    cluster.rbd(&["rm", "--no-progress", "disk"]);
}

#[test]
fn a_clone_of_a_protected_snapshot_reads_its_parent_until_it_is_flattened() {
    let cluster = Cluster::start();
    let first = import(&cluster);
    cluster.rbd(&["snap", "create", "--no-progress", "disk@base"]);
    let version1 = ["--rbd-default-clone-format", "1"];
    let clone = [&["clone", "disk@base", "child"][..], &version1].concat();
    cluster.rbd_fails(22, &clone);
    cluster.rbd(&["snap", "protect", "disk@base"]);
    cluster.rbd_fails(16, &["snap", "rm", "--no-progress", "disk@base"]);
    cluster.rbd(&clone);
    change(&cluster, "disk", &mut first.clone());
    let mut child = first.clone();
    change(&cluster, "child", &mut child);
    assert!(export(&cluster, "child") == child);
    assert_eq!(cluster.rbd(&["children", "disk@base"]).lines(), ["rbd/child"]);
    cluster.rbd_fails(16, &["snap", "unprotect", "disk@base"]);
    cluster.rbd(&["flatten", "--no-progress", "child"]);
    cluster.rbd(&["snap", "unprotect", "disk@base"]);
    cluster.rbd(&["snap", "rm", "--no-progress", "disk@base"]);
    cluster.rbd(&["rm", "--no-progress", "disk"]);
    assert!(export(&cluster, "child") == child);
}

#[test]
fn a_clone_of_format_2_needs_no_protection() {
    let cluster = Cluster::start();
    let first = import(&cluster);
    cluster.rbd(&["snap", "create", "--no-progress", "disk@base"]);
    cluster.rbd(&["clone", "--rbd-default-clone-format", "2", "disk@base", "child"]);
    cluster.rbd(&["snap", "create", "--no-progress", "child@mine"]);
    let mut child = first.clone();
    change(&cluster, "child", &mut child);
    cluster.rbd(&["snap", "rm", "--no-progress", "disk@base"]);
    assert!(export(&cluster, "child") == child);
    assert!(export(&cluster, "child@mine") == first);
    cluster.rbd(&["flatten", "--no-progress", "child"]);
    assert!(export(&cluster, "child") == child);
    assert!(export(&cluster, "child@mine") == first);
    cluster.rbd(&["rm", "--no-progress", "disk"]);
}

#[test]
fn differences_between_snapshots_make_the_same_image_again() {
    let cluster = Cluster::start();
    let first = import(&cluster);
    cluster.rbd(&["snap", "create", "--no-progress", "disk@one"]);
    let mut second = first.clone();
    change(&cluster, "disk", &mut second);
    cluster.rbd(&["snap", "create", "--no-progress", "disk@two"]);
    let diff = ["diff", "--from-snap", "one", "disk@two", "--format", "json"];
    let diff = cluster.rbd(&diff).json();
    let row = |offset: usize, length: usize, exists: bool| json!({"offset": offset, "length": length, "exists": if exists { "true" } else { "false" }});
    assert_eq!(
        diff,
        json!([
            row(4096, 4096, true),
            row((4 << 20) - 512, 512, true),
            row(4 << 20, 512, true),
            // The object ended there.
            row(12 << 20, 12288, false),
            row(16 << 20, 4 << 20, true),
        ])
    );
    let (full, part) = (cluster.path("full"), cluster.path("part"));
    cluster.rbd(&["export-diff", "--no-progress", "disk@one", &full]);
    cluster.rbd(&[
        "export-diff",
        "--no-progress",
        "--from-snap",
        "one",
        "disk@two",
        &part,
    ]);
    cluster.rbd(&["create", "--size", "20M", "copy"]);
    cluster.rbd(&["import-diff", "--no-progress", &full, "copy"]);
    assert!(export(&cluster, "copy@one") == first);
    cluster.rbd(&["import-diff", "--no-progress", &part, "copy"]);
    assert!(export(&cluster, "copy@one") == first);
    assert!(export(&cluster, "copy@two") == second);
}

#[test]
fn a_deep_copy_has_the_snapshots_too() {
    let cluster = Cluster::start();
    let first = import(&cluster);
    cluster.rbd(&["snap", "create", "--no-progress", "disk@one"]);
    let mut second = first.clone();
    change(&cluster, "disk", &mut second);
    cluster.rbd(&["deep", "cp", "--no-progress", "disk", "copy"]);
    assert!(export(&cluster, "copy@one") == first);
    assert!(export(&cluster, "copy") == second);
}

#[test]
fn a_pool_snapshot_shows_objects_as_they_were() {
    let cluster = Cluster::start();
    cluster.ceph(&["osd", "pool", "create", "plain", "8"]);
    let rados = |args: &[&str]| cluster.run(cluster.client("rados", &["-p", "plain"]).args(args));
    let rados_fails = |errno: i32, args: &[&str]| {
        cluster.fails(errno, cluster.client("rados", &["-p", "plain"]).args(args))
    };
    let (first, second) = (data::bytes(1, 200_000), data::bytes(2, 100_000));
    let (one, two) = (cluster.file("one", &first), cluster.file("two", &second));
    rados(&["put", "object", &one]);
    rados(&["setxattr", "object", "name", "old"]);
    rados(&["setomapval", "object", "key", "old"]);
    rados(&["mksnap", "then"]);
    rados(&["put", "object", &two]);
    rados(&["setxattr", "object", "name", "new"]);
    rados(&["setomapval", "object", "key", "new"]);
    rados(&["put", "later", &two]);
    rados(&["-s", "then", "get", "object", &cluster.path("got")]);
    assert!(cluster.read("got") == first);
    let then = rados(&["-s", "then", "getxattr", "object", "name"]).text();
    assert!(then.ends_with("\nold"), "{then}");
    let then = rados(&["-s", "then", "listomapvals", "object"]).text();
    assert!(then.contains("old") && !then.contains("new"), "{then}");
    rados_fails(1, &["-s", "then", "get", "later", &cluster.path("got")]);
    rados(&["rollback", "object", "then"]);
    rados(&["get", "object", &cluster.path("got")]);
    assert!(cluster.read("got") == first);
    assert_eq!(rados(&["getxattr", "object", "name"]).text(), "old");
    rados(&["rm", "object"]);
    rados_fails(1, &["get", "object", &cluster.path("got")]);
    rados(&["-s", "then", "get", "object", &cluster.path("got")]);
    assert!(cluster.read("got") == first);
    rados(&["rmsnap", "then"]);
}
