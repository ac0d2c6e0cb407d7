//! Sessions of Hammer's protocol, as Wireshark reads them: its dissector of msgr v1 was written against the releases of
//! that time, and knows nothing of this server.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::collections::BTreeSet;

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::old_client::{GENERATIONS, Generation, OldClient, create_exclusively};
use rbdgate_tests::record::{Dissected, Recording};

/// Where the dissector fails by a defect of its own: the messages of a packet, what it says, and how that is known.
const DEFECTS: &[(&str, &str, &str)] = &[(
    "OSD Map",
    "Dissector bug, protocol Ceph: Illegal call of proto_item_add_bitmask_tree without fields",
    "at the second flags of the first pool of every map, those of real monitors too (captures/pacific/pacific-v1, \
     krbd5.10-legacy); old_rules.rs reads these maps to their last byte instead",
)];

/// Each kind of message that the session must be seen to consist of.
const MESSAGES: &[&str] = &[
    "Connect",
    "Connect Reply",
    "Sequence Number",
    "Auth",
    "Auth Reply",
    "Mon Subscribe",
    "Mon Map",
    "OSD Map",
    "OSD Operation",
    "OSD Operation Reply",
];

fn session(generation: Generation, cluster: &mut Cluster) -> Vec<Dissected> {
    let (mon, osd) = (
        cluster.rbdgate().ports().mon_v1(),
        cluster.rbdgate().ports().osd(),
    );
    let file = cluster.path(&format!("{}.pcapng", generation.word));
    // The first OSD's ports: v1 and v2.
    let recording = Recording::start(file.as_ref(), &[mon, osd, osd + 1]).unwrap();
    let keyring = cluster.keyring();
    let client = OldClient::start(generation, mon, &keyring).unwrap();
    let mut session = client.osd(0).unwrap();
    let oid = format!("seen at {}", generation.word);
    let reply = session
        .run("rbd", &oid, true, vec![create_exclusively()])
        .unwrap();
    assert_eq!(reply.result, 0);
    drop(session);
    drop(client);
    recording.dissect().unwrap()
}

#[test]
fn wireshark_finds_no_malformed_packet_in_a_hammer_session_with_or_without_bit_59() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    for generation in &GENERATIONS[..2] {
        let packets = session(*generation, &mut cluster);
        let seen: BTreeSet<&str> = packets
            .iter()
            .flat_map(|p| p.info.split('|'))
            .map(|name| name.split('[').next().unwrap_or_default().trim())
            .collect();
        for message in MESSAGES {
            assert!(
                seen.contains(message),
                "{}: no {message} in {seen:?}",
                generation.name
            );
        }
        let malformed: BTreeSet<&str> = packets
            .iter()
            .filter(|p| p.malformed)
            .map(|p| p.info.as_str())
            .collect();
        let excused = DEFECTS
            .iter()
            .map(|(messages, text, _)| format!("{messages}[{text}]"));
        let excused: Vec<String> = excused.collect();
        // No more, and no fewer: a defect that is not seen any more is to be taken off the list.
        let excused: BTreeSet<&str> = excused.iter().map(String::as_str).collect();
        assert_eq!(malformed, excused, "{}", generation.name);
    }
}
