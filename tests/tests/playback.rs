//! Recorded clients of real servers, played to this one: it answers as the real ones did.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use bytes::{BufMut, Bytes, BytesMut};
use encoding::types::{EntityAddr, OpCode, OsdOp};
use msgr::Protocol;
use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::old_client::{create_exclusively, on_range};
use rbdgate_tests::playback::{Recorded, Target};

/// An image's whole life with librbd, `ceph` and `rados` of Pacific, without authentication.
const SESSION: &str = "../captures/pacific/pacific-none.pcap.gz";

/// The kernel's client: maps an image, reads, writes, discards, unmaps. Linux 6.1, msgr v1, without authentication.
const KERNEL: &str = "../captures/pacific/krbd6.1-v1none.pcap.gz";

fn recording(path: &str) -> Recorded {
    Recorded::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn play(protocol: Protocol) {
    if against_ceph() {
        return;
    }
    let recorded = recording(SESSION);
    let mut cluster = Cluster::start_with(&["--auth", "none"]);
    // What images of before had left there.
    let info = cluster.file("info", "overwrite validated");
    cluster.rados(&["put", "rbd_info", &info]);
    cluster.rados(&["create", "rbd_trash"]);
    let ports = cluster.rbdgate().ports();
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mon = match protocol {
        Protocol::V1 => EntityAddr::v1(at(ports.mon_v1()), 0),
        _ => EntityAddr::v2(at(ports.mon_v2()), 0),
    };
    let report = match recorded.play(Target { mon, protocol }) {
        Ok(report) => report,
        Err(failure) => panic!("{failure}\n{}", cluster.log_tail()),
    };
    println!("{} sent, answers {:?}", report.sent, report.compared);
    assert!(
        report.compared.values().sum::<usize>() > 800,
        "{:?}",
        report.compared
    );
    assert!(
        report.differences.is_empty(),
        "{} answers differ:\n{}",
        report.differences.len(),
        report.differences.join("\n")
    );
}

#[test]
fn a_recorded_life_of_an_image_gets_the_recorded_answers_over_msgr_v2() {
    play(Protocol::V2);
}

#[test]
fn a_recorded_life_of_an_image_gets_the_recorded_answers_over_msgr_v1() {
    play(Protocol::V1);
}

/// The image that the kernel's client finds, made from what it was answered when it looked.
fn image_of_the_kernel(recorded: &Recorded) -> Vec<(String, OsdOp)> {
    let answer = |method: &str| {
        let asks = |op: &OsdOp| op.cls_call().is_ok_and(|call| call.method == method);
        recorded.answer(asks).unwrap()
    };
    let text = |answer: &Bytes| String::from_utf8(answer[4..].to_vec()).unwrap();
    let id = text(&answer("get_id"));
    let header = format!("rbd_header.{id}");
    let (order_and_size, features) = (answer("get_size"), answer("get_features"));
    let mut create = BytesMut::new();
    create.put_slice(&order_and_size[1..9]);
    create.put_u8(order_and_size[0]);
    create.put_slice(&features[..8]);
    create.put_slice(&answer("get_object_prefix"));
    create.put_i64_le(-1); // no data pool
    // seq, count, the one snapshot
    let snapshot = &answer("get_snapcontext")[12..20];
    let mut add = BytesMut::new();
    add.put_u32_le(2);
    add.put_slice(b"s1");
    add.put_slice(snapshot);
    let data = recorded.answer(|op| op.op == OpCode::READ).unwrap();
    let write = on_range(OpCode::WRITE, 0, data.len() as u64, &data);
    let name = "rbd_id.krbd2633.legacy".to_owned();
    vec![
        (name.clone(), create_exclusively()),
        (name, OsdOp::call("rbd", "set_id", &answer("get_id"))),
        (header.clone(), create_exclusively()),
        (header.clone(), OsdOp::call("rbd", "create", &create)),
        (header, OsdOp::call("rbd", "snapshot_add", &add)),
        (
            format!("rbd_object_map.{id}"),
            OsdOp::call("rbd", "object_map_save", &answer("object_map_load")),
        ),
        (format!("rbd_data.{id}.0000000000000000"), write),
    ]
}

#[test]
fn a_recorded_kernel_client_gets_the_recorded_answers() {
    if against_ceph() {
        return;
    }
    let recorded = recording(KERNEL);
    let mut cluster = Cluster::start_with(&["--auth", "none"]);
    let port = cluster.rbdgate().ports().mon_v1();
    let mon = EntityAddr::v1(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), 0);
    let target = Target {
        mon,
        protocol: Protocol::V1,
    };
    let report = match recorded.play_after(target, image_of_the_kernel(&recorded)) {
        Ok(report) => report,
        Err(failure) => panic!("{failure}\n{}", cluster.log_tail()),
    };
    println!("{} sent, answers {:?}", report.sent, report.compared);
    assert!(
        report.compared.values().sum::<usize>() > 30,
        "{:?}",
        report.compared
    );
    assert!(report.differences.is_empty(), "{}", report.differences.join("\n"));
}
