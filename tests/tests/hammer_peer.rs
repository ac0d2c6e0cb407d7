//! Clients older than any package to be had: Argonaut, Dumpling, Hammer, with and without the private feature on the bit
//! that became MSG_ADDR2, Jewel and Luminous. They are scripted, and read maps by their own rules.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::time::Duration;

use encoding::types::{OpArgs, OpCode, OsdOp};
use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::exec::wait;
use rbdgate_tests::images::bench;
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
fn clients_from_argonaut_to_luminous_authenticate_read_their_maps_to_the_last_byte_and_work_on_objects() {
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

/// A client of today's releases that is not offered OSDMAP_ENC is sent maps in the classic form, changes too.
#[test]
fn stock_clients_read_the_classic_form_of_the_osdmap() {
    if against_ceph() {
        return;
    }
    let cluster = Cluster::start_with(&["--mask-features", "OSDMAP_ENC"]);
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    let bench = bench("write", "4K", "96M", &["--io-threads", "1", "disk"]);
    let mut bench = cluster.client("rbd", &bench).spawn().unwrap();
    // Epochs that the bench is told of while it runs, as changes.
    for n in 0..4 {
        std::thread::sleep(Duration::from_millis(250));
        cluster.ceph(&["osd", "pool", "create", &format!("pool-{n}")]);
    }
    let status = wait(&mut bench, Duration::from_secs(60)).unwrap();
    assert!(
        status.is_some_and(|s| s.success()),
        "{status:?}\n{}",
        cluster.log_tail()
    );
    cluster.ceph(&[
        "osd",
        "pool",
        "rm",
        "pool-1",
        "pool-1",
        "--yes-i-really-really-mean-it",
    ]);
    assert_eq!(cluster.rbd(&["ls"]).text().trim(), "disk");
}

#[test]
fn a_client_without_64_bit_pool_ids_is_told_what_it_lacks() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    let mon = cluster.rbdgate().ports().mon_v1();
    let older = Generation {
        word: encoding::Features(0x0007_ffff & !(1 << 9)),
        ..GENERATIONS[3]
    };
    let refused = OldClient::start(older, mon, &cluster.keyring()).err().unwrap();
    assert!(refused.to_string().contains("0x200"), "{refused}");
}
