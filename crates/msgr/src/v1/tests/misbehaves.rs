//! Peers that do not keep to the rules.

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{
    Encode, Message, MessageType, RawMessage,
    messages::{MAuth, MMonSubscribe},
};

use super::*;
use crate::{
    Incompatible, Malformed, Misbehaved,
    v1::banner::addr_bytes,
    v2::{Limits, Output},
};

fn connect(server: EntityType) -> Connect {
    Connect {
        features: Features::OURS,
        host_type: EntityType::CLIENT,
        global_seq: 1,
        connect_seq: 0,
        protocol_version: protocol_version(server),
        authorizer_protocol: 0,
        authorizer_len: 0,
        flags: FLAG_LOSSY,
    }
}

fn greeting() -> BytesMut {
    let mut out = BytesMut::from(&BANNER[..]);
    out.put_slice(&addr_bytes(EntityAddr::v1(([127, 0, 0, 1], 0).into(), 7)));
    out
}

/// A server that has got `connects` behind a good banner, and what came of it.
fn after(kind: EntityType, connects: &[Connect]) -> (Connection, crate::Result<HandshakeEvent>) {
    let mut s = server(server_config(kind, keys()));
    let mut out = greeting();
    for connect in connects {
        connect.encode(&mut out, Features::ALL);
        out.put_bytes(0xee, connect.authorizer_len as usize);
    }
    s.receive(&out);
    let result = s.step(now());
    (s, result)
}

/// The tags of the replies that a server gave.
fn tags(connection: &mut Connection, count: usize) -> Vec<Tag> {
    let out = connection.output().take();
    let replies = &out[BANNER.len() + 2 * 136..];
    replies
        .chunks(ConnectReply::LEN)
        .take(count)
        .map(|r| Tag(r[0]))
        .collect()
}

#[test]
fn a_v2_peer_is_told_apart_from_garbage() {
    let mut s = server(server_config(EntityType::MON, keys()));
    s.receive(b"ceph v2\n\x10\0");
    assert_eq!(s.step(now()), Err(Incompatible::MsgrV2.into()));
    let mut s = server(server_config(EntityType::MON, keys()));
    s.receive(b"\x16\x03\x01");
    assert_eq!(s.step(now()), Err(Malformed::Banner.into()));
}

#[test]
fn an_address_of_no_known_family_does_not_decode() {
    let mut s = server(server_config(EntityType::MON, keys()));
    let mut out = greeting();
    out[BANNER.len() + 9] = 99;
    s.receive(&out);
    assert_eq!(s.step(now()).unwrap_err().label(), "malformed");
}

#[test]
fn another_protocol_version_is_refused_but_may_try_again() {
    let old = Connect {
        protocol_version: 14,
        ..connect(EntityType::MON)
    };
    let (mut s, result) = after(EntityType::MON, &[old, connect(EntityType::MON)]);
    assert_eq!(result, Ok(HandshakeEvent::Pending));
    assert_eq!(tags(&mut s, 2), [Tag::BADPROTOVER, Tag::SEQ]);
    let (_, result) = after(EntityType::MON, &[old; 20]);
    let why = Incompatible::ProtocolVersion { ours: 15, theirs: 14 };
    assert_eq!(result, Err(why.into()));
}

#[test]
fn a_server_that_demands_secure_mode_serves_nobody_here() {
    let mut config = server_config(EntityType::MON, keys());
    config.auth.modes = vec![crate::auth::ConMode::SECURE];
    let mut s = server(config);
    let mut out = greeting();
    connect(EntityType::MON).encode(&mut out, Features::ALL);
    s.receive(&out);
    assert_eq!(s.step(now()), Err(Incompatible::MsgrV1.into()));
}

#[test]
fn bad_authorizers_are_refused_and_not_for_ever() {
    let bad = Connect {
        authorizer_protocol: 2,
        authorizer_len: 100,
        ..connect(EntityType::OSD)
    };
    let (mut s, result) = after(EntityType::OSD, &[bad, connect(EntityType::OSD)]);
    assert_eq!(result, Ok(HandshakeEvent::Pending));
    assert_eq!(tags(&mut s, 2), [Tag::BADAUTHORIZER, Tag::BADAUTHORIZER]);
    let (_, result) = after(EntityType::OSD, &[bad; 20]);
    assert_eq!(result, Err(Misbehaved::TooManyAuthAttempts.into()));
}

#[test]
fn a_lie_about_the_authorizers_length_is_not_waited_for() {
    let long = Connect {
        authorizer_len: u32::MAX,
        ..connect(EntityType::OSD)
    };
    let mut s = server(server_config(EntityType::OSD, keys()));
    let mut out = greeting();
    long.encode(&mut out, Features::ALL);
    s.receive(&out);
    let too_long = Misbehaved::AuthorizerTooLong {
        len: u32::MAX,
        max: 32 << 10,
    };
    assert_eq!(s.step(now()), Err(too_long.into()));
}

#[test]
fn a_replayed_authorizer_is_challenged_anew() {
    let keys = keys();
    let (credentials, _) = with_tickets(&keys);
    let config = client_config(EntityType::OSD, ClientAuth::Service(Box::new(credentials)));
    let (mut c, mut s) = (
        client(config),
        server(server_config(EntityType::OSD, keys.clone())),
    );
    let mut recorded = BytesMut::new();
    for _ in 0..10 {
        c.step(now()).unwrap();
        let bytes = c.output().take();
        recorded.put_slice(&bytes);
        s.receive(&bytes);
        s.step(now()).unwrap();
        c.receive(&s.output().take());
    }
    let mut victim = server(server_config(EntityType::OSD, keys));
    victim.receive(&recorded);
    let _ = victim.step(now());
    let out = victim.output().take();
    let first = BANNER.len() + 2 * 136;
    assert_eq!(Tag(out[first]), Tag::CHALLENGE_AUTHORIZER);
    assert_eq!(Tag(out[first + ConnectReply::LEN + 32]), Tag::BADAUTHORIZER);
    assert!(victim.into_session().is_none());
}

/// A monitor that has got messages before authentication.
fn mon_after(messages: &[RawMessage]) -> crate::Result<HandshakeEvent> {
    let (mut s, result) = after(EntityType::MON, &[connect(EntityType::MON)]);
    assert_eq!(result, Ok(HandshakeEvent::Pending));
    let mut out = Output::default();
    let terms = stream::Terms {
        features: Features::OURS,
        crc: crate::Crc::default(),
        signer: None,
    };
    let mut writer = stream::StreamWriter::new(terms, EntityName::client(-1));
    for message in messages {
        writer.put(message, &mut out);
    }
    s.receive(&[0; 8]);
    s.receive(&out.take());
    s.step(now())
}

#[test]
fn an_unauthenticated_client_may_not_subscribe() {
    let result = mon_after(&[MMonSubscribe::default().encode(Features::OURS)]);
    let why = Error::Unexpected {
        state: "authenticating",
        tag: "MON_SUBSCRIBE",
    };
    assert_eq!(result, Err(why));
}

fn auth(payload: Vec<u8>) -> RawMessage {
    let message = MAuth {
        payload: payload.into(),
        ..MAuth::default()
    };
    message.encode(Features::OURS)
}

#[test]
fn an_unauthenticated_client_cannot_send_long_or_many_messages() {
    let too_long = Misbehaved::SegmentTooLong {
        segment: 0,
        len: 60_030,
        max: 48 << 10,
    };
    assert_eq!(mon_after(&[auth(vec![0; 60_000])]), Err(too_long.into()));
    let long = vec![auth(vec![0; 20_000]); 4];
    assert_eq!(
        mon_after(&long),
        Err(Misbehaved::HandshakeTooLong(Limits::HANDSHAKE).into())
    );
    let short = vec![auth(Vec::new()); 20];
    assert_eq!(mon_after(&short), Err(Misbehaved::TooManyAuthAttempts.into()));
}

#[test]
fn an_answer_without_a_challenge_is_refused() {
    let message = MAuth {
        protocol: 2,
        payload: Bytes::from_static(&[0, 1]),
        ..MAuth::default()
    };
    let result = mon_after(&vec![message.encode(Features::OURS); 20]);
    assert_eq!(result, Err(Misbehaved::TooManyAuthAttempts.into()));
}

/// What an OSD says to a message of which one byte was changed.
fn damaged(at: impl Fn(usize) -> usize, features: Features) -> Error {
    let (mut c, mut s) = with_osd(features);
    let mut message = RawMessage::new(MessageType::OSD_OP, 8, 3, Bytes::from_static(b"front"));
    message.data = [Bytes::from_static(b"data")].into();
    c.write.send(&message);
    let mut bytes = c.write.output().take().to_vec();
    let at = at(bytes.len());
    bytes[at] ^= 0x10;
    s.read.receive(&bytes);
    s.read.poll_event().unwrap_err()
}

#[test]
fn every_damaged_part_of_a_message_is_told() {
    let header = 1 + MessageHeader::LEN;
    let ours = Features::OURS;
    assert_eq!(damaged(|_| 0, ours), Malformed::UnknownTag(0x17).into());
    assert_eq!(damaged(|_| 5, ours), Malformed::HeaderCrc.into());
    assert_eq!(damaged(|_| header, ours), Malformed::SectionCrc("front").into());
    assert_eq!(
        damaged(|_| header + 5, ours),
        Malformed::SectionCrc("data").into()
    );
    assert_eq!(damaged(|n| n - 2, ours), Misbehaved::MessageSignature.into());
    assert_eq!(damaged(|n| n - 2, HAMMER), Misbehaved::MessageSignature.into());
    assert_eq!(
        damaged(|_| header, UNSIGNED),
        Malformed::SectionCrc("front").into()
    );
}

#[test]
fn a_message_that_was_not_signed_is_refused_where_signatures_were_agreed_on() {
    let keys = keys();
    let (credentials, _) = with_tickets(&keys);
    let mut c = client_config(
        EntityType::OSD,
        ClientAuth::Service(Box::new(credentials.clone())),
    );
    c.sign_messages = false;
    let (mut unsigned, mut s) = establish(c.clone(), server_config(EntityType::OSD, keys.clone())).unwrap();
    let message = RawMessage::new(MessageType::OSD_OP, 8, 3, Bytes::from_static(b"front"));
    unsigned.write.send(&message);
    let bytes = unsigned.write.output().take();
    s.read.receive(&bytes);
    assert_eq!(s.read.poll_event(), Err(Misbehaved::MessageUnsigned.into()));

    let mut lenient = server_config(EntityType::OSD, keys);
    lenient.sign_messages = false;
    let (_, mut s) = establish(c, lenient).unwrap();
    s.read.receive(&bytes);
    assert!(s.read.poll_event().is_ok());
}

#[test]
fn a_message_of_another_session_is_refused() {
    let ((mut one, _), (_, mut other)) = (with_osd(Features::OURS), with_osd(Features::OURS));
    one.write.send(&RawMessage::new(
        MessageType::OSD_OP,
        8,
        3,
        Bytes::from_static(b"front"),
    ));
    other.read.receive(&one.write.output().take());
    assert_eq!(other.read.poll_event(), Err(Misbehaved::MessageSignature.into()));
}

#[test]
fn an_aborted_message_ends_the_session() {
    let (mut c, mut s) = with_osd(UNSIGNED);
    c.write.send(&RawMessage::new(
        MessageType::OSD_OP,
        8,
        3,
        Bytes::from_static(b"front"),
    ));
    let mut bytes = c.write.output().take().to_vec();
    *bytes.last_mut().unwrap() = 0;
    s.read.receive(&bytes);
    assert_eq!(s.read.poll_event(), Err(Misbehaved::Aborted.into()));
}

#[test]
fn a_lie_about_a_messages_length_is_refused_before_anything_is_allocated() {
    let (_, mut s) = with_osd(UNSIGNED);
    let mut header = MessageHeader {
        seq: 1,
        message: RawMessage::new(MessageType::OSD_OP, 8, 3, Bytes::new()).header,
        front_len: 0,
        middle_len: 0,
        data_len: u32::MAX,
        src: EntityName::client(1),
        crc: 0,
    };
    let mut bytes = BytesMut::from(&[Tag::MSG.0][..]);
    header.seal(&mut bytes);
    s.read.receive(&bytes);
    let too_long = Misbehaved::SegmentTooLong {
        segment: 2,
        len: u32::MAX,
        max: Limits::default().data,
    };
    assert_eq!(s.read.poll_event(), Err(too_long.into()));
    assert!(s.read.read_buf().capacity() < 1 << 20);
}

#[test]
fn a_long_message_that_is_announced_and_does_not_come_costs_a_bounded_buffer() {
    let (_, mut s) = with_osd(UNSIGNED);
    let mut header = MessageHeader {
        seq: 1,
        message: RawMessage::new(MessageType::OSD_OP, 8, 3, Bytes::new()).header,
        front_len: 0,
        middle_len: 0,
        data_len: Limits::default().data,
        src: EntityName::client(1),
        crc: 0,
    };
    let mut bytes = BytesMut::from(&[Tag::MSG.0][..]);
    header.seal(&mut bytes);
    s.read.receive(&bytes);
    assert_eq!(s.read.poll_event(), Ok(None));
    let room = s.read.read_buf().capacity();
    assert!(room <= 9 << 20, "{room}");
}

#[test]
fn tags_of_the_handshake_have_no_place_in_a_session() {
    for tag in [Tag::READY, Tag::SEQ, Tag::RESETSESSION, Tag::CHALLENGE_AUTHORIZER] {
        let (_, mut s) = with_osd(UNSIGNED);
        s.read.receive(&[tag.0]);
        assert_eq!(s.read.poll_event(), Err(Malformed::UnknownTag(tag.0).into()));
    }
}

#[test]
fn a_message_sent_twice_is_seen_once_and_numbers_may_skip() {
    let (mut c, mut s) = with_osd(UNSIGNED);
    let message = RawMessage::new(MessageType::OSD_OP, 8, 3, Bytes::from_static(b"front"));
    c.write.send(&message);
    let first = c.write.output().take();
    c.write.send(&message);
    let _lost = c.write.output().take();
    c.write.send(&message);
    let third = c.write.output().take();
    for bytes in [&first, &third, &first] {
        s.read.receive(bytes);
    }
    assert!(s.read.poll_event().unwrap().is_some());
    assert!(s.read.poll_event().unwrap().is_some());
    assert_eq!(s.read.poll_event(), Ok(None));
}

/// A client to which the server replies with `reply`.
fn client_told(replies: &[ConnectReply]) -> crate::Result<HandshakeEvent> {
    let mut c = client(client_config(EntityType::MON, mon_auth(admin())));
    let mut out = BytesMut::from(&BANNER[..]);
    out.put_slice(&addr_bytes(target()));
    out.put_slice(&addr_bytes(target()));
    for reply in replies {
        reply.encode(&mut out, Features::ALL);
    }
    c.receive(&out);
    c.step(now())
}

#[test]
fn a_client_tries_again_when_told_so_and_not_for_ever() {
    let reply = |tag| ConnectReply {
        tag,
        features: Features::OURS,
        global_seq: 5,
        connect_seq: 3,
        protocol_version: 15,
        authorizer_len: 0,
        flags: 0,
    };
    for tag in [Tag::RETRY_GLOBAL, Tag::RETRY_SESSION, Tag::RESETSESSION] {
        assert_eq!(
            client_told(&[reply(tag), reply(tag)]),
            Ok(HandshakeEvent::Pending)
        );
        assert_eq!(
            client_told(&[reply(tag); 20]),
            Err(Misbehaved::TooManyConnects.into())
        );
    }
    assert_eq!(client_told(&[reply(Tag::WAIT)]), Err(Error::TryLater));
    let unexpected = client_told(&[reply(Tag::MSG)]).unwrap_err();
    assert_eq!(unexpected.label(), "unexpected");
}

#[test]
fn a_server_that_does_not_prove_to_know_its_key_is_left() {
    let (credentials, _) = with_tickets(&keys());
    let mut c = client(client_config(
        EntityType::OSD,
        ClientAuth::Service(Box::new(credentials)),
    ));
    // One that skips authentication.
    let mut s = server(without_auth(EntityType::OSD));
    c.receive(&s.output().take());
    c.step(now()).unwrap();
    let reply = ConnectReply {
        tag: Tag::SEQ,
        features: Features::OURS,
        global_seq: 1,
        connect_seq: 1,
        protocol_version: 24,
        authorizer_len: 0,
        flags: 0,
    };
    c.receive(&reply.to_bytes(Features::ALL));
    let error = c.step(now()).unwrap_err();
    assert!(
        matches!(error, Error::Malformed(_) | Error::Misbehaved(_)),
        "{error}"
    );
}
