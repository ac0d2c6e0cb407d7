//! Who may resume, replace or reset a session, and what it may cost.

use super::*;
use crate::error::Misbehaved;

/// A session of this client with the OSD.
fn connect(
    credentials: &CephxClient,
    way: Way,
    nonce: u32,
    link: &Arc<Link>,
    osd: &Arc<ServerConfig>,
) -> (Established, Established) {
    establish(client(credentials, way, nonce, Some(link.clone())), osd).unwrap()
}

fn id(session: &Established) -> u64 {
    session.link.as_ref().unwrap().id()
}

fn link() -> Arc<Link> {
    Link::new(Bounds::default())
}

#[test]
fn a_client_resumes_its_session_and_both_sides_replay_what_is_not_acknowledged() {
    let realm = Realm::new();
    let admin = realm.tickets("client.admin");
    for way in WAYS {
        let (osd, link) = (realm.osd(way), link());
        let (mut c, mut s) = connect(&admin, way, 1, &link, &osd);
        let first = id(&s);
        c.write.send(&message(1));
        assert_eq!(talk(&mut c, &mut s), Ok((vec![], vec![1])));
        assert!(!link.has_unacknowledged(), "the server acknowledged");
        // Sent, but lost on the way; then a message while there is no connection.
        c.write.send(&message(2));
        s.write.send(&message(1));
        drop((c, s));
        assert!(link.send(message(3)));
        let (mut c, mut s) = connect(&admin, way, 1, &link, &osd);
        assert_eq!(id(&s), first, "{way:?}");
        assert_eq!(talk(&mut c, &mut s), Ok((vec![1], vec![2, 3])), "{way:?}");
        assert_eq!(s.peer.entity, "client.admin");
        assert_eq!(s.peer.mode, way.mode);
    }
}

#[test]
fn the_older_of_two_connections_of_a_session_neither_receives_nor_sends() {
    let realm = Realm::new();
    let admin = realm.tickets("client.admin");
    for way in WAYS {
        let (osd, link) = (realm.osd(way), link());
        let (mut old_c, mut old_s) = connect(&admin, way, 1, &link, &osd);
        old_c.write.send(&message(1));
        let on_its_way = old_c.write.output().take();
        let (mut c, mut s) = connect(&admin, way, 1, &link, &osd);
        old_s.read.read_buf().extend_from_slice(&on_its_way);
        assert_eq!(old_s.read.poll_event(), Err(Error::Superseded), "{way:?}");
        let _ = old_s.write.output().take();
        old_s.write.send(&message(1));
        assert!(old_s.write.output().is_empty(), "it waits for the newer one");
        s.write.pump();
        assert_eq!(talk(&mut c, &mut s), Ok((vec![1], vec![1])), "{way:?}");
    }
}

#[test]
fn a_stranger_at_the_same_address_with_the_same_cookies_gets_a_session_of_its_own() {
    let realm = Realm::new();
    let (admin, stranger) = (realm.tickets("client.admin"), realm.tickets("mgr.x"));
    for way in WAYS {
        let (osd, own) = (realm.osd(way), link());
        let (mut c, mut s) = connect(&admin, way, 1, &own, &osd);
        // All that the owner knows, in a stranger's hands.
        let stolen = link();
        {
            let (known, mut copy) = (own.state(), stolen.state());
            copy.client_cookie = known.client_cookie;
            copy.server_cookie = known.server_cookie;
            copy.connect_seq = known.connect_seq;
            copy.peer = known.peer.clone();
        }
        let (thief, with_thief) = connect(&stranger, way, 1, &stolen, &osd);
        assert_ne!(id(&with_thief), id(&s), "{way:?}");
        assert_ne!(id(&thief), stolen.id(), "it was told to begin anew");
        let (thief, _) = connect(&stranger, way, 1, &link(), &osd);
        drop(thief);
        c.write.send(&message(1));
        s.write.send(&message(1));
        assert_eq!(
            talk(&mut c, &mut s),
            Ok((vec![1], vec![1])),
            "{way:?}: the owner goes on"
        );
    }
}

#[test]
fn a_client_that_began_anew_ends_its_old_session() {
    let realm = Realm::new();
    let admin = realm.tickets("client.admin");
    for way in WAYS {
        let osd = realm.osd(way);
        let (_, mut s) = connect(&admin, way, 1, &link(), &osd);
        s.write.send(&message(1));
        let old = s.link.clone().unwrap();
        let (mut c, mut s) = connect(&admin, way, 1, &link(), &osd);
        assert!(old.is_closed() && id(&s) != old.id(), "{way:?}");
        assert!(!old.has_unacknowledged());
        s.write.send(&message(7));
        assert_eq!(talk(&mut c, &mut s), Ok((vec![7], vec![])), "{way:?}");
    }
}

#[test]
fn a_peer_that_began_anew_is_sent_what_waited_for_it() {
    let realm = Realm::new();
    let admin = realm.tickets("client.admin");
    for way in WAYS {
        let osd = realm.server(EntityType::OSD, way, Policies::all(Policy::lossless_peer()));
        let (_, mut s) = connect(&admin, way, 1, &link(), &osd);
        s.write.send(&message(1));
        let (mut c, mut s) = connect(&admin, way, 1, &link(), &osd);
        assert_eq!(talk(&mut c, &mut s), Ok((vec![1], vec![])), "{way:?}");
    }
}

#[test]
fn a_client_whose_server_began_anew_is_told_so_and_begins_anew() {
    let realm = Realm::new();
    let admin = realm.tickets("client.admin");
    for way in WAYS {
        let link = link();
        drop(connect(&admin, way, 1, &link, &realm.osd(way)));
        assert!(link.send(message(1)));
        let (mut c, mut s) = connect(&admin, way, 1, &link, &realm.osd(way));
        assert!(link.is_closed() && id(&c) != link.id(), "{way:?}");
        assert_eq!(talk(&mut c, &mut s), Ok((vec![], vec![])), "what waited is gone");
        c.write.send(&message(2));
        assert_eq!(talk(&mut c, &mut s), Ok((vec![], vec![2])));
    }
}

#[test]
fn a_server_whose_policy_is_lossy_makes_the_session_lossy() {
    let realm = Realm::new();
    let admin = realm.tickets("client.admin");
    for way in WAYS {
        let link = link();
        assert!(link.send(message(1)));
        let osd = realm.server(EntityType::OSD, way, Policies::all(Policy::stateless_server()));
        let (mut c, mut s) = connect(&admin, way, 1, &link, &osd);
        assert!(
            c.link.is_none() && s.link.is_none() && link.is_closed(),
            "{way:?}"
        );
        assert_eq!(talk(&mut c, &mut s), Ok((vec![], vec![1])), "what waited is sent");
        assert!(osd.sessions.is_empty());
    }
}

#[test]
fn a_policy_is_for_a_type_of_peer() {
    let policies = Policies::all(Policy::stateless_server()).with(EntityType::OSD, Policy::lossless_peer());
    assert!(policies.get(EntityType::CLIENT).lossy && !policies.get(EntityType::OSD).lossy);
    let realm = Realm::new();
    let admin = realm.tickets("client.admin");
    let osd = realm.server(EntityType::OSD, V2, policies);
    let (c, _) = connect(&admin, V2, 1, &link(), &osd);
    assert!(c.link.is_none(), "clients are of another type");
}

#[test]
fn a_count_of_connections_that_was_passed_has_to_be_raised() {
    let realm = Realm::new();
    let admin = realm.tickets("client.admin");
    for way in WAYS {
        let (osd, link) = (realm.osd(way), link());
        let (_, s) = connect(&admin, way, 1, &link, &osd);
        // The server has seen more of both than the client knows of.
        {
            let mut state = s.link.as_ref().unwrap().state();
            state.peer_global_seq += 1 << 20;
            state.connect_seq += 10;
        }
        let (mut c, mut s) = connect(&admin, way, 1, &link, &osd);
        c.write.send(&message(1));
        assert_eq!(talk(&mut c, &mut s), Ok((vec![], vec![1])), "{way:?}");
        assert!(!link.is_closed(), "{way:?}: the session was resumed");
    }
}

#[test]
fn an_introduction_that_is_older_than_the_session_is_refused() {
    let realm = Realm::new();
    let admin = realm.tickets("client.admin");
    let osd = realm.osd(V2);
    let (_, s) = connect(&admin, V2, 1, &link(), &osd);
    s.link.as_ref().unwrap().state().peer_global_seq = u64::MAX;
    let config = client(&admin, V2, 1, Some(link()));
    let error = establish(config, &osd).map(drop).unwrap_err();
    assert_eq!(error, Misbehaved::StaleConnection.into());
}

#[test]
fn of_two_peers_that_connect_at_the_same_time_the_one_with_the_lower_address_wins() {
    let realm = Realm::new();
    let admin = realm.tickets("client.admin");
    for way in [V1, V2] {
        // Our own address is 127.0.0.1:3300 with nonce 0, or :6789.
        for (nonce, wins) in [(0, true), (9, false)] {
            let osd = realm.server(EntityType::OSD, way, Policies::all(Policy::lossless_peer()));
            let mut config = client(&admin, way, nonce, Some(link()));
            if way == V1 {
                config.addrs.0[0].kind = encoding::types::AddrType::LEGACY;
            }
            let key = PeerKey {
                kind: EntityType::CLIENT,
                entity: "client.admin".to_owned(),
                addrs: config.addrs.clone(),
            };
            let ours = osd.sessions.dialled(key).unwrap();
            let dialling = ours.dial();
            let result = establish(config, &osd);
            if wins {
                let (_, s) = result.unwrap();
                assert_eq!(id(&s), ours.id(), "{way:?}");
                assert_eq!(dialling.owned().map(drop), Err(Error::Superseded), "{way:?}");
            } else {
                assert_eq!(result.map(drop), Err(Error::TryLater), "{way:?}: told to wait");
                assert!(dialling.owned().is_ok());
            }
        }
    }
}

#[test]
fn sessions_that_wait_make_room_for_new_ones_and_those_in_use_do_not() {
    let realm = Realm::new();
    let admin = realm.tickets("client.admin");
    let few = Bounds {
        sessions: 2,
        ..Bounds::default()
    };
    let mut osd = Arc::into_inner(realm.osd(V2)).unwrap();
    osd.sessions = Arc::new(SessionTable::new(few));
    let osd = Arc::new(osd);
    let one = connect(&admin, V2, 1, &link(), &osd);
    let two = connect(&admin, V2, 2, &link(), &osd);
    let third = client(&admin, V2, 3, Some(link()));
    assert_eq!(establish(third.clone(), &osd).map(drop), Err(Error::TryLater));
    let (waiting, in_use) = (one.1.link.clone().unwrap(), two.1.link.clone().unwrap());
    drop(one);
    assert!(establish(third, &osd).is_ok());
    assert!(waiting.is_closed() && !in_use.is_closed());
    assert_eq!(osd.sessions.len(), 2);
}

#[test]
fn a_session_ends_when_its_peer_does_not_come_back_in_time() {
    let realm = Realm::new();
    let admin = realm.tickets("client.admin");
    let osd = realm.osd(V2);
    let age = Bounds::default().age;
    let begun = Instant::now();
    let (c, s) = connect(&admin, V2, 1, &link(), &osd);
    osd.sessions.sweep(begun + 10 * age);
    let kept = s.link.clone().unwrap();
    assert!(!kept.is_closed(), "it has a connection");
    drop((c, s));
    osd.sessions.sweep(begun);
    osd.sessions.sweep(begun + age - Duration::from_secs(1));
    assert!(!kept.is_closed());
    osd.sessions.sweep(begun + age);
    assert!(kept.is_closed() && osd.sessions.is_empty());
}

#[test]
fn too_much_that_is_not_acknowledged_ends_a_session() {
    let bounds = Bounds {
        messages: 10,
        bytes: 5000,
        ..Bounds::default()
    };
    let many = Link::new(bounds);
    assert!((0..10).all(|_| many.send(message(0))));
    assert!(!many.send(message(0)) && many.is_closed());
    let long = Link::new(bounds);
    let mut bulk = message(0);
    bulk.data = [Bytes::from(vec![0; 4000])].into();
    assert!(long.send(bulk.clone()));
    assert!(!long.send(bulk) && !long.has_unacknowledged());
}

#[test]
fn the_bytes_of_all_sessions_of_a_table_are_bounded_together_and_given_back() {
    let bounds = Bounds {
        total: 10_000,
        ..Bounds::default()
    };
    let table = SessionTable::new(bounds);
    let key = |nonce| PeerKey {
        kind: EntityType::CLIENT,
        entity: "client.admin".to_owned(),
        addrs: EntityAddrVec(vec![EntityAddr::v2(address(0), nonce)]),
    };
    let (one, two) = (table.dialled(key(1)).unwrap(), table.dialled(key(2)).unwrap());
    let mut bulk = message(0);
    bulk.data = [Bytes::from(vec![0; 6000])].into();
    assert!(one.send(bulk.clone()));
    assert!(!two.send(bulk.clone()), "there is no room for both");
    one.close();
    assert!(table.dialled(key(3)).unwrap().send(bulk));
}

#[test]
fn whoever_asks_for_a_session_over_and_over_is_left() {
    use crate::v2::{
        FrameWriter, Output, Tag,
        control::{ControlFrame, SessionReconnect},
    };
    use encoding::{Encode, Features};
    let realm = Realm::new();
    let admin = realm.tickets("client.admin");
    let osd = realm.osd(V2);
    // A client up to its CLIENT_IDENT, in the place of which it asks to resume what there is not.
    let (mut c, mut s) = (dial(client(&admin, V2, 1, None)), accept(&osd));
    loop {
        c.step(now()).unwrap();
        let sent = c.output().take();
        if sent.first() == Some(&(Tag::AUTH_SIGNATURE as u8)) {
            s.receive(&sent[..32 + 32 + 4]);
            break;
        }
        s.receive(&sent);
        s.step(now()).unwrap();
        c.receive(&s.output().take());
    }
    let ask = SessionReconnect::default().to_bytes(Features::ALL);
    let mut out = Output::default();
    FrameWriter::default().put_control(SessionReconnect::TAG, &ask, &mut out);
    let ask = out.take();
    let mut result = Ok(HandshakeEvent::Pending);
    for _ in 0..9 {
        assert_eq!(result, Ok(HandshakeEvent::Pending));
        s.receive(&ask);
        result = s.step(now());
    }
    assert_eq!(result, Err(Misbehaved::TooManyConnects.into()));
}
