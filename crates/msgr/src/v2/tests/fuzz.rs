//! Damaged input of all kinds: whatever comes, there is an error or a wait for more, and never a panic.
//! Checksums are mended, so that damage gets past them.

use bytes::{BufMut, BytesMut};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::*;
use crate::v2::{banner::Revision, preamble::PREAMBLE_LEN, segments::crc_rest};

/// Recorded client streams, and one of a manager's client.
const STREAMS: [&[u8]; 2] = [
    include_bytes!("../../../testdata/pacific-mon-crc.c2s"),
    include_bytes!("../../../testdata/pacific-mgr-crc.c2s"),
];

/// Damages some bytes of `stream` and mends the checksums of the frames that can still be told.
fn damaged(stream: &[u8], rng: &mut SmallRng) -> BytesMut {
    let mut rx = BytesMut::from(stream);
    let mut out = rx.split_to(26);
    while let Some(head) = rx.first_chunk::<PREAMBLE_LEN>() {
        let preamble = Preamble::parse(head).unwrap();
        let mut frame = rx.split_to(PREAMBLE_LEN + crc_rest(&preamble, Revision::V21));
        if rng.random_bool(0.3) {
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(0..frame.len());
                frame[at] = rng.random();
            }
        }
        let crc = encoding::codec::ceph_crc32c(0, &frame[..28]).to_le_bytes();
        frame[28..32].copy_from_slice(&crc);
        mend_first_segment(&mut frame);
        if rng.random_bool(0.05) {
            frame.truncate(rng.random_range(0..frame.len()));
        }
        out.put_slice(&frame);
        if rng.random_bool(0.05) {
            out.put_slice(&frame);
        }
    }
    out
}

fn mend_first_segment(frame: &mut [u8]) {
    let len = u32::from_le_bytes([frame[2], frame[3], frame[4], frame[5]]) as usize;
    let end = PREAMBLE_LEN.saturating_add(len);
    if len > 0 && end + 4 <= frame.len() {
        let crc = encoding::codec::ceph_crc32c(u32::MAX, &frame[PREAMBLE_LEN..end]).to_le_bytes();
        frame[end..end + 4].copy_from_slice(&crc);
    }
}

#[test]
fn damaged_handshakes_and_sessions_end_in_errors() {
    let keys = keys();
    for seed in 0..3000 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let kind = [EntityType::MON, EntityType::MGR][seed as usize % 2];
        let bytes = damaged(STREAMS[seed as usize % 2], &mut rng);
        let mut s = server(server_config(kind, keys.clone()));
        for piece in bytes.chunks(rng.random_range(1..600)) {
            s.receive(piece);
            if s.step(now()).is_err() {
                break;
            }
        }
        // The recorded session, whose proofs mean nothing to this server, straight into a session's reader.
        let (_, mut established) = establish_once(&keys).unwrap_or_else(|e| panic!("seed {seed}: {e:?}"));
        established.read.receive(&bytes[26..]);
        while let Ok(Some(_)) = established.read.poll_event() {}
    }
}

/// A session without cephx, which is quick.
fn establish_once(keys: &Arc<KeyringServer>) -> Result<(Established, Established), Failure> {
    let mut config = server_config(EntityType::MON, keys.clone());
    config.auth.methods = vec![crate::auth::AuthMethod::NONE];
    let auth = ClientAuth::None {
        name: AuthEntityName::parse("client.x").unwrap(),
        global_id: 0,
    };
    establish(client_config(EntityType::MON, auth), config)
}

#[test]
fn damaged_authentication_payloads_end_in_errors() {
    let keys = keys();
    let c = client_config(EntityType::MON, mon_auth(admin()));
    let (c, s) = establish(c, server_config(EntityType::MON, keys.clone())).unwrap();
    let (credentials, mut mon) = (c.credentials.unwrap(), s.mon_auth.unwrap());
    let request = credentials
        .ticket_request(&[EntityType::OSD, EntityType::MGR])
        .unwrap();
    let authorizer = credentials.authorizer(EntityType::OSD, 1, None).unwrap();
    let secrets = crate::cephx::KeyServer::secrets(&*keys);
    for seed in 0..20_000 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let damage = |bytes: &bytes::Bytes, rng: &mut SmallRng| {
            let mut bytes = bytes.to_vec();
            let at = rng.random_range(0..bytes.len());
            bytes[at] ^= rng.random_range(1..=255_u8);
            bytes.truncate(rng.random_range(bytes.len() / 2..=bytes.len()));
            bytes::Bytes::from(bytes)
        };
        let _ = mon.handle_request(damage(&request, &mut rng), now());
        let mut service = crate::cephx::ServiceAuth::new(EntityType::OSD);
        let _ = service.verify(&secrets, &damage(&authorizer, &mut rng), 64);
    }
}
