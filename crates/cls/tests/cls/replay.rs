//! Sessions of real clients with a real OSD, replayed: methods must answer as that OSD did.

use std::{collections::HashMap, net::SocketAddr};

use bytes::Bytes;
use cls::{ObjectContext, lookup};
use encoding::{
    Errno, Features,
    types::{EntityAddr, EntityName, Utime},
};

use crate::memory::Object;

/// Replies in which a time or an id of the recording OSD stands: only their length can be compared.
const VARYING: &[&str] = &[
    "rbd.get_create_timestamp",
    "rbd.get_access_timestamp",
    "rbd.get_modify_timestamp",
    "rbd.get_snapshot_name",
    "rbd.get_snapshot_timestamp",
    "rbd.mirror_image_status_get",
    "rbd.mirror_image_status_list",
    "rbd.mirror_peer_list",
    "rbd.snapshot_get",
    "version.read",
];

/// Keys of which the same is true, and keys that have such an id in them.
const VARYING_KEYS: &[&[u8]] = &[
    b"create_timestamp",
    b"access_timestamp",
    b"modify_timestamp",
    b"snapshot_",
    b"status_",
    b"remote_status_",
    b"mirror_peer_",
];

fn unhex(text: &str) -> Bytes {
    let text = if text == "-" { "" } else { text };
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

/// An op vector as it was recorded, or (without ops) what an object was at that time.
struct Request<'a> {
    head: Vec<&'a str>,
    ops: Vec<Vec<&'a str>>,
    result: i32,
    is_state: bool,
}

fn requests(text: &str) -> Vec<Request<'_>> {
    let mut out: Vec<Request<'_>> = Vec::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let fields: Vec<_> = line.split(' ').collect();
        match (fields[0], out.last_mut()) {
            ("@" | "?", _) => out.push(Request {
                head: fields[1..].to_vec(),
                ops: Vec::new(),
                result: 0,
                is_state: fields[0] == "?",
            }),
            ("=", Some(request)) => request.result = fields[1].parse().unwrap(),
            (_, Some(request)) => request.ops.push(fields),
            _ => panic!("{line}"),
        }
    }
    out
}

fn is_write(op: &[&str]) -> bool {
    match op[0] {
        "call" => {
            let (class, name) = op[1].split_once('.').unwrap();
            lookup(class, name).unwrap().flags.writes()
        }
        "other" => false,
        _ => true,
    }
}

/// Runs a request as an OSD does; returns the result, and how many replies were compared.
fn run(object: &mut Object, request: &Request<'_>) -> (i32, usize) {
    let [_, client, addr, nonce, features, time] = request.head[..] else {
        panic!("{:?}", request.head);
    };
    let socket: SocketAddr = addr.parse().unwrap();
    let addr = EntityAddr::v2(socket, nonce.parse().unwrap());
    object.client = (EntityName::client(client.parse().unwrap()), addr);
    object.features = Features(u64::from_str_radix(features, 16).unwrap());
    object.now = Utime {
        sec: time.parse().unwrap(),
        nsec: 0,
    };
    let writes = request.ops.iter().any(|op| is_write(op));
    if !writes && !object.exists {
        return (Errno::ENOENT.result(), 0);
    }
    let mut staged = object.clone();
    let mut compared = 0;
    for op in &request.ops {
        match run_op(&mut staged, op) {
            Err(e) => return (e.result(), compared),
            Ok(reply) if op[0] == "call" && !writes && request.result == 0 => {
                let expected = unhex(op[4]);
                if VARYING.contains(&op[1]) {
                    assert_eq!(reply.len(), expected.len(), "{op:?}");
                } else {
                    assert_eq!(reply, expected, "{op:?} of {:?}", request.head);
                }
                compared += 1;
            }
            Ok(_) => {}
        }
    }
    *object = staged;
    (0, compared)
}

fn run_op(object: &mut Object, op: &[&str]) -> cls::Result<Bytes> {
    let nothing = Bytes::new();
    match op[0] {
        "call" => {
            let (class, name) = op[1].split_once('.').unwrap();
            return cls::call(class, name, object, unhex(op[2]));
        }
        "create" => object.create(op[1] == "1")?,
        "delete" => object.remove()?,
        "writefull" => object.write_full(unhex(op[1]))?,
        "write" => object.write(op[1].parse().unwrap(), unhex(op[2]))?,
        _ => {}
    }
    Ok(nothing)
}

/// Compares an object's content and omap with those of the recorded one.
fn check_state(object: &Object, state: &[&str]) {
    if state[1] == "absent" {
        return assert!(!object.exists, "{state:?}");
    }
    assert_eq!(object.data, unhex(state[1]), "{state:?}");
    let keys: Vec<_> = state[2..]
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .collect();
    assert_eq!(object.omap.len(), keys.len(), "{state:?}");
    for ((key, value), expected) in object.omap.iter().zip(keys) {
        let (expected_key, expected) = (unhex(expected.0), unhex(expected.1));
        if VARYING_KEYS.iter().any(|k| expected_key.starts_with(k)) {
            assert_eq!(
                (key.len(), value.len()),
                (expected_key.len(), expected.len()),
                "{key:?}"
            );
        } else {
            assert_eq!((key, value), (&expected_key, &expected));
        }
    }
}

fn replay(text: &str) -> usize {
    // What was there before the recording, from initialising the pool.
    let mut objects = HashMap::from(["1/rbd_info", "1/rbd_trash"].map(|name| (name, Object::empty())));
    let mut compared = 0;
    let requests = requests(text);
    for request in &requests {
        let object = objects.entry(request.head[0]).or_insert_with(Object::absent);
        if request.is_state {
            check_state(object, &request.head);
            continue;
        }
        let (result, n) = run(object, request);
        compared += n;
        // Other ops may fail for their own reasons.
        if request.ops.iter().all(|op| op[0] != "other") {
            assert_eq!(result, request.result, "{:?} {:?}", request.head, request.ops);
        }
    }
    compared
}

#[test]
fn a_session_of_pacific_clients_is_answered_as_by_a_pacific_osd() {
    assert!(replay(include_str!("../../testdata/replay_pacific.txt")) > 500);
}

#[test]
fn a_session_of_tentacle_clients_is_answered_as_by_a_tentacle_osd() {
    assert!(replay(include_str!("../../testdata/replay_tentacle.txt")) > 500);
}

#[test]
fn random_calls_are_answered_and_stored_as_by_a_pacific_osd() {
    assert!(replay(include_str!("../../testdata/replay_random.txt")) > 300);
}
