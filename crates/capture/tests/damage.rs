//! Damaged captures: nothing panics, nothing is lost but what was hit, and the transcript says where.

#![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

use std::{io::Read, path::PathBuf};

use bytes::Bytes;
use encoding::MessageType;
use rbdgate_capture::{
    Damage, Item, KeyBook, Record, Transcript,
    describe::describe,
    pcap::{Entry, PcapReader},
};

fn load(name: &str) -> Bytes {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../captures")
        .join(format!("{name}.pcap.gz"));
    let packed = std::fs::read(path).unwrap();
    let mut file = Vec::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_end(&mut file)
        .unwrap();
    file.into()
}

fn keys() -> KeyBook {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../captures/keyring.aes");
    let mut keys = KeyBook::default();
    keys.add(&msgr::cephx::Keyring::parse(&std::fs::read_to_string(path).unwrap()).unwrap());
    keys
}

/// Reads, and puts everything into words.
fn read(file: impl Into<Bytes>) -> Vec<Record> {
    let mut transcript = Transcript::new(file.into(), keys()).unwrap();
    let mut records = Vec::new();
    while let Some(record) = transcript.next() {
        let connection = record.connection.and_then(|id| transcript.connection(id));
        assert!(!describe(&record.item, connection).to_string().is_empty());
        records.push(record);
    }
    for (id, c) in transcript.connections() {
        for t in c.traffic {
            assert_eq!(t.captured, t.decoded + t.skipped, "connection {id}");
        }
    }
    records
}

fn messages(records: &[Record], kind: MessageType) -> usize {
    let is = |r: &&Record| matches!(&r.item, Item::Message(m) if m.message.header.kind == kind);
    records.iter().filter(is).count()
}

fn all_messages(records: &[Record]) -> usize {
    records
        .iter()
        .filter(|r| matches!(r.item, Item::Message(_)))
        .count()
}

fn damages(records: &[Record]) -> Vec<&Damage> {
    let mut out = Vec::new();
    for record in records {
        if let Item::Damage(damage) = &record.item {
            out.push(damage);
        }
    }
    out
}

/// The file without the packets that `drop` says, by number and length.
fn without(file: &Bytes, drop: impl Fn(usize, usize) -> bool) -> Vec<u8> {
    let mut out = file[..24].to_vec();
    let mut at = 24;
    for (n, entry) in PcapReader::new(file.clone()).unwrap().enumerate() {
        let Entry::Packet(packet) = entry else { panic!() };
        let end = at + 16 + packet.data.len();
        if !drop(n, packet.data.len()) {
            out.extend_from_slice(&file[at..end]);
        }
        at = end;
    }
    out
}

/// A generator that is good enough to hit places all over a file.
struct Places(u64);

impl Places {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }
}

const FILES: [&str; 3] = [
    "pacific/krbd6.1-crc",
    "pacific/krbd6.1-secure",
    "pacific/krbd5.10-legacy",
];

#[test]
fn bytes_overwritten_anywhere_never_stop_the_reader() {
    for name in FILES {
        let file = load(name);
        let mut places = Places(name.len() as u64);
        for round in 0..60 {
            let mut bytes = file.to_vec();
            for _ in 0..=round % 8 {
                let at = 24 + places.next(bytes.len() - 24);
                bytes[at] ^= 1 << places.next(8);
            }
            let records = read(bytes);
            assert!(!records.is_empty());
        }
    }
}

#[test]
fn a_file_cut_anywhere_gives_what_came_before() {
    for name in FILES {
        let file = load(name);
        let whole = all_messages(&read(file.clone()));
        let mut before = 0;
        for part in 1..=20 {
            let cut = read(file.slice(..file.len() * part / 20));
            assert!(all_messages(&cut) >= before);
            before = all_messages(&cut);
        }
        assert_eq!(before, whole);
    }
}

#[test]
fn packets_that_are_missing_cost_only_the_messages_in_them() {
    for (name, least) in [("pacific/krbd6.1-crc", 60), ("pacific/krbd5.10-legacy", 70)] {
        let file = load(name);
        let whole = all_messages(&read(file.clone()));
        // Some packets with content, but not those of the handshakes.
        let lossy = read(without(&file, |n, len| n > 60 && n % 7 == 0 && len > 80));
        let kept = all_messages(&lossy);
        assert!(kept < whole && kept >= least, "{name}: {kept} of {whole}");
        let told = damages(&lossy);
        assert!(told.iter().any(|d| d.what.contains("not in the file")), "{name}");
    }
}

#[test]
fn a_capture_that_began_too_late_is_read_from_the_first_frame_that_can_be_told() {
    for name in ["pacific/krbd6.1-crc", "pacific/krbd5.10-legacy"] {
        let file = load(name);
        let whole = messages(&read(file.clone()), MessageType::OSD_OP);
        let late = read(without(&file, |n, _| n < 90));
        let found = messages(&late, MessageType::OSD_OP);
        assert!(found > 5 && found < whole, "{name}: {found} of {whole}");
    }
}

#[test]
fn a_gap_in_an_encrypted_connection_ends_what_can_be_read_of_that_direction() {
    let file = load("pacific/krbd6.1-secure");
    let whole = all_messages(&read(file.clone()));
    let lossy = read(without(&file, |n, len| n > 80 && n % 40 == 0 && len > 80));
    let kept = all_messages(&lossy);
    assert!(kept > 0 && kept < whole, "{kept} of {whole}");
    let left = damages(&lossy).iter().map(|d| d.skipped).sum::<u64>();
    assert!(!damages(&lossy).is_empty(), "{left} bytes passed over in silence");
}

#[test]
fn without_a_keyring_an_encrypted_connection_is_named_as_such() {
    let transcript = Transcript::new(load("pacific/krbd6.1-secure"), KeyBook::default()).unwrap();
    let records: Vec<_> = transcript.collect();
    assert_eq!(all_messages(&records), 0);
    assert!(
        damages(&records)
            .iter()
            .any(|d| d.what.contains("no key of client.admin"))
    );
}

#[test]
fn a_flipped_bit_in_a_message_is_reported_and_the_next_message_is_read() {
    let file = load("pacific/krbd6.1-crc");
    let whole = all_messages(&read(file.clone()));
    let text = b"rbd_header.";
    let at = file.windows(text.len()).position(|w| w == text).unwrap();
    let mut bytes = file.to_vec();
    bytes[at] ^= 1;
    let records = read(bytes);
    assert_eq!(all_messages(&records), whole - 1);
    assert!(
        damages(&records)
            .iter()
            .any(|d| d.what.contains("checksum mismatch in segment"))
    );
}
