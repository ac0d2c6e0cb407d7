//! Behaviours of keys and tickets: long sessions, keys that are replaced, clients of both key types.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use encoding::types::EntityType;
use msgr::cephx::{
    AuthEntityName, CephxClient, CryptoKey, KeyServer, KeyType, MonAuthSession, ServiceAuth, Verdict, errno,
};

use super::{
    state_store::{MemoryState, StateStore},
    tests::{cluster, endpoints},
    *,
};

const SERVICES: [EntityType; 3] = [EntityType::MON, EntityType::OSD, EntityType::MGR];

fn client(name: &str, key: CryptoKey) -> CephxClient {
    CephxClient::new(AuthEntityName::parse(name).unwrap(), key)
}

/// Authenticates at the monitor.
fn log_in(c: &Arc<Cluster>, client: &mut CephxClient, now: SystemTime) -> Result<MonAuthSession, i32> {
    let keys: Arc<dyn KeyServer> = c.clone();
    let (mut session, challenge) = MonAuthSession::start(keys, client.name.clone(), client.global_id)?;
    let answer = client.answer_mon_challenge(&challenge, &SERVICES).unwrap();
    let done = session.authenticate(&answer, 0, now)?;
    client.take_mon_reply(&done.reply).unwrap();
    client.global_id = session.global_id();
    Ok(session)
}

/// Whether an OSD lets the client in.
fn enters_osd(c: &Cluster, client: &CephxClient) -> bool {
    let mut osd = ServiceAuth::new(EntityType::OSD);
    let secrets = c.secrets();
    let first = client.authorizer(EntityType::OSD, 7, None).unwrap();
    let Verdict::Challenge(challenge) = osd.verify(&secrets, &first, 0) else {
        return false;
    };
    let second = client.authorizer(EntityType::OSD, 7, Some(&challenge)).unwrap();
    matches!(osd.verify(&secrets, &second, 0), Verdict::Accepted(_))
}

fn renew(mon: &mut MonAuthSession, client: &mut CephxClient, now: SystemTime) {
    let request = client.ticket_request(&SERVICES).unwrap();
    let reply: Bytes = mon.handle_request(request, now).unwrap();
    client.take_ticket_reply(&reply).unwrap();
}

/// A client of each key type, in a cluster whose secrets are as `service` says.
fn clients(c: &Cluster) -> [CephxClient; 2] {
    [("client.old", KeyType::AES), ("client.new", KeyType::AES256KRB5)].map(|(name, kind)| {
        let caps = [
            ("mon".to_owned(), "allow r".to_owned()),
            ("osd".to_owned(), "allow rw".to_owned()),
        ];
        let auth = c.add_entity(name, Some(new_key(kind).unwrap()), &caps).unwrap();
        client(name, auth.key)
    })
}

#[test]
fn a_session_of_days_renews_its_tickets_while_secrets_rotate() {
    let c = cluster();
    let start = SystemTime::now();
    for mut client in clients(&c) {
        let mut mon = log_in(&c, &mut client, start).unwrap();
        let mut renew_at = start;
        let mut renewed = 0;
        // Five days in steps of five minutes; the ticket that buys others lives for three.
        for minutes in (0..5 * 24 * 60).step_by(5) {
            let now = start + Duration::from_secs(60 * minutes);
            c.tick(now).unwrap();
            if now >= renew_at {
                let auth = &client.tickets[&EntityType::AUTH];
                // As clients do: three quarters of a ticket's life from when it came.
                if now > start + auth.validity * 3 / 4 && renewed % 48 == 47 {
                    mon = log_in(&c, &mut client, now).unwrap();
                }
                renew(&mut mon, &mut client, now);
                renew_at = now + client.tickets[&EntityType::OSD].validity * 3 / 4;
                renewed += 1;
            }
            assert!(enters_osd(&c, &client), "{} after {minutes} minutes", client.name);
        }
        assert!(renewed > 100, "{renewed}");
    }
}

#[test]
fn short_lives_by_option_rotate_secrets_after_a_wipe() {
    let c = cluster();
    c.set_config("mon", "auth_service_ticket_ttl", Some("20"))
        .unwrap();
    let start = SystemTime::now();
    let before = c.secrets();
    assert_eq!(c.wipe_service_secrets(start).unwrap(), 1);
    let [mut old, _] = clients(&c);
    let mut mon = log_in(&c, &mut old, start).unwrap();
    for seconds in (0..300).step_by(5) {
        let now = start + Duration::from_secs(seconds);
        c.tick(now).unwrap();
        if seconds % 15 == 0 {
            renew(&mut mon, &mut old, now);
        }
        assert!(enters_osd(&c, &old), "after {seconds} s");
    }
    let ids = |s: &msgr::cephx::RotatingSecrets| s.services[&EntityType::OSD].ids().unwrap();
    assert!(ids(&c.secrets()).0 > ids(&before).1 + 10);
}

#[test]
fn who_slept_through_the_rotations_is_refused_by_the_osd_and_gets_a_new_ticket_from_the_monitor() {
    let c = cluster();
    let start = SystemTime::now();
    let [_, mut new] = clients(&c);
    let mut mon = log_in(&c, &mut new, start).unwrap();
    for hours in 1..6 {
        c.tick(start + Duration::from_secs(3600 * hours)).unwrap();
    }
    assert!(!enters_osd(&c, &new));
    renew(&mut mon, &mut new, start + Duration::from_secs(6 * 3600));
    assert!(enters_osd(&c, &new));
}

#[test]
fn a_global_id_is_reclaimed_with_its_ticket_alone_unless_the_option_lets_old_clients() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryState::default());
    let c = Cluster::open(store.clone(), &endpoints(1)).unwrap();
    let [mut old, _] = clients(&c);
    let now = SystemTime::now();
    log_in(&c, &mut old, now).unwrap();
    let id = old.global_id;
    // The server starts again: the ticket is still good.
    drop(c);
    let c = Cluster::open(store, &endpoints(2)).unwrap();
    assert_eq!(log_in(&c, &mut old, now).unwrap().global_id(), id);

    let mut thief = client("client.old", old.key.clone());
    thief.global_id = id;
    assert_eq!(log_in(&c, &mut thief, now).err(), Some(errno::EACCES));
    let option = "auth_allow_insecure_global_id_reclaim";
    c.set_config("mon", option, Some("true")).unwrap();
    // Still: a client of today has to show its ticket.
    assert_eq!(log_in(&c, &mut thief, now).err(), Some(errno::EACCES));
    // One from before the fix says so by its version, and cannot.
    assert!(log_in_as_version(&c, &thief, 2, now).is_ok());
    assert!(log_in_as_version(&c, &thief, 1, now).is_ok());
    c.set_config("mon", option, None).unwrap();
    assert_eq!(log_in_as_version(&c, &thief, 2, now).err(), Some(errno::EACCES));
}

/// The answer of a client of an older version: the version byte stands behind the request's 16-bit number, and
/// version 1 ends before the mask of services.
fn log_in_as_version(
    c: &Arc<Cluster>,
    client: &CephxClient,
    version: u8,
    now: SystemTime,
) -> Result<(), i32> {
    let keys: Arc<dyn KeyServer> = c.clone();
    let (mut session, challenge) =
        MonAuthSession::start(keys, client.name.clone(), client.global_id).unwrap();
    let answer = client.answer_mon_challenge(&challenge, &SERVICES).unwrap();
    let mut old = answer.to_vec();
    old[2] = version;
    if version < 2 {
        old.truncate(old.len() - 4);
    }
    let done = session.authenticate(&old.into(), 0, now)?;
    let mut client = client.clone();
    client.take_mon_reply(&done.reply).unwrap();
    // What was not asked for is not given.
    assert_eq!(client.tickets.contains_key(&EntityType::OSD), version >= 2);
    Ok(())
}

#[test]
fn a_pending_key_takes_the_others_place_at_the_tick_after_its_first_use() {
    let c = cluster();
    let [mut old, _] = clients(&c);
    let key = new_key(KeyType::AES256KRB5).unwrap();
    c.edit_entity("client.old", |auth| {
        auth.pending_key = Some(key.clone());
        true
    })
    .unwrap();
    let now = SystemTime::now();
    log_in(&c, &mut old, now).unwrap();
    c.tick(now).unwrap();
    assert!(
        c.entity("client.old").unwrap().pending_key.is_some(),
        "not used yet"
    );
    let mut new = client("client.old", key.clone());
    log_in(&c, &mut new, now).unwrap();
    // Others who have the old key only are let in until then.
    let mut other = client("client.old", old.key.clone());
    log_in(&c, &mut other, now).unwrap();
    c.tick(now).unwrap();
    let auth = c.entity("client.old").unwrap();
    assert_eq!((auth.key, auth.pending_key), (key, None));
    assert_eq!(
        log_in(&c, &mut client("client.old", old.key), now).err(),
        Some(errno::EACCES)
    );
}

#[test]
fn ciphers_are_kept_and_told_in_new_epochs_of_the_monitor_map() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryState::default());
    let c = Cluster::open(store.clone(), &endpoints(1)).unwrap();
    let epoch = c.monmap().epoch;
    let watch = c.watch_monmap();
    assert!(
        c.set_cipher(CipherSetting::Preferred(KeyType::AES256KRB5))
            .unwrap()
    );
    assert!(
        !c.set_cipher(CipherSetting::Preferred(KeyType::AES256KRB5))
            .unwrap()
    );
    let only = vec![KeyType::AES256KRB5];
    assert!(c.set_cipher(CipherSetting::Allowed(only)).unwrap());
    assert!(watch.has_changed().unwrap());
    let [mut old, mut new] = clients(&c);
    let now = SystemTime::now();
    assert_eq!(log_in(&c, &mut old, now).err(), Some(errno::EACCES));
    log_in(&c, &mut new, now).unwrap();
    drop(c);
    let c = Cluster::open(store, &endpoints(2)).unwrap();
    assert_eq!(c.monmap().epoch, epoch + 2);
    assert_eq!(
        (c.ciphers().preferred_cipher, c.ciphers().allowed_ciphers),
        (2, vec![2])
    );
    assert_eq!(
        c.add_entity("client.x", None, &[]).unwrap().key.kind(),
        KeyType::AES256KRB5
    );
}
