//! Clients older than any package to be had: Hammer, with and without the private feature on the bit that became
//! MSG_ADDR2, Jewel and Luminous. They are scripted, and read maps by their own rules.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use encoding::types::{OpArgs, OpCode, OsdOp};
use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::old_client::{GENERATIONS, Generation, OldClient, create_exclusively, on_range};

const EEXIST: i32 = -17;
const ENOENT: i32 = -2;

/// What every old client must be able to do, on an object of its own.
fn works_on_an_object(generation: Generation, cluster: &mut Cluster) {
    let mon = cluster.rbdgate().ports().mon_v1();
    let client = OldClient::start(generation, mon, &cluster.keyring()).unwrap();
    println!("{}: {:?} {:?}", generation.name, client.monmap, client.osdmap);
    assert!(
        client
            .monmap
            .mons
            .iter()
            .any(|(_, at)| *at == Some(([127, 0, 0, 1], mon))),
        "{:?}",
        client.monmap
    );
    assert!(client.osdmap.pools.iter().any(|pool| pool == "rbd"));
    assert!(client.osdmap.osds.iter().all(Option::is_some));

    let mut osd = client.osd(0).unwrap();
    let oid = format!("object of {}", generation.name);
    let mut run = |writes: bool, ops: Vec<OsdOp>| osd.run("rbd", &oid, writes, ops).unwrap();
    let data: Vec<u8> = (0..70_000_u32).map(|n| ((n * 7) >> 3) as u8).collect();
    assert_eq!(run(true, vec![create_exclusively()]).result, 0);
    assert_eq!(run(true, vec![create_exclusively()]).result, EEXIST);
    let write = on_range(OpCode::WRITE, 100, data.len() as u64, &data);
    assert_eq!(run(true, vec![write]).result, 0);
    let reply = run(false, vec![on_range(OpCode::READ, 100, data.len() as u64, &[])]);
    assert_eq!(reply.result, 0);
    assert!(reply.ops[0].outdata.concat() == data, "what was written is read");
    let stat = OsdOp::new(OpCode::STAT, OpArgs::Raw([0; 28]), bytes::Bytes::new());
    let reply = run(false, vec![stat.clone()]);
    assert_eq!(reply.result, 0);
    let size = u64::from_le_bytes(*reply.ops[0].outdata.concat().first_chunk().unwrap());
    assert_eq!(size, 100 + data.len() as u64);
    let delete = OsdOp::new(OpCode::DELETE, OpArgs::Raw([0; 28]), bytes::Bytes::new());
    assert_eq!(run(true, vec![delete]).result, 0);
    assert_eq!(run(false, vec![stat]).result, ENOENT);
}

#[test]
fn hammer_jewel_and_luminous_authenticate_read_their_maps_to_the_last_byte_and_work_on_objects() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    for generation in GENERATIONS {
        works_on_an_object(generation, &mut cluster);
    }
}

#[test]
fn the_private_bit_59_of_a_hammer_client_changes_no_byte_of_its_maps() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    let mon = cluster.rbdgate().ports().mon_v1();
    let keyring = cluster.keyring();
    let seen = GENERATIONS[..2].iter().map(|generation| {
        let client = OldClient::start(*generation, mon, &keyring).unwrap();
        (client.monmap_bytes, client.osdmap_bytes)
    });
    let seen: Vec<_> = seen.collect();
    assert_eq!(seen[0], seen[1]);
}
