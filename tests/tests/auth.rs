//! cephx: who gets in, and what can be done before.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rbdgate_tests::cluster::{Cluster, against_ceph};

const OTHER_KEY: &str = "AQByZwBrI68YExAAw6bglL1v5ASeYfw6B2J2MQ==";

/// A ceph.conf like the cluster's own, with `lines` in place of its `keyring` line.
fn conf_with(cluster: &Cluster, name: &str, lines: &str) -> String {
    let conf = std::fs::read_to_string(cluster.conf()).unwrap();
    let mon_host = conf
        .lines()
        .find(|line| line.trim_start().starts_with("mon_host"))
        .expect("a mon_host line");
    cluster.file(name, format!("[global]\n{mon_host}\n{lines}\n"))
}

/// `program` with a ceph.conf of the test's own.
fn client(conf: &str, program: &str, args: &[&str]) -> rbdgate_tests::exec::Program {
    rbdgate_tests::exec::Program::new(program)
        .args(["-c", conf])
        .args(args)
}

#[test]
fn a_wrong_key_is_refused() {
    let cluster = Cluster::start();
    let keyring = cluster.file("keyring.wrong", format!("[client.admin]\n\tkey = {OTHER_KEY}\n"));
    let conf = conf_with(&cluster, "wrong.conf", &format!("keyring = {keyring}"));
    let ceph = cluster.attempt(client(&conf, "ceph", &["-s"]));
    assert!(!ceph.status.success(), "{ceph}");
    assert!(
        ceph.errors()
            .contains("RADOS permission denied (error connecting to the cluster)"),
        "{ceph}"
    );
    let rbd = cluster.attempt(client(&conf, "rbd", &["ls"]));
    assert!(!rbd.status.success(), "{rbd}");
    assert!(rbd.errors().contains("couldn't connect to the cluster"), "{rbd}");
    assert!(rbd.elapsed < Duration::from_secs(5), "{rbd}");
}

#[test]
fn an_unknown_user_is_refused() {
    let cluster = Cluster::start();
    let keyring = cluster.file(
        "keyring.nobody",
        format!("[client.nobody]\n\tkey = {OTHER_KEY}\n"),
    );
    let conf = conf_with(&cluster, "nobody.conf", &format!("keyring = {keyring}"));
    let ceph = cluster.attempt(client(&conf, "ceph", &["--id", "nobody", "-s"]));
    assert!(!ceph.status.success(), "{ceph}");
    assert!(
        ceph.errors()
            .contains("RADOS permission denied (error connecting to the cluster)"),
        "{ceph}"
    );
}

#[test]
fn a_client_without_cephx_is_refused() {
    let cluster = Cluster::start();
    let lines = "auth_client_required = none\nauth_service_required = none\nauth_cluster_required = none";
    let conf = conf_with(&cluster, "none.conf", lines);
    let ceph = cluster.attempt(client(&conf, "ceph", &["--connect-timeout", "10", "-s"]));
    assert!(!ceph.status.success(), "{ceph}");
    assert!(
        ceph.errors().contains("error connecting to the cluster"),
        "{ceph}"
    );
}

#[test]
fn a_new_user_gets_in_until_it_is_removed() {
    let cluster = Cluster::start();
    let create = [
        "auth",
        "get-or-create",
        "client.guest",
        "mon",
        "profile rbd",
        "osd",
        "profile rbd",
    ];
    let keyring = cluster.ceph(&create).text();
    assert!(
        keyring.starts_with("[client.guest]") && keyring.contains("key = "),
        "{keyring}"
    );
    // Again: the same key.
    assert_eq!(cluster.ceph(&create).text(), keyring);
    let got = cluster.ceph(&["auth", "get", "client.guest"]).text();
    assert!(
        got.contains("caps mon = \"profile rbd\"") && got.contains("caps osd = \"profile rbd\""),
        "{got}"
    );
    let listed = cluster.ceph(&["auth", "ls", "-f", "json"]).json();
    let names: Vec<_> = listed["auth_dump"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|e| e["entity"].clone())
        .collect();
    assert!(
        names.contains(&"client.guest".into()) && names.contains(&"client.admin".into()),
        "{listed}"
    );

    let keyring = cluster.file("keyring.guest", format!("{keyring}\n"));
    let conf = conf_with(&cluster, "guest.conf", &format!("keyring = {keyring}"));
    cluster.run(client(
        &conf,
        "rbd",
        &["--id", "guest", "create", "--size", "1G", "disk"],
    ));
    assert_eq!(cluster.rbd(&["ls"]).lines(), ["disk"]);

    cluster.ceph(&["auth", "del", "client.guest"]);
    let refused = cluster.attempt(client(&conf, "rbd", &["--id", "guest", "ls"]));
    assert!(!refused.status.success(), "{refused}");
    cluster.fails(2, cluster.client("ceph", &["auth", "get", "client.guest"]));
}

#[test]
fn auth_none_asks_for_no_key() {
    if against_ceph() {
        return;
    }
    let cluster = Cluster::start_with(&["--auth", "none"]);
    cluster.rbd(&["create", "--size", "1G", "disk"]);
    let lines = "auth_client_required = none\nkeyring = /nonexistent";
    let conf = conf_with(&cluster, "none.conf", lines);
    assert_eq!(cluster.run(client(&conf, "rbd", &["ls"])).lines(), ["disk"]);
}

/// Ceph's crc32c: the seed as given, no inversion at the end.
fn ceph_crc(seed: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, bytes)
}

/// A msgr v2.1 frame of one segment in crc mode. Format: Ceph `doc/dev/msgr2.rst`.
fn frame(tag: u8, segment: &[u8]) -> Vec<u8> {
    let len = u32::try_from(segment.len()).unwrap();
    let mut bytes = preamble(tag, len);
    bytes.extend_from_slice(segment);
    bytes.extend_from_slice(&ceph_crc(!0, segment).to_le_bytes());
    bytes
}

fn preamble(tag: u8, len: u32) -> Vec<u8> {
    let mut bytes = vec![tag, 1];
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&8u16.to_le_bytes());
    bytes.resize(28, 0);
    let crc = ceph_crc(0, &bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

const HELLO: u8 = 1;

/// A connection to `port` after banner and HELLO, as a client would make it, before authentication.
fn hello(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut banner = b"ceph v2\n\x10\0".to_vec();
    banner.extend_from_slice(&1u64.to_le_bytes());
    banner.extend_from_slice(&0u64.to_le_bytes());
    stream.write_all(&banner).unwrap();
    // Entity type client, and an empty address.
    stream
        .write_all(&frame(
            HELLO,
            b"\x08\x01\x01\x01\x0c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        ))
        .unwrap();
    let mut reply = [0; 26 + 32];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!((&reply[..8], reply[26]), (&b"ceph v2\n"[..], HELLO));
    let len = u32::from_le_bytes([reply[28], reply[29], reply[30], reply[31]]);
    let mut rest = vec![0; usize::try_from(len).unwrap() + 4];
    stream.read_exact(&mut rest).unwrap();
    stream
}

/// Reads until the other side closes; a timeout is a failed test.
fn rest_of(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(e) => panic!("the server keeps the connection: {e}"),
    }
    rest
}

/// The v2 addresses of the monitor and of the OSD.
fn addresses(cluster: &Cluster) -> [String; 2] {
    let v2 = |addresses: &serde_json::Value| {
        let addresses = addresses["addrvec"].as_array().cloned().unwrap_or_default();
        let v2 = addresses
            .iter()
            .find(|addr| addr["type"] == "v2")
            .expect("a v2 address");
        v2["addr"].as_str().unwrap().to_owned()
    };
    let mons = cluster.ceph(&["mon", "dump", "-f", "json"]).json();
    let osds = cluster.ceph(&["osd", "dump", "-f", "json"]).json();
    [
        v2(&mons["mons"][0]["public_addrs"]),
        v2(&osds["osds"][0]["public_addrs"]),
    ]
}

#[test]
fn nothing_but_authentication_is_possible_without_a_key() {
    let cluster = Cluster::start();
    for address in addresses(&cluster) {
        // CLIENT_IDENT, SESSION_RECONNECT, MESSAGE, AUTH_SIGNATURE: each where only AUTH_REQUEST may come.
        for tag in [8, 11, 17, 7] {
            let mut stream = hello(&address);
            stream.write_all(&frame(tag, &[0; 64])).unwrap();
            let answer = rest_of(&mut stream);
            assert_eq!(answer, b"", "{address} answers tag {tag}");
        }
    }
    cluster.ceph(&["health"]);
}

#[test]
fn garbage_closes_the_connection() {
    let cluster = Cluster::start();
    for address in addresses(&cluster) {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let answer = rest_of(&mut stream);
        assert!(answer.len() <= 26, "{address} answers more than its banner");
    }
    cluster.ceph(&["health"]);
}

#[test]
fn a_huge_frame_before_authentication_costs_nothing() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    let pid = cluster.rbdgate().pid().expect("a running server");
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .expect("VmHWM");
        line.split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse::<u64>().ok())
            .expect("a number")
    };
    let before = resident();
    for address in addresses(&cluster) {
        for _ in 0..20 {
            let mut stream = hello(&address);
            stream.write_all(&preamble(2, 1 << 30)).unwrap();
            // The server may close as soon as it has seen the length.
            let _ = stream.write_all(&[0; 128 << 10]);
            assert_eq!(rest_of(&mut stream), b"", "{address} answers a frame of 1 GiB");
        }
    }
    let grown = resident() - before;
    assert!(grown < 32 << 10, "grew by {grown} KiB");
    cluster.ceph(&["health"]);
}
