//! Recorded sessions of stock clients with a real cluster (see testdata/README.md): every byte is read,
//! proofs and signatures come out as recorded, tickets open, and crc frames are written as Ceph writes them.

use bytes::{Bytes, BytesMut};
use encoding::{Decode, Encode, Features, MessageType, Reader};

use super::*;
use crate::{
    auth::ConMode,
    v2::{
        control::{
            AuthDoneFrame, AuthReplyMore, AuthRequest, AuthRequestMore, AuthSignature, ClientIdent,
            ServerIdent, decode,
        },
        crypto::Gcm,
        message::of_frame,
    },
};

macro_rules! recorded {
    ($name:literal) => {
        (
            include_bytes!(concat!("../../../testdata/", $name, ".c2s")).as_slice(),
            include_bytes!(concat!("../../../testdata/", $name, ".s2c")).as_slice(),
        )
    };
}

/// One direction of a recording.
struct Side {
    rx: BytesMut,
    reader: FrameReader,
    /// All that was read so far.
    seen: BytesMut,
}

impl Side {
    fn new(bytes: &[u8]) -> Self {
        let mut rx = BytesMut::from(bytes);
        let Ok(Progress::Ready((_, raw))) = Banner::take(&mut rx) else {
            panic!("banner")
        };
        Self {
            rx,
            reader: FrameReader::default(),
            seen: BytesMut::from(&raw[..]),
        }
    }

    fn next(&mut self) -> Frame {
        let before = self.rx.clone();
        match self.reader.next(&mut self.rx, &Limits::default()) {
            Ok(Progress::Ready(frame)) => {
                self.seen
                    .extend_from_slice(&before[..before.len() - self.rx.len()]);
                frame
            }
            other => panic!("{other:?}"),
        }
    }

    fn control<F: control::ControlFrame>(&mut self) -> F {
        let frame = self.next();
        assert_eq!(frame.tag, F::TAG);
        decode(&frame).unwrap()
    }

    /// What is left of a session in crc mode, written again, must be what was recorded.
    fn check_rewriting(&self) {
        let (mut rx, mut out) = (self.rx.clone(), Output::default());
        let (mut reader, mut writer) = (FrameReader::default(), FrameWriter::default());
        while let Progress::Ready(Frame { tag, segments }) = reader.next(&mut rx, &Limits::default()).unwrap()
        {
            let [first, others @ ..] = &segments;
            writer.put(tag, first, [&others[..1], &others[1..2], &others[2..]], &mut out);
        }
        assert_eq!(out.take(), &self.rx[..self.rx.len() - rx.len()]);
        assert!(rx.is_empty(), "{} bytes left", rx.len());
    }
}

/// Plays the authentication with a monitor; returns the credentials and both sides behind AUTH_SIGNATURE.
fn play_mon(recorded: (&[u8], &[u8]), mode: ConMode) -> (CephxClient, Side, Side) {
    play_mon_as(admin(), recorded, mode)
}

fn play_mon_as(
    mut credentials: CephxClient,
    recorded: (&[u8], &[u8]),
    mode: ConMode,
) -> (CephxClient, Side, Side) {
    let (mut c, mut s) = (Side::new(recorded.0), Side::new(recorded.1));
    assert_eq!(s.next().tag, Tag::HELLO);
    assert_eq!(c.next().tag, Tag::HELLO);
    let request: AuthRequest = c.control();
    let mut r = Reader::new(&request.payload);
    assert_eq!(
        (r.u8().unwrap(), AuthEntityName::decode(&mut r).unwrap()),
        (10, credentials.name.clone())
    );

    let challenge = s.control::<AuthReplyMore>().payload;
    let server_challenge = u64::from_le_bytes(*challenge[1..].first_chunk().unwrap());
    let answer = c.control::<AuthRequestMore>().payload;
    let mut r = Reader::new(&answer);
    r.skip(3, "request and version").unwrap();
    let (client_challenge, proof) = (r.u64().unwrap(), r.u64().unwrap());
    assert_eq!(
        credentials
            .key
            .challenge_proof(server_challenge, client_challenge),
        Ok(proof)
    );

    let done: AuthDoneFrame = s.control();
    assert_eq!(done.mode, mode.0);
    let secret = credentials.take_mon_reply(&done.payload).unwrap();
    credentials.global_id = done.global_id;
    assert_eq!(secret.len(), mode.secret_len());
    let key = credentials.session_key(EntityType::AUTH).unwrap().clone();
    check_signatures(&mut c, &mut s, &key, &secret);
    (credentials, c, s)
}

fn check_signatures(c: &mut Side, s: &mut Side, key: &crate::cephx::CryptoKey, secret: &Bytes) {
    let (of_server, of_client) = (key.hmac_sha256(&c.seen), key.hmac_sha256(&s.seen));
    if !secret.is_empty() {
        // The client's stream is read as a server does, and the other way round.
        c.reader = FrameReader::secure(Gcm::pair(secret, false).unwrap().0);
        s.reader = FrameReader::secure(Gcm::pair(secret, true).unwrap().0);
    }
    assert_eq!(s.control::<AuthSignature>().0, of_server);
    assert_eq!(c.control::<AuthSignature>().0, of_client);
}

/// Types of the messages that are left.
fn messages(side: &mut Side) -> Vec<MessageType> {
    let mut kinds = Vec::new();
    while !side.rx.is_empty() {
        let frame = side.next();
        if frame.tag == Tag::MESSAGE {
            let (header, message) = of_frame(frame).unwrap();
            assert_eq!(header.seq, kinds.len() as u64 + 1);
            kinds.push(message.header.kind);
        }
    }
    kinds
}

#[test]
fn librados_pacific_with_a_monitor_in_crc_mode() {
    let (credentials, mut c, mut s) = play_mon(recorded!("pacific-mon-crc"), ConMode::CRC);
    c.check_rewriting();
    s.check_rewriting();
    assert_eq!(credentials.global_id, 4237);
    for service in [EntityType::MON, EntityType::OSD, EntityType::MGR] {
        assert!(credentials.tickets.contains_key(&service));
    }
    assert_eq!(c.control::<ClientIdent>().supported, Features::OURS);
    assert_eq!(s.control::<ServerIdent>().supported, Features::OURS);
    use MessageType as T;
    let sent = [
        T::MON_GET_MAP,
        T::MON_SUBSCRIBE,
        T::MON_SUBSCRIBE,
        T::MON_SUBSCRIBE,
        T::MON_COMMAND,
        T::MON_COMMAND,
    ];
    assert_eq!(messages(&mut c), sent);
    assert!(messages(&mut s).contains(&T::OSD_MAP));
}

#[test]
fn librados_pacific_with_a_manager_whose_ticket_it_got_at_the_monitor() {
    let (credentials, ..) = play_mon(recorded!("pacific-mon-crc"), ConMode::CRC);
    let recorded = recorded!("pacific-mgr-crc");
    let (mut c, mut s) = (Side::new(recorded.0), Side::new(recorded.1));
    assert_eq!((s.next().tag, c.next().tag), (Tag::HELLO, Tag::HELLO));
    let key = credentials.session_key(EntityType::MGR).unwrap().clone();
    let first = c.control::<AuthRequest>().payload;
    let challenge = s.control::<AuthReplyMore>().payload;
    let second = c.control::<AuthRequestMore>().payload;
    let nonce = nonce_of(&key, &first);
    assert_eq!(nonce, nonce_of(&key, &second));
    // Nothing is random in what the client says, once its nonce is known.
    assert_eq!(
        credentials.authorizer(EntityType::MGR, nonce, None).unwrap(),
        first
    );
    assert_eq!(
        credentials
            .authorizer(EntityType::MGR, nonce, Some(&challenge))
            .unwrap(),
        second
    );
    let done: AuthDoneFrame = s.control();
    let secret = credentials.check_service_reply(EntityType::MGR, nonce, &done.payload);
    assert_eq!(secret, Ok(Some(Bytes::new())));
    check_signatures(&mut c, &mut s, &key, &Bytes::new());
    c.check_rewriting();
    s.check_rewriting();
}

/// The nonce in an authorizer.
fn nonce_of(key: &crate::cephx::CryptoKey, authorizer: &Bytes) -> u64 {
    let mut r = Reader::new(authorizer);
    crate::cephx::AuthorizerHead::decode(&mut r).unwrap();
    let proof: crate::cephx::Authorize =
        crate::cephx::open_blob(key, crate::cephx::KeyUsage::AUTHORIZE, &mut r).unwrap();
    proof.nonce
}

/// The first message sent, of a session in secure mode.
fn first_message_in_secure_mode(recorded: (&[u8], &[u8])) -> MessageType {
    let (_, mut c, mut s) = play_mon(recorded, ConMode::SECURE);
    let ident: ClientIdent = c.control();
    assert!(ident.supported.has(encoding::Feature::MSG_ADDR2));
    assert_eq!(s.next().tag, Tag::SERVER_IDENT);
    assert!(messages(&mut s).contains(&MessageType::MON_MAP));
    messages(&mut c)[0]
}

#[test]
fn librados_pacific_with_a_monitor_in_secure_mode() {
    let first = first_message_in_secure_mode(recorded!("pacific-mon-secure"));
    assert_eq!(first, MessageType::MON_GET_MAP);
}

#[test]
fn the_kernel_with_a_monitor_in_secure_mode() {
    let first = first_message_in_secure_mode(recorded!("krbd6.12-mon-secure"));
    assert_eq!(first, MessageType::MON_SUBSCRIBE);
}

#[test]
fn our_identification_is_encoded_as_recorded() {
    let (_, mut c, _) = play_mon(recorded!("pacific-mon-crc"), ConMode::CRC);
    let frame = c.next();
    let ident: ClientIdent = decode(&frame).unwrap();
    assert_eq!(ident.to_bytes(Features::ALL), frame.segments[0]);
}

/// `client.admin` of the recordings whose keys are of type aes256k.
fn admin_aes256k() -> CephxClient {
    let ring = Keyring::parse(include_str!("../../../testdata/keyring.aes256k")).unwrap();
    let name = AuthEntityName::parse("client.admin").unwrap();
    let key = ring.entities["client.admin"].key.clone();
    assert_eq!(key.kind(), KeyType::AES256KRB5);
    CephxClient::new(name, key)
}

/// A client's session with a service whose ticket it got in the other recording.
fn play_service(credentials: &CephxClient, recorded: (&[u8], &[u8]), service: EntityType) {
    let (mut c, mut s) = (Side::new(recorded.0), Side::new(recorded.1));
    assert_eq!((s.next().tag, c.next().tag), (Tag::HELLO, Tag::HELLO));
    let key = credentials.session_key(service).unwrap().clone();
    let first = c.control::<AuthRequest>().payload;
    let challenge = s.control::<AuthReplyMore>().payload;
    let second = c.control::<AuthRequestMore>().payload;
    let (head, proof) = opened(&key, &first);
    assert_eq!(head.ticket, credentials.tickets[&service].blob);
    assert_eq!(proof.challenge_plus_one, None);
    // Our own client answers the challenge as the recorded one did; what is sealed differs each time.
    let ours = credentials
        .authorizer(service, proof.nonce, Some(&challenge))
        .unwrap();
    assert_ne!(ours, second);
    assert_eq!(opened(&key, &ours), opened(&key, &second));
    let done: AuthDoneFrame = s.control();
    let secret = credentials.check_service_reply(service, proof.nonce, &done.payload);
    assert_eq!(secret, Ok(Some(Bytes::new())));
    check_signatures(&mut c, &mut s, &key, &Bytes::new());
    c.check_rewriting();
    s.check_rewriting();
}

fn opened(
    key: &crate::cephx::CryptoKey,
    authorizer: &Bytes,
) -> (crate::cephx::AuthorizerHead, crate::cephx::Authorize) {
    let mut r = Reader::new(authorizer);
    let head = crate::cephx::AuthorizerHead::decode(&mut r).unwrap();
    let usage = crate::cephx::KeyUsage::AUTHORIZE;
    (head, crate::cephx::open_blob(key, usage, &mut r).unwrap())
}

#[test]
fn librados_tentacle_with_an_aes256k_key_in_crc_mode() {
    let (credentials, c, s) = play_mon_as(
        admin_aes256k(),
        recorded!("tentacle-mon-crc-aes256k"),
        ConMode::CRC,
    );
    c.check_rewriting();
    s.check_rewriting();
    for ticket in credentials.tickets.values() {
        assert_eq!(
            ticket.session_key.kind(),
            KeyType::AES256KRB5,
            "{}",
            ticket.service
        );
    }
    play_service(
        &credentials,
        recorded!("tentacle-mgr-crc-aes256k"),
        EntityType::MGR,
    );
    play_service(
        &credentials,
        recorded!("tentacle-osd-crc-aes256k"),
        EntityType::OSD,
    );
}

#[test]
fn librados_tentacle_and_the_kernel_with_aes256k_keys_in_secure_mode() {
    for recorded in [
        recorded!("tentacle-mon-secure-aes256k"),
        recorded!("krbd7.2-mon-secure-aes256k"),
    ] {
        let (_, mut c, mut s) = play_mon_as(admin_aes256k(), recorded, ConMode::SECURE);
        assert!(!messages(&mut c).is_empty());
        assert!(messages(&mut s).contains(&MessageType::MON_MAP));
    }
}
