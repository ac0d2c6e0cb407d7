//! Tasks of the manager's module `rbd_support`, and images to give it work.

use std::time::Duration;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::data::bytes;
use crate::exec::until;
use crate::images::bench;

/// Adds a task and returns its description.
pub fn add(cluster: &Cluster, words: &[&str]) -> Value {
    cluster.ceph(&[&["rbd", "task", "add"], words].concat()).json()
}

/// A task's id.
#[must_use]
pub fn id(task: &Value) -> &str {
    task["id"].as_str().expect("a task has an id")
}

/// All tasks.
#[must_use]
pub fn tasks(cluster: &Cluster) -> Vec<Value> {
    let listed = cluster.ceph(&["rbd", "task", "list"]).json();
    listed.as_array().expect("a list").clone()
}

/// Waits until all are done.
pub fn wait_for_all(cluster: &Cluster) {
    until("all tasks are done", Duration::from_secs(120), || {
        tasks(cluster).is_empty()
    });
}

/// An image with random data, a snapshot, and a clone of that which was written to before and after a snapshot of its own.
pub fn clone_with_snapshot(cluster: &Cluster, megabytes: usize) {
    let data = bytes(1, megabytes << 20);
    let file = cluster.file("random", data);
    cluster.rbd(&["import", "--no-progress", &file, "parent"]);
    cluster.rbd(&["snap", "create", "--no-progress", "parent@s"]);
    cluster.rbd(&["clone", "--rbd-default-clone-format", "2", "parent@s", "clone"]);
    write_to(cluster, "clone");
    cluster.rbd(&["snap", "create", "--no-progress", "clone@own"]);
    write_to(cluster, "clone");
}

/// Writes random data all over an image.
pub fn write_to(cluster: &Cluster, image: &str) {
    cluster.rbd(&bench("write", "8K", "512K", &["--io-pattern", "rand", image]));
}

/// All of an image.
#[must_use]
pub fn content(cluster: &Cluster, spec: &str) -> Vec<u8> {
    let path = cluster.path("exported");
    // Export does not overwrite; the first time there is nothing to remove.
    let _ = std::fs::remove_file(&path);
    cluster.rbd(&["export", "--no-progress", spec, &path]);
    cluster.read("exported")
}

/// Expects the same bytes, or tells where they differ.
#[track_caller]
pub fn same(expected: &[u8], found: &[u8]) {
    assert_eq!(expected.len(), found.len());
    let block = 4096;
    let pairs = expected.chunks(block).zip(found.chunks(block)).enumerate();
    let differ: Vec<usize> = pairs
        .filter(|(_, (a, b))| a != b)
        .map(|(n, _)| n * block)
        .collect();
    let head = |bytes: &[u8], at: usize| format!("{:02x?}", &bytes[at..at + 8]);
    if let Some(&at) = differ.first() {
        panic!(
            "{} blocks differ, from {at:#x} on: {} for {}",
            differ.len(),
            head(found, at),
            head(expected, at)
        );
    }
}

/// Whether an image is a clone.
#[must_use]
pub fn has_parent(cluster: &Cluster, image: &str) -> bool {
    let info = cluster.rbd(&["info", image, "--format", "json"]).json();
    info.get("parent").is_some()
}

/// Somebody who writes to an image without end.
pub fn writer(cluster: &Cluster, image: &str) -> std::process::Child {
    let how = ["--io-pattern", "rand", "--io-threads", "1", image];
    let child = cluster.client("rbd", &bench("write", "4K", "100G", &how)).spawn();
    let child = child.expect("rbd bench starts");
    until("the writer has the lock", Duration::from_secs(20), || {
        cluster.rbd(&["lock", "ls", image]).text().contains("auto")
    });
    child
}
