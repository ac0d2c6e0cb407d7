//! Damaged input of all kinds: whatever comes, there is an error or a wait for more, and never a panic.
//! Checksums of headers are mended, so that damage gets past them.

use bytes::{BufMut, BytesMut};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::*;
use crate::{Crc, v2::Limits};

/// The beginning of recorded client streams: up to the first message, and the rest.
const STREAMS: [(&[u8], usize, EntityType); 2] = [
    (
        include_bytes!("../../../testdata/krbd6.1-v1-mon.c2s"),
        145 + 33 + 8,
        EntityType::MON,
    ),
    (
        include_bytes!("../../../testdata/pacific-v1-osd.c2s"),
        145 + 2 * (33 + 174) + 8,
        EntityType::OSD,
    ),
];

fn damaged(stream: &[u8], rng: &mut SmallRng) -> BytesMut {
    let mut out = BytesMut::from(stream);
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..out.len());
        out[at] = rng.random();
    }
    if rng.random_bool(0.2) {
        out.truncate(rng.random_range(0..out.len()));
    }
    // Whatever looks like a message gets a good header checksum.
    for at in 0..out.len().saturating_sub(MessageHeader::LEN) {
        if out[at] == Tag::MSG.0 && rng.random_bool(0.5) {
            let header = at + 1..at + 1 + MessageHeader::LEN;
            let crc = MessageHeader::crc_of(&out[header.clone()]).to_le_bytes();
            out[header.end - 4..header.end].copy_from_slice(&crc);
        }
    }
    out
}

#[test]
fn damaged_handshakes_and_sessions_end_in_errors() {
    let keys = keys();
    for seed in 0..3000 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let (stream, begin, kind) = STREAMS[seed as usize % 2];
        let bytes = damaged(stream, &mut rng);
        let mut s = server(server_config(kind, keys.clone()));
        for piece in bytes.chunks(rng.random_range(1..600)) {
            s.receive(piece);
            if s.step(now()).is_err() {
                break;
            }
        }
        // The recorded session, whose proofs mean nothing to this server, straight into a session's reader.
        let mut config = without_auth(kind);
        config.crc = Crc {
            header: true,
            data: rng.random(),
        };
        let (_, mut established) = establish(client_config(kind, nobody()), config).unwrap();
        established.read.receive(bytes.get(begin..).unwrap_or_default());
        while let Ok(Some(_)) = established.read.poll_event() {}
        assert!(established.read.read_buf().capacity() < 2 * Limits::default().front as usize);
    }
}

#[test]
fn a_client_survives_any_server() {
    let keys = keys();
    let (credentials, _) = with_tickets(&keys);
    for seed in 0..500 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let kind = [EntityType::MON, EntityType::OSD][seed as usize % 2];
        let auth = match kind {
            EntityType::MON => mon_auth(admin()),
            _ => ClientAuth::Service(Box::new(credentials.clone())),
        };
        let mut c = client(client_config(kind, auth));
        let mut s = server(server_config(kind, keys.clone()));
        for _ in 0..10 {
            if c.step(now()).is_err() {
                break;
            }
            s.receive(&c.output().take());
            if s.step(now()).is_err() {
                break;
            }
            let mut bytes = BytesMut::new();
            bytes.put_slice(&s.output().take());
            if rng.random_bool(0.4) && !bytes.is_empty() {
                let at = rng.random_range(0..bytes.len());
                bytes[at] ^= rng.random_range(1..=255_u8);
            }
            c.receive(&bytes);
        }
    }
}
