//! The manager's module `rbd_support` beside its tasks: schedules, statistics of images, and what it does when it is shut out.

use std::time::Duration;

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::exec::until;
use rbdgate_tests::tasks::writer;
use serde_json::{Value, json};

const EAGAIN: i32 = 11;

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
