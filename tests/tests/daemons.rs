//! What daemons tell of the ops that they work on, of what placement groups hold, and of changes of options. Where it can be, the same
//! holds for Ceph's own daemons.

use std::time::{Duration, Instant};

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::exec::Program;
use rbdgate_tests::images;
use serde_json::Value;

/// Asks again and again until the answer is right.
#[track_caller]
fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "{what}: it never came");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn tell(cluster: &Cluster, words: &[&str]) -> Value {
    cluster.ceph(&[&["tell", "osd.0"], words].concat()).json()
}

fn bench(cluster: &Cluster, total: &str) -> Program {
    cluster.client(
        "rbd",
        &images::bench("write", "4K", total, &["--io-threads", "32", "disk"]),
    )
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn ops_that_took_longest_are_remembered_with_their_stages() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    cluster.run(bench(&cluster, "4M"));
    let past = tell(&cluster, &["dump_historic_ops"]);
    let ops = array(&past["ops"]);
    assert!(!ops.is_empty() && ops.len() <= 20, "{past}");
    for op in ops {
        let text = op["description"].as_str().unwrap_or_default();
        assert!(text.starts_with("osd_op(client."), "{op}");
        let events = array(&op["type_data"]["events"]);
        assert_eq!(
            events.first().map(|e| &e["event"]),
            Some(&"initiated".into()),
            "{op}"
        );
        assert_eq!(events.last().map(|e| &e["event"]), Some(&"done".into()), "{op}");
    }
    let longest = tell(&cluster, &["dump_historic_ops_by_duration"]);
    let durations: Vec<f64> = array(&longest["ops"])
        .iter()
        .filter_map(|op| op["duration"].as_f64())
        .collect();
    assert!(durations.is_sorted_by(|a, b| a >= b), "{durations:?}");
    let size = ["config", "set", "osd_op_history_size", "3"];
    tell(&cluster, &size);
    wait_for("a shorter history", || {
        (array(&tell(&cluster, &["dump_historic_ops"])["ops"]).len() <= 3).then_some(())
    });
}

#[test]
fn ops_that_wait_for_too_long_are_a_warning_until_they_are_done() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    // Whatever is in flight at all has waited for too long.
    cluster.ceph(&["config", "set", "osd", "osd_op_complaint_time", "0"]);
    if against_ceph() {
        // Its daemons report so only every few seconds.
        return;
    }
    let mut load = bench(&cluster, "100G").spawn().expect("it starts");
    let slow = wait_for("slow ops", || {
        let health = cluster.ceph(&["health", "-f", "json"]).json();
        let check = health["checks"]["SLOW_OPS"].clone();
        check.is_object().then_some(check)
    });
    let text = slow["summary"]["message"].as_str().unwrap_or_default();
    assert!(text.ends_with("sec, osd.0 has slow ops"), "{text}");
    assert_eq!(slow["severity"], "HEALTH_WARN");
    load.kill().expect("it can be ended");
    load.wait().expect("it ends");
    wait_for("no blocked ops", || {
        let blocked = tell(&cluster, &["dump_blocked_ops_count"]);
        (blocked["num_blocked_ops"] == 0).then_some(())
    });
    cluster.ceph(&["config", "rm", "osd", "osd_op_complaint_time"]);
    wait_for("health", || {
        cluster
            .ceph(&["health"])
            .text()
            .starts_with("HEALTH_OK")
            .then_some(())
    });
}

#[test]
fn counters_tell_of_ops_and_how_long_they_took() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    cluster.run(bench(&cluster, "4M"));
    let osd = tell(&cluster, &["perf", "dump", "osd"])["osd"].clone();
    // librbd joins neighbouring writes.
    assert!(osd["op_w"].as_u64() > Some(0), "{osd}");
    assert!(osd["op_w_in_bytes"].as_u64() >= Some(4 << 20), "{osd}");
    assert!(osd["op_r"].as_u64() > Some(0), "{osd}");
    assert_eq!(osd["op_w_latency"]["avgcount"], osd["op_w"], "{osd}");
    assert!(osd["op_w_latency"]["avgtime"].as_f64() > Some(0.0), "{osd}");
}

#[test]
fn an_open_image_has_a_watcher_that_the_osd_lists() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "8M", "disk"]);
    let info = cluster.rbd(&["info", "--format", "json", "disk"]).json();
    let header = format!("rbd_header.{}", info["id"].as_str().unwrap_or_default());
    let mut holder = cluster
        .python("hold_open.py", &["disk", "60"])
        .spawn()
        .expect("it starts");
    let watch = wait_for("a watch", || {
        let watchers = tell(&cluster, &["dump_watchers"]);
        array(&watchers)
            .iter()
            .find(|w| w["object"] == header.as_str())
            .cloned()
    });
    assert_eq!(watch["entity_name"]["type"], "client", "{watch}");
    assert!(watch["entity_addr_t"]["addr"].is_string(), "{watch}");
    holder.kill().expect("it can be ended");
    holder.wait().expect("it ends");
}

/// Objects and bytes of all groups of the pool `rbd`.
fn in_groups(cluster: &Cluster) -> (u64, u64) {
    let groups = cluster.ceph(&["pg", "ls-by-pool", "rbd", "-f", "json"]).json();
    let sum = |key: &str| -> u64 {
        let groups = array(&groups["pg_stats"]).iter();
        groups.filter_map(|g| g["stat_sum"][key].as_u64()).sum()
    };
    (sum("num_objects"), sum("num_bytes"))
}

#[test]
fn placement_groups_hold_in_sum_what_their_pool_holds() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    cluster.run(bench(&cluster, "4M"));
    cluster.rbd(&["snap", "create", "--no-progress", "disk@s"]);
    cluster.run(bench(&cluster, "1M"));
    cluster.rados(&["put", "object", "/etc/hostname"]);
    let pool = || {
        let df = cluster.ceph(&["df", "-f", "json"]).json();
        let stats = array(&df["pools"])
            .iter()
            .find(|p| p["name"] == "rbd")
            .expect("the pool")["stats"]
            .clone();
        (
            stats["objects"].as_u64().unwrap_or(0),
            stats["stored"].as_u64().unwrap_or(0),
        )
    };
    let held = pool();
    assert!(held.0 > 20, "{held:?}");
    assert_eq!(in_groups(&cluster), held);
    // Where each group is can be asked of the object's name.
    let map = cluster
        .ceph(&["osd", "map", "rbd", "object", "-f", "json"])
        .json();
    let group = map["pgid"].as_str().unwrap_or_default().to_owned();
    let groups = cluster.ceph(&["pg", "ls-by-pool", "rbd", "-f", "json"]).json();
    let of_group = array(&groups["pg_stats"])
        .iter()
        .find(|g| g["pgid"] == group.as_str());
    assert!(
        of_group.is_some_and(|g| g["stat_sum"]["num_objects"].as_u64() > Some(0)),
        "{group}: {groups}"
    );
    cluster.kill();
    cluster.launch();
    assert_eq!(in_groups(&cluster), held);
}

#[test]
fn what_is_read_and_written_counts_for_its_placement_group() {
    let cluster = Cluster::start();
    let map = cluster
        .ceph(&["osd", "map", "rbd", "object", "-f", "json"])
        .json();
    let group = map["pgid"].as_str().unwrap_or_default().to_owned();
    let (file, back) = (cluster.file("bytes", vec![7; 64 << 10]), cluster.path("back"));
    for _ in 0..3 {
        cluster.rados(&["put", "object", &file]);
    }
    cluster.rados(&["get", "object", &back]);
    // Ceph's OSDs report every few seconds.
    let since = std::time::Instant::now();
    loop {
        let groups = cluster.ceph(&["pg", "ls-by-pool", "rbd", "-f", "json"]).json();
        let work = |name: &str| {
            let found = array(&groups["pg_stats"])
                .iter()
                .find(|g| g["pgid"] == group.as_str());
            found.and_then(|g| g["stat_sum"][name].as_u64()).unwrap_or(0)
        };
        if work("num_write") == 3 && work("num_read") > 0 {
            assert_eq!((work("num_write_kb"), work("num_read_kb")), (192, 64));
            return;
        }
        assert!(since.elapsed().as_secs() < 30, "{groups}");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
}

#[test]
fn a_scrub_that_was_asked_for_is_done_while_clients_write() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    let mut load = bench(&cluster, "16M").spawn().expect("it starts");
    let pgid = "1.0";
    let stamp = || {
        let query = cluster.ceph(&["pg", pgid, "query"]).json();
        query["info"]["stats"]["last_deep_scrub_stamp"].clone()
    };
    let before = stamp();
    let said = cluster.ceph(&["pg", "deep-scrub", pgid]);
    let said = format!("{}{}", said.text(), said.errors());
    assert!(
        said.contains("instructing pg 1.0 on osd.0 to deep-scrub"),
        "{said}"
    );
    wait_for("a later stamp", || (stamp() != before).then_some(()));
    load.wait().expect("it ends");
    cluster.fails(2, cluster.client("ceph", &["pg", "scrub", "77.0"]));
    assert_eq!(cluster.ceph(&["health"]).text(), "HEALTH_OK");
}

#[test]
fn pools_and_osds_are_scrubbed_as_a_whole() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    let latest_of = |cluster: &Cluster, stamp: &str| {
        let groups = cluster.ceph(&["pg", "ls", "-f", "json"]).json();
        let stamps = array(&groups["pg_stats"]).iter().map(|g| g[stamp].to_string());
        stamps.max().unwrap_or_default()
    };
    for (words, stamp) in [
        (&["osd", "pool", "deep-scrub", "rbd"][..], "last_deep_scrub_stamp"),
        (&["osd", "scrub", "all"], "last_scrub_stamp"),
        (&["osd", "deep-scrub", "0"], "last_deep_scrub_stamp"),
    ] {
        let before = latest_of(&cluster, stamp);
        cluster.ceph(words);
        wait_for("a later stamp", || {
            (latest_of(&cluster, stamp) > before).then_some(())
        });
    }
    cluster.fails(2, cluster.client("ceph", &["osd", "pool", "scrub", "nopool"]));
    cluster.fails(22, cluster.client("ceph", &["osd", "scrub", "nobody"]));
}

#[test]
fn when_a_group_was_scrubbed_is_known_after_a_restart() {
    let mut cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    let stamps = |cluster: &Cluster| {
        let stats = cluster.ceph(&["pg", "1.0", "query"]).json()["info"]["stats"].take();
        [
            stats["last_scrub_stamp"].clone(),
            stats["last_deep_scrub_stamp"].clone(),
        ]
    };
    let before = stamps(&cluster);
    cluster.ceph(&["pg", "deep-scrub", "1.0"]);
    let scrubbed = wait_for("later stamps", || {
        let now = stamps(&cluster);
        (now[1] != before[1]).then_some(now)
    });
    cluster.kill();
    cluster.launch();
    // Ceph's OSD does not answer as long as it waits for its map.
    cluster.rbd(&["info", "disk"]);
    wait_for("the group", || (stamps(&cluster) == scrubbed).then_some(()));
}

#[test]
fn changes_of_options_are_listed_and_taken_back() {
    let cluster = Cluster::start();
    let version = || {
        let log = cluster.ceph(&["config", "log", "1", "-f", "json"]).json();
        log[0]["version"].as_u64().unwrap_or(0)
    };
    cluster.ceph(&["config", "set", "client", "rbd_cache", "false"]);
    let first = version();
    cluster.ceph(&["config", "set", "client", "rbd_cache", "true"]);
    let log = cluster.ceph(&["config", "log"]).text();
    assert!(
        log.contains("- client/rbd_cache = false\n+ client/rbd_cache = true"),
        "{log}"
    );
    cluster.ceph(&["config", "reset", &first.to_string()]);
    assert_eq!(
        cluster.ceph(&["config", "get", "client", "rbd_cache"]).text(),
        "false"
    );
    cluster.fails(22, cluster.client("ceph", &["config", "reset", "77777"]));
}

#[test]
fn options_of_a_file_are_taken_but_those_that_the_cluster_does_not_keep() {
    let cluster = Cluster::start();
    cluster.ceph(&["config", "set", "client", "rbd_cache_size", "1048576"]);
    let conf = "[global]\nmon_host = 10.0.0.1\n[client]\nrbd cache = false\nrbd_cache_size = 2097152\nno_such_option = 1\n";
    let file = cluster.file("old.conf", conf);
    let left = cluster.path("left.conf");
    cluster.ceph(&["config", "assimilate-conf", "-i", &file, "-o", &left]);
    let left = String::from_utf8(cluster.read("left.conf")).expect("text");
    for kept in [
        "mon_host = 10.0.0.1",
        "rbd_cache_size = 2097152",
        "no_such_option = 1",
    ] {
        assert!(left.contains(kept), "{left}");
    }
    assert!(!left.contains("rbd_cache = "), "{left}");
    assert_eq!(
        cluster.ceph(&["config", "get", "client", "rbd_cache"]).text(),
        "false"
    );
}

#[test]
fn commands_that_only_read_do_not_drive_lines_out_of_the_log() {
    if against_ceph() {
        return;
    }
    let cluster = Cluster::start();
    cluster.ceph(&["log", "a line to be found"]);
    let script = "import sys, rados\nwith rados.Rados(conffile=sys.argv[1], rados_id='admin') as c:\n    \
                  for _ in range(1500): c.mon_command('{\"prefix\": \"osd stat\"}', b'')\n";
    let script = cluster.file("ask.py", script);
    let conf = cluster.conf().display().to_string();
    cluster.run(Program::new("/usr/bin/python3").args([&script, &conf]));
    let last = cluster.ceph(&["log", "last", "100", "debug", "cluster"]).text();
    assert!(last.contains("a line to be found"), "{last}");
}

#[test]
fn a_pool_made_for_images_shows_what_they_take() {
    let cluster = Cluster::start();
    cluster.ceph(&["osd", "pool", "create", "p", "4"]);
    cluster.rbd(&["pool", "init", "p"]);
    let apps = cluster
        .ceph(&["osd", "pool", "application", "get", "p", "-f", "json"])
        .json();
    assert!(apps["rbd"].is_object(), "{apps}");
    cluster.rbd(&["create", "--size", "16M", "p/one"]);
    cluster.rbd(&["create", "--size", "32M", "p/two"]);
    cluster.rbd(&["snap", "create", "--no-progress", "p/two@s"]);
    cluster.rbd(&["trash", "move", "p/one"]);
    let stats = cluster.rbd(&["pool", "stats", "p", "--format", "json"]).json();
    assert_eq!(stats["images"]["count"], 1, "{stats}");
    assert_eq!(stats["images"]["provisioned_bytes"], 32 << 20, "{stats}");
    assert_eq!(stats["images"]["snap_count"], 1, "{stats}");
    assert_eq!(stats["trash"]["count"], 1, "{stats}");
    assert_eq!(stats["trash"]["provisioned_bytes"], 16 << 20, "{stats}");
}

#[test]
fn rados_df_shows_pools_and_the_sum() {
    let cluster = Cluster::start();
    cluster.rados(&["put", "object", "/etc/hostname"]);
    let df = wait_for("the object", || {
        let df = cluster
            .run(cluster.client("rados", &["df", "--format", "json"]))
            .json();
        let pools = array(&df["pools"]).to_vec();
        let pool = pools.iter().find(|p| p["name"] == "rbd").cloned();
        pool.filter(|p| p["num_objects"].as_u64() > Some(0)).map(|_| df)
    });
    assert!(
        df["total_objects"]
            .to_string()
            .trim_matches('"')
            .parse::<u64>()
            .is_ok_and(|n| n > 0),
        "{df}"
    );
    let text = cluster.run(cluster.client("rados", &["df"])).text();
    for word in [
        "POOL_NAME",
        "rbd",
        "total_objects",
        "total_used",
        "total_avail",
        "total_space",
    ] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn the_tree_of_space_has_root_host_and_osd() {
    let cluster = Cluster::start();
    let df = cluster.ceph(&["osd", "df", "tree", "-f", "json"]).json();
    let types: Vec<&str> = array(&df["nodes"])
        .iter()
        .filter_map(|n| n["type"].as_str())
        .collect();
    assert_eq!(types, ["root", "host", "osd"]);
    let kb: Vec<&Value> = array(&df["nodes"]).iter().map(|n| &n["kb"]).collect();
    assert!(kb.windows(2).all(|pair| pair[0] == pair[1]), "{df}");
    let text = cluster.ceph(&["osd", "df", "tree"]).text();
    assert!(
        text.contains("TYPE NAME") && text.contains("root default"),
        "{text}"
    );
    cluster.fails(
        22,
        cluster.client("ceph", &["osd", "df", "tree", "name", "nowhere"]),
    );
}

#[test]
fn the_log_tells_of_health_as_it_changes() {
    let cluster = Cluster::start();
    let line = |text: &str| {
        wait_for(text, || {
            let log = cluster.ceph(&["log", "last", "30", "info", "cluster"]).text();
            log.contains(text).then_some(())
        });
    };
    cluster.ceph(&["osd", "set", "noout"]);
    line("Health check failed: noout flag(s) set (OSDMAP_FLAGS)");
    cluster.ceph(&["osd", "unset", "noout"]);
    line("Health check cleared: OSDMAP_FLAGS (was: noout flag(s) set)");
    line("Cluster is now healthy");
}
