//! Objects copied by the server: what the recorded vectors cannot show.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::path::Path;

use encoding::types::{NOSNAP, OpCode, OsdOp};
use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::op_vectors::Script;
use rbdgate_tests::op_vectors::build::{copy_from, read, write_full};
use rbdgate_tests::op_vectors::client::{Client, POOLS};

const EPERM: i32 = -1;

fn cluster() -> Cluster {
    let cluster = Cluster::start();
    for pool in POOLS {
        cluster.ceph(&["osd", "pool", "create", pool, "1"]);
    }
    cluster
}

fn client(cluster: &Cluster) -> Client {
    Client::start(&cluster.conf(), &cluster.keyring()).unwrap()
}

fn copy(pool: i64, name: &str) -> [OsdOp; 1] {
    [copy_from(OpCode::COPY_FROM, pool, name, NOSNAP, 0, 0)]
}

/// Runs operations on an object; returns the result and the first operation's output.
fn run(client: &mut Client, other_pool: bool, oid: &str, ops: impl Into<Vec<OsdOp>>) -> (i32, Vec<u8>) {
    let mut script = Script::default();
    script.on(oid, ops).other_pool = other_pool;
    let reply = client.run(&script.steps[0]).unwrap();
    (reply.result, reply.ops[0].outdata.concat())
}

#[test]
fn objects_that_are_copied_onto_each_other_do_not_wait_for_each_other() {
    let cluster = cluster();
    let mut first = client(&cluster);
    for oid in ["a", "b"] {
        assert_eq!(
            run(
                &mut first,
                false,
                oid,
                [write_full(&[oid.as_bytes()[0]; 300_000])]
            )
            .0,
            0
        );
    }
    let pairs = [("a", "b"), ("b", "a"), ("a", "b"), ("b", "a")];
    let copiers = pairs.map(|(to, from)| {
        let mut client = client(&cluster);
        std::thread::spawn(move || {
            let pool = client.pool(false).unwrap();
            (0..25).all(|_| run(&mut client, false, to, copy(pool, from)).0 == 0)
        })
    });
    assert!(copiers.into_iter().all(|copier| copier.join().unwrap()));
    let (_, content) = run(&mut first, false, "a", [read(0, 0)]);
    assert!(
        content == [b'a'; 300_000] || content == [b'b'; 300_000],
        "copied as a whole"
    );
}

#[test]
fn an_object_becomes_what_it_was_at_a_snapshot_of_its_own() {
    if against_ceph() {
        return; // its OSD waits for itself
    }
    let cluster = cluster();
    let mut client = client(&cluster);
    let mut script = Script::default();
    script.on("object", [write_full(b"then")]);
    script.snaps(1, &[1]);
    script.on("object", [write_full(b"now")]);
    let pool = client.pool(false).unwrap();
    script.on("object", [copy_from(OpCode::COPY_FROM, pool, "object", 1, 0, 0)]);
    script.on("object", [read(0, 0)]);
    let replies: Vec<_> = script
        .steps
        .iter()
        .map(|step| client.run(step).unwrap())
        .collect();
    assert!(replies.iter().all(|reply| reply.result == 0));
    assert_eq!(replies[3].ops[0].outdata.concat(), b"then");
}

#[test]
fn nobody_copies_what_he_may_not_read() {
    if against_ceph() {
        return; // it lets everybody
    }
    let cluster = cluster();
    let caps = ["mon", "allow r", "osd", "allow rwx pool=vectors"];
    let keyring = cluster.path("keyring");
    cluster.ceph(
        &[
            &["auth", "get-or-create", "client.half", "-o", &keyring][..],
            &caps,
        ]
        .concat(),
    );
    let mut half = Client::start_as("client.half", &cluster.conf(), Path::new(&keyring)).unwrap();
    let mut admin = client(&cluster);
    let pools = [false, true].map(|other| admin.pool(other).unwrap());
    for other in [false, true] {
        assert_eq!(run(&mut admin, other, "source", [write_full(b"secret")]).0, 0);
    }
    assert_eq!(run(&mut half, false, "copy", copy(pools[0], "source")).0, 0);
    assert_eq!(run(&mut half, false, "copy", copy(pools[1], "source")).0, EPERM);
    assert_eq!(run(&mut half, true, "copy", copy(pools[0], "source")).0, EPERM);
}
