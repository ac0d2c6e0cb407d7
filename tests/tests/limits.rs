//! What the server bears: many connections, half-open handshakes, clients that do not take their answers, attempts with wrong
//! keys. None of it costs other clients anything.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use encoding::messages::MOsdOpReply;
use encoding::types::{EntityAddr, EntityType, OpCode};
use encoding::{Features, Message, MessageType};
use msgr::Protocol;
use msgr::auth::ConMode;
use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::crowd::Crowd;
use rbdgate_tests::old_client::{on_range, request};
use rbdgate_tests::peer::{self, Peer};
use rbdgate_tests::process;
use rbdgate_tests::raw_client::RawClient;

/// Memory of the server that is its own, in bytes.
fn memory(cluster: &mut Cluster) -> u64 {
    process::memory(cluster.rbdgate().pid().unwrap(), "RssAnon")
}

fn mon(cluster: &mut Cluster) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, cluster.rbdgate().ports().mon_v2()).into()
}

/// Whether the server closes a new connection without a word.
fn is_shut_out(at: SocketAddr) -> bool {
    let mut socket = TcpStream::connect(at).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    matches!(socket.read(&mut [0; 8]), Ok(0) | Err(_))
}

#[test]
fn ten_thousand_idle_clients_and_two_thousand_strangers_take_little_memory() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "8M", "disk"]);
    let before = memory(&mut cluster);
    let client = RawClient::of(&mut cluster, &[ConMode::CRC]).unwrap();
    let begun = Instant::now();
    let crowd = Crowd::gather(&client, mon(&mut cluster).port()).unwrap();
    eprintln!("{} connections in {:?}", crowd.idle.len(), begun.elapsed());
    cluster.rbd(&["info", "disk"]);
    let taken = memory(&mut cluster) - before;
    eprintln!("{} MiB for them", taken >> 20);
    assert!(taken < 300 << 20, "{} MiB", taken >> 20);
    // Each of them still stands.
    for mut socket in crowd.idle.into_iter().step_by(100) {
        socket.set_nonblocking(true).unwrap();
        let read = socket.read(&mut [0; 1]);
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[test]
fn a_client_that_does_not_take_its_answers_holds_back_nobody_and_takes_bounded_memory() {
    const OBJECT: u64 = 4 << 20;
    const READS: u64 = 100;
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start_with(&["--session-memory", "40M"]);
    let content: Vec<u8> = rbdgate_tests::data::bytes(9, OBJECT as usize);
    let file = cluster.file("content", &content);
    cluster.rados(&["-p", "rbd", "put", "large", &file]);
    let client = RawClient::of(&mut cluster, &[ConMode::CRC]).unwrap();
    let mut osd = client.osd(0).unwrap();
    let before = memory(&mut cluster);
    let mut read = request(&client.map, "rbd", "large", false, Vec::new()).unwrap();
    read.ops = vec![on_range(OpCode::READ, 0, OBJECT, &[])];
    for tid in 1..=READS {
        osd.queue(&read.encode(osd.info().features).with_tid(tid));
    }
    osd.flush().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let held = memory(&mut cluster).saturating_sub(before);
    // What is under way is added to what it may hold, and buffers are kept for others.
    assert!(
        held < 100 << 20,
        "{} MiB of {} wait for it",
        held >> 20,
        READS * 4
    );
    let begun = Instant::now();
    cluster.rados(&["-p", "rbd", "put", "small", &file]);
    cluster.rados(&["-p", "rbd", "stat", "small"]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let mut next = 1;
    while next <= READS {
        osd.wait().unwrap();
        while let Some(message) = osd.received().unwrap() {
            if message.header.kind != MessageType::OSD_OPREPLY {
                continue;
            }
            assert_eq!(message.header.tid, next);
            let reply = MOsdOpReply::decode(&message).unwrap();
            assert!(reply.ops[0].outdata.concat() == content, "answer {next}");
            next += 1;
        }
    }
}

#[test]
fn an_address_that_fails_to_authenticate_too_often_is_shut_out() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start_with(&["--max-refusals", "5"]);
    let wrong = cluster.file(
        "wrong.keyring",
        "[client.admin]\nkey = AQAA8VNlAAAAABAAMDEyMzQ1Njc4OWFiY2RlZg==\n",
    );
    let at = mon(&mut cluster);
    assert!(!is_shut_out(at));
    for _ in 0..7 {
        let auth = peer::admin(wrong.as_ref()).unwrap();
        let target = EntityAddr::v2(at, 0);
        let config = peer::config(EntityType::MON, target, auth, Protocol::V2, Features::OURS);
        assert!(Peer::connect(config).is_err(), "the key is wrong");
    }
    assert!(is_shut_out(at));
    assert!(
        cluster.log_tail().contains("too many refused attempts"),
        "{}",
        cluster.log_tail()
    );
}

#[test]
fn connections_beyond_the_bound_are_refused_until_others_end() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start_with(&["--max-connections", "20"]);
    let at = mon(&mut cluster);
    let client = RawClient::of(&mut cluster, &[ConMode::CRC]).unwrap();
    let sessions: Vec<_> = (0..19).map(|_| client.osd(0).unwrap()).collect();
    assert!(is_shut_out(at));
    drop(sessions);
    let begun = Instant::now();
    while is_shut_out(at) {
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
