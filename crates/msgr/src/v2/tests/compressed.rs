//! Negotiating compression, and sessions that use it.

use bytes::Bytes;
use encoding::{Encode, Features, MessageType, RawMessage};

use super::*;
use crate::{
    auth::ConMode,
    error::Misbehaved,
    v2::control::{ClientIdent, CompressionDone, CompressionRequest, ControlFrame},
};

fn forced(algorithms: &[Algorithm]) -> Compression {
    Compression {
        mode: CompressionMode::Force,
        algorithms: algorithms.to_vec(),
        ..Compression::default()
    }
}

/// A session between a client and a monitor with these settings.
fn session(mode: ConMode, of_client: Compression, of_server: Compression) -> (Established, Established) {
    let mut c = client_config(EntityType::MON, mon_auth(admin()));
    c.modes = vec![mode];
    c.compression = of_client;
    let mut s = server_config(EntityType::MON, keys());
    s.compression = of_server;
    establish(c, s).unwrap()
}

fn bulk() -> RawMessage {
    let mut message = RawMessage::new(MessageType::OSD_OP, 8, 3, Bytes::from_static(b"front"));
    message.data = [Bytes::from(vec![0x5a; 100_000])].into();
    message
}

#[test]
fn the_clients_first_choice_that_the_server_allows_is_used_in_both_directions() {
    use Algorithm as A;
    for (wanted, allowed, used) in [
        (vec![A::LZ4, A::ZSTD], vec![A::ZSTD, A::LZ4], Some(A::LZ4)),
        (
            vec![A::ZLIB, A::SNAPPY],
            vec![A::ZLIB, A::SNAPPY],
            Some(A::SNAPPY),
        ),
        (vec![A::ZSTD], vec![A::ZSTD], Some(A::ZSTD)),
        (vec![A::ZLIB], vec![A::ZLIB], None),
        (vec![A::ZSTD], vec![A::LZ4], None),
    ] {
        let (mut c, mut s) = session(ConMode::CRC, forced(&wanted), forced(&allowed));
        assert_eq!(
            (c.peer.compression, s.peer.compression),
            (used, used),
            "{wanted:?}"
        );
        for (from, to) in [(&mut c.write, &mut s.read), (&mut s.write, &mut c.read)] {
            from.send(&bulk());
            let sent = from.output().take();
            assert_eq!(sent.len() < 10_000, used.is_some(), "{wanted:?} {}", sent.len());
            to.receive(&sent);
            assert_eq!(to.poll_event(), Ok(Some(Event::Message(bulk()))));
        }
    }
}

#[test]
fn it_is_off_unless_both_sides_want_it() {
    let all = || forced(&Algorithm::SPOKEN);
    for (c, s) in [
        (Compression::default(), all()),
        (all(), Compression::default()),
        (Compression::default(), Compression::default()),
    ] {
        let (c, s) = session(ConMode::CRC, c, s);
        assert_eq!((c.peer.compression, s.peer.compression), (None, None));
    }
}

#[test]
fn secure_mode_is_compressed_only_where_both_sides_allow_it() {
    let all = |in_secure_mode| Compression {
        in_secure_mode,
        ..forced(&Algorithm::SPOKEN)
    };
    for (c, s) in [(false, true), (true, false), (false, false)] {
        let (c, _) = session(ConMode::SECURE, all(c), all(s));
        assert_eq!(c.peer.compression, None);
    }
    let (mut c, mut s) = session(ConMode::SECURE, all(true), all(true));
    assert_eq!(s.peer.compression, Some(Algorithm::LZ4));
    c.write.send(&bulk());
    s.read.receive(&c.write.output().take());
    assert_eq!(s.read.poll_event(), Ok(Some(Event::Message(bulk()))));
}

#[test]
fn there_is_none_in_v2_0() {
    let mut c = client_config(EntityType::MON, mon_auth(admin()));
    c.compression = forced(&Algorithm::SPOKEN);
    let mut s = server_config(EntityType::MON, keys());
    s.compression = forced(&Algorithm::SPOKEN);
    s.protocol = crate::Protocol::V20;
    let (c, _) = establish(c, s).unwrap();
    assert_eq!(c.peer.compression, None);
}

#[test]
fn more_than_a_message_may_hold_is_refused_although_little_comes_over_the_wire() {
    let mut c = client_config(EntityType::MON, mon_auth(admin()));
    c.compression = forced(&[Algorithm::ZSTD]);
    let mut s = server_config(EntityType::MON, keys());
    s.compression = forced(&[Algorithm::ZSTD]);
    s.limits.data = 99_999;
    let (mut c, mut s) = establish(c, s).unwrap();
    c.write.send(&bulk());
    let sent = c.write.output().take();
    assert!(sent.len() < 1000);
    s.read.receive(&sent);
    let too_long = Misbehaved::SegmentTooLong {
        segment: 3,
        len: 100_000,
        max: 99_999,
    };
    assert_eq!(s.read.poll_event(), Err(too_long.into()));
}

/// A server that negotiates compression with a client that has authenticated, both up to the client's request.
fn before_the_request() -> (Connection, Connection, Bytes) {
    let mut config = client_config(EntityType::MON, mon_auth(admin()));
    config.compression = forced(&Algorithm::SPOKEN);
    let mut settings = server_config(EntityType::MON, keys());
    settings.compression = forced(&Algorithm::SPOKEN);
    let (mut c, mut s) = (client(config), server(settings));
    loop {
        c.step(now()).unwrap();
        let sent = c.output().take();
        let request = sent.len().saturating_sub(32 + 4 + request_len());
        if sent.get(request) == Some(&(Tag::COMPRESSION_REQUEST as u8)) {
            s.receive(&sent[..request]);
            s.step(now()).unwrap();
            let _ = s.output().take();
            return (c, s, sent.slice(request..));
        }
        s.receive(&sent);
        s.step(now()).unwrap();
        c.receive(&s.output().take());
    }
}

fn request_len() -> usize {
    CompressionRequest {
        is_compress: true,
        methods: vec![0; Algorithm::SPOKEN.len()],
    }
    .to_bytes(Features::ALL)
    .len()
}

fn control<F: ControlFrame>(frame: &F) -> Bytes {
    let mut out = Output::default();
    FrameWriter::default().put_control(F::TAG, &frame.to_bytes(Features::ALL), &mut out);
    out.take()
}

#[test]
fn who_announces_compression_has_to_ask_before_it_identifies_itself_and_once() {
    let (_, mut s, _) = before_the_request();
    s.receive(&control(&ClientIdent::default()));
    assert_eq!(s.step(now()).unwrap_err().label(), "unexpected");
    let (_, mut s, request) = before_the_request();
    s.receive(&request);
    s.step(now()).unwrap();
    let done = CompressionDone {
        is_compress: true,
        method: Algorithm::LZ4.0,
    };
    assert_eq!(s.output().take(), control(&done));
    s.receive(&request);
    assert_eq!(s.step(now()).unwrap_err().label(), "unexpected");
}

#[test]
fn a_client_does_not_take_what_it_did_not_ask_for() {
    for method in [Algorithm::ZLIB, Algorithm(77), Algorithm::NONE] {
        let (mut c, _, _) = before_the_request();
        let done = CompressionDone {
            is_compress: true,
            method: method.0,
        };
        c.receive(&control(&done));
        assert_eq!(c.step(now()), Err(Misbehaved::Compression(method.0).into()));
    }
}
