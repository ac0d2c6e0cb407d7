//! What `ceph` shows of the cluster: correct, plain and json, at once.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::time::{Duration, Instant};

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::data;
use serde_json::{Value, json};

/// Each of the status commands must be done in this time, the start of the Python program included.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Runs a status command up to three times, so that a busy machine is not taken for a slow server; the fastest
/// must be done at once.
#[track_caller]
fn at_once(cluster: &Cluster, args: &[&str]) -> rbdgate_tests::exec::Outcome {
    let mut outcome = cluster.ceph(args);
    for _ in 0..2 {
        if outcome.elapsed >= AT_ONCE {
            outcome = cluster.ceph(args);
        }
    }
    assert!(outcome.elapsed < AT_ONCE, "took too long\n{outcome}");
    outcome
}

fn json_of(cluster: &Cluster, args: &[&str]) -> Value {
    cluster.ceph(&[args, &["-f", "json"]].concat()).json()
}

#[track_caller]
fn contains_all(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn status_is_plain_text() {
    let cluster = Cluster::start();
    let fsid = cluster.ceph(&["fsid"]).text();
    let status = at_once(&cluster, &["-s"]).text();
    let parts = [
        "cluster:",
        &format!("id:     {fsid}"),
        "health: HEALTH_OK",
        "mon: 1 daemons, quorum",
        "mgr: ",
    ];
    contains_all(&status, &parts);
    contains_all(
        &status,
        &["osd: 1 osds: 1 up", "1 in", "pools:", "usage:", "active+clean"],
    );
    assert_eq!(
        at_once(&cluster, &["status"]).text().lines().count(),
        status.lines().count()
    );
}

#[test]
fn status_is_json() {
    let cluster = Cluster::start();
    let fsid = cluster.ceph(&["fsid"]).text();
    let status = at_once(&cluster, &["-s", "-f", "json"]).json();
    assert_eq!(status["fsid"], fsid);
    assert_eq!(status["health"]["status"], "HEALTH_OK");
    assert_eq!(status["quorum_names"].as_array().map(Vec::len), Some(1));
    let osdmap = &status["osdmap"];
    let counts = (
        &osdmap["num_osds"],
        &osdmap["num_up_osds"],
        &osdmap["num_in_osds"],
    );
    assert_eq!(counts, (&json!(1), &json!(1), &json!(1)));
    assert_eq!(status["mgrmap"]["available"], true);
    let pgmap = &status["pgmap"];
    assert_eq!(pgmap["pgs_by_state"][0]["state_name"], "active+clean", "{pgmap}");
    assert_eq!(pgmap["pgs_by_state"][0]["count"], pgmap["num_pgs"]);
    assert!(pgmap["bytes_total"].as_u64() > Some(0), "{pgmap}");
}

#[test]
fn health_is_ok() {
    let cluster = Cluster::start();
    assert_eq!(at_once(&cluster, &["health"]).text(), "HEALTH_OK");
    assert_eq!(at_once(&cluster, &["health", "detail"]).text(), "HEALTH_OK");
    let health = at_once(&cluster, &["health", "-f", "json"]).json();
    assert_eq!(health["status"], "HEALTH_OK");
    assert_eq!(health["checks"], json!({}));
}

#[test]
fn df_shows_the_space_and_the_pool() {
    let cluster = Cluster::start();
    let text = at_once(&cluster, &["df"]).text();
    contains_all(
        &text,
        &["RAW STORAGE", "TOTAL", "--- POOLS ---", "MAX AVAIL", "rbd"],
    );
    let df = at_once(&cluster, &["df", "-f", "json"]).json();
    let stats = &df["stats"];
    let number = |name: &str| stats[name].as_u64().unwrap_or(0);
    assert!(
        number("total_bytes") > 0 && number("total_avail_bytes") <= number("total_bytes"),
        "{df}"
    );
    let pools = df["pools"].as_array().cloned().unwrap_or_default();
    let pool = pools
        .iter()
        .find(|pool| pool["name"] == "rbd")
        .cloned()
        .unwrap_or_default();
    assert!(
        pool["id"].is_u64() && pool["stats"]["max_avail"].as_u64() > Some(0),
        "{df}"
    );
}

#[test]
fn df_counts_what_is_written() {
    let cluster = Cluster::start();
    let source = cluster.file("source", data::bytes(1, 8 << 20));
    for name in ["one", "two"] {
        cluster.rados(&["put", name, &source]);
    }
    // Ceph's daemons report every few seconds.
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let df = json_of(&cluster, &["df"]);
        let pools = df["pools"].as_array().cloned().unwrap_or_default();
        let pool = pools
            .iter()
            .find(|pool| pool["name"] == "rbd")
            .cloned()
            .unwrap_or_default();
        let (stored, objects) = (
            pool["stats"]["stored"].as_u64(),
            pool["stats"]["objects"].as_u64(),
        );
        if stored >= Some(16 << 20) && objects >= Some(2) {
            break;
        }
        assert!(Instant::now() < end, "{df}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn osd_tree_has_one_osd_up() {
    let cluster = Cluster::start();
    let text = at_once(&cluster, &["osd", "tree"]).text();
    contains_all(
        &text,
        &[
            "ID",
            "CLASS",
            "WEIGHT",
            "root default",
            "host ",
            "osd.0",
            "up",
            "1.00000",
        ],
    );
    let tree = at_once(&cluster, &["osd", "tree", "-f", "json"]).json();
    let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
    let of_type = |name: &str| {
        nodes
            .iter()
            .find(|node| node["type"] == name)
            .cloned()
            .unwrap_or_default()
    };
    let (root, host, osd) = (of_type("root"), of_type("host"), of_type("osd"));
    assert_eq!(root["name"], "default");
    assert_eq!(root["children"], json!([host["id"]]));
    assert_eq!(host["children"], json!([osd["id"]]));
    assert_eq!(
        (&osd["id"], &osd["name"], &osd["status"]),
        (&json!(0), &json!("osd.0"), &json!("up"))
    );
    assert_eq!(tree["stray"], json!([]));
}

#[test]
fn version_and_versions_agree() {
    let cluster = Cluster::start();
    let version = at_once(&cluster, &["version"]).text();
    assert!(version.starts_with("ceph version "), "{version}");
    let versions = json_of(&cluster, &["versions"]);
    for kind in ["mon", "mgr", "osd", "overall"] {
        let counts = versions[kind].as_object().cloned().unwrap_or_default();
        assert_eq!(counts.keys().collect::<Vec<_>>(), [&version], "{versions}");
    }
}

#[test]
fn mon_dump_names_the_addresses_of_the_conf() {
    let cluster = Cluster::start();
    let dump = json_of(&cluster, &["mon", "dump"]);
    let addresses = dump["mons"][0]["public_addrs"]["addrvec"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let conf = std::fs::read_to_string(cluster.conf()).unwrap();
    let v2 = addresses
        .iter()
        .find(|addr| addr["type"] == "v2")
        .cloned()
        .unwrap_or_default();
    assert!(
        conf.contains(v2["addr"].as_str().unwrap_or("no v2 address")),
        "{dump}\n{conf}"
    );
    assert_eq!(dump["fsid"], cluster.ceph(&["fsid"]).text());
    let text = cluster.ceph(&["mon", "dump"]).text();
    contains_all(
        &text,
        &["epoch ", "fsid ", "min_mon_release ", "\n0: ", "v2:127.0.0.1:"],
    );
}

#[test]
fn quorum_status_has_a_leader() {
    let cluster = Cluster::start();
    let status = json_of(&cluster, &["quorum_status"]);
    assert_eq!(status["quorum"], json!([0]));
    assert_eq!(status["quorum_leader_name"], status["quorum_names"][0]);
    assert_eq!(status["monmap"]["mons"][0]["name"], status["quorum_names"][0]);
}

#[test]
fn mgr_dump_has_an_active_manager() {
    let cluster = Cluster::start();
    let dump = json_of(&cluster, &["mgr", "dump"]);
    assert_eq!(dump["available"], true);
    assert!(
        dump["active_name"].as_str().is_some_and(|name| !name.is_empty()),
        "{dump}"
    );
}

#[test]
fn osd_dump_shows_pools_and_osds() {
    let cluster = Cluster::start();
    let dump = json_of(&cluster, &["osd", "dump"]);
    assert_eq!(dump["fsid"], cluster.ceph(&["fsid"]).text());
    let osds = dump["osds"].as_array().cloned().unwrap_or_default();
    assert_eq!(osds.len(), 1);
    assert_eq!(
        (&osds[0]["osd"], &osds[0]["up"], &osds[0]["in"]),
        (&json!(0), &json!(1), &json!(1))
    );
    let pools = dump["pools"].as_array().cloned().unwrap_or_default();
    let pool = pools
        .iter()
        .find(|pool| pool["pool_name"] == "rbd")
        .cloned()
        .unwrap_or_default();
    assert!(pool["application_metadata"]["rbd"].is_object(), "{dump}");
    contains_all(
        &cluster.ceph(&["osd", "dump"]).text(),
        &["epoch ", "pool ", "'rbd'", "max_osd 1", "osd.0 up"],
    );
}

#[test]
fn pools_are_created_used_and_deleted() {
    let cluster = Cluster::start();
    if against_ceph() {
        cluster.ceph(&["config", "set", "mon", "mon_allow_pool_delete", "true"]);
    }
    cluster.ceph(&["osd", "pool", "create", "more", "8"]);
    cluster.ceph(&["osd", "pool", "application", "enable", "more", "rbd"]);
    assert!(
        cluster
            .ceph(&["osd", "pool", "ls"])
            .lines()
            .contains(&"more".to_owned())
    );
    contains_all(&cluster.ceph(&["osd", "lspools"]).text(), &[" rbd", " more"]);
    let listed = json_of(&cluster, &["osd", "lspools"]);
    let names: Vec<_> = listed
        .as_array()
        .into_iter()
        .flatten()
        .map(|pool| pool["poolname"].clone())
        .collect();
    assert!(names.contains(&json!("more")), "{listed}");
    cluster.rbd(&["create", "--size", "1G", "more/disk"]);
    assert_eq!(cluster.rbd(&["ls", "more"]).lines(), ["disk"]);
    assert_eq!(cluster.rbd(&["ls", "rbd"]).text(), "");
    let unsure = cluster.fails(1, cluster.client("ceph", &["osd", "pool", "delete", "more"]));
    assert!(unsure.errors().contains("Error EPERM"), "{unsure}");
    cluster.ceph(&[
        "osd",
        "pool",
        "delete",
        "more",
        "more",
        "--yes-i-really-really-mean-it",
    ]);
    assert!(
        !cluster
            .ceph(&["osd", "pool", "ls"])
            .lines()
            .contains(&"more".to_owned())
    );
    // A new pool of that name has nothing of the old one.
    cluster.ceph(&["osd", "pool", "create", "more", "8"]);
    assert_eq!(cluster.rbd(&["ls", "more"]).text(), "");
}

#[test]
fn an_unknown_pool_is_an_error_at_once() {
    let cluster = Cluster::start();
    let refused = cluster.rbd_fails(2, &["ls", "nowhere"]);
    assert!(refused.elapsed < Duration::from_secs(3), "{refused}");
}

#[test]
fn unknown_commands_are_refused_at_once() {
    let cluster = Cluster::start();
    let refused = cluster.fails(22, cluster.client("ceph", &["frobnicate"]));
    assert!(refused.elapsed < Duration::from_secs(3), "{refused}");
    // The program checks by the descriptions; this asks the monitor and the manager themselves.
    let answers = cluster.run(cluster.python("unknown_command.py", &[]));
    assert_eq!(
        answers.lines(),
        ["mon -22 with a text", "mgr -22 with a text"],
        "{answers}"
    );
}
