//! What is decided about sessions, and how long sessions live: the admin socket, key types, tickets.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::time::Duration;

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::exec::{Program, wait};

/// The path of the admin socket.
fn socket(cluster: &Cluster) -> String {
    cluster.path("data/rbdgate.asok")
}

/// `ceph daemon SOCKET COMMAND`, which must succeed.
#[track_caller]
fn daemon(cluster: &Cluster, command: &[&str]) -> serde_json::Value {
    let outcome = cluster.run(
        Program::new("ceph")
            .args(["daemon", &socket(cluster)])
            .args(command),
    );
    outcome.json()
}

#[test]
fn ceph_daemon_shows_sessions_settings_and_counters() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "8M", "disk"]);
    let mut holder = cluster.python("hold_open.py", &["disk", "60"]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let sessions = daemon(&cluster, &["sessions"]);
    let at = |daemon: &str| {
        let all = sessions.as_array().unwrap();
        all.iter()
            .find(|s| s["daemon"] == daemon)
            .unwrap_or_else(|| panic!("{daemon}: {sessions}"))
    };
    for name in ["mon.a", "osd.0"] {
        let session = at(name);
        assert_eq!(session["entity"], "client.admin");
        assert_eq!(session["release"], "pacific");
        assert_eq!(session["key_type"], "aes");
        assert!(
            session["bit_59"].as_str().unwrap().starts_with("MSG_ADDR2"),
            "{session}"
        );
        let features = session["feature_names"].as_array().unwrap();
        assert!(features.contains(&"SERVER_PACIFIC".into()), "{session}");
    }
    assert_eq!(at("mon.a")["con_mode"], "secure");
    assert_eq!(at("osd.0")["con_mode"], "crc");
    let data = cluster.path("data");
    let binary = rbdgate_tests::rbdgate::binary().unwrap();
    let listed = cluster.run(Program::new(binary).args(["sessions", "--data", &data]));
    assert!(
        listed
            .text()
            .contains("release pacific, msgr v2, auth cephx, mode secure, compression none, session key aes"),
        "{listed}"
    );
    let url = format!("http://127.0.0.1:{}/sessions", cluster.rbdgate().ports().http());
    let over_http = cluster.run(Program::new("curl").args(["-sf", &url])).json();
    assert_eq!(over_http, daemon(&cluster, &["sessions"]));
    let forwarded = ["-s", "-H", "X-Forwarded-For: 192.0.2.7", &url];
    let refused = cluster.run(Program::new("curl").args(forwarded));
    assert!(refused.text().contains("own host alone"), "{refused}");
    let text = over_http.to_string();
    for secret in cluster.ceph(&["auth", "get-key", "client.admin"]).lines() {
        assert!(!text.contains(&secret), "a key is told");
    }
    holder.kill().unwrap();
    holder.wait().unwrap();

    assert!(daemon(&cluster, &["help"]).get("sessions").is_some());
    assert!(daemon(&cluster, &["version"])["version"].is_string());
    assert_eq!(daemon(&cluster, &["config", "show"])["auth"], "cephx");
    assert!(
        daemon(&cluster, &["perf", "dump"])["pool-rbd"]["op_w"]
            .as_u64()
            .unwrap()
            > 0
    );
}

#[test]
fn a_key_of_a_type_that_a_client_does_not_know_fails_at_the_client_and_others_go_on() {
    let cluster = Cluster::start();
    if against_ceph() {
        return;
    }
    let caps = ["mon", "profile rbd", "osd", "profile rbd"];
    let make = |name: &str, kind: &str| {
        let cmd = ["auth", "get-or-create", name];
        let cmd: Vec<&str> = cmd.into_iter().chain(caps).chain(["--key-type", kind]).collect();
        cluster.ceph(&cmd).text()
    };
    let (old, new) = (make("client.old", "aes"), make("client.new", "aes256k"));
    assert!(old.contains("key = AQ") && new.contains("key = Ag"), "{old}{new}");
    let with = |name: &str, keyring: &str| {
        let keyring = cluster.file(&format!("keyring.{name}"), format!("{keyring}\n"));
        cluster.client("rbd", &["--keyring", &keyring, "--id", name, "ls"])
    };
    cluster.run(with("old", &old));
    // Pacific cannot even read such a key.
    let refused = cluster.attempt(with("new", &new));
    assert!(!refused.status.success(), "{refused}");
    cluster.run(with("old", &old));

    // Replaced with an overlap: both keys are good until the new one is used.
    let pending = cluster
        .ceph(&["auth", "get-or-create-pending", "client.old", "-f", "json"])
        .json();
    let key = pending[0]["pending_key"].as_str().unwrap();
    cluster.run(with("old", &old));
    cluster.run(with("old", &format!("[client.old]\n\tkey = {key}")));
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(
        cluster.ceph(&["auth", "get-key", "client.old"]).text().trim(),
        key
    );
    assert!(!cluster.attempt(with("old", &old)).status.success());
}

#[test]
fn a_client_does_not_notice_that_service_keys_rotate_even_if_it_has_to_connect_again() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    cluster.ceph(&["config", "set", "mon", "auth_service_ticket_ttl", "15"]);
    cluster.ceph(&["auth", "wipe-rotating-service-keys"]);
    let mut client = cluster.python("renew_tickets.py", &["75"]).spawn().unwrap();
    // Each time the tickets that it began with are older than any secret that is kept.
    for _ in 0..2 {
        std::thread::sleep(Duration::from_secs(33));
        cluster.kill();
        cluster.launch();
    }
    let status = wait(&mut client, Duration::from_secs(60)).unwrap();
    assert!(
        status.is_some_and(|s| s.success()),
        "{status:?}\n{}",
        cluster.log_tail()
    );
}
