//! What programs around Ceph ask of a cluster, and what they do with the answer: orchestrators (Rook, ceph-csi), hypervisors' managers
//! (Proxmox VE, incus and LXD, CloudStack, OpenNebula, XenServer), OpenStack, exporters. Each test is one program's habit; the
//! programs' own drivers, where Debian packages them, are in `drivers.rs`.

use std::time::Duration;

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::exec::Program;
use serde_json::Value;

fn json(cluster: &Cluster, words: &[&str]) -> Value {
    cluster.ceph(&[words, &["-f", "json"]].concat()).json()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn incus_reads_a_missing_pool_from_the_exit_code() {
    let cluster = Cluster::start();
    cluster.ceph(&["osd", "pool", "get", "rbd", "size"]);
    cluster.fails(
        2,
        cluster.client("ceph", &["osd", "pool", "get", "nowhere", "size"]),
    );
    // It makes its pool with what it was told, and marks it with an image of its own.
    cluster.ceph(&["osd", "pool", "create", "incus", "32"]);
    cluster.ceph(&["osd", "pool", "application", "enable", "incus", "rbd"]);
    cluster.rbd(&[
        "create",
        "--image-feature",
        "layering",
        "--size",
        "8M",
        "incus/incus_storage",
    ]);
    cluster.ceph(&[
        "osd",
        "pool",
        "set",
        "incus",
        "size",
        "2",
        "--yes-i-really-mean-it",
    ]);
}

#[test]
fn incus_finds_monitors_and_the_way_to_authenticate() {
    let cluster = Cluster::start();
    let quorum = json(&cluster, &["quorum_status"]);
    let addresses = array(&quorum["monmap"]["mons"][0]["public_addrs"]["addrvec"]);
    let kinds: Vec<&str> = addresses.iter().filter_map(|a| a["type"].as_str()).collect();
    assert_eq!(kinds, ["v2", "v1"]);
    assert_eq!(quorum["quorum_leader_name"], "a");
    let fsid = cluster.ceph(&["fsid"]).text();
    assert_eq!(quorum["monmap"]["fsid"], fsid.as_str());
    assert_eq!(
        cluster
            .ceph(&["config", "get", "mon", "auth_service_required"])
            .text(),
        "cephx"
    );
    assert_eq!(cluster.ceph(&["config", "get", "mon", "fsid"]).text(), fsid);
}

#[test]
fn rook_finds_versions_status_and_the_address_of_the_metrics() {
    let cluster = Cluster::start();
    let versions = json(&cluster, &["versions"]);
    let overall = versions["overall"].as_object().cloned().unwrap_or_default();
    assert_eq!(overall.len(), 1, "{versions}");
    for daemons in ["mon", "mgr", "osd"] {
        let of = versions[daemons].as_object().cloned().unwrap_or_default();
        assert_eq!(
            of.keys().collect::<Vec<_>>(),
            overall.keys().collect::<Vec<_>>(),
            "{versions}"
        );
    }
    let text = overall.keys().next().cloned().unwrap_or_default();
    assert!(
        text.starts_with("ceph version ") && text.contains("(stable)"),
        "{text}"
    );
    let status = json(&cluster, &["status"]);
    assert!(status["mgrmap"]["services"].is_object(), "{status}");
    assert_eq!(status["quorum_names"][0], "a", "{status}");
    let groups = array(&status["pgmap"]["pgs_by_state"]);
    assert!(
        groups.iter().any(|g| g["state_name"] == "active+clean"),
        "{status}"
    );
    if against_ceph() {
        return;
    }
    let services = json(&cluster, &["mgr", "services"]);
    assert_eq!(status["mgrmap"]["services"]["prometheus"], services["prometheus"]);
    let url = format!("{}metrics", services["prometheus"].as_str().unwrap_or_default());
    let metrics = cluster.run(Program::new("curl").args(["-sS", "--fail", &url]));
    assert!(metrics.text().contains("# TYPE "), "{metrics}");
}

#[test]
fn rook_makes_pools_and_users_again_and_again() {
    let cluster = Cluster::start();
    for _ in 0..2 {
        cluster.ceph(&["osd", "pool", "create", "replicapool", "8", "replicated"]);
        cluster.ceph(&[
            "osd",
            "pool",
            "application",
            "enable",
            "replicapool",
            "rbd",
            "--yes-i-really-mean-it",
        ]);
        let caps = ["mon", "profile rbd", "mgr", "allow rw", "osd", "profile rbd"];
        let words = ["auth", "get-or-create-key", "client.csi-rbd-node"];
        cluster.ceph(&[&words[..], &caps].concat());
    }
    let details = json(&cluster, &["osd", "pool", "ls", "detail"]);
    let pool = array(&details)
        .iter()
        .find(|p| p["pool_name"] == "replicapool")
        .cloned()
        .unwrap_or_default();
    assert_eq!(pool["pg_num"], 8, "{details}");
    let all = json(&cluster, &["osd", "pool", "get", "replicapool", "all"]);
    assert!(all["size"].is_u64() && all["crush_rule"].is_string(), "{all}");
    assert!(json(&cluster, &["osd", "crush", "rule", "dump", "replicated_rule"])["steps"].is_array());
    assert!(json(&cluster, &["osd", "tree"])["nodes"].is_array());
    assert!(json(&cluster, &["osd", "dump"])["osds"][0]["up"].is_u64());
    assert!(json(&cluster, &["mgr", "dump"])["active_name"].is_string());
}

fn of_rule<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["osd", "crush", "rule"], words].concat()
}

/// Rook and Proxmox make a rule for each pool, and both again at each look.
#[test]
fn a_pool_is_made_with_a_rule_of_its_own() {
    let cluster = Cluster::start();
    for _ in 0..2 {
        cluster.ceph(&of_rule(&["create-replicated", "own", "default", "host"]));
        cluster.ceph(&["osd", "pool", "create", "own", "8", "8", "replicated", "own"]);
    }
    let dump = json(&cluster, &of_rule(&["dump", "own"]));
    assert_eq!(
        (&dump["rule_name"], &dump["type"]),
        (&"own".into(), &1.into()),
        "{dump}"
    );
    let ops: Vec<&Value> = array(&dump["steps"]).iter().map(|step| &step["op"]).collect();
    assert_eq!(ops, ["take", "chooseleaf_firstn", "emit"], "{dump}");
    let get = json(&cluster, &["osd", "pool", "get", "own", "crush_rule"]);
    assert_eq!(get["crush_rule"], "own");
    cluster.rbd(&["create", "--size", "16M", "own/disk"]);
    cluster.rbd(&[
        "bench",
        "--io-type",
        "write",
        "--io-size",
        "4K",
        "--io-total",
        "64K",
        "own/disk",
    ]);
    cluster.ceph(&of_rule(&["rename", "own", "renamed"]));
    cluster.ceph(&of_rule(&["rename", "own", "renamed"]));
    let get = json(&cluster, &["osd", "pool", "get", "own", "crush_rule"]);
    assert_eq!(get["crush_rule"], "renamed");
    let fails = |error: i32, words: &[&str]| cluster.fails(error, cluster.client("ceph", &of_rule(words)));
    fails(16, &["rm", "renamed"]);
    fails(2, &["create-replicated", "x", "nowhere", "host"]);
    fails(22, &["create-replicated", "x", "default", "planet"]);
    fails(
        22,
        &["create-replicated", "x", "default", "host", "no-such-class"],
    );
    fails(2, &["rename", "no", "neither"]);
    cluster.fails(
        2,
        cluster.client(
            "ceph",
            &[
                "osd",
                "pool",
                "create",
                "p",
                "8",
                "8",
                "replicated",
                "no-such-rule",
            ],
        ),
    );
}

#[test]
fn ceph_csi_fences_a_network_for_years_and_lifts_the_fence() {
    let cluster = Cluster::start();
    let fence = ["osd", "blocklist", "range", "add", "10.90.89.0/24", "157784760"];
    cluster.ceph(&fence);
    cluster.ceph(&["osd", "blocklist", "add", "10.1.2.3:0/3710147553", "157784760"]);
    let listed = cluster.ceph(&["osd", "blocklist", "ls"]).text();
    assert!(
        listed.contains("cidr:10.90.89.0:0/24") && listed.contains("10.1.2.3:0/3710147553"),
        "{listed}"
    );
    cluster.ceph(&["osd", "blocklist", "range", "rm", "10.90.89.0/24"]);
    cluster.ceph(&["osd", "blocklist", "rm", "10.1.2.3:0/3710147553"]);
    // Older releases know it by another name.
    cluster.ceph(&["osd", "blacklist", "add", "10.1.2.3:0/1"]);
    cluster.ceph(&["osd", "blacklist", "rm", "10.1.2.3:0/1"]);
    assert_eq!(json(&cluster, &["osd", "blocklist", "ls"]), serde_json::json!([]));
}

#[test]
fn ceph_csi_looks_at_file_systems_and_finds_none() {
    let cluster = Cluster::start();
    assert_eq!(json(&cluster, &["fs", "ls"]), serde_json::json!([]));
    assert!(json(&cluster, &["health", "detail"])["status"].is_string());
    assert!(json(&cluster, &["osd", "lspools"])[0]["poolname"].is_string());
}

#[test]
fn the_space_of_a_pool_is_told_in_plain_json_and_xml() {
    let cluster = Cluster::start();
    cluster.rados(&["put", "object", "/etc/hostname"]);
    let df = json(&cluster, &["df", "detail"]);
    let pool = array(&df["pools"])
        .iter()
        .find(|p| p["name"] == "rbd")
        .cloned()
        .unwrap_or_default();
    for key in ["stored", "objects", "bytes_used", "max_avail", "percent_used"] {
        assert!(pool["stats"][key].is_number(), "{key}: {df}");
    }
    for key in ["total_bytes", "total_avail_bytes", "total_used_bytes"] {
        assert!(df["stats"][key].is_u64(), "{key}: {df}");
    }
    // OpenNebula takes it apart with XPath, XenServer with a JSON parser.
    let xml = cluster.ceph(&["df", "detail", "--format", "xml"]).text();
    for part in ["<stats><total_bytes>", "<pools><pool><name>", "<max_avail>"] {
        assert!(xml.contains(part), "{part}: {xml}");
    }
    assert!(cluster.ceph(&["df"]).text().contains("--- RAW STORAGE ---"));
}

#[test]
fn cloud_stack_and_libvirt_ask_by_message_not_by_command() {
    let cluster = Cluster::start();
    let script = "import sys, rados, json\nwith rados.Rados(conffile=sys.argv[1], rados_id='admin') as c:\n    \
                  s = c.get_cluster_stats()\n    io = c.open_ioctx('rbd')\n    io.write('o', b'x' * 10000)\n    \
                  print(json.dumps([s, c.get_fsid() if isinstance(c.get_fsid(), str) else c.get_fsid().decode(), io.get_stats()]))\n";
    let script = cluster.file("stats.py", script);
    let conf = cluster.conf().display().to_string();
    let answer = cluster
        .run(Program::new("/usr/bin/python3").args([&script, &conf]))
        .json();
    let stats = &answer[0];
    assert!(
        stats["kb"].as_u64() >= stats["kb_avail"].as_u64() && stats["kb_avail"].as_u64() > Some(0),
        "{answer}"
    );
    assert_eq!(answer[1], cluster.ceph(&["fsid"]).text().as_str());
    assert!(answer[2]["num_objects"].is_u64(), "{answer}");
}

#[test]
fn proxmox_lists_images_with_their_snapshots_and_clones() {
    let cluster = Cluster::start();
    cluster.rbd(&[
        "create",
        "--image-format",
        "2",
        "--size",
        "1024",
        "base-100-disk-0",
    ]);
    cluster.rbd(&["snap", "create", "--no-progress", "base-100-disk-0@__base__"]);
    cluster.rbd(&["snap", "protect", "base-100-disk-0@__base__"]);
    cluster.rbd(&["clone", "base-100-disk-0@__base__", "vm-101-disk-0"]);
    let listed = cluster.rbd(&["ls", "-l", "--format", "json"]).json();
    let clone = array(&listed)
        .iter()
        .find(|i| i["image"] == "vm-101-disk-0")
        .cloned()
        .unwrap_or_default();
    assert_eq!(clone["parent"]["snapshot"], "__base__", "{listed}");
    let info = cluster
        .rbd(&["info", "--format", "json", "base-100-disk-0"])
        .json();
    assert_eq!(info["size"], 1_u64 << 30, "{info}");
    cluster.rbd_fails(16, &["snap", "unprotect", "base-100-disk-0@__base__"]);
    cluster.rbd(&["flatten", "--no-progress", "vm-101-disk-0"]);
    cluster.rbd(&["snap", "unprotect", "base-100-disk-0@__base__"]);
    cluster.rbd(&["snap", "purge", "--no-progress", "base-100-disk-0"]);
    cluster.rbd(&["rm", "--no-progress", "base-100-disk-0"]);
}

#[test]
fn the_least_release_of_clients_decides_the_format_of_clones() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "8M", "parent"]);
    cluster.rbd(&["snap", "create", "--no-progress", "parent@s"]);
    cluster.ceph(&["osd", "set-require-min-compat-client", "mimic"]);
    assert_eq!(
        cluster.ceph(&["osd", "get-require-min-compat-client"]).text(),
        "mimic"
    );
    cluster.rbd(&["clone", "parent@s", "second"]);
    cluster.ceph(&["osd", "set-require-min-compat-client", "jewel"]);
    cluster.rbd_fails(22, &["clone", "parent@s", "third"]);
    // A cluster's own release can be asked for again, and a later one cannot be claimed.
    cluster.fails(1, cluster.client("ceph", &["osd", "require-osd-release", "reef"]));
}

#[test]
fn what_belongs_to_other_systems_is_refused_in_words_and_at_once() {
    let cluster = Cluster::start();
    for words in [&["orch", "host", "ls"][..], &["orch", "ps"]] {
        let refused = cluster.attempt(cluster.client("ceph", words).deadline(Duration::from_secs(20)));
        assert!(
            refused.errors().contains("No orchestrator configured"),
            "{refused}"
        );
    }
    let unknown = cluster.attempt(
        cluster
            .client("ceph", &["nvme-gw", "show", "a", "b"])
            .deadline(Duration::from_secs(20)),
    );
    assert!(unknown.errors().contains("no valid command found"), "{unknown}");
}

#[test]
fn secrets_of_others_are_kept_and_given_back() {
    let cluster = Cluster::start();
    cluster.ceph(&["config-key", "set", "mgr/dashboard/key", "text"]);
    assert_eq!(
        cluster.ceph(&["config-key", "get", "mgr/dashboard/key"]).text(),
        "text"
    );
    cluster.ceph(&["config-key", "exists", "mgr/dashboard/key"]);
    cluster.ceph(&["config-key", "rm", "mgr/dashboard/key"]);
    cluster.fails(
        2,
        cluster.client("ceph", &["config-key", "get", "mgr/dashboard/key"]),
    );
    assert_eq!(
        cluster
            .ceph(&["config", "get", "client", "rbd_default_features"])
            .text(),
        "layering,exclusive-lock,object-map,fast-diff,deep-flatten"
    );
    let conf = cluster.ceph(&["config", "generate-minimal-conf"]).text();
    assert!(conf.contains("mon_host = [v2:"), "{conf}");
}
