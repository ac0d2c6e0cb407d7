//! An image's life over each messenger protocol, and with features withheld.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use rbdgate_tests::cluster::{Cluster, against_ceph};

/// Creates, fills, reads and removes an image with a server that was started with these arguments.
fn an_image_lives(extra: &[&str]) {
    if against_ceph() {
        return;
    }
    let cluster = Cluster::start_with(extra);
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    let file = cluster.file("image.bin", &bytes);
    cluster.ceph(&["-s"]);
    cluster.rbd(&["import", &file, "disk"]);
    cluster.rbd(&["lock", "add", "disk", "mine"]);
    let copy = cluster.path("copy.bin");
    cluster.rbd(&["export", "disk", &copy]);
    assert!(std::fs::read(copy).unwrap() == bytes);
    cluster.rbd(&["create", "--size", "1G", "other"]);
    cluster.rbd(&["rm", "other"]);
    assert_eq!(cluster.rbd(&["ls"]).text().trim(), "disk");
}

#[test]
fn over_msgr_v1_with_signed_messages() {
    an_image_lives(&["--max-msgr", "v1"]);
}

#[test]
fn over_msgr_v1_without_authentication() {
    an_image_lives(&["--max-msgr", "v1", "--auth", "none"]);
}

#[test]
fn over_msgr_v1_with_the_older_signatures() {
    an_image_lives(&["--max-msgr", "v1", "--mask-features", "CEPHX_V2"]);
}

#[test]
fn over_msgr_v1_without_signatures_sequence_exchange_and_stamped_keepalives() {
    let masked = "MSG_AUTH,CEPHX_V2,RECONNECT_SEQ,MSGR_KEEPALIVE2";
    an_image_lives(&["--max-msgr", "v1", "--mask-features", masked]);
}

#[test]
fn over_msgr_v2_0() {
    an_image_lives(&["--max-msgr", "v2.0"]);
}

#[test]
fn a_client_that_knows_the_v1_address_alone_is_served() {
    let cluster = Cluster::start();
    let conf = std::fs::read_to_string(cluster.conf()).unwrap();
    let host = conf.lines().find(|l| l.starts_with("mon_host")).unwrap();
    let v1 = host.split(',').find(|a| a.starts_with("v1:")).unwrap();
    let conf = conf.replace(host, &format!("mon_host = {}", v1.trim_end_matches(']')));
    let conf = cluster.file("v1.conf", conf);
    let rbd = rbdgate_tests::exec::Program::new("rbd").args(["-c", &conf, "create", "--size", "1G", "disk"]);
    assert!(cluster.attempt(rbd).status.success());
    assert_eq!(cluster.rbd(&["ls"]).text().trim(), "disk");
}

#[test]
fn a_server_that_demands_secure_mode_refuses_clients_in_crc_mode_and_v1() {
    if against_ceph() {
        return;
    }
    let cluster = Cluster::start_with(&["--modes", "secure"]);
    cluster.rbd(&["create", "--size", "1G", "disk"]);
    let crc = [
        "--ms_mon_client_mode=crc",
        "--ms_client_mode=crc",
        "--connect-timeout",
        "5",
        "health",
    ];
    let refused = cluster.attempt(cluster.client("ceph", &crc));
    assert!(!refused.status.success(), "{refused}");
    assert_eq!(cluster.rbd(&["ls"]).lines(), ["disk"]);
}
