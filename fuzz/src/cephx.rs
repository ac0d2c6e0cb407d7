//! cephx: keys, tickets, authorizers and keyrings decoded and encoded again; requests to the monitor and authorizers
//! to an OSD judged by what judges them there.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use encoding::types::EntityType;
use encoding::{Decode, Encode, Features};
use msgr::cephx::{
    AuthCapsInfo, AuthEntityName, AuthTicket, Authorize, AuthorizeChallenge, AuthorizeReply, AuthorizerHead,
    CryptoKey, ExpiringKey, KeyServer, KeyType, KeyUsage, Keyring, KeyringServer, MonAuthSession,
    RotatingSecrets, ServiceAuth, ServiceSecrets, ServiceTicketInfo, TicketBlob, TicketTtl, open,
};

use crate::{bounded, take};

/// What an input holds: its first byte.
pub mod kind {
    /// Any of the types that are sent or stored.
    pub const VALUE: u8 = 0;
    /// What somebody sealed with [`super::KEY`].
    pub const SEALED: u8 = 1;
    /// A keyring file.
    pub const KEYRING: u8 = 2;
    /// What a client answers to the monitor's challenge.
    pub const MON: u8 = 3;
    /// What a client asks of the monitor later.
    pub const REQUEST: u8 = 4;
    /// An authorizer.
    pub const AUTHORIZER: u8 = 5;
}

/// The key of `client.admin` in the recordings: a throw-away one.
pub const KEY: &str = "AQByZwBrN4GwFRAA9rR2yzc7eQXNAmnHnFxtpw==";

fn keyring() -> Keyring {
    let text = format!("[client.admin]\n\tkey = {KEY}\n\tcaps mon = \"allow *\"\n");
    Keyring::parse(&text).unwrap_or_default()
}

/// When the recordings were made, about.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn check<T: Decode + Encode>(bytes: &Bytes) {
    let Ok(value) = T::from_bytes(bytes) else { return };
    if let Err(error) = T::from_bytes(&value.to_bytes(Features::NONE)) {
        panic!(
            "{} does not decode what it encodes: {error}",
            std::any::type_name::<T>()
        );
    }
}

fn check_all(bytes: &Bytes) {
    check::<CryptoKey>(bytes);
    check::<ExpiringKey>(bytes);
    check::<ServiceSecrets>(bytes);
    check::<RotatingSecrets>(bytes);
    check::<AuthEntityName>(bytes);
    check::<AuthCapsInfo>(bytes);
    check::<AuthTicket>(bytes);
    check::<ServiceTicketInfo>(bytes);
    check::<TicketBlob>(bytes);
    check::<AuthorizerHead>(bytes);
    check::<Authorize>(bytes);
    check::<AuthorizeChallenge>(bytes);
    check::<AuthorizeReply>(bytes);
}

/// Opens what was sealed with a key that everybody knows, for each use there is a type for.
fn open_all(sealed: &[u8]) {
    let Ok(key) = CryptoKey::from_base64(KEY) else {
        return;
    };
    let _ = open::<ServiceTicketInfo>(&key, KeyUsage::TICKET_BLOB, sealed);
    let _ = open::<Authorize>(&key, KeyUsage::AUTHORIZE, sealed);
    let _ = open::<AuthorizeReply>(&key, KeyUsage::AUTHORIZE_REPLY, sealed);
    let _ = open::<AuthorizeChallenge>(&key, KeyUsage::AUTHORIZE_CHALLENGE, sealed);
}

fn check_keyring(text: &str) {
    if let Ok(keyring) = Keyring::parse(text) {
        let again = Keyring::parse(&keyring.format());
        assert_eq!(again.map(|k| k.entities.len()), Ok(keyring.entities.len()));
    }
}

fn session(keys: &Arc<KeyringServer>) -> Option<MonAuthSession> {
    let name = AuthEntityName::parse("client.admin")?;
    let keys = Arc::clone(keys) as Arc<dyn KeyServer>;
    MonAuthSession::start(keys, name, 0)
        .ok()
        .map(|(session, _)| session)
}

fn judge(kind: u8, bytes: Bytes) {
    let keys = Arc::new(KeyringServer::new(keyring(), 1, now()));
    match kind {
        kind::MON => drop(session(&keys).map(|mut s| s.authenticate(&bytes, 64, now()).is_ok())),
        kind::REQUEST => drop(session(&keys).map(|mut s| s.handle_request(bytes, now()).is_ok())),
        _ => {
            let secrets = RotatingSecrets::generate(now(), &TicketTtl::default(), KeyType::AES);
            let _ = ServiceAuth::new(EntityType::OSD).verify(&secrets, &bytes, 64);
        }
    }
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let len = data.len();
    let mut data = data;
    let Some([kind]) = take(&mut data) else {
        return;
    };
    bounded(len, || match kind {
        kind::VALUE => check_all(&Bytes::copy_from_slice(data)),
        kind::SEALED => open_all(data),
        kind::KEYRING => check_keyring(&String::from_utf8_lossy(data)),
        kind::MON | kind::REQUEST | kind::AUTHORIZER => judge(kind, Bytes::copy_from_slice(data)),
        _ => {}
    });
}
