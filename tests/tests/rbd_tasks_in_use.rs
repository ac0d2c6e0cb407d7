//! Tasks of the manager's module `rbd_support` on images that others use, used, or read the journal of.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::data::bytes;
use rbdgate_tests::exec::until;
use rbdgate_tests::images::bench;
use rbdgate_tests::tasks::{add, clone_with_snapshot, content, has_parent, id, tasks, wait_for_all, writer};

#[test]
fn an_image_in_use_is_flattened_by_its_user_and_not_removed() {
    let cluster = Cluster::start();
    clone_with_snapshot(&cluster, 24);
    cluster.rbd(&["snap", "purge", "--no-progress", "clone"]);
    let mut writer = writer(&cluster, "clone");
    let owner = cluster.rbd(&["lock", "ls", "clone"]).text();
    add(&cluster, &["flatten", "clone"]);
    wait_for_all(&cluster);
    assert!(!has_parent(&cluster, "clone"));
    assert_eq!(cluster.rbd(&["lock", "ls", "clone"]).text(), owner);

    let task = add(&cluster, &["remove", "clone"]);
    until("it was tried", Duration::from_secs(60), || {
        tasks(&cluster)[0]["retry_attempts"] == 1
    });
    let tried = cluster.ceph(&["rbd", "task", "list", id(&task)]).json();
    assert_eq!(
        tried["retry_message"],
        "[errno 16] RBD image is busy (error removing image)"
    );
    cluster.ceph(&["rbd", "task", "cancel", id(&task)]);
    assert!(
        writer.try_wait().expect("it is a child").is_none(),
        "the writer goes on"
    );
    writer.kill().expect("it is a child");
    writer.wait().expect("it is a child");
    assert_eq!(cluster.rbd(&["ls"]).lines(), ["clone", "parent"]);
}

#[test]
fn the_lock_of_a_dead_client_is_no_obstacle() {
    let cluster = Cluster::start();
    clone_with_snapshot(&cluster, 8);
    let mut writer = writer(&cluster, "clone");
    writer.kill().expect("it is a child");
    writer.wait().expect("it is a child");
    add(&cluster, &["flatten", "clone"]);
    wait_for_all(&cluster);
    assert!(!has_parent(&cluster, "clone"));
    let shut_out = cluster.ceph(&["osd", "blocklist", "ls"]).text();
    assert!(!shut_out.is_empty(), "its owner was shut out first");
}

/// Writes to the image `clone` until it is killed, and tells which blocks of 8 KiB were acknowledged: all that is sure to be in the journal.
fn interrupted_writes(cluster: &Cluster) -> Vec<usize> {
    let mut writer = cluster
        .python("journaled_writer.py", &["clone"])
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(writer.stdout.take().expect("piped")).lines();
    let mut acknowledged: Vec<usize> = Vec::new();
    while acknowledged.len() < 300 {
        let line = lines.next().expect("it writes on").expect("text");
        acknowledged.push(line.parse().expect("a number"));
    }
    writer.kill().expect("it is a child");
    writer.wait().expect("it is a child");
    acknowledged.extend(
        lines
            .map_while(Result::ok)
            .filter_map(|line| line.parse::<usize>().ok()),
    );
    acknowledged
}

/// A clone with a journal.
fn journaled_clone(cluster: &Cluster) -> Vec<u8> {
    let parents = bytes(1, 12 << 20);
    let file = cluster.file("random", &parents);
    cluster.rbd(&["import", "--no-progress", &file, "parent"]);
    cluster.rbd(&["snap", "create", "--no-progress", "parent@s"]);
    cluster.rbd(&["clone", "--rbd-default-clone-format", "2", "parent@s", "clone"]);
    cluster.rbd(&["feature", "enable", "clone", "journaling"]);
    parents
}

/// Has somebody read the journal of the image `clone` beside its own clients, as mirrors do.
fn register_reader(cluster: &Cluster) {
    // `cls::journal::Client`: its name, `CliClientMeta`, nothing committed, connected.
    let meta = [2, 1, 4, 0, 0, 0, 2, 0, 0, 0];
    let body = [
        &[4, 0, 0, 0][..],
        b"peer",
        &[10, 0, 0, 0],
        &meta,
        &[1, 1, 4, 0, 0, 0, 0, 0, 0, 0],
        &[0],
    ]
    .concat();
    let client = [&[1, 1, body.len() as u8, 0, 0, 0], &body[..]].concat();
    let file = cluster.file("client", client);
    let info = cluster.rbd(&["info", "clone", "--format", "json"]).json();
    let journal = format!("journal.{}", info["id"].as_str().expect("an image has an id"));
    cluster.rados(&[
        "-p",
        "rbd",
        "setomapval",
        &journal,
        "client_peer",
        "--input-file",
        &file,
    ]);
}

#[test]
fn what_a_dead_client_left_in_the_journal_of_an_image_is_there_after_it_was_flattened() {
    const BLOCK: usize = 8 << 10;
    let cluster = Cluster::start();
    let parents = journaled_clone(&cluster);
    let acknowledged = interrupted_writes(&cluster);
    add(&cluster, &["flatten", "clone"]);
    wait_for_all(&cluster);
    assert!(!has_parent(&cluster, "clone"));
    // Whoever takes the lock replays the journal.
    cluster.rbd(&["snap", "create", "--no-progress", "clone@replayed"]);
    let now = content(&cluster, "clone");
    for (number, (now, before)) in now.chunks(BLOCK).zip(parents.chunks(BLOCK)).enumerate() {
        let written = (number as u32).to_le_bytes().repeat(BLOCK / 4);
        let whole = now == written || now == before && !acknowledged.contains(&number);
        assert!(whole, "block {number} of {}", acknowledged.len());
    }
}

#[test]
fn an_image_with_a_journal_of_its_own_is_flattened() {
    let cluster = Cluster::start();
    clone_with_snapshot(&cluster, 12);
    cluster.rbd(&["feature", "enable", "clone", "journaling"]);
    let before = content(&cluster, "clone");
    add(&cluster, &["flatten", "clone"]);
    wait_for_all(&cluster);
    assert!(!has_parent(&cluster, "clone"));
    assert!(content(&cluster, "clone") == before);
    // Clients that replay the journal find nothing amiss.
    cluster.rbd(&bench("write", "4K", "64K", &["clone"]));
    cluster.rbd(&["snap", "create", "clone@after"]);
}

#[test]
fn an_image_whose_journal_others_read_is_flattened_and_they_are_told() {
    let cluster = Cluster::start();
    let parents = journaled_clone(&cluster);
    register_reader(&cluster);
    add(&cluster, &["flatten", "clone"]);
    wait_for_all(&cluster);
    assert!(!has_parent(&cluster, "clone"));
    assert!(content(&cluster, "clone") == parents);
    let objects = cluster.rados(&["-p", "rbd", "ls"]).lines();
    let entries = objects.iter().filter(|o| o.starts_with("journal_data.")).count();
    assert_eq!(entries, 2, "that it began and that it ended: {objects:?}");
    cluster.rbd(&bench("write", "4K", "64K", &["clone"]));
    cluster.rbd(&["snap", "create", "--no-progress", "clone@after"]);
}

#[test]
fn what_a_dead_client_left_in_a_journal_that_others_read_is_done_before_the_image_is_flattened() {
    if against_ceph() {
        return; // its module replays the journal by itself
    }
    let cluster = Cluster::start();
    journaled_clone(&cluster);
    register_reader(&cluster);
    interrupted_writes(&cluster);
    let task = add(&cluster, &["flatten", "clone"]);
    until("it was tried", Duration::from_secs(60), || {
        tasks(&cluster)[0]["retry_attempts"].as_u64() >= Some(1)
    });
    assert!(has_parent(&cluster, "clone"));
    // Whoever opens the image takes in what is in its journal.
    cluster.rbd(&["snap", "create", "--no-progress", "clone@replayed"]);
    cluster.ceph(&["rbd", "task", "cancel", id(&task)]);
    add(&cluster, &["flatten", "clone"]);
    wait_for_all(&cluster);
    assert!(!has_parent(&cluster, "clone"));
}
