//! The recordings in `captures/`, read from the first byte to the last: every connection is followed, every message
//! in both directions decodes, and encodes to the bytes that were on the wire, with the exceptions that are listed
//! here with their reasons.

#![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

mod counts;
mod reencode;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    path::PathBuf,
};

use bytes::Bytes;
use capture::{Item, KeyBook, Protocol, Record, Traffic, Transcript, tcp::Direction};
use counts::COUNTS;
use msgr::cephx::Keyring;
use rbdgate_capture as capture;
use reencode::{Again, again};

/// Damage that real files have: (file, part of the text, how often, why).
const DAMAGE: &[(&str, &str, usize, &str)] = &[
    (
        "pacific/pacific-v1",
        "ends here",
        1,
        "a client that went away behind the first part of its banner",
    ),
    (
        "pacific/krbd6.1-crc",
        "encrypted: the session key was agreed on outside of this file",
        2,
        "the manager's own connection to the OSD",
    ),
];

/// Messages that we encode otherwise than the peer did: (part of the file's name, direction, message, why).
const DIFFERS: &[(&str, Direction, &str, &str)] = &[
    (
        "krbd",
        Direction::ToServer,
        "OSD_OP",
        "the kernel leaves the compat version 0 and writes object_locator_t version 5",
    ),
    (
        "krbd",
        Direction::ToServer,
        "MON_SUBSCRIBE",
        "the kernel writes version 2, without a host",
    ),
    (
        "krbd",
        Direction::ToServer,
        "AUTH",
        "the kernel leaves both versions 0 and does not send the epoch of its monmap",
    ),
];

fn captures(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../captures")
        .join(path)
}

fn load(name: &str) -> Bytes {
    let path = captures(&format!("{name}.pcap.gz"));
    let packed = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut file = Vec::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_end(&mut file)
        .unwrap();
    file.into()
}

fn keys(name: &str) -> KeyBook {
    let ring = if name.contains("aes256k") {
        "keyring.aes256k"
    } else {
        "keyring.aes"
    };
    let text = std::fs::read_to_string(captures(ring)).unwrap();
    let mut keys = KeyBook::default();
    keys.add(&Keyring::parse(&text).unwrap());
    keys
}

/// A file that has been read.
struct Replay {
    name: &'static str,
    records: Vec<Record>,
    transcript: Transcript,
}

fn replay(name: &'static str) -> Replay {
    let mut transcript = Transcript::new(load(name), keys(name)).unwrap();
    let records = transcript.by_ref().collect();
    Replay {
        name,
        records,
        transcript,
    }
}

fn replays() -> impl Iterator<Item = Replay> {
    COUNTS.iter().map(|(name, ..)| replay(name))
}

#[test]
fn as_many_messages_of_each_kind_as_an_independent_reader_finds() {
    for (name, connections, expected) in COUNTS {
        let r = replay(name);
        let mut found = BTreeMap::<u16, [usize; 2]>::new();
        for record in &r.records {
            if let (Item::Message(m), Some(d)) = (&record.item, record.direction) {
                found.entry(m.message.header.kind.0).or_default()[d as usize] += 1;
            }
        }
        let expected = expected.iter().map(|(kind, a, b)| (*kind, [*a, *b])).collect();
        assert_eq!(found, expected, "{name}");
        let known = r.transcript.connections();
        let known = known
            .filter(|(_, c)| c.traffic.iter().all(|t| t.decoded > 0))
            .count();
        assert_eq!(known, *connections, "connections of {name}");
    }
}

#[test]
fn every_byte_is_accounted_for() {
    let mut seen = vec![0; DAMAGE.len()];
    for r in replays() {
        for (id, info) in r.transcript.connections() {
            for Traffic {
                captured,
                decoded,
                skipped,
                missing,
            } in info.traffic
            {
                assert_eq!(
                    (captured, missing),
                    (decoded + skipped, 0),
                    "connection {id} of {}",
                    r.name
                );
            }
        }
        for record in &r.records {
            match &record.item {
                Item::Damage(damage) => {
                    let known = |(file, text, ..): &&(&str, &str, usize, &str)| {
                        *file == r.name && damage.what.contains(text)
                    };
                    let at = DAMAGE.iter().position(|d| known(&d));
                    let at = at.unwrap_or_else(|| panic!("{} {record:?}", r.name));
                    seen[at] += 1;
                }
                Item::FileDamage(_) | Item::Packets(..) => panic!("{}: {record:?}", r.name),
                _ => {}
            }
        }
    }
    for ((file, text, expected, _), seen) in DAMAGE.iter().zip(seen) {
        assert_eq!(seen, *expected, "{file}: {text}");
    }
}

#[test]
fn every_message_decodes_and_encodes_to_the_same_bytes() {
    let mut trouble = BTreeSet::new();
    let mut used = vec![0; DIFFERS.len()];
    for r in replays() {
        for record in &r.records {
            let Item::Message(m) = &record.item else { continue };
            let direction = record.direction.unwrap();
            let kind = m.message.header.kind;
            let at = DIFFERS.iter().position(|(file, d, name, _)| {
                r.name.contains(file) && *d == direction && kind.name() == Some(name)
            });
            match (again(m), at) {
                (Again::Same, _) => {}
                (Again::Differs(_), Some(at)) => used[at] += 1,
                (Again::Differs(what), None) => {
                    trouble.insert(format!(
                        "{} {direction:?} {kind:?} v{}: {what}",
                        r.name, m.message.header.version
                    ));
                }
                (Again::Undecoded(what), _) => {
                    trouble.insert(format!(
                        "{} {direction:?} {kind:?} v{}: {what}",
                        r.name, m.message.header.version
                    ));
                }
            }
        }
    }
    assert!(trouble.is_empty(), "{:#?}", trouble);
    for ((file, direction, kind, why), used) in DIFFERS.iter().zip(used) {
        assert!(used > 0, "stale exception: {file} {direction:?} {kind}: {why}");
    }
}

#[test]
fn everything_but_messages_encodes_to_the_same_bytes() {
    for r in replays() {
        for record in &r.records {
            match &record.item {
                Item::Control(control, raw) => assert_eq!(control.to_bytes(), raw, "{} {control:?}", r.name),
                Item::V1(item, raw) => assert_eq!(item.to_bytes(), raw, "{} {item:?}", r.name),
                _ => {}
            }
        }
    }
}

#[test]
fn secure_connections_are_decrypted_and_their_ends_known() {
    for name in ["pacific/pacific-secure", "pacific/krbd6.1-secure"] {
        let r = replay(name);
        for (id, info) in r.transcript.connections() {
            assert_eq!(info.protocol, Protocol::V2Secure, "{name} {id}");
            assert_eq!(info.client_entity.as_deref(), Some("client.admin"), "{name} {id}");
            assert!(info.server.is_some() && info.client.is_some(), "{name} {id}");
        }
    }
}

#[test]
fn every_description_is_complete() {
    for mut transcript in COUNTS
        .iter()
        .map(|(name, ..)| Transcript::new(load(name), keys(name)).unwrap())
    {
        while let Some(record) = transcript.next() {
            let connection = record.connection.and_then(|id| transcript.connection(id));
            let text = capture::describe::describe(&record.item, connection).to_string();
            assert!(!text.contains("undecoded"), "{text}");
        }
    }
}

/// Maps that we encode otherwise than the server did: (part of the file's name, map, why).
const MAPS_DIFFER: &[(&str, &str, &str)] = &[
    (
        "pacific/pacific",
        "MgrMap",
        "we write what later releases add at the end",
    ),
    (
        "nautilus/",
        "MgrMap",
        "we write what later releases add at the end",
    ),
    (
        "nautilus/",
        "MonMap",
        "we write what later releases add at the end",
    ),
    (
        "pacific/pacific",
        "OSDMap",
        "we write what later releases add at the end",
    ),
    (
        "nautilus/",
        "OSDMap",
        "we write what later releases add at the end",
    ),
    (
        "tentacle/krbd7.2-secure-aes256k",
        "MonMap",
        "we write the ciphers to peers of Tentacle only; the kernel does not read them",
    ),
];

#[test]
fn maps_in_messages_encode_to_the_same_bytes() {
    let mut trouble = BTreeSet::new();
    let mut used = vec![0; MAPS_DIFFER.len()];
    for r in replays() {
        for record in &r.records {
            let Item::Message(m) = &record.item else { continue };
            for (kind, same) in reencode::maps(m) {
                let at = MAPS_DIFFER
                    .iter()
                    .position(|(file, name, _)| r.name.contains(file) && *name == kind);
                match (same, at) {
                    (Again::Same, _) => {}
                    (Again::Differs(_), Some(at)) => used[at] += 1,
                    (Again::Differs(what) | Again::Undecoded(what), _) => {
                        trouble.insert(format!("{} {kind}: {what}", r.name));
                    }
                }
            }
        }
    }
    assert!(trouble.is_empty(), "{trouble:#?}");
    for ((file, kind, why), used) in MAPS_DIFFER.iter().zip(used) {
        assert!(used > 0, "stale exception: {file} {kind}: {why}");
    }
}
