//! What operators have single daemons do: checkpoints, counters that begin anew, figures of memory. The same holds for Ceph's own
//! daemons.

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::images;
use serde_json::Value;

fn tell(cluster: &Cluster, words: &[&str]) -> Value {
    cluster.ceph(&[&["tell", "osd.0"], words].concat()).json()
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .into_iter()
        .flat_map(|o| o.keys().map(String::as_str))
        .collect()
}

#[test]
fn compact_tells_how_long_it_took() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    let result = tell(&cluster, &["compact"]);
    assert_eq!(keys(&result), ["elapsed_time"]);
    assert!(result["elapsed_time"].as_f64().is_some_and(|s| s >= 0.0));
    let text = cluster.ceph(&["tell", "mon.a", "compact"]).text();
    assert!(
        text.starts_with("compacted ") && text.trim_end().ends_with(" seconds"),
        "{text}"
    );
    assert!(cluster.rbd(&["info", "disk"]).text().contains("64 MiB"));
}

#[test]
fn compact_leaves_nothing_to_replay() {
    if against_ceph() {
        return;
    }
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    cluster.ceph(&["osd", "set", "noout"]);
    let changed = |mempools: Value| mempools["mempool"]["by_pool"]["bluestore_cache_meta"]["items"].as_u64();
    let before = changed(tell(&cluster, &["dump_mempools"]));
    tell(&cluster, &["compact"]);
    let after = changed(tell(&cluster, &["dump_mempools"]));
    assert!(after < before, "{before:?} {after:?}");
    let socket = cluster.path("data/rbdgate.asok");
    let asked = cluster.client("ceph", &["daemon", &socket, "compact"]);
    assert!(cluster.run(asked).json()["elapsed_time"].is_f64());
}

#[test]
fn memory_is_told_by_the_pools_of_ceph() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    let dump = tell(&cluster, &["dump_mempools"]);
    let pools = &dump["mempool"]["by_pool"];
    let names = keys(pools);
    assert_eq!(names.len(), 29, "{names:?}");
    assert!(names.contains(&"bluestore_writing_deferred") && names.contains(&"unittest_2"));
    for pool in ["bluestore_cache_onode", "osdmap", "osd"] {
        assert!(
            pools[pool]["items"].as_i64() > Some(0) && pools[pool]["bytes"].as_i64() > Some(0),
            "{pool}: {dump}"
        );
    }
    assert!(dump["mempool"]["total"]["bytes"].as_i64() > Some(0));
    assert!(keys(&cluster.ceph(&["tell", "mon.a", "dump_mempools"]).json()).contains(&"mempool"));
}

#[test]
fn counters_begin_anew_where_they_count_and_stay_where_they_measure() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    // librbd's cache would send neighbours as one write, more or fewer by how fast the server answers.
    let write = || {
        cluster.rbd(&images::bench(
            "write",
            "4K",
            "1M",
            &["--rbd_cache=false", "disk"],
        ));
    };
    write();
    let counters = |cluster: &Cluster| tell(cluster, &["perf", "dump", "osd"])["osd"].clone();
    let before = counters(&cluster);
    assert!(before["op_w"].as_u64() >= Some(256), "{before}");
    assert_eq!(
        tell(&cluster, &["perf", "reset", "nobody"]),
        serde_json::json!({"error": "Not find: nobody"})
    );
    assert_eq!(
        tell(&cluster, &["perf", "reset", "all"]),
        serde_json::json!({"success": "perf reset all"})
    );
    let after = counters(&cluster);
    assert!(after["op_w"].as_u64() < Some(50), "{after}");
    assert_eq!(after["op_w_latency"]["avgcount"], after["op_w"]);
    assert!(after["stat_bytes"].as_u64() > Some(0), "{after}");
    write();
    assert!(counters(&cluster)["op_w"].as_u64() > after["op_w"].as_u64());
}

#[test]
fn counters_of_a_pool_begin_anew_and_its_statistics_go_on() {
    if against_ceph() {
        return;
    }
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    let of_pool = |cluster: &Cluster| tell(cluster, &["perf", "dump", "pool-rbd"])["pool-rbd"].clone();
    let before = of_pool(&cluster);
    tell(&cluster, &["perf", "reset", "pool-rbd"]);
    let after = of_pool(&cluster);
    assert_eq!(
        (&after["op_w"], &after["objects"]),
        (&0.into(), &before["objects"])
    );
    let df = cluster.ceph(&["df", "detail", "-f", "json"]).json();
    let pool = df["pools"]
        .as_array()
        .and_then(|all| all.iter().find(|p| p["name"] == "rbd"));
    assert!(
        pool.is_some_and(|p| p["stats"]["wr"].as_u64() >= before["op_w"].as_u64()),
        "{df}"
    );
}

#[test]
fn disks_that_are_nobodys_are_not_told_of() {
    let cluster = Cluster::start();
    assert!(tell(&cluster, &["smart"]).is_object());
    assert_eq!(
        tell(&cluster, &["smart", "no_such_device"]),
        serde_json::json!({})
    );
}
