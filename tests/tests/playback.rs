//! Recorded clients of real servers, played to this one: it answers as the real ones did.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use encoding::types::EntityAddr;
use msgr::Protocol;
use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::playback::{Recorded, Target};

/// An image's whole life with librbd, `ceph` and `rados` of Pacific, without authentication.
const SESSION: &str = "../captures/pacific/pacific-none.pcap.gz";

fn play(protocol: Protocol) {
    if against_ceph() {
        return;
    }
    let recorded = Recorded::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(SESSION)).unwrap();
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
