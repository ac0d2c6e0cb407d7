//! Tasks of the manager's module `rbd_support` on images that others use, used, or read the journal of.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use rbdgate_tests::cluster::Cluster;
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

#[test]
fn what_a_dead_client_left_in_the_journal_of_an_image_is_there_after_it_was_flattened() {
    const BLOCK: usize = 8 << 10;
    let cluster = Cluster::start();
    let parents = bytes(1, 12 << 20);
    let file = cluster.file("random", &parents);
    cluster.rbd(&["import", "--no-progress", &file, "parent"]);
    cluster.rbd(&["snap", "create", "--no-progress", "parent@s"]);
    cluster.rbd(&["clone", "--rbd-default-clone-format", "2", "parent@s", "clone"]);
    cluster.rbd(&["feature", "enable", "clone", "journaling"]);
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
