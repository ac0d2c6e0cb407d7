//! Our client role against our server role.

use bytes::Bytes;
use encoding::{Features, MessageType, RawMessage, types::Utime};

use super::*;
use crate::{
    Protocol,
    auth::{AuthMethod, ConMode},
    cephx::{CryptoKey, errno},
    error::{Incompatible, Misbehaved},
};

#[test]
fn a_client_gets_tickets_at_the_monitor_and_shows_them_to_an_osd() {
    for mode in [ConMode::CRC, ConMode::SECURE] {
        let keys = keys();
        let mut c = client_config(EntityType::MON, mon_auth(admin()));
        c.modes = vec![mode];
        let (at_client, at_mon) = establish(c, server_config(EntityType::MON, keys.clone())).unwrap();
        assert_eq!(at_mon.peer.entity, "client.admin");
        assert_eq!(at_mon.peer.name.to_string(), "client.4100");
        assert_eq!(at_mon.peer.caps.text().as_deref(), Some("allow *"));
        assert_eq!((at_mon.peer.mode, at_client.peer.mode), (mode, mode));
        assert!(at_mon.mon_auth.is_some());

        let credentials = at_client.credentials.unwrap();
        assert_eq!(credentials.global_id, 4100);
        for service in [EntityType::OSD, EntityType::MGR, EntityType::MON] {
            let mut c = client_config(service, ClientAuth::Service(Box::new(credentials.clone())));
            c.modes = vec![mode];
            let (_, at_service) = establish(c, server_config(service, keys.clone())).unwrap();
            assert_eq!(at_service.peer.entity, "client.admin");
            assert_eq!(at_service.peer.global_id, 4100);
            assert!(at_service.mon_auth.is_none());
        }
    }
}

#[test]
fn messages_pass_in_all_modes_with_front_middle_and_data() {
    let modes = [
        (Protocol::V2, ConMode::CRC),
        (Protocol::V2, ConMode::SECURE),
        (Protocol::V20, ConMode::CRC),
    ];
    for (protocol, mode) in modes {
        let mut c = client_config(EntityType::MON, mon_auth(admin()));
        c.modes = vec![mode];
        c.protocol = protocol;
        let (mut c, mut s) = establish(c, server_config(EntityType::MON, keys())).unwrap();
        let sizes = [
            (0, 0, 0),
            (10, 0, 0),
            (0, 0, 5000),
            (48, 3, 0),
            (100, 0, 1 << 20),
            (16, 16, 16),
        ];
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
                panic!("{mode:?} {n}");
            };
            assert_eq!(
                (got.header, &got.front, &got.middle),
                (message.header, &message.front, &message.middle)
            );
            assert_eq!(got.data_bytes(), message.data_bytes());
            assert_eq!(s.read.poll_event(), Ok(None));
        }
        let stamp = Utime { sec: 5, nsec: 6 };
        s.write.keepalive(stamp);
        c.read.receive(&s.write.output().take());
        assert_eq!(c.read.poll_event(), Ok(Some(Event::Keepalive(stamp))));
        c.write.keepalive_ack(stamp);
        s.read.receive(&c.write.output().take());
        assert_eq!(s.read.poll_event(), Ok(Some(Event::KeepaliveAck(stamp))));
    }
}

/// Receives as from a socket: what fits into the room that is made.
fn receive_in_pieces(read: &mut ReadHalf, mut sent: Bytes) -> Option<Event> {
    while !sent.is_empty() {
        let room = read.read_buf();
        let fits = (room.capacity() - room.len()).min(sent.len());
        room.extend_from_slice(&sent.split_to(fits));
        if let Some(event) = read.poll_event().unwrap() {
            return Some(event);
        }
    }
    None
}

#[test]
fn data_of_large_messages_is_aligned_in_memory_as_the_disk_wants_it() {
    for (protocol, mode) in [
        (Protocol::V2, ConMode::CRC),
        (Protocol::V2, ConMode::SECURE),
        (Protocol::V20, ConMode::CRC),
    ] {
        let mut c = client_config(EntityType::MON, mon_auth(admin()));
        c.modes = vec![mode];
        c.protocol = protocol;
        let (mut c, mut s) = establish(c, server_config(EntityType::MON, keys())).unwrap();
        for (front, middle) in [(100, 0), (7, 5), (3000, 0), (0, 0)] {
            let mut message = RawMessage::new(MessageType::OSD_OP, 8, 3, vec![1; front].into());
            message.middle = vec![2; middle].into();
            message.data = [vec![3; 1 << 20].into()].into();
            c.write.send(&message);
            let event = receive_in_pieces(&mut s.read, c.write.output().take());
            let Some(Event::Message(got)) = event else {
                panic!("{mode:?} {front} {middle}");
            };
            assert_eq!(got.data, message.data);
            assert_eq!(
                got.data[0].as_ptr().addr() % 4096,
                0,
                "{protocol:?} {mode:?} {front} {middle}"
            );
        }
    }
}

#[test]
fn peers_of_which_one_knows_v2_0_alone_speak_v2_0_without_secure_mode() {
    for (ours, theirs) in [(Protocol::V20, Protocol::V2), (Protocol::V2, Protocol::V20)] {
        let mut s = server_config(EntityType::MON, keys());
        s.protocol = ours;
        let mut c = client_config(EntityType::MON, mon_auth(admin()));
        c.protocol = theirs;
        c.modes = vec![ConMode::SECURE, ConMode::CRC];
        let (_, at_mon) = establish(c.clone(), s).unwrap();
        assert_eq!(at_mon.peer.mode, ConMode::CRC);
        let mut s = server_config(EntityType::MON, keys());
        s.protocol = ours;
        c.modes = vec![ConMode::SECURE];
        assert_eq!(refused(establish(c, s)), errno::EOPNOTSUPP);
    }
}

#[test]
fn bytes_may_arrive_one_at_a_time() {
    let mut c = client(client_config(EntityType::MON, mon_auth(admin())));
    let mut s = server(server_config(EntityType::MON, keys()));
    let mut ready = (HandshakeEvent::Pending, HandshakeEvent::Pending);
    for _ in 0..20 {
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
    let mut config = server_config(EntityType::MON, keys());
    config.auth.methods = vec![AuthMethod::NONE];
    let auth = ClientAuth::None {
        name: AuthEntityName::parse("client.x").unwrap(),
        global_id: 0,
    };
    let mut c = client_config(EntityType::MON, auth);
    c.modes = vec![ConMode::SECURE, ConMode::CRC];
    let (_, at_mon) = establish(c, config).unwrap();
    assert_eq!(at_mon.peer.entity, "client.x");
    assert_eq!(at_mon.peer.global_id, 4100);
    assert_eq!(at_mon.peer.mode, ConMode::CRC, "there is no key to encrypt with");
    assert!(at_mon.peer.caps.allow_all);
}

fn refused(result: Result<(Established, Established), Failure>) -> i32 {
    match result.err() {
        Some(Failure::Client(Error::Incompatible(Incompatible::AuthRefused { result, .. }))) => result,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wrong_key_is_refused_with_eacces() {
    let mut wrong = admin();
    wrong.key = CryptoKey::generate(now());
    let c = client_config(EntityType::MON, mon_auth(wrong));
    assert_eq!(
        refused(establish(c, server_config(EntityType::MON, keys()))),
        errno::EACCES
    );
}

#[test]
fn an_unknown_entity_is_refused_with_eacces() {
    let mut nobody = admin();
    nobody.name.id = "nobody".to_owned();
    let c = client_config(EntityType::MON, mon_auth(nobody));
    assert_eq!(
        refused(establish(c, server_config(EntityType::MON, keys()))),
        errno::EACCES
    );
}

#[test]
fn a_method_or_mode_that_is_not_accepted_is_refused_with_eopnotsupp() {
    let none = ClientAuth::None {
        name: AuthEntityName::parse("client.admin").unwrap(),
        global_id: 0,
    };
    let c = client_config(EntityType::MON, none);
    assert_eq!(
        refused(establish(c, server_config(EntityType::MON, keys()))),
        errno::EOPNOTSUPP
    );
    let mut crc_only = server_config(EntityType::MON, keys());
    crc_only.auth.modes = vec![ConMode::CRC];
    let mut c = client_config(EntityType::MON, mon_auth(admin()));
    c.modes = vec![ConMode::SECURE];
    assert_eq!(refused(establish(c, crc_only)), errno::EOPNOTSUPP);
}

/// Credentials with tickets of `keys`.
fn with_tickets(keys: &Arc<KeyringServer>) -> (CephxClient, Established) {
    let c = client_config(EntityType::MON, mon_auth(admin()));
    let (c, s) = establish(c, server_config(EntityType::MON, keys.clone())).unwrap();
    (c.credentials.unwrap(), s)
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
fn a_ticket_for_one_service_does_not_open_another() {
    let keys = keys();
    let (mut credentials, _) = with_tickets(&keys);
    let osd = credentials.tickets[&EntityType::OSD].clone();
    credentials.tickets.insert(EntityType::MGR, osd);
    let c = client_config(EntityType::MGR, ClientAuth::Service(Box::new(credentials)));
    assert_eq!(
        refused(establish(c, server_config(EntityType::MGR, keys))),
        errno::EACCES
    );
}

#[test]
fn tickets_are_renewed_in_the_session_and_rotating_keys_are_not_for_clients() {
    let keys = keys();
    let (mut credentials, at_mon) = with_tickets(&keys);
    let mut mon = at_mon.mon_auth.unwrap();
    let old = credentials.tickets[&EntityType::OSD].clone();
    let request = credentials.ticket_request(&[EntityType::OSD]).unwrap();
    credentials
        .take_ticket_reply(&mon.handle_request(request, now()).unwrap())
        .unwrap();
    assert_ne!(credentials.tickets[&EntityType::OSD], old);
    let c = client_config(EntityType::OSD, ClientAuth::Service(Box::new(credentials)));
    establish(c, server_config(EntityType::OSD, keys)).unwrap();
    assert_eq!(
        mon.handle_request(Bytes::from_static(&[0, 4]), now()),
        Err(errno::EACCES)
    );
    assert_eq!(
        mon.handle_request(Bytes::from_static(&[0, 8]), now()),
        Err(errno::EINVAL)
    );
    assert_eq!(mon.handle_request(Bytes::new(), now()), Err(errno::EPERM));
}

#[test]
fn tickets_of_a_secret_that_was_rotated_away_are_refused() {
    let keys = keys();
    let (credentials, _) = with_tickets(&keys);
    let service = |c: CephxClient| client_config(EntityType::OSD, ClientAuth::Service(Box::new(c)));
    for hours in 1..=2 {
        keys.rotate(now() + std::time::Duration::from_secs(3600 * hours));
    }
    establish(
        service(credentials.clone()),
        server_config(EntityType::OSD, keys.clone()),
    )
    .unwrap();
    for hours in 3..=4 {
        keys.rotate(now() + std::time::Duration::from_secs(3600 * hours));
    }
    let late = establish(service(credentials), server_config(EntityType::OSD, keys));
    assert_eq!(refused(late), errno::EACCES);
}

#[test]
fn a_client_without_required_features_is_told_which() {
    let mut s = server_config(EntityType::MON, keys());
    s.required = Features(1 << 48);
    let mut c = client_config(EntityType::MON, mon_auth(admin()));
    c.supported = Features(Features::OURS.0 & !(1 << 48));
    let failure = establish(c, s).err();
    let expected = Incompatible::FeaturesRefused(1 << 48);
    assert_eq!(failure, Some(Failure::Client(expected.into())));
}

#[test]
fn a_client_that_means_another_address_is_sent_away() {
    let mut c = client_config(EntityType::MON, mon_auth(admin()));
    c.target.nonce = 9;
    let failure = establish(c, server_config(EntityType::MON, keys())).err();
    let expected = Misbehaved::WrongTarget("v2:127.0.0.1:3300/9".to_owned());
    assert_eq!(failure, Some(Failure::Server(expected.into())));
}
