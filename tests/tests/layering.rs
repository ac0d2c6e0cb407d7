//! Clones: of clones, of parents elsewhere, and what becomes of them.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::time::{Duration, Instant};

use rbdgate_tests::cluster::Cluster;
use rbdgate_tests::data;
use rbdgate_tests::exec::Program;
use rbdgate_tests::images::{export, fill};

const SIZE: usize = 8 << 20;
const FORMAT_2: [&str; 2] = ["--rbd-default-clone-format", "2"];

/// An image `disk` with a snapshot `base`, its second half empty; returns its bytes.
fn base(cluster: &Cluster) -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    bytes[..SIZE / 2].copy_from_slice(&data::bytes(1, SIZE / 2));
    let file = cluster.file("first", &bytes);
    cluster.rbd(&["import", "--no-progress", "--order", "20", &file, "disk"]);
    cluster.rbd(&["snap", "create", "--no-progress", "disk@base"]);
    bytes
}

fn clone(cluster: &Cluster, snapshot: &str, child: &str) {
    cluster.rbd(&[&["clone", snapshot, child][..], &FORMAT_2].concat());
}

/// How many data objects an image has.
fn data_objects(cluster: &Cluster, image: &str) -> usize {
    let info = cluster.rbd(&["info", image, "--format", "json"]).json();
    let prefix = format!("{}.", info["block_name_prefix"].as_str().unwrap());
    let names = cluster.rados(&["ls"]).lines();
    names.iter().filter(|name| name.starts_with(&prefix)).count()
}

#[test]
fn a_chain_of_sixteen_clones_reads_through_to_the_first() {
    let cluster = Cluster::start();
    let mut bytes = base(&cluster);
    let mut images = vec![("disk".to_owned(), bytes.clone())];
    for n in 1..=16 {
        let (parent, child) = (images[n - 1].0.clone(), format!("child-{n}"));
        if n > 1 {
            cluster.rbd(&["snap", "create", "--no-progress", &format!("{parent}@base")]);
        }
        clone(&cluster, &format!("{parent}@base"), &child);
        // Over data of the parents, and where none has any.
        fill(&cluster, &child, &mut bytes, n as u8, n * 100_000, 5000);
        fill(&cluster, &child, &mut bytes, n as u8, SIZE - n * 8192, 4096);
        images.push((child, bytes.clone()));
    }
    for (image, content) in images.iter().rev().step_by(5) {
        assert!(export(&cluster, image) == *content, "{image}");
    }
    cluster.rbd(&["flatten", "--no-progress", "child-8"]);
    for n in [7, 8, 9, 16] {
        assert!(
            export(&cluster, &images[n].0) == images[n].1,
            "{n} after a flatten in the middle"
        );
    }
    cluster.rbd(&["flatten", "--no-progress", "child-16"]);
    assert!(export(&cluster, "child-16") == bytes);
}

#[test]
fn a_parent_may_be_in_another_pool_and_namespace() {
    let cluster = Cluster::start();
    let first = base(&cluster);
    cluster.ceph(&["osd", "pool", "create", "other", "8"]);
    cluster.rbd(&["pool", "init", "other"]);
    cluster.rbd(&["namespace", "create", "other/space"]);
    clone(&cluster, "disk@base", "other/space/child");
    let mut child = first.clone();
    fill(&cluster, "other/space/child", &mut child, 7, 50_000, 70_000);
    assert!(export(&cluster, "other/space/child") == child);
    assert_eq!(
        cluster.rbd(&["children", "disk@base"]).lines(),
        ["other/space/child"]
    );
    // And a grandchild back in the first pool.
    cluster.rbd(&["snap", "create", "--no-progress", "other/space/child@mine"]);
    clone(&cluster, "other/space/child@mine", "grandchild");
    let mut grandchild = child.clone();
    fill(&cluster, "grandchild", &mut grandchild, 8, 3 << 20, 1 << 20);
    assert!(export(&cluster, "grandchild") == grandchild);
    cluster.rbd(&["flatten", "--no-progress", "grandchild"]);
    cluster.rbd(&["flatten", "--no-progress", "other/space/child"]);
    cluster.rbd(&["snap", "rm", "--no-progress", "disk@base"]);
    cluster.rbd(&["rm", "--no-progress", "disk"]);
    assert!(export(&cluster, "other/space/child") == child);
    assert!(export(&cluster, "grandchild") == grandchild);
}

#[test]
fn copy_on_read_gives_a_clone_the_objects_that_were_read() {
    let cluster = Cluster::start();
    let first = base(&cluster);
    clone(&cluster, "disk@base", "child");
    assert!(export(&cluster, "child") == first);
    assert_eq!(data_objects(&cluster, "child"), 0);
    // By a client that opens the image for writing: `rbd export` does not, and then nothing is copied.
    let image = format!("{}:rbd_clone_copy_on_read=true", cluster.qemu("child"));
    let begun = Instant::now();
    // The copies are made behind the reads: a client that ends soon may not have made all.
    while data_objects(&cluster, "child") < SIZE / (2 << 20) {
        cluster.run(Program::new("qemu-io").args(["-f", "raw", "-c", "read 0 4M", &image]));
        assert!(begun.elapsed() < Duration::from_secs(60), "no copies are made");
    }
    assert!(export(&cluster, "child") == first);
}

#[test]
fn a_deep_flattened_clone_needs_its_parent_for_no_snapshot() {
    let cluster = Cluster::start();
    let first = base(&cluster);
    clone(&cluster, "disk@base", "child");
    cluster.rbd(&["snap", "create", "--no-progress", "child@one"]);
    let mut second = first.clone();
    fill(&cluster, "child", &mut second, 9, 100, 3_000_000);
    cluster.rbd(&["snap", "create", "--no-progress", "child@two"]);
    let mut third = second.clone();
    fill(&cluster, "child", &mut third, 10, 5 << 20, 1 << 20);
    cluster.rbd(&["flatten", "--no-progress", "child"]);
    cluster.rbd(&["snap", "rm", "--no-progress", "disk@base"]);
    cluster.rbd(&["rm", "--no-progress", "disk"]);
    assert!(export(&cluster, "child@one") == first);
    assert!(export(&cluster, "child@two") == second);
    assert!(export(&cluster, "child") == third);
}

#[test]
fn sparsify_gives_back_what_is_zeros() {
    let cluster = Cluster::start();
    let mut bytes = data::bytes(4, SIZE);
    bytes[1 << 20..3 << 20].fill(0);
    bytes[(5 << 20) + 65_536..6 << 20].fill(0);
    cluster.rbd(&["create", "--size", "8M", "--object-size", "1M", "disk"]);
    let file = cluster.file("content", &bytes);
    // Written by way of QEMU, zeros included: `rbd import` would leave them out.
    let command = format!("write -s {file} 0 {SIZE}");
    let image = cluster.qemu("disk");
    cluster.run(Program::new("qemu-io").args(["-f", "raw", "-c", &command, &image]));
    assert_eq!(data_objects(&cluster, "disk"), 8);
    cluster.rbd(&["sparsify", "--no-progress", "--sparse-size", "64K", "disk"]);
    assert_eq!(data_objects(&cluster, "disk"), 6, "objects of zeros are gone");
    assert!(export(&cluster, "disk") == bytes);
}
