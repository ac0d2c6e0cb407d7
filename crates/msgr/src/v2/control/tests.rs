//! Every control frame round-trips, and every truncation of it fails.

use bytes::Bytes;
use encoding::{
    Features,
    types::{EntityAddr, EntityAddrVec, EntityType, Utime},
};

use super::*;

fn check<F: ControlFrame + PartialEq + std::fmt::Debug>(value: F) {
    let bytes = value.to_bytes(Features::ALL);
    assert_eq!(F::from_bytes(&bytes).as_ref(), Ok(&value));
    for n in 0..bytes.len() {
        assert!(F::from_bytes(&bytes.slice(..n)).is_err(), "{value:?} cut to {n}");
    }
}

fn addr() -> EntityAddr {
    EntityAddr::v2(([127, 0, 0, 1], 3300).into(), 7)
}

#[test]
fn every_control_frame_round_trips_and_no_truncation_decodes() {
    let addrs = EntityAddrVec(vec![addr(), EntityAddr::v1(([127, 0, 0, 1], 6789).into(), 7)]);
    let payload = Bytes::from_static(b"payload");
    let word = Features(0x3f01_cfbd_fffd_ffff);
    check(Hello {
        kind: EntityType::MON,
        peer_addr: addr(),
    });
    check(AuthRequest {
        method: 2,
        modes: vec![2, 1],
        payload: payload.clone(),
    });
    check(AuthBadMethod {
        method: 2,
        result: -13,
        methods: vec![2],
        modes: vec![1],
    });
    check(AuthReplyMore {
        payload: payload.clone(),
    });
    check(AuthRequestMore {
        payload: payload.clone(),
    });
    check(AuthDoneFrame {
        global_id: 4236,
        mode: 1,
        payload,
    });
    check(AuthSignature([7; 32]));
    check(ClientIdent {
        addrs: addrs.clone(),
        target: addr(),
        gid: -1,
        global_seq: 1,
        supported: word,
        required: Features(1 << 59),
        flags: FLAG_LOSSY,
        cookie: 5,
    });
    check(ServerIdent {
        addrs: addrs.clone(),
        gid: 0,
        global_seq: 1,
        supported: word,
        required: word,
        flags: FLAG_LOSSY,
        cookie: 0,
    });
    check(IdentMissingFeatures { features: word });
    check(SessionReconnect {
        addrs,
        client_cookie: 1,
        server_cookie: 2,
        global_seq: 3,
        connect_seq: 4,
        msg_seq: 5,
    });
    check(SessionReset { full: true });
    check(SessionRetry { connect_seq: 9 });
    check(SessionRetryGlobal { global_seq: 9 });
    check(SessionReconnectOk { msg_seq: 9 });
    check(Wait {});
    check(Keepalive2(Utime { sec: 1, nsec: 2 }));
    check(Keepalive2Ack(Utime { sec: 1, nsec: 2 }));
    check(Ack(3));
    check(CompressionRequest {
        is_compress: true,
        methods: vec![1, 2],
    });
    check(CompressionDone {
        is_compress: false,
        method: 0,
    });
}
