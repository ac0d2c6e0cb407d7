//! Key types: every combination of a client's key and the services' secrets, keys that are replaced, keys that are
//! not allowed.

use super::*;
use crate::{
    auth::ConMode,
    cephx::{CryptoKey, KeyServer, RotatingSecrets, TicketTtl, errno},
    error::Incompatible,
};

const TYPES: [KeyType; 2] = [KeyType::AES, KeyType::AES256KRB5];

/// A server whose `client.admin` has a key of that type; and that client.
fn with_key(kind: KeyType, services: KeyType) -> (Arc<KeyringServer>, CephxClient) {
    let mut ring = Keyring::parse(KEYRING).unwrap();
    let key = CryptoKey::generate_of(kind, now()).unwrap();
    ring.entities.get_mut("client.admin").unwrap().key = key.clone();
    let keys = KeyringServer::new(ring, 4100, now()).with_service_cipher(services, now());
    let name = AuthEntityName::parse("client.admin").unwrap();
    (Arc::new(keys), CephxClient::new(name, key))
}

fn log_in(keys: &Arc<KeyringServer>, client: CephxClient, mode: ConMode) -> Result<Established, Failure> {
    let mut c = client_config(EntityType::MON, mon_auth(client));
    c.modes = vec![mode];
    Ok(establish(c, server_config(EntityType::MON, keys.clone()))?.0)
}

fn use_ticket(keys: &Arc<KeyringServer>, client: CephxClient, mode: ConMode) -> Result<Established, Failure> {
    let mut c = client_config(EntityType::OSD, ClientAuth::Service(Box::new(client)));
    c.modes = vec![mode];
    Ok(establish(c, server_config(EntityType::OSD, keys.clone()))?.1)
}

fn refused(result: Result<Established, Failure>) -> i32 {
    match result.err() {
        Some(Failure::Client(Error::Incompatible(Incompatible::AuthRefused { result, .. }))) => result,
        other => panic!("{other:?}"),
    }
}

#[test]
fn session_keys_are_of_the_lower_type_of_key_and_service_secret() {
    for (own, services) in TYPES.into_iter().flat_map(|a| TYPES.map(|b| (a, b))) {
        for mode in [ConMode::CRC, ConMode::SECURE] {
            let (keys, client) = with_key(own, services);
            let credentials = log_in(&keys, client, mode).unwrap().credentials.unwrap();
            assert_eq!(credentials.session_key(EntityType::AUTH).unwrap().kind(), own);
            let osd = credentials.session_key(EntityType::OSD).unwrap().kind();
            assert_eq!(osd, own.min(services), "{own:?} {services:?}");
            let at_osd = use_ticket(&keys, credentials, mode).unwrap();
            assert_eq!((at_osd.peer.key_type, at_osd.peer.mode), (Some(osd), mode));
        }
    }
}

#[test]
fn tickets_are_renewed_and_the_global_id_kept_with_an_aes256k_key() {
    let (keys, client) = with_key(KeyType::AES256KRB5, KeyType::AES);
    let c = client_config(EntityType::MON, mon_auth(client));
    let (c, s) = establish(c, server_config(EntityType::MON, keys.clone())).unwrap();
    let (mut credentials, mut mon) = (c.credentials.unwrap(), s.mon_auth.unwrap());
    // The services' secrets change their type meanwhile.
    let secrets = RotatingSecrets::clone(&keys.secrets());
    let mut wiped = secrets.clone();
    wiped.wipe(now(), &TicketTtl::default(), KeyType::AES256KRB5);
    keys.set_secrets(wiped);
    assert_eq!(
        refused(use_ticket(&keys, credentials.clone(), ConMode::CRC)),
        errno::EACCES
    );
    let request = credentials.ticket_request(&[EntityType::OSD]).unwrap();
    credentials
        .take_ticket_reply(&mon.handle_request(request, now()).unwrap())
        .unwrap();
    let key = credentials.session_key(EntityType::OSD).unwrap();
    assert_eq!(key.kind(), KeyType::AES256KRB5);
    use_ticket(&keys, credentials.clone(), ConMode::SECURE).unwrap();

    let id = credentials.global_id;
    let again = log_in(&keys, credentials, ConMode::CRC).unwrap();
    assert_eq!(again.peer.global_id, id, "the ticket was shown");
}

#[test]
fn both_keys_work_until_the_pending_one_is_used() {
    let (keys, old) = with_key(KeyType::AES, KeyType::AES256KRB5);
    let mut ring = Keyring::parse(KEYRING).unwrap();
    let entity = ring.entities.get_mut("client.admin").unwrap();
    entity.key = old.key.clone();
    let pending = CryptoKey::generate_of(KeyType::AES256KRB5, now()).unwrap();
    entity.pending_key = Some(pending.clone());
    assert_eq!(Keyring::parse(&ring.format()).unwrap(), ring);
    keys.set_keyring(ring);
    let new = CephxClient::new(old.name.clone(), pending.clone());

    log_in(&keys, old.clone(), ConMode::CRC).unwrap();
    let with_pending = log_in(&keys, new.clone(), ConMode::SECURE).unwrap();
    let credentials = with_pending.credentials.unwrap();
    assert_eq!(
        credentials.session_key(EntityType::AUTH).unwrap().kind(),
        KeyType::AES256KRB5
    );
    let entity = keys.entity("client.admin").unwrap();
    assert_eq!((entity.key, entity.pending_key), (pending, None));
    assert_eq!(refused(log_in(&keys, old, ConMode::CRC)), errno::EACCES);
    log_in(&keys, new, ConMode::CRC).unwrap();
}

/// A server that allows aes256k keys alone.
struct Strict(Arc<KeyringServer>);

impl KeyServer for Strict {
    fn entity(&self, name: &str) -> Option<crate::cephx::EntityAuth> {
        self.0.entity(name)
    }

    fn next_global_id(&self) -> Option<u64> {
        self.0.next_global_id()
    }

    fn secrets(&self) -> Arc<RotatingSecrets> {
        self.0.secrets()
    }

    fn is_cipher_allowed(&self, kind: KeyType) -> bool {
        kind == KeyType::AES256KRB5
    }
}

#[test]
fn a_key_of_a_type_that_is_not_allowed_is_refused_with_eacces() {
    for (kind, allowed) in [(KeyType::AES, false), (KeyType::AES256KRB5, true)] {
        let (keys, client) = with_key(kind, KeyType::AES256KRB5);
        let mut config = server_config(EntityType::MON, keys.clone());
        config.auth.keys = Arc::new(Strict(keys));
        let c = client_config(EntityType::MON, mon_auth(client));
        let result = establish(c, config).map(|(c, _)| c);
        match allowed {
            true => drop(result.unwrap()),
            false => assert_eq!(refused(result), errno::EACCES),
        }
    }
}
