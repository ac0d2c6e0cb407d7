//! Recorded sessions of stock clients with a real cluster (see testdata/README.md): every byte is read,
//! proofs and signatures come out as recorded, tickets open, and all is written as Ceph and the kernel write it.

use bytes::{Buf, Bytes, BytesMut};
use encoding::{
    Decode, Encode, Message, MessageType, RawMessage, Reader,
    messages::{MAuth, MAuthReply},
};

use super::*;
use crate::{
    Crc,
    cephx::{Authorize, AuthorizerHead, CryptoKey, KeyUsage, open_blob},
    connection::Event,
    v1::{
        banner::{ADDR_LEN, addr_bytes, take_addr, take_banner},
        stream::{StreamReader, StreamWriter, Terms},
    },
    v2::{Limits, Output, Progress},
};

macro_rules! recorded {
    ($name:literal) => {
        (
            include_bytes!(concat!("../../../testdata/", $name, ".c2s")).as_slice(),
            include_bytes!(concat!("../../../testdata/", $name, ".s2c")).as_slice(),
        )
    };
}

/// A recording behind the banners.
struct Recording {
    c: BytesMut,
    s: BytesMut,
}

/// What the two sides said to connect.
struct Connected {
    features: Features,
    /// Authorizers and their replies in order.
    authorizers: Vec<(Bytes, Bytes)>,
}

fn take<T: Decode + Encode>(rx: &mut BytesMut, len: usize) -> T {
    let raw = rx.split_to(len).freeze();
    let value = T::from_bytes(&raw).unwrap();
    assert_eq!(value.to_bytes(Features::NONE), raw, "written as recorded");
    value
}

impl Recording {
    fn new((c, s): (&[u8], &[u8])) -> Self {
        let (mut c, mut s) = (BytesMut::from(c), BytesMut::from(s));
        for (rx, addresses) in [(&mut c, 1), (&mut s, 2)] {
            assert_eq!(take_banner(rx), Ok(true));
            for _ in 0..addresses {
                let raw = rx[..ADDR_LEN].to_vec();
                let addr = take_addr(rx).unwrap().unwrap();
                assert_eq!(addr_bytes(addr), raw);
            }
        }
        Self { c, s }
    }

    fn connect(&mut self, server: EntityType) -> Connected {
        let mut authorizers = Vec::new();
        loop {
            let connect: Connect = take(&mut self.c, Connect::LEN);
            assert_eq!(connect.host_type, EntityType::CLIENT);
            assert_eq!(connect.protocol_version, protocol_version(server));
            let authorizer = self.c.split_to(connect.authorizer_len as usize).freeze();
            let reply: ConnectReply = take(&mut self.s, ConnectReply::LEN);
            authorizers.push((
                authorizer,
                self.s.split_to(reply.authorizer_len as usize).freeze(),
            ));
            if reply.tag == Tag::CHALLENGE_AUTHORIZER {
                continue;
            }
            assert_eq!((reply.tag, reply.flags), (Tag::SEQ, FLAG_LOSSY));
            assert_eq!((self.c.get_u64_le(), self.s.get_u64_le()), (0, 0));
            return Connected {
                features: connect.features.common(reply.features),
                authorizers,
            };
        }
    }
}

/// Reads all of one direction, and writes it again.
fn messages(mut rx: BytesMut, features: Features, key: Option<&CryptoKey>) -> Vec<RawMessage> {
    let terms = Terms {
        features,
        crc: Crc::default(),
        signer: key.map(|k| Signer::new(k.clone(), true)),
    };
    let (mut reader, mut writer) = (
        StreamReader::new(terms.clone()),
        StreamWriter::new(terms, EntityName::default()),
    );
    let mut messages = Vec::new();
    while !rx.is_empty() {
        let before = rx.clone();
        let mut out = Output::default();
        let Ok(Progress::Ready(event)) = reader.next(&mut rx, &Limits::default()) else {
            panic!("{} bytes left", rx.len())
        };
        match event {
            Event::Message(message) => {
                let raw = Bytes::copy_from_slice(&before[1..=MessageHeader::LEN]);
                let header = MessageHeader::from_bytes(&raw).unwrap();
                writer.set_src(header.src);
                writer.set_out_seq(header.seq - 1);
                writer.put(&message, &mut out);
                messages.push(message);
            }
            Event::Keepalive(stamp) => writer.keepalive(stamp, &mut out),
            Event::KeepaliveAck(stamp) => writer.keepalive_ack(stamp, &mut out),
            Event::Ack(seq) => writer.ack(seq, &mut out),
            Event::Close => writer.close(&mut out),
        }
        assert_eq!(
            out.take(),
            &before[..before.len() - rx.len()],
            "written as recorded"
        );
    }
    messages
}

fn of_kind(messages: &[RawMessage], kind: MessageType) -> impl Iterator<Item = &RawMessage> {
    messages.iter().filter(move |m| m.header.kind == kind)
}

/// Plays a monitor's session; returns the credentials that it yielded.
fn play_mon(recorded: (&[u8], &[u8])) -> CephxClient {
    let mut recording = Recording::new(recorded);
    let connected = recording.connect(EntityType::MON);
    assert!(
        connected
            .authorizers
            .iter()
            .all(|(a, b)| a.is_empty() && b.is_empty())
    );
    let client = messages(recording.c, connected.features, None);
    let server = messages(recording.s, connected.features, None);
    assert!(of_kind(&server, MessageType::MON_MAP).count() > 0);

    let asked: Vec<_> = of_kind(&client, MessageType::AUTH)
        .map(|m| MAuth::decode(m).unwrap())
        .collect();
    let told: Vec<_> = of_kind(&server, MessageType::AUTH_REPLY)
        .map(|m| MAuthReply::decode(m).unwrap())
        .collect();
    assert_eq!(asked.len(), told.len());
    assert!(told.iter().all(|t| t.result == 0 && t.protocol == 2));
    assert_eq!(asked[0].protocol, 0);

    let mut credentials = admin();
    let challenge = u64::from_le_bytes(*told[0].payload[1..].first_chunk().unwrap());
    let mut r = Reader::new(&asked[1].payload);
    r.skip(3, "request and version").unwrap();
    let (client_challenge, proof) = (r.u64().unwrap(), r.u64().unwrap());
    assert_eq!(
        credentials.key.challenge_proof(challenge, client_challenge),
        Ok(proof)
    );
    credentials.take_mon_reply(&told[1].payload).unwrap();
    credentials.global_id = told[1].global_id;
    for reply in &told[2..] {
        credentials.take_ticket_reply(&reply.payload).unwrap();
    }
    credentials
}

/// Plays a session with a service whose ticket the credentials hold; returns the messages.
fn play_service(
    recorded: (&[u8], &[u8]),
    service: EntityType,
    credentials: &CephxClient,
) -> (Vec<RawMessage>, Vec<RawMessage>) {
    let mut recording = Recording::new(recorded);
    let connected = recording.connect(service);
    let [(first, challenge), (second, reply)] = connected.authorizers.as_slice() else {
        panic!("one challenge")
    };
    let key = credentials.session_key(service).unwrap().clone();
    let nonces = [first, second].map(|authorizer| {
        let mut r = Reader::new(authorizer);
        AuthorizerHead::decode(&mut r).unwrap();
        let proof: Authorize = open_blob(&key, KeyUsage::AUTHORIZE, &mut r).unwrap();
        proof.nonce
    });
    // Nothing is random in what librados says, once its nonce is known.
    if nonces[0] == nonces[1] {
        let again = |challenge| credentials.authorizer(service, nonces[0], challenge).unwrap();
        assert_eq!((&again(None), &again(Some(challenge))), (first, second));
    }
    let secret = credentials.check_service_reply(service, nonces[1], reply);
    assert_eq!(secret, Ok(Some(Bytes::new())));
    (
        messages(recording.c, connected.features, Some(&key)),
        messages(recording.s, connected.features, Some(&key)),
    )
}

#[test]
fn librados_pacific_with_monitor_manager_and_osd() {
    let credentials = play_mon(recorded!("pacific-v1-mon"));
    play_service(recorded!("pacific-v1-mgr"), EntityType::MGR, &credentials);
    let (asked, told) = play_service(recorded!("pacific-v1-osd"), EntityType::OSD, &credentials);
    let ops = of_kind(&asked, MessageType::OSD_OP).count();
    assert!(ops > 0);
    assert_eq!(ops, of_kind(&told, MessageType::OSD_OPREPLY).count());
}

#[test]
fn librados_nautilus_with_monitor_and_osd() {
    let credentials = play_mon(recorded!("nautilus-v1-mon"));
    let (asked, _) = play_service(recorded!("nautilus-v1-osd"), EntityType::OSD, &credentials);
    assert!(of_kind(&asked, MessageType::OSD_OP).count() > 0);
}

#[test]
fn the_kernel_with_monitor_and_osd() {
    let credentials = play_mon(recorded!("krbd6.1-v1-mon"));
    let (asked, told) = play_service(recorded!("krbd6.1-v1-osd"), EntityType::OSD, &credentials);
    assert!(of_kind(&asked, MessageType::OSD_OP).any(|m| m.data_len() >= 4096));
    assert!(of_kind(&told, MessageType::OSD_OPREPLY).any(|m| m.data_len() >= 4096));
}

#[test]
fn the_kernels_session_without_authentication_is_served_by_our_monitor() {
    let (c2s, s2c) = recorded!("krbd6.1-v1none-mon");
    let mut config = without_auth(EntityType::MON);
    config.supported = Features::OURS;
    let mut s = server(config);
    s.receive(c2s);
    assert_eq!(s.step(now()), Ok(HandshakeEvent::Ready));
    let mut ours = Recording::new((c2s, &s.output().take()));
    let mut s = s.into_session().unwrap();
    assert_eq!((s.peer.entity.as_str(), s.peer.global_id), ("client.admin", 4100));
    let mut kinds = Vec::new();
    while let Ok(Some(event)) = s.read.poll_event() {
        if let Event::Message(message) = event {
            kinds.push(message.header.kind);
        }
    }
    assert!(kinds.contains(&MessageType::MON_SUBSCRIBE), "{kinds:?}");

    // What we said is what the real monitor said, but for the number given out.
    let connected = ours.connect(EntityType::MON);
    let mut real = Recording::new((c2s, s2c));
    let real_connected = real.connect(EntityType::MON);
    assert_eq!(connected.features, real_connected.features);
    let reply = |side| {
        let all = messages(side, connected.features, None);
        let mut reply = MAuthReply::decode(of_kind(&all, MessageType::AUTH_REPLY).next().unwrap()).unwrap();
        reply.global_id = 0;
        reply
    };
    assert_eq!(reply(ours.s), reply(real.s));
}
