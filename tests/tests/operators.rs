//! What operators do with stock tools: users with limits, shutting clients out, full and paused pools, asking single daemons, and
//! daemons of services that show themselves.

use std::io::BufRead;
use std::time::{Duration, Instant};

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::exec::Program;

/// EPERM, as programs exit with it.
const EPERM: i32 = 1;
/// EACCES.
const EACCES: i32 = 13;

/// A user with those capabilities: how `rbd`, `rados` and `ceph` are run as it.
struct User {
    conf: String,
    name: &'static str,
}

impl User {
    fn new(cluster: &Cluster, name: &'static str, caps: &[&str]) -> Self {
        let keyring = cluster.user(name, caps);
        let conf = cluster.conf_without_keyring();
        let conf = conf.replacen("[global]\n", &format!("[global]\nkeyring = {keyring}\n"), 1);
        Self {
            conf: cluster.file(&format!("{name}.conf"), conf),
            name,
        }
    }

    fn client(&self, program: &str, args: &[&str]) -> Program {
        Program::new(program)
            .args(["-c", &self.conf, "--id", self.name])
            .args(args)
    }
}

#[test]
fn a_read_only_user_reads_images_and_changes_nothing() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "8M", "disk"]);
    let user = User::new(
        &cluster,
        "reader",
        &["mon", "profile rbd-read-only", "osd", "profile rbd-read-only"],
    );
    cluster.run(user.client("rbd", &["info", "disk"]));
    let target = cluster.path("exported");
    cluster.run(user.client("rbd", &["export", "disk", &target]));
    cluster.fails(EPERM, user.client("rbd", &["create", "--size", "8M", "other"]));
    cluster.fails(EPERM, user.client("rbd", &["snap", "create", "disk@s"]));
    let pool = ["osd", "pool", "create", "p", "1"];
    cluster.fails(EACCES, user.client("ceph", &pool));
}

#[test]
fn a_user_of_one_namespace_sees_no_other() {
    let cluster = Cluster::start();
    for name in ["mine", "theirs"] {
        cluster.rbd(&["namespace", "create", &format!("rbd/{name}")]);
        cluster.rbd(&["create", "--size", "8M", &format!("rbd/{name}/disk")]);
    }
    let caps = ["mon", "profile rbd", "osd", "profile rbd pool=rbd namespace=mine"];
    let user = User::new(&cluster, "tenant", &caps);
    assert_eq!(
        cluster.run(user.client("rbd", &["ls", "rbd/mine"])).text(),
        "disk"
    );
    cluster.run(user.client("rbd", &["create", "--size", "8M", "rbd/mine/more"]));
    cluster.fails(EPERM, user.client("rbd", &["ls", "rbd/theirs"]));
    cluster.fails(EPERM, user.client("rbd", &["info", "rbd/theirs/disk"]));
    cluster.fails(EPERM, user.client("rbd", &["ls", "rbd"]));
}

#[test]
fn without_class_write_an_image_cannot_be_made() {
    let cluster = Cluster::start();
    let user = User::new(
        &cluster,
        "plain",
        &["mon", "allow r", "osd", "allow rw class-read"],
    );
    cluster.run(user.client("rados", &["-p", "rbd", "put", "object", "/etc/hostname"]));
    cluster.fails(EPERM, user.client("rbd", &["create", "--size", "8M", "disk"]));
}

/// A write that must fail with ESHUTDOWN, as for a client that is shut out.
fn shut_out(cluster: &Cluster) {
    let refused = cluster.fails(
        1,
        cluster.client("rados", &["-p", "rbd", "put", "object", "/etc/hostname"]),
    );
    assert!(refused.errors().contains("(108)"), "{refused}");
}

#[test]
fn a_range_of_addresses_is_shut_out_and_let_in_again() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "8M", "disk"]);
    let range = ["osd", "blocklist", "range", "add", "127.0.0.0/8", "60"];
    cluster.ceph(&range);
    let listed = cluster.ceph(&["osd", "blocklist", "ls"]).text();
    assert!(listed.contains("cidr:127.0.0.0:0/8"), "{listed}");
    shut_out(&cluster);
    cluster.ceph(&["osd", "blocklist", "range", "rm", "127.0.0.0/8"]);
    cluster.rados(&["put", "object", "/etc/hostname"]);
}

#[test]
fn an_entry_of_the_blocklist_expires() {
    let cluster = Cluster::start();
    cluster.ceph(&["osd", "blocklist", "add", "127.0.0.1", "3"]);
    shut_out(&cluster);
    let end = Instant::now() + Duration::from_secs(40);
    while cluster
        .ceph(&["osd", "blocklist", "ls"])
        .text()
        .contains("127.0.0.1:0/0")
    {
        assert!(Instant::now() < end, "the entry stays");
        std::thread::sleep(Duration::from_millis(500));
    }
    cluster.rados(&["put", "object", "/etc/hostname"]);
}

#[test]
fn a_pool_over_its_quota_refuses_writes_and_takes_them_again() {
    let cluster = Cluster::start();
    cluster.ceph(&["osd", "pool", "set-quota", "rbd", "max_objects", "5"]);
    assert_eq!(cluster.run(cluster.python("quota.py", &[])).text(), "EDQUOT");
    let end = Instant::now() + Duration::from_secs(60);
    while cluster.ceph(&["health", "detail"]).text().contains("POOL_FULL") {
        assert!(Instant::now() < end, "the pool stays full");
        std::thread::sleep(Duration::from_millis(500));
    }
    cluster.rados(&["put", "object", "/etc/hostname"]);
}

#[test]
fn a_paused_cluster_answers_again_when_it_goes_on() {
    let cluster = Cluster::start();
    cluster.ceph(&["osd", "pause"]);
    let health = cluster.ceph(&["health", "detail"]).text();
    assert!(health.contains("pauserd,pausewr"), "{health}");
    let waiting = cluster
        .client("rados", &["-p", "rbd", "put", "object", "/etc/hostname"])
        .deadline(Duration::from_secs(3));
    assert!(waiting.run().is_err(), "a write went through");
    cluster.ceph(&["osd", "unpause"]);
    cluster.rados(&["put", "object", "/etc/hostname"]);
}

#[test]
fn one_daemon_is_asked_and_told() {
    let cluster = Cluster::start();
    for daemon in ["mon.a", "osd.0"] {
        let version = cluster.ceph(&["tell", daemon, "version"]).json();
        assert!(version["version"].is_string(), "{version}");
        let counters = cluster.ceph(&["tell", daemon, "perf", "dump"]).json();
        assert!(counters.as_object().is_some_and(|c| !c.is_empty()), "{counters}");
    }
    cluster.ceph(&["osd", "pool", "create", "p", "1"]);
    cluster.ceph(&["tell", "mon.a", "config", "set", "mon_allow_pool_delete", "false"]);
    let value = cluster
        .ceph(&["tell", "mon.a", "config", "get", "mon_allow_pool_delete"])
        .json();
    assert_eq!(value["mon_allow_pool_delete"], "false");
    let delete = ["osd", "pool", "rm", "p", "p", "--yes-i-really-really-mean-it"];
    cluster.fails(EPERM, cluster.client("ceph", &delete));
    cluster.ceph(&["tell", "mon.*", "injectargs", "--mon_allow_pool_delete=true"]);
    cluster.ceph(&delete);
    let user = User::new(&cluster, "guest", &["mon", "allow r", "osd", "allow rwx"]);
    cluster.fails(EACCES, user.client("ceph", &["tell", "osd.0", "version"]));
}

#[test]
fn the_admin_socket_answers_what_a_daemon_is_asked() {
    if against_ceph() {
        return;
    }
    let cluster = Cluster::start();
    let socket = cluster
        .conf()
        .with_file_name("rbdgate.asok")
        .display()
        .to_string();
    let ask = |words: &[&str]| {
        let args = [&["--admin-daemon", &socket], words].concat();
        cluster.run(Program::new("ceph").args(args)).json()
    };
    assert!(ask(&["help"])["perf schema"].is_string());
    assert!(ask(&["perf", "schema"])["cluster"]["osd_bytes"]["type"].is_u64());
    assert_eq!(
        ask(&["config", "get", "mon_allow_pool_delete"])["mon_allow_pool_delete"],
        "true"
    );
    ask(&["config", "set", "mon_allow_pool_delete", "false"]);
    assert_eq!(
        ask(&["config", "get", "mon_allow_pool_delete"])["mon_allow_pool_delete"],
        "false"
    );
    ask(&["log", "flush"]);
}

#[test]
fn a_muted_health_check_is_not_told_until_it_becomes_worse() {
    let cluster = Cluster::start();
    let health = |detail: &[&str]| cluster.ceph(&[&["health"], detail].concat()).text();
    cluster.fails(2, cluster.client("ceph", &["health", "mute", "OSDMAP_FLAGS"]));
    cluster.fails(
        22,
        cluster.client("ceph", &["health", "mute", "OSDMAP_FLAGS", "soon"]),
    );
    let _ = cluster.ceph(&["osd", "set", "noout"]);
    assert!(health(&[]).starts_with("HEALTH_WARN noout flag(s) set"));
    let _ = cluster.ceph(&["health", "mute", "OSDMAP_FLAGS", "2h"]);
    let muted = health(&["detail"]);
    assert!(muted.starts_with("HEALTH_OK (muted: OSDMAP_FLAGS("), "{muted}");
    assert!(
        muted.contains("(MUTED ttl ") && muted.contains("[WRN] OSDMAP_FLAGS: noout"),
        "{muted}"
    );
    let status = cluster.ceph(&["-s", "--format", "json"]).json();
    assert_eq!(status["health"]["status"], "HEALTH_OK");
    assert_eq!(status["health"]["checks"]["OSDMAP_FLAGS"]["muted"], true);
    assert_eq!(status["health"]["mutes"][0]["code"], "OSDMAP_FLAGS");
    let _ = cluster.ceph(&["osd", "set", "norebalance"]);
    let since = std::time::Instant::now();
    while !health(&[]).starts_with("HEALTH_WARN") {
        assert!(since.elapsed().as_secs() < 30, "{}", health(&["detail"]));
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    let _ = cluster.ceph(&["health", "mute", "OSDMAP_FLAGS", "--sticky"]);
    assert_eq!(health(&[]).trim(), "HEALTH_OK (muted: OSDMAP_FLAGS)");
    let _ = cluster.ceph(&["health", "unmute"]);
    assert!(health(&[]).starts_with("HEALTH_WARN"));
}

#[test]
fn a_daemon_of_a_service_is_shown_while_it_is_there() {
    let cluster = Cluster::start();
    let mut daemon = cluster
        .python("service_daemon.py", &[])
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let out = daemon.stdout.take().expect("a pipe");
    std::io::BufReader::new(out)
        .read_line(&mut line)
        .expect("it works");
    assert_eq!(line.trim(), "registered");
    let shown = |present: bool| {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let dump = cluster.ceph(&["service", "dump", "-f", "json"]).json();
            let daemon = &dump["services"]["tcmu-runner"]["daemons"]["host:rbd/disk"];
            if daemon.is_object() == present {
                break;
            }
            assert!(Instant::now() < end, "{dump}");
            std::thread::sleep(Duration::from_millis(300));
        }
    };
    shown(true);
    let status = cluster.ceph(&["-s"]).text();
    assert!(status.contains("tcmu-runner: 1 "), "{status}");
    let versions = cluster.ceph(&["versions"]).json();
    let counts = versions["tcmu-runner"].as_object().cloned().unwrap_or_default();
    assert_eq!(counts.values().collect::<Vec<_>>(), [1], "{versions}");
    drop(daemon.stdin.take());
    daemon.wait().expect("it works");
    if !against_ceph() {
        // Ceph keeps it for a while longer.
        shown(false);
    }
}

#[test]
fn a_posted_crash_is_listed_until_it_is_archived_and_removed() {
    let cluster = Cluster::start();
    let report = r#"{"crash_id": "2026-01-02T03:04:05.678901Z_0e2a", "timestamp": "2026-01-02T03:04:05.678901Z",
        "entity_name": "client.rgw", "process_name": "radosgw"}"#;
    let file = cluster.file("meta", report);
    cluster.ceph(&["crash", "post", "-i", &file]);
    let list = |what: &str| cluster.ceph(&["crash", what, "-f", "json"]).json();
    assert_eq!(list("ls-new")[0]["entity_name"], "client.rgw");
    let id = "2026-01-02T03:04:05.678901Z_0e2a";
    assert_eq!(
        cluster.ceph(&["crash", "info", id]).json()["process_name"],
        "radosgw"
    );
    cluster.ceph(&["crash", "archive", id]);
    assert_eq!(list("ls-new"), serde_json::json!([]));
    assert_eq!(list("ls")[0]["crash_id"], id);
    cluster.ceph(&["crash", "rm", id]);
    assert_eq!(list("ls"), serde_json::json!([]));
}
