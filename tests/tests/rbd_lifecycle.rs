//! An image's life by way of the `rbd` command.

use std::time::Duration;

use rbdgate_tests::cluster::Cluster;
use serde_json::json;

#[test]
fn create_makes_an_image_with_the_default_features() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "10G", "disk"]);
    let info = cluster.rbd(&["info", "disk", "--format", "json"]).json();
    assert_eq!(info["name"], "disk");
    assert_eq!(info["size"], 10u64 << 30);
    assert_eq!(info["objects"], 2560);
    assert_eq!(info["object_size"], 4 << 20);
    assert_eq!(info["format"], 2);
    let features = json!([
        "layering",
        "exclusive-lock",
        "object-map",
        "fast-diff",
        "deep-flatten"
    ]);
    assert_eq!(info["features"], features);
    assert_eq!(info["flags"], json!([]));
    let id = info["id"].as_str().unwrap_or_default();
    assert_eq!(info["block_name_prefix"], format!("rbd_data.{id}"));
    let text = cluster.rbd(&["info", "disk"]).text();
    assert!(text.contains("size 10 GiB in 2560 objects"), "{text}");
}

#[test]
fn create_of_an_existing_name_is_refused() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "1G", "disk"]);
    let refused = cluster.rbd_fails(17, &["create", "--size", "2G", "disk"]);
    assert!(refused.errors().contains("File exists"), "{refused}");
    assert_eq!(
        cluster.rbd(&["info", "disk", "--format", "json"]).json()["size"],
        1 << 30
    );
}

#[test]
fn image_options_are_kept() {
    let cluster = Cluster::start();
    cluster.rbd(&[
        "create",
        "--size",
        "1G",
        "--object-size",
        "64K",
        "--image-feature",
        "layering",
        "small",
    ]);
    let striped = [
        "create",
        "--size",
        "64M",
        "--stripe-unit",
        "64K",
        "--stripe-count",
        "4",
        "striped",
    ];
    cluster.rbd(&striped);
    let small = cluster.rbd(&["info", "small", "--format", "json"]).json();
    assert_eq!(small["object_size"], 64 << 10);
    assert_eq!(small["features"], json!(["layering"]));
    let striped = cluster.rbd(&["info", "striped", "--format", "json"]).json();
    assert_eq!(
        (&striped["stripe_unit"], &striped["stripe_count"]),
        (&json!(65536), &json!(4))
    );
}

#[test]
fn ls_names_the_images_in_order() {
    let cluster = Cluster::start();
    assert_eq!(cluster.rbd(&["ls"]).text(), "");
    for name in ["c", "a", "b"] {
        cluster.rbd(&["create", "--size", "1G", name]);
    }
    assert_eq!(cluster.rbd(&["ls"]).lines(), ["a", "b", "c"]);
}

#[test]
fn ls_goes_through_a_directory_of_many_pages() {
    let cluster = Cluster::start();
    cluster.run(cluster.python("create_many.py", &["150"]));
    let names: Vec<String> = (0..150).map(|i| format!("image-{i:04}")).collect();
    assert_eq!(cluster.rbd(&["ls"]).lines(), names);
}

#[test]
fn ls_l_shows_sizes_and_locks() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "10G", "big"]);
    cluster.rbd(&["create", "--size", "64M", "little"]);
    cluster.rbd(&["lock", "add", "little", "mine"]);
    let list = cluster.rbd(&["ls", "-l", "--format", "json"]).json();
    let row = |i: usize| {
        (
            list[i]["image"].clone(),
            list[i]["size"].clone(),
            list[i]["lock_type"].clone(),
        )
    };
    assert_eq!(row(0), (json!("big"), json!(10u64 << 30), json!(null)));
    assert_eq!(row(1), (json!("little"), json!(64 << 20), json!("exclusive")));
}

#[test]
fn info_of_an_unknown_image_says_no_such_file() {
    let cluster = Cluster::start();
    let refused = cluster.rbd_fails(2, &["info", "nothing"]);
    assert!(
        refused.errors().contains("(2) No such file or directory"),
        "{refused}"
    );
}

#[test]
fn du_counts_what_was_written() {
    let cluster = Cluster::start();
    for (name, features) in [
        ("fast", "exclusive-lock,object-map,fast-diff"),
        ("slow", "layering"),
    ] {
        cluster.rbd(&["create", "--size", "1G", "--image-feature", features, name]);
        let used = |image: &str| {
            let du = cluster.rbd(&["du", image, "--format", "json"]).json();
            (
                du["images"][0]["provisioned_size"].clone(),
                du["images"][0]["used_size"].clone(),
            )
        };
        assert_eq!(used(name), (json!(1 << 30), json!(0)), "{name}");
        let source = cluster.file("12M", vec![7; 12 << 20]);
        cluster.rbd(&["rm", name]);
        cluster.rbd(&["import", "--image-feature", features, &source, name]);
        cluster.rbd(&["resize", "--size", "1G", name]);
        assert_eq!(used(name), (json!(1 << 30), json!(12 << 20)), "{name}");
    }
}

#[test]
fn resize_grows_and_shrinks() {
    let cluster = Cluster::start();
    let source = cluster.file("source", vec![0x5a; 16 << 20]);
    cluster.rbd(&["import", &source, "disk"]);
    cluster.rbd(&["resize", "--size", "32M", "disk"]);
    assert_eq!(
        cluster.rbd(&["info", "disk", "--format", "json"]).json()["size"],
        32 << 20
    );
    let refused = cluster.rbd_fails(22, &["resize", "--size", "6M", "disk"]);
    assert!(refused.errors().contains("--allow-shrink"), "{refused}");
    cluster.rbd(&["resize", "--size", "6M", "--allow-shrink", "disk"]);
    assert_eq!(
        cluster.rbd(&["info", "disk", "--format", "json"]).json()["size"],
        6 << 20
    );
    // What was cut off does not come back.
    cluster.rbd(&["resize", "--size", "16M", "disk"]);
    cluster.rbd(&["export", "disk", &cluster.path("back")]);
    let back = cluster.read("back");
    let (kept, cut) = back.split_at(6 << 20);
    assert_eq!(back.len(), 16 << 20);
    assert!(kept.iter().all(|&b| b == 0x5a), "bytes below the size are kept");
    assert!(
        cut.iter().all(|&b| b == 0),
        "bytes beyond the old size read as zero"
    );
}

#[test]
fn rename_keeps_the_content() {
    let cluster = Cluster::start();
    let source = cluster.file("source", vec![0x33; 5 << 20]);
    cluster.rbd(&["import", &source, "old"]);
    let id = cluster.rbd(&["info", "old", "--format", "json"]).json()["id"].clone();
    cluster.rbd(&["rename", "old", "new"]);
    assert_eq!(cluster.rbd(&["ls"]).lines(), ["new"]);
    assert_eq!(cluster.rbd(&["info", "new", "--format", "json"]).json()["id"], id);
    cluster.rbd(&["export", "new", &cluster.path("back")]);
    assert!(cluster.read("back") == vec![0x33; 5 << 20], "content differs");
    cluster.rbd_fails(2, &["info", "old"]);
}

#[test]
fn rename_to_an_existing_name_is_refused() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "1G", "one"]);
    cluster.rbd(&["create", "--size", "2G", "two"]);
    cluster.rbd_fails(17, &["rename", "one", "two"]);
    assert_eq!(cluster.rbd(&["ls"]).lines(), ["one", "two"]);
}

#[test]
fn image_meta_is_set_listed_and_removed() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "1G", "disk"]);
    cluster.rbd(&["image-meta", "set", "disk", "owner", "me and you"]);
    cluster.rbd(&["image-meta", "set", "disk", "colour", "blue"]);
    assert_eq!(
        cluster.rbd(&["image-meta", "get", "disk", "owner"]).text(),
        "me and you"
    );
    let list = cluster
        .rbd(&["image-meta", "list", "disk", "--format", "json"])
        .json();
    assert_eq!(list, json!({"colour": "blue", "owner": "me and you"}));
    cluster.rbd(&["image-meta", "remove", "disk", "colour"]);
    cluster.rbd_fails(2, &["image-meta", "get", "disk", "colour"]);
}

#[test]
fn features_are_disabled_and_enabled() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "1G", "disk"]);
    let features = || cluster.rbd(&["info", "disk", "--format", "json"]).json()["features"].clone();
    cluster.rbd(&[
        "feature",
        "disable",
        "disk",
        "fast-diff",
        "object-map",
        "exclusive-lock",
    ]);
    assert_eq!(features(), json!(["layering", "deep-flatten"]));
    cluster.rbd(&[
        "feature",
        "enable",
        "disk",
        "exclusive-lock",
        "object-map",
        "fast-diff",
    ]);
    let all = json!([
        "layering",
        "exclusive-lock",
        "object-map",
        "fast-diff",
        "deep-flatten"
    ]);
    assert_eq!(features(), all);
}

#[test]
fn a_rebuilt_object_map_is_valid() {
    let cluster = Cluster::start();
    let source = cluster.file("source", vec![1; 9 << 20]);
    cluster.rbd(&["import", "--image-feature", "exclusive-lock", &source, "disk"]);
    cluster.rbd(&["feature", "enable", "disk", "object-map", "fast-diff"]);
    cluster.rbd(&["object-map", "rebuild", "disk"]);
    let info = cluster.rbd(&["info", "disk", "--format", "json"]).json();
    assert_eq!(info["flags"], json!([]));
    cluster.rbd(&["object-map", "check", "disk"]);
    let du = cluster.rbd(&["du", "disk", "--format", "json"]).json();
    assert_eq!(du["images"][0]["used_size"], 9 << 20);
}

#[test]
fn advisory_locks_are_added_listed_and_removed() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "1G", "disk"]);
    cluster.rbd(&["lock", "add", "disk", "mine"]);
    let locks = cluster.rbd(&["lock", "ls", "disk", "--format", "json"]).json();
    assert_eq!(locks[0]["id"], "mine");
    let locker = locks[0]["locker"].as_str().unwrap_or_default().to_owned();
    assert!(locker.starts_with("client."), "{locks}");
    // The tool's word for a lock that somebody holds is EBUSY or EEXIST, by who asks.
    let again = cluster.attempt(cluster.client("rbd", &["lock", "add", "disk", "mine"]));
    assert!(!again.status.success(), "{again}");
    cluster.rbd(&["lock", "rm", "disk", "mine", &locker]);
    assert_eq!(
        cluster.rbd(&["lock", "ls", "disk", "--format", "json"]).json(),
        json!([])
    );
}

#[test]
fn a_shared_lock_has_several_owners() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "1G", "disk"]);
    cluster.rbd(&["lock", "add", "--shared", "tag", "disk", "one"]);
    cluster.rbd(&["lock", "add", "--shared", "tag", "disk", "two"]);
    let locks = cluster.rbd(&["lock", "ls", "disk", "--format", "json"]).json();
    assert_eq!(locks.as_array().map(Vec::len), Some(2), "{locks}");
    let refused =
        cluster.attempt(cluster.client("rbd", &["lock", "add", "--shared", "other", "disk", "three"]));
    assert!(!refused.status.success(), "{refused}");
}

#[test]
fn status_shows_the_watcher_of_an_open_image() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "1G", "disk"]);
    let status = || cluster.rbd(&["status", "disk", "--format", "json"]).json();
    assert_eq!(status()["watchers"], json!([]));
    let holder = cluster.python("hold_open.py", &["disk", "4"]);
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| cluster.run(holder));
        let mut watchers = json!([]);
        for _ in 0..40 {
            watchers = status()["watchers"].clone();
            if watchers != json!([]) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(watchers.as_array().map(Vec::len), Some(1), "{watchers}");
        assert!(watchers[0]["client"].is_u64(), "{watchers}");
        if let Err(panic) = holder.join() {
            std::panic::resume_unwind(panic);
        }
    });
    assert_eq!(status()["watchers"], json!([]));
}

#[test]
fn rm_of_an_image_in_use_is_refused() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "1G", "disk"]);
    let holder = cluster.python("hold_open.py", &["disk", "4"]);
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| cluster.run(holder));
        for _ in 0..40 {
            if cluster.rbd(&["status", "disk", "--format", "json"]).json()["watchers"] != json!([]) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let refused = cluster.rbd_fails(16, &["rm", "--no-progress", "disk"]);
        assert!(refused.errors().contains("image still has watchers"), "{refused}");
        if let Err(panic) = holder.join() {
            std::panic::resume_unwind(panic);
        }
    });
    cluster.rbd(&["rm", "--no-progress", "disk"]);
}

#[test]
fn rm_leaves_nothing_behind() {
    let cluster = Cluster::start();
    // The directory objects of the pool stay.
    cluster.rbd(&["create", "--size", "1G", "other"]);
    cluster.rbd(&["rm", "--no-progress", "other"]);
    let objects = || {
        let mut names = cluster.rados(&["ls"]).lines();
        names.sort();
        names
    };
    let before = objects();
    let source = cluster.file("source", vec![9; 10 << 20]);
    cluster.rbd(&["import", "--no-progress", &source, "disk"]);
    assert!(objects().len() > before.len() + 2, "an image has objects");
    cluster.rbd(&["rm", "--no-progress", "disk"]);
    assert_eq!(objects(), before);
    assert_eq!(cluster.rbd(&["ls"]).text(), "");
    cluster.rbd_fails(2, &["rm", "--no-progress", "disk"]);
}
