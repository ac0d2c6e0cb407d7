//! What is known of keys: those of a keyring, and the session keys that cephx exchanges under them
//! (Ceph `src/auth/cephx/CephxProtocol.h`), which open the connection secrets of secure mode.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use encoding::{
    Decode, Reader, codec,
    types::{EntityType, Utime},
};
use msgr::cephx::{
    Authorize, AuthorizeReply, AuthorizerHead, CryptoKey, GET_AUTH_SESSION_KEY, GET_PRINCIPAL_SESSION_KEY,
    KeyUsage, Keyring, SealError, open, open_blob,
};

/// Clients whose session keys are remembered, each with a few services.
const MAX_SESSIONS: usize = 65536;
/// Keys that are remembered of one client for one service: tickets are renewed now and then.
const MAX_KEYS: usize = 8;

/// Keys of entities, and the session keys learned with them.
#[derive(Debug, Clone, Default)]
pub struct KeyBook {
    entities: BTreeMap<String, CryptoKey>,
    /// By client instance and service; the newest last.
    sessions: HashMap<(u64, EntityType), Vec<CryptoKey>>,
    /// What client instances authenticated as.
    names: HashMap<u64, String>,
}

/// Why a secret stays unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyTrouble {
    #[error("no key of {0}")]
    NoKey(String),
    #[error("the session key was agreed on outside of this file, or without a known key")]
    NoSessionKey,
    #[error("cannot open what the key of {name} should have sealed: {source}")]
    WrongKey { name: String, source: SealError },
    #[error("cannot read the exchange: {0}")]
    Malformed(#[from] SealError),
}

impl From<encoding::DecodeError> for KeyTrouble {
    fn from(e: encoding::DecodeError) -> Self {
        Self::Malformed(e.into())
    }
}

/// What the owner of a ticket learns of it (`CephXServiceTicket`).
struct OwnersPart {
    session_key: CryptoKey,
}

impl Decode for OwnersPart {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        r.u8()?;
        let session_key = CryptoKey::decode(r)?;
        Utime::decode(r)?;
        Ok(Self { session_key })
    }
}

/// A `bufferlist` as a value.
struct Blob(Bytes);

impl Decode for Blob {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        Ok(Self(r.blob()?))
    }
}

impl KeyBook {
    /// Adds the keys of a keyring.
    pub fn add(&mut self, keyring: &Keyring) {
        for (name, entity) in &keyring.entities {
            self.entities.insert(name.clone(), entity.key.clone());
        }
    }

    /// Whether it has no keys at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    fn keep(&mut self, client: u64, service: EntityType, key: CryptoKey) {
        if self.sessions.len() >= MAX_SESSIONS {
            self.sessions.clear();
        }
        let keys = self.sessions.entry((client, service)).or_default();
        if keys.len() == MAX_KEYS {
            keys.remove(0);
        }
        keys.push(key);
    }

    /// Remembers what a client instance authenticated as.
    pub(crate) fn name(&mut self, client: u64, entity: &str) {
        if self.names.len() >= MAX_SESSIONS {
            self.names.clear();
        }
        self.names.insert(client, entity.to_owned());
    }

    /// What a client instance authenticated as.
    pub(crate) fn name_of(&self, client: u64) -> Option<&String> {
        self.names.get(&client)
    }

    /// Reads a monitor's reply to a client `entity` that has been given the number `client`, and remembers the
    /// session keys in it. Returns the connection secret; it is empty if there is none.
    pub(crate) fn take_mon_reply(
        &mut self,
        entity: &str,
        client: u64,
        reply: &Bytes,
    ) -> Result<Bytes, KeyTrouble> {
        let mut r = Reader::new(reply);
        let (request, status) = (r.u16()?, r.i32()?);
        if status != 0 {
            return Ok(Bytes::new());
        }
        match request {
            GET_AUTH_SESSION_KEY => self.take_auth_reply(entity, client, &mut r),
            GET_PRINCIPAL_SESSION_KEY => {
                let key = self.session(client, EntityType::AUTH)?;
                self.take_tickets(client, &mut r, &key)?;
                Ok(Bytes::new())
            }
            _ => Ok(Bytes::new()),
        }
    }

    fn take_auth_reply(
        &mut self,
        entity: &str,
        client: u64,
        r: &mut Reader<'_>,
    ) -> Result<Bytes, KeyTrouble> {
        let key = self.entities.get(entity).filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| KeyTrouble::NoKey(entity.to_owned()))?.clone();
        self.take_tickets(client, r, &key)
            .map_err(|source| KeyTrouble::WrongKey {
                name: entity.to_owned(),
                source,
            })?;
        // Old monitors end here.
        if r.is_empty() {
            return Ok(Bytes::new());
        }
        let session_key = self.session(client, EntityType::AUTH)?;
        let (sealed, extra) = (r.blob()?, r.blob()?);
        if !extra.is_empty() {
            self.take_tickets(client, &mut Reader::new(&extra), &session_key)?;
        }
        if sealed.is_empty() {
            return Ok(Bytes::new());
        }
        let sealed = Blob::decode(&mut Reader::new(&sealed))?.0;
        Ok(open::<Blob>(&session_key, KeyUsage::AUTH_CONNECTION_SECRET, &sealed)?.0)
    }

    fn session(&self, client: u64, service: EntityType) -> Result<CryptoKey, KeyTrouble> {
        let keys = self.sessions.get(&(client, service));
        keys.and_then(|k| k.last())
            .cloned()
            .ok_or(KeyTrouble::NoSessionKey)
    }

    /// Reads tickets. Those parts that only services can open are passed over.
    fn take_tickets(&mut self, client: u64, r: &mut Reader<'_>, key: &CryptoKey) -> Result<(), SealError> {
        r.u8()?;
        for _ in 0..r.count(4, "tickets")? {
            let service = r.u32()?;
            r.u8()?;
            let part: OwnersPart = open_blob(key, KeyUsage::TICKET_SESSION_KEY, r)?;
            r.bool()?;
            r.blob()?;
            if let Ok(service) = u8::try_from(service) {
                self.keep(client, EntityType(service), part.session_key);
            }
        }
        Ok(())
    }

    /// The session key that an authorizer was made with.
    pub(crate) fn key_of_authorizer(&self, authorizer: &Bytes) -> Result<CryptoKey, KeyTrouble> {
        let mut r = Reader::new(authorizer);
        let head = AuthorizerHead::decode(&mut r)?;
        let proof = r.blob()?;
        let fits = |key: &&CryptoKey| open::<Authorize>(key, KeyUsage::AUTHORIZE, &proof).is_ok();
        let keys = self.sessions.get(&(head.global_id, head.service));
        let key = keys.and_then(|keys| keys.iter().rev().find(fits));
        key.cloned().ok_or(KeyTrouble::NoSessionKey)
    }

    /// The connection secret in a service's reply; empty if there is none.
    pub(crate) fn service_secret(key: &CryptoKey, reply: &Bytes) -> Result<Bytes, KeyTrouble> {
        let reply: AuthorizeReply = open_blob(key, KeyUsage::AUTHORIZE_REPLY, &mut Reader::new(reply))?;
        Ok(reply.connection_secret)
    }
}
