//! A packet capture, read to its end and put into words.

use bytes::Bytes;
use capture::describe::describe;
use capture::{KeyBook, Transcript};
use msgr::cephx::Keyring;

use crate::bounded;

/// The key that the recordings' sessions can be opened with: a throw-away one.
const KEYRING: &str = "[client.admin]\n\tkey = AQByZwBrN4GwFRAA9rR2yzc7eQXNAmnHnFxtpw==\n";

/// Runs one input: a pcap file.
pub fn run(data: &[u8]) {
    bounded(data.len(), || run_unbounded(data));
}

fn run_unbounded(data: &[u8]) {
    let mut keys = KeyBook::default();
    keys.add(&Keyring::parse(KEYRING).unwrap_or_default());
    let Ok(mut transcript) = Transcript::new(Bytes::copy_from_slice(data), keys) else {
        return;
    };
    while let Some(record) = transcript.next() {
        let connection = record.connection.and_then(|id| transcript.connection(id));
        let _ = describe(&record.item, connection).to_string();
    }
    let traffic = transcript.connections().flat_map(|(_, c)| c.traffic);
    let captured = traffic.inspect(|t| assert_eq!(t.captured, t.decoded + t.skipped));
    let captured: u64 = captured.map(|t| t.captured).sum();
    assert!(captured <= data.len() as u64, "more bytes than the file has");
}
