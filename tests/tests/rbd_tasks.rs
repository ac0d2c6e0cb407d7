//! The manager's module `rbd_support`: tasks, schedules and statistics of images, with stock clients.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::data::bytes;
use rbdgate_tests::exec::{Program, until};
use rbdgate_tests::images::bench;
use serde_json::{Value, json};

const ENOENT: i32 = 2;
const EAGAIN: i32 = 11;
const EACCES: i32 = 13;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;

/// Adds a task and returns its description.
fn add(cluster: &Cluster, words: &[&str]) -> Value {
    cluster.ceph(&[&["rbd", "task", "add"], words].concat()).json()
}

fn id(task: &Value) -> &str {
    task["id"].as_str().expect("a task has an id")
}

fn tasks(cluster: &Cluster) -> Vec<Value> {
    let listed = cluster.ceph(&["rbd", "task", "list"]).json();
    listed.as_array().expect("a list").clone()
}

fn wait_for_all(cluster: &Cluster) {
    until("all tasks are done", Duration::from_secs(120), || {
        tasks(cluster).is_empty()
    });
}

/// An image with random data, a snapshot, and a clone of that which was written to before and after a snapshot of its own.
fn clone_with_snapshot(cluster: &Cluster, megabytes: usize) {
    let data = bytes(1, megabytes << 20);
    let file = cluster.file("random", data);
    cluster.rbd(&["import", "--no-progress", &file, "parent"]);
    cluster.rbd(&["snap", "create", "--no-progress", "parent@s"]);
    cluster.rbd(&["clone", "--rbd-default-clone-format", "2", "parent@s", "clone"]);
    write_to(cluster, "clone");
    cluster.rbd(&["snap", "create", "--no-progress", "clone@own"]);
    write_to(cluster, "clone");
}

fn write_to(cluster: &Cluster, image: &str) {
    cluster.rbd(&bench("write", "8K", "512K", &["--io-pattern", "rand", image]));
}

fn content(cluster: &Cluster, spec: &str) -> Vec<u8> {
    let path = cluster.path("exported");
    // Export does not overwrite; the first time there is nothing to remove.
    let _ = std::fs::remove_file(&path);
    cluster.rbd(&["export", "--no-progress", spec, &path]);
    cluster.read("exported")
}

/// Expects the same bytes, or tells where they differ.
#[track_caller]
fn same(expected: &[u8], found: &[u8]) {
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

fn has_parent(cluster: &Cluster, image: &str) -> bool {
    let info = cluster.rbd(&["info", image, "--format", "json"]).json();
    info.get("parent").is_some()
}

/// What is told of commands that cannot be done; `EXPECTED` is what Ceph 16.2.15 says.
#[test]
fn what_cannot_be_done_is_refused_in_the_words_of_ceph() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "1M", "plain"]);
    cluster.rbd(&["create", "--size", "1M", "taken"]);
    cluster.rbd(&["snap", "create", "--no-progress", "taken@s"]);
    let task = ["rbd", "task"];
    let add = ["rbd", "task", "add"];
    let trash = ["rbd", "trash", "purge", "schedule"];
    let mirror = ["rbd", "mirror", "snapshot", "schedule"];
    let cases: Vec<(i32, &[&str], &[&str], &str)> = vec![
        (
            ENOENT,
            &add,
            &["flatten", "none"],
            "[errno 2] RBD image not found (Image rbd/none does not exist)",
        ),
        (
            ENOENT,
            &add,
            &["flatten", "plain"],
            "[errno 2] RBD image not found (Image rbd/plain does not have a parent)",
        ),
        (
            ENOENT,
            &add,
            &["flatten", "nowhere/x"],
            "[errno 2] RADOS object not found (error opening pool 'nowhere')",
        ),
        (
            EINVAL,
            &add,
            &["flatten", "plain@s"],
            "Invalid image spec: plain@s",
        ),
        (
            ENOENT,
            &add,
            &["remove", "none"],
            "[errno 2] RBD image not found (Image rbd/none does not exist)",
        ),
        (
            EBUSY,
            &add,
            &["remove", "taken"],
            "[errno 16] RBD image is busy (Image rbd/taken has snapshots)",
        ),
        (
            ENOENT,
            &add,
            &["trash", "remove", "abc"],
            "[errno 2] RBD image not found (error retrieving image from trash)",
        ),
        (
            EINVAL,
            &add,
            &["migration", "execute", "plain"],
            "[errno 22] RBD invalid argument (Image rbd/plain is not migrating)",
        ),
        (
            EINVAL,
            &add,
            &["migration", "commit", "none"],
            "[errno 22] RBD invalid argument (Image rbd/none is not migrating)",
        ),
        (ENOENT, &task, &["list", "x"], "No such task x"),
        (ENOENT, &task, &["cancel", "x"], "No such task x"),
        (
            EINVAL,
            &trash,
            &["add", "nowhere/", "1d"],
            "pool nowhere does not exist",
        ),
        (
            EINVAL,
            &trash,
            &["add", "rbd/ns/", "1d"],
            "namespace ns does not exist",
        ),
        (
            EINVAL,
            &trash,
            &["add", "rbd/plain", "1d"],
            "invalid name rbd/plain: image level is not allowed",
        ),
        (EINVAL, &trash, &["add", "rbd/", "1w"], "Invalid interval (1w)"),
        (
            EINVAL,
            &trash,
            &["add", "rbd/", "1d", "dummy"],
            "Invalid start time dummy: Unknown string format: dummy",
        ),
        (
            EINVAL,
            &mirror,
            &["add", "rbd/none", "1d"],
            "image none does not exist",
        ),
        (
            EINVAL,
            &mirror,
            &["add", "rbd/plain", "1d"],
            "image plain is not in snapshot mirror mode",
        ),
        (
            ENOENT,
            &["rbd", "perf", "image"],
            &["stats", "nowhere"],
            "[errno 2] RADOS object not found (Pool 'nowhere' not found)",
        ),
        (
            EINVAL,
            &["rbd", "perf", "image"],
            &["stats", "a/b/c"],
            "Invalid pool spec: a/b/c",
        ),
    ];
    let mut wrong = Vec::new();
    for (errno, words, more, text) in cases {
        let args = [words, more].concat();
        let outcome = cluster.attempt(cluster.client("ceph", &args));
        let (code, errors) = (outcome.status.code(), outcome.errors());
        if code != Some(errno) || !errors.contains(text) {
            wrong.push(format!("{args:?}: {code:?}: {errors}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_clone_is_flattened_and_its_data_stays() {
    let cluster = Cluster::start();
    clone_with_snapshot(&cluster, 24);
    let before = (content(&cluster, "clone"), content(&cluster, "clone@own"));
    let task = add(&cluster, &["flatten", "clone"]);
    assert_eq!(task["message"], "Flattening image rbd/clone");
    assert_eq!(
        (&task["refs"]["action"], &task["refs"]["pool_namespace"]),
        (&json!("flatten"), &json!(""))
    );
    wait_for_all(&cluster);
    assert!(!has_parent(&cluster, "clone"));
    assert!(before == (content(&cluster, "clone"), content(&cluster, "clone@own")));
    for spec in ["clone", "clone@own"] {
        cluster.rbd(&["object-map", "check", "--no-progress", spec]);
        let info = cluster.rbd(&["info", spec, "--format", "json"]).json();
        assert_eq!(info["flags"], json!([]), "{spec}");
    }
    // The snapshot has no clones any more.
    cluster.rbd(&["snap", "rm", "--no-progress", "parent@s"]);
    let ended = cluster.ceph(&["progress", "json"]).json();
    assert_eq!(ended["completed"][0]["id"], task["id"]);
}

#[test]
fn the_same_task_is_not_added_twice() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "1T", "--image-shared", "large"]);
    let (first, second) = (
        add(&cluster, &["remove", "large"]),
        add(&cluster, &["remove", "large"]),
    );
    assert_eq!(id(&first), id(&second));
    until("it is under way", Duration::from_secs(20), || {
        tasks(&cluster)
            .first()
            .is_some_and(|t| t["progress"].as_f64() > Some(0.0))
    });
    cluster.ceph(&["rbd", "task", "cancel", id(&first)]);
    wait_for_all(&cluster);
    let ended = cluster.ceph(&["progress", "json"]).json();
    assert_eq!(ended["completed"][0]["failure_message"], "Operation canceled");
    // What is half removed is still listed, and can be removed.
    assert_eq!(cluster.rbd(&["ls"]).text(), "large");
    assert!(
        !cluster
            .attempt(cluster.client("rbd", &["info", "large"]))
            .status
            .success()
    );
}

#[test]
fn a_task_and_its_progress_are_shown() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "1T", "--image-shared", "large"]);
    let task = add(&cluster, &["remove", "large"]);
    let mut seen = Value::Null;
    until("it is under way", Duration::from_secs(20), || {
        seen = cluster.ceph(&["rbd", "task", "list", id(&task)]).json();
        seen["in_progress"] == true && seen["progress"].as_f64() > Some(0.0)
    });
    assert_eq!(seen["refs"], task["refs"]);
    let progress = cluster.ceph(&["progress", "json"]).json();
    assert_eq!(progress["events"][0]["refs"]["origin"], "rbd_support");
    let status = cluster.ceph(&["status", "--format", "json"]).json();
    let shown = &status["progress_events"][id(&task)]["message"];
    assert!(
        shown
            .as_str()
            .unwrap_or_default()
            .starts_with("Removing image rbd/large ("),
        "{status}"
    );
    if !against_ceph() {
        // Ceph's module keeps tasks out of the plain status.
        assert!(
            cluster
                .ceph(&["status"])
                .text()
                .contains("Removing image rbd/large")
        );
    }
    cluster.ceph(&["rbd", "task", "cancel", id(&task)]);
}

#[test]
fn a_task_goes_on_after_the_server_was_killed() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    clone_with_snapshot(&cluster, 200);
    let before = content(&cluster, "clone");
    add(&cluster, &["flatten", "clone"]);
    std::thread::sleep(Duration::from_millis(300));
    cluster.kill();
    cluster.launch();
    // The lock that the former process held is no obstacle.
    until("it is done", Duration::from_secs(25), || {
        tasks(&cluster).is_empty()
    });
    wait_for_all(&cluster);
    same(&before, &content(&cluster, "clone"));
    cluster.rbd(&["object-map", "check", "--no-progress", "clone"]);
}

/// The map is changed before the object is made: a server that is killed in between leaves this behind.
#[test]
fn an_object_that_only_its_map_has_is_copied_too() {
    if against_ceph() {
        return;
    }
    let cluster = Cluster::start();
    let file = cluster.file("random", bytes(1, 12 << 20));
    cluster.rbd(&["import", "--no-progress", &file, "parent"]);
    cluster.rbd(&["snap", "create", "--no-progress", "parent@s"]);
    cluster.rbd(&["clone", "--rbd-default-clone-format", "2", "parent@s", "clone"]);
    let before = content(&cluster, "clone");
    let info = cluster.rbd(&["info", "clone", "--format", "json"]).json();
    // `object_map_update` of `cls_rbd`: first object, end, new state (exists), whatever the old one.
    let script = "import struct, sys, rados\nwith rados.Rados(conffile=sys.argv[1], rados_id='admin') as c:\n    \
                  with c.open_ioctx('rbd') as io:\n        \
                  io.execute('rbd_object_map.' + sys.argv[2], 'rbd', 'object_map_update', struct.pack('<QQBB', 1, 2, 1, 0))\n";
    let script = cluster.file("mark.py", script);
    let conf = cluster.conf().display().to_string();
    cluster.run(Program::new("/usr/bin/python3").args([
        &script,
        &conf,
        info["id"].as_str().unwrap_or_default(),
    ]));
    add(&cluster, &["flatten", "clone"]);
    until("it is done", Duration::from_secs(25), || {
        tasks(&cluster).is_empty()
    });
    assert!(!has_parent(&cluster, "clone"));
    same(&before, &content(&cluster, "clone"));
    cluster.rbd(&["object-map", "check", "--no-progress", "clone"]);
}

/// Somebody who writes to an image without end.
fn writer(cluster: &Cluster, image: &str) -> std::process::Child {
    let how = ["--io-pattern", "rand", "--io-threads", "1", image];
    let child = cluster.client("rbd", &bench("write", "4K", "100G", &how)).spawn();
    let child = child.expect("rbd bench starts");
    until("the writer has the lock", Duration::from_secs(20), || {
        cluster.rbd(&["lock", "ls", image]).text().contains("auto")
    });
    child
}

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
fn a_migration_is_executed_and_committed_or_aborted() {
    let cluster = Cluster::start();
    cluster.ceph(&["osd", "pool", "create", "other", "8"]);
    cluster.rbd(&["pool", "init", "other"]);
    clone_with_snapshot(&cluster, 12);
    for end in ["abort", "commit"] {
        cluster.rbd(&["migration", "prepare", "parent", "other/moved"]);
        let before = (
            content(&cluster, "other/moved"),
            content(&cluster, "other/moved@s"),
        );
        let task = add(&cluster, &["migration", "execute", "other/moved"]);
        assert_eq!(task["message"], "Migrating image rbd/parent to other/moved");
        wait_for_all(&cluster);
        let status = cluster.rbd(&["status", "other/moved", "--format", "json"]).json();
        assert_eq!(status["migration"]["state"], "executed");
        add(&cluster, &["migration", end, "other/moved"]);
        wait_for_all(&cluster);
        let left = if end == "abort" { "parent" } else { "other/moved" };
        let after = (content(&cluster, left), content(&cluster, &format!("{left}@s")));
        assert!(before == after, "{end}");
        let clone = cluster.rbd(&["info", "clone", "--format", "json"]).json();
        assert_eq!(clone["parent"]["image"], left.trim_start_matches("other/"));
    }
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

#[test]
fn an_image_is_in_its_group_and_mirrored_as_before_when_its_migration_has_ended() {
    let cluster = Cluster::start();
    cluster.ceph(&["osd", "pool", "create", "other", "8"]);
    cluster.rbd(&["pool", "init", "other"]);
    for pool in ["rbd", "other"] {
        cluster.rbd(&["mirror", "pool", "enable", pool, "image"]);
    }
    cluster.rbd(&["group", "create", "g"]);
    for end in ["abort", "commit"] {
        let name = format!("to-{end}");
        cluster.rbd(&["create", "--size", "8M", &name]);
        cluster.rbd(&["mirror", "image", "enable", &name, "journal"]);
        cluster.rbd(&["group", "image", "add", "g", &name]);
        let moved = format!("other/{name}");
        cluster.rbd(&["migration", "prepare", &name, &moved]);
        add(&cluster, &["migration", "execute", &moved]);
        wait_for_all(&cluster);
        add(&cluster, &["migration", end, &moved]);
        wait_for_all(&cluster);
        let left = if end == "abort" {
            format!("rbd/{name}")
        } else {
            moved
        };
        let info = cluster.rbd(&["info", &left, "--format", "json"]).json();
        let mirroring = &info["mirroring"];
        assert_eq!(
            (&mirroring["mode"], &mirroring["state"], &mirroring["primary"]),
            (&"journal".into(), &"enabled".into(), &true.into()),
            "{name}: {info}"
        );
        let grouped = cluster.rbd(&["group", "image", "list", "g"]).text();
        assert!(grouped.lines().any(|line| line == left), "{left}: {grouped}");
        cluster.rbd(&["group", "image", "remove", "g", &left]);
    }
}

#[test]
fn a_module_that_was_shut_out_starts_anew() {
    let cluster = Cluster::start();
    let client = |cluster: &Cluster| {
        let map = cluster.ceph(&["mgr", "dump"]).json();
        let clients = map["active_clients"].as_array().expect("a list").clone();
        let named = clients.into_iter().find(|c| c["name"] == "rbd_support")?;
        let addr = &named["addrvec"][0];
        Some(format!("{}/{}", addr["addr"].as_str()?, addr["nonce"]))
    };
    if against_ceph() {
        return; // before Reef, the map does not say whose a client is
    }
    let first = client(&cluster).expect("the module has a client");
    cluster.ceph(&["osd", "blocklist", "add", &first]);
    cluster.fails(
        EAGAIN,
        cluster.client("ceph", &["rbd", "task", "add", "flatten", "x"]),
    );
    until("it is there again", Duration::from_secs(10), || {
        cluster
            .attempt(cluster.client("ceph", &["rbd", "task", "list"]))
            .status
            .success()
    });
    assert_ne!(client(&cluster).expect("it has another client"), first);
}

#[test]
fn schedules_are_kept_in_the_pools_and_listed_by_level() {
    let cluster = Cluster::start();
    let schedule = |words: &[&str]| cluster.ceph(&[&["rbd", "trash", "purge", "schedule"], words].concat());
    assert_eq!(schedule(&["list"]).json(), json!({}));
    assert_eq!(schedule(&["status"]).json(), json!({"scheduled": []}));
    schedule(&["add", "rbd/", "1d", "01:30"]);
    schedule(&["add", "", "2h"]);
    let pool = cluster
        .ceph(&["osd", "pool", "ls", "detail", "--format", "json"])
        .json();
    let pool = pool[0]["pool_id"].to_string();
    let of_pool = json!({"name": "rbd/", "schedule": [{"interval": "1d", "start_time": "01:30:00"}]});
    let of_all = json!({"name": "", "schedule": [{"interval": "2h", "start_time": null}]});
    assert_eq!(schedule(&["list"]).json(), json!({"": of_all, &pool: of_pool}));
    assert_eq!(schedule(&["list", "rbd/"]).json(), json!({&pool: of_pool}));
    let stored = cluster.rados(&["-p", "rbd", "getomapval", "rbd_trash_purge_schedule", &pool, "-"]);
    assert_eq!(stored.json(), of_pool["schedule"]);
    let options = cluster.ceph(&["config", "dump"]).text();
    assert!(
        options.contains("mgr/rbd_support/trash_purge_schedule"),
        "{options}"
    );
    schedule(&["remove", "rbd/"]);
    schedule(&["remove", "", "2h"]);
    assert_eq!(schedule(&["list"]).json(), json!({}));
}

#[test]
fn the_trash_is_emptied_when_its_time_comes() {
    if against_ceph() {
        return; // it takes two minutes to look at a pool
    }
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "8M", "old"]);
    cluster.rbd(&["create", "--size", "8M", "kept"]);
    cluster.rbd(&["trash", "mv", "old"]);
    cluster.rbd(&["trash", "mv", "kept", "--expires-at", "tomorrow"]);
    cluster.ceph(&["rbd", "trash", "purge", "schedule", "add", "rbd/", "1m"]);
    // Of the pool a refresh may have to learn first.
    until("the one that is due is gone", Duration::from_secs(150), || {
        cluster.rbd(&["trash", "ls"]).lines().len() == 1
    });
    assert!(cluster.rbd(&["trash", "ls"]).text().contains("kept"));
}

#[test]
fn statistics_tell_which_images_are_busy() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "1G", "busy"]);
    cluster.rbd(&["create", "--size", "1G", "idle"]);
    let mut writer = writer(&cluster, "busy");
    let stats = || cluster.ceph(&["rbd", "perf", "image", "stats", "rbd"]).json();
    let mut seen = Value::Null;
    until("there are figures", Duration::from_secs(60), || {
        seen = stats();
        seen["stats"] != json!([])
    });
    let names = json!([
        "write_ops",
        "read_ops",
        "write_bytes",
        "read_bytes",
        "write_latency",
        "read_latency"
    ]);
    assert_eq!(
        (&seen["stat_descriptors"], &seen["pool_descriptors"]),
        (&names, &json!({"0": "rbd"}))
    );
    let figures = &seen["stats"][0]["0/busy"];
    let (ops, written, latency) = (&figures[0], &figures[2], &figures[4]);
    assert!(
        ops.as_f64() > Some(1.0) && latency.as_f64() > Some(1000.0),
        "{seen}"
    );
    let size = written.as_f64().unwrap_or_default() / ops.as_f64().unwrap_or_default();
    assert!((4096.0..=4_194_304.0).contains(&size), "{seen}");
    let counters = cluster.ceph(&["rbd", "perf", "image", "counters", "rbd"]).json();
    assert!(
        counters["counters"][0]["0/busy"][0].as_u64() > Some(1),
        "{counters}"
    );
    writer.kill().expect("it is a child");
    writer.wait().expect("it is a child");
}

#[test]
fn a_user_adds_tasks_in_its_pool_and_only_looks_at_another() {
    let cluster = Cluster::start();
    for pool in ["own", "seen"] {
        cluster.ceph(&["osd", "pool", "create", pool, "8"]);
        cluster.rbd(&["pool", "init", pool]);
        cluster.rbd(&["create", "--size", "1M", &format!("{pool}/disk")]);
    }
    let caps = [
        "mon",
        "profile rbd",
        "osd",
        "profile rbd pool=own",
        "mgr",
        "profile rbd pool=own, profile rbd-read-only pool=seen",
    ];
    let keyring = cluster.user("user", &caps);
    let as_user = |args: &[&str]| -> Program {
        let user = ["--id", "user", "-k", &keyring];
        cluster.client("ceph", &[&user[..], args].concat())
    };
    cluster.run(as_user(&["rbd", "perf", "image", "stats", "seen"]));
    cluster.fails(EACCES, as_user(&["rbd", "perf", "image", "stats"]));
    cluster.fails(EACCES, as_user(&["rbd", "task", "add", "remove", "seen/disk"]));
    cluster.run(as_user(&["rbd", "task", "add", "remove", "own/disk"]));
    wait_for_all(&cluster);
    assert_eq!(cluster.rbd(&["ls", "own"]).text(), "");
}
