//! Tasks of the manager's module `rbd_support`, with stock clients.

use std::time::Duration;

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::data::bytes;
use rbdgate_tests::exec::{Program, until};
use rbdgate_tests::tasks::{add, clone_with_snapshot, content, has_parent, id, same, tasks, wait_for_all};
use serde_json::{Value, json};

const ENOENT: i32 = 2;
const EACCES: i32 = 13;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;

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
