//! Our client role against our server role.

use bytes::Bytes;
use encoding::{
    Feature, Message, MessageType, RawMessage,
    messages::{MMonGetMap, MMonMap},
    types::Utime,
};

use super::*;
use crate::{
    Crc, Incompatible, Misbehaved, MonMapSource,
    cephx::{CryptoKey, errno},
    connection::Event,
};

#[test]
fn a_client_gets_tickets_at_the_monitor_and_shows_them_to_an_osd() {
    let keys = keys();
    let (credentials, at_mon) = with_tickets(&keys);
    assert_eq!(at_mon.peer.entity, "client.admin");
    assert_eq!(at_mon.peer.name.to_string(), "client.4100");
    assert_eq!(at_mon.peer.caps.text().as_deref(), Some("allow *"));
    assert_eq!(at_mon.peer.method, AuthMethod::CEPHX);
    assert_eq!(
        at_mon.peer.addrs.to_string().split('/').next(),
        Some("v1:127.0.0.1:0")
    );
    assert!(at_mon.mon_auth.is_some());
    assert_eq!(credentials.global_id, 4100);
    for service in [EntityType::OSD, EntityType::MGR] {
        let c = client_config(service, ClientAuth::Service(Box::new(credentials.clone())));
        let (at_client, at_service) = establish(c, server_config(service, keys.clone())).unwrap();
        assert_eq!(at_service.peer.entity, "client.admin");
        assert_eq!(at_service.peer.global_id, 4100);
        assert_eq!(at_service.peer.features, at_client.peer.features);
        assert!(at_service.mon_auth.is_none());
    }
}

#[test]
fn a_client_without_cephx_v2_is_not_challenged() {
    let (c, s) = with_osd(HAMMER);
    assert!(!s.peer.features.has(Feature::CEPHX_V2) && s.peer.features.has(Feature::MSG_AUTH));
    check_messages(c, s);
}

#[test]
fn data_of_a_large_message_is_aligned_in_memory_as_the_disk_wants_it() {
    let (mut c, mut s) = with_osd(Features::OURS);
    for front in [100, 3000, 0] {
        let mut message = RawMessage::new(MessageType::OSD_OP, 8, 3, vec![1; front].into());
        message.data = [vec![3; 1 << 20].into()].into();
        c.write.send(&message);
        let mut sent = c.write.output().take();
        let got = loop {
            let room = s.read.read_buf();
            let fits = (room.capacity() - room.len()).min(sent.len());
            room.extend_from_slice(&sent.split_to(fits));
            match s.read.poll_event().unwrap() {
                Some(Event::Message(got)) => break got,
                event => assert!(event.is_none() && !sent.is_empty()),
            }
        };
        assert_eq!(got.data, message.data);
        assert_eq!(got.data[0].as_ptr().addr() % 4096, 0);
    }
}

#[test]
fn messages_pass_signed_in_both_forms_unsigned_and_without_checksums() {
    for supported in [Features::OURS, HAMMER, UNSIGNED] {
        let (c, s) = with_osd(supported);
        check_messages(c, s);
    }
    for (header, data) in [(true, false), (false, true), (false, false)] {
        let mut c = client_config(EntityType::OSD, nobody());
        let mut s = without_auth(EntityType::OSD);
        (c.crc, s.crc) = (Crc { header, data }, Crc { header, data });
        let (c, s) = establish(c, s).unwrap();
        check_messages(c, s);
    }
}

fn check_messages(mut c: Established, mut s: Established) {
    let sizes = [(0, 0, 0), (10, 0, 0), (0, 0, 5000), (48, 3, 0), (100, 0, 1 << 20)];
    for (n, (front, middle, data)) in sizes.into_iter().enumerate() {
        let mut message = RawMessage::new(MessageType::OSD_OP, 8, 3, vec![1; front].into());
        message.header.tid = n as u64;
        message.middle = vec![2; middle].into();
        if data > 0 {
            let bytes = Bytes::from(vec![3; data]);
            message.data = vec![bytes.slice(..data / 2), bytes.slice(data / 2..)].into();
        }
        c.write.send(&message);
        s.read.receive(&c.write.output().take());
        let Ok(Some(Event::Message(got))) = s.read.poll_event() else {
            panic!("{n}")
        };
        assert_eq!(
            (got.header, &got.front, &got.middle),
            (message.header, &message.front, &message.middle)
        );
        assert_eq!(got.data_bytes(), message.data_bytes());
        assert_eq!(s.read.poll_event(), Ok(None));
        s.write.send(&got);
        c.read.receive(&s.write.output().take());
        assert_eq!(c.read.poll_event(), Ok(Some(Event::Message(got))));
    }
}

#[test]
fn keepalives_acknowledgements_and_the_end_pass() {
    let (mut c, mut s) = with_osd(Features::OURS);
    let stamp = Utime { sec: 5, nsec: 6 };
    c.write.keepalive(stamp);
    c.write.ack(7);
    c.write.close();
    s.read.receive(&c.write.output().take());
    assert_eq!(s.read.poll_event(), Ok(Some(Event::Keepalive(stamp))));
    assert_eq!(s.read.poll_event(), Ok(Some(Event::Ack(7))));
    assert_eq!(s.read.poll_event(), Ok(Some(Event::Close)));
    s.write.keepalive_ack(stamp);
    c.read.receive(&s.write.output().take());
    assert_eq!(c.read.poll_event(), Ok(Some(Event::KeepaliveAck(stamp))));
}

#[test]
fn a_keepalive_to_an_old_peer_has_no_time_stamp_and_no_answer() {
    let (mut c, mut s) = with_osd(Features(HAMMER.0 & !(1 << 42)));
    s.write.keepalive(Utime::default());
    let bytes = s.write.output().take();
    assert_eq!(&bytes[..], [Tag::KEEPALIVE.0]);
    c.read.receive(&bytes);
    assert_eq!(c.read.poll_event(), Ok(None));
}

#[test]
fn bytes_may_arrive_one_at_a_time() {
    let mut c = client(client_config(EntityType::MON, mon_auth(admin())));
    let mut s = server(server_config(EntityType::MON, keys()));
    let mut ready = (HandshakeEvent::Pending, HandshakeEvent::Pending);
    for _ in 0..40 {
        ready.0 = c.step(now()).unwrap();
        for byte in c.output().take() {
            s.receive(&[byte]);
            ready.1 = s.step(now()).unwrap();
        }
        for byte in s.output().take() {
            c.receive(&[byte]);
            ready.0 = c.step(now()).unwrap();
        }
    }
    assert_eq!(ready, (HandshakeEvent::Ready, HandshakeEvent::Ready));
}

#[test]
fn without_authentication_the_client_is_who_it_says() {
    let c = client_config(EntityType::MON, nobody());
    let (at_client, at_mon) = establish(c, without_auth(EntityType::MON)).unwrap();
    assert_eq!(
        (at_mon.peer.entity.as_str(), at_mon.peer.global_id),
        ("client.x", 4100)
    );
    assert_eq!(at_client.peer.global_id, 4100);
    assert!(at_mon.peer.caps.allow_all);
    assert_eq!(at_mon.peer.method, AuthMethod::NONE);
    let auth = ClientAuth::None {
        name: AuthEntityName::parse("client.x").unwrap(),
        global_id: 4100,
    };
    let (_, at_osd) = establish(
        client_config(EntityType::OSD, auth),
        without_auth(EntityType::OSD),
    )
    .unwrap();
    assert_eq!(
        (at_osd.peer.entity.as_str(), at_osd.peer.global_id),
        ("client.x", 4100)
    );
}

fn refused(result: Result<(Established, Established), Failure>) -> i32 {
    match result.err() {
        Some(Failure::Client(Error::Incompatible(Incompatible::AuthRefused { result, .. }))) => result,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wrong_key_an_unknown_entity_and_a_method_not_accepted_are_refused() {
    let mut wrong = admin();
    wrong.key = CryptoKey::generate(now());
    let mut unknown = admin();
    unknown.name.id = "nobody".to_owned();
    let cases = [
        (mon_auth(wrong), errno::EACCES),
        (mon_auth(unknown), errno::EACCES),
        (nobody(), errno::EOPNOTSUPP),
    ];
    for (auth, error) in cases {
        let c = client_config(EntityType::MON, auth);
        assert_eq!(
            refused(establish(c, server_config(EntityType::MON, keys()))),
            error
        );
    }
    let c = client_config(EntityType::OSD, nobody());
    assert_eq!(
        refused(establish(c, server_config(EntityType::OSD, keys()))),
        errno::EACCES
    );
}

#[test]
fn a_ticket_of_another_cluster_is_refused() {
    let (credentials, _) = with_tickets(&keys());
    let c = client_config(EntityType::OSD, ClientAuth::Service(Box::new(credentials)));
    assert_eq!(
        refused(establish(c, server_config(EntityType::OSD, keys()))),
        errno::EACCES
    );
}

#[test]
fn a_global_id_is_kept_by_who_shows_its_ticket() {
    let keys = keys();
    let (credentials, _) = with_tickets(&keys);
    let c = client_config(EntityType::MON, mon_auth(credentials.clone()));
    let (again, _) = establish(c, server_config(EntityType::MON, keys.clone())).unwrap();
    assert_eq!(again.peer.global_id, credentials.global_id);
    let mut thief = admin();
    thief.global_id = credentials.global_id;
    let c = client_config(EntityType::MON, mon_auth(thief));
    assert_eq!(
        refused(establish(c, server_config(EntityType::MON, keys))),
        errno::EACCES
    );
}

#[test]
fn a_client_without_required_features_is_told_which() {
    let mut s = server_config(EntityType::MON, keys());
    s.required = Features(1 << 48);
    let mut c = client_config(EntityType::MON, mon_auth(admin()));
    c.supported = Features::OURS.without(Features(1 << 48));
    let failure = establish(c, s).err();
    assert_eq!(
        failure,
        Some(Failure::Client(Incompatible::FeaturesRefused(1 << 48).into()))
    );
}

#[test]
fn bit_59_of_a_hammer_client_is_neither_taken_for_msg_addr2_nor_answered() {
    let mut c = client_config(EntityType::MON, mon_auth(admin()));
    c.supported = Features(HAMMER.0 | 1 << 59);
    let (at_client, at_mon) = establish(c, server_config(EntityType::MON, keys())).unwrap();
    for features in [at_mon.peer.features, at_client.peer.features] {
        assert_eq!(features.0 & 1 << 59, 0);
    }
}

#[test]
fn a_client_that_does_not_exchange_numbers_is_ready_at_once() {
    let mut c = client_config(EntityType::OSD, nobody());
    c.supported = HAMMER.without(Features(1 << 6));
    let (c, s) = establish(c, without_auth(EntityType::OSD)).unwrap();
    check_messages(c, s);
}

#[test]
fn a_client_that_means_another_server_goes_away() {
    let mut c = client_config(EntityType::MON, mon_auth(admin()));
    c.target.nonce = 9;
    let failure = establish(c, server_config(EntityType::MON, keys())).err();
    let why = Misbehaved::WrongAddress("v1:127.0.0.1:6789/0".to_owned());
    assert_eq!(failure, Some(Failure::Client(why.into())));
}

#[derive(Debug)]
struct Map;

impl MonMapSource for Map {
    fn monmap(&self, _: Features) -> (u32, Bytes) {
        (3, Bytes::from_static(b"map"))
    }
}

#[test]
fn the_monitor_map_is_told_before_authentication_and_right_after_it() {
    let mut config = server_config(EntityType::MON, keys());
    config.monmap = Some(Arc::new(Map));
    let mut mon = MonHandshake::new(Arc::new(config), HAMMER);
    let asked = MMonGetMap::default().encode(HAMMER).with_tid(5);
    let step = mon.handle(&asked, now()).unwrap();
    assert_eq!(step.replies[0].header.tid, 5);
    assert_eq!(MMonMap::decode(&step.replies[0]).unwrap().monmap, &b"map"[..]);
    assert!(!step.is_done());

    let mut config = without_auth(EntityType::MON);
    config.monmap = Some(Arc::new(Map));
    let (mut c, _) = establish(client_config(EntityType::MON, nobody()), config).unwrap();
    let Ok(Some(Event::Message(first))) = c.read.poll_event() else {
        panic!()
    };
    assert_eq!(first.header.kind, MessageType::MON_MAP);
}
