//! The authentication database: keys, capabilities and the rotating secrets of services.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use bytes::BytesMut;
use encoding::{
    codec::{self, Decode, Encode, Put, Reader},
    features::Features,
};
use msgr::cephx::{
    AuthEntityName, CryptoKey, EntityAuth, KeyServer, KeyType, Keyring, RotatingSecrets, TicketTtl,
};
use parking_lot::{Mutex, RwLock};

use super::{
    Cluster, ClusterError,
    auth_options::INSECURE_RECLAIM,
    caps::{CommandCaps, CommandService, OsdCaps},
    ciphers, keys,
    state_store::{Change, StateStore},
};

/// Keys and secrets in memory, as they are stored.
pub(super) struct AuthDb {
    entities: RwLock<BTreeMap<String, EntityAuth>>,
    secrets: RwLock<Arc<RotatingSecrets>>,
    /// Serialises changes, so that memory follows the store.
    writer: Mutex<()>,
    /// Pending keys that entities have authenticated with, by entity, until they are put in place.
    used_pending: Mutex<BTreeMap<String, CryptoKey>>,
    clock: ClockWatch,
}

/// Says once that the clock was set back, not at every tick.
#[derive(Default)]
struct ClockWatch(AtomicBool);

impl ClockWatch {
    fn look(&self, secrets: &RotatingSecrets, now: SystemTime) {
        let behind = secrets.clock_behind(now).filter(|d| *d > CLOCK_TOLERANCE);
        let known = self.0.swap(behind.is_some(), Relaxed);
        match behind {
            Some(behind) if !known => tracing::warn!(
                behind = ?behind,
                "clock skew: the clock is behind the time at which service secrets were made, so it was set back: \
                 tickets given out meanwhile live for longer, and nothing rotates until the clock has caught up"
            ),
            None if known => tracing::info!("the clock has caught up with the service secrets"),
            _ => {}
        }
    }
}

/// Jumps of the clock that are not worth a word.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// An [`EntityAuth`] as it is stored.
struct Stored(EntityAuth);

impl Encode for Stored {
    fn encode(&self, out: &mut BytesMut, f: Features) {
        self.0.key.encode(out, f);
        out.put_bool(self.0.pending_key.is_some());
        if let Some(key) = &self.0.pending_key {
            key.encode(out, f);
        }
        out.put_map(&self.0.caps, f);
    }
}

impl Decode for Stored {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        Ok(Self(EntityAuth {
            key: CryptoKey::decode(r)?,
            pending_key: if r.bool()? {
                Some(CryptoKey::decode(r)?)
            } else {
                None
            },
            caps: r.map()?,
        }))
    }
}

impl AuthDb {
    /// Loads the database; missing secrets are made and stored.
    pub(super) fn open(
        store: &dyn StateStore,
        now: SystemTime,
        service_cipher: KeyType,
    ) -> Result<Self, ClusterError> {
        let mut entities = BTreeMap::new();
        for (key, raw) in store.scan(keys::AUTH)? {
            let name = keys::name_in(&key, keys::AUTH).ok_or_else(|| ClusterError::Damaged {
                what: "entity",
                why: "its name is not text".to_owned(),
            })?;
            entities.insert(name, keys::load::<Stored>("entity", raw)?.0);
        }
        let mut secrets = match store.get(keys::SECRETS)? {
            Some(raw) => keys::load("secrets", raw)?,
            None => RotatingSecrets::generate(now, &TicketTtl::default(), service_cipher),
        };
        secrets.rotate(now, &TicketTtl::default(), service_cipher);
        store.commit(vec![Change::put(keys::SECRETS, keys::stored(&secrets))])?;
        Ok(Self {
            entities: RwLock::new(entities),
            secrets: RwLock::new(Arc::new(secrets)),
            writer: Mutex::new(()),
            used_pending: Mutex::default(),
            clock: ClockWatch::default(),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entities.read().is_empty()
    }

    /// Changes the secrets; what `edit` made, if it says so, is durable before it is used.
    fn change_secrets(
        &self,
        store: &dyn StateStore,
        edit: impl FnOnce(&mut RotatingSecrets) -> bool,
    ) -> Result<(), ClusterError> {
        let _writer = self.writer.lock();
        let mut secrets = RotatingSecrets::clone(&self.secrets.read());
        if edit(&mut secrets) {
            store.commit(vec![Change::put(keys::SECRETS, keys::stored(&secrets))])?;
            tracing::debug!(version = secrets.version, "service secrets rotated");
            *self.secrets.write() = Arc::new(secrets);
        }
        Ok(())
    }

    /// Changes an entity that exists; `edit` says whether it changed anything. None if there is no such entity.
    fn edit(
        &self,
        store: &dyn StateStore,
        name: &str,
        edit: impl FnOnce(&mut EntityAuth) -> bool,
    ) -> Result<Option<EntityAuth>, ClusterError> {
        let _writer = self.writer.lock();
        let Some(mut auth) = self.entities.read().get(name).cloned() else {
            return Ok(None);
        };
        if edit(&mut auth) {
            let value = keys::stored(&Stored(auth.clone()));
            store.commit(vec![Change::put(keys::named(keys::AUTH, name), value)])?;
            self.entities.write().insert(name.to_owned(), auth.clone());
        }
        Ok(Some(auth))
    }

    pub(super) fn put(
        &self,
        store: &dyn StateStore,
        name: &str,
        auth: EntityAuth,
    ) -> Result<(), ClusterError> {
        let _writer = self.writer.lock();
        let value = keys::stored(&Stored(auth.clone()));
        store.commit(vec![Change::put(keys::named(keys::AUTH, name), value)])?;
        self.entities.write().insert(name.to_owned(), auth);
        Ok(())
    }

    fn remove(&self, store: &dyn StateStore, name: &str) -> Result<bool, ClusterError> {
        let _writer = self.writer.lock();
        if !self.entities.read().contains_key(name) {
            return Ok(false);
        }
        store.commit(vec![Change::delete(keys::named(keys::AUTH, name))])?;
        self.entities.write().remove(name);
        Ok(true)
    }
}

/// Checks capability texts by service: those of services that are not here (`mds`) are kept unread.
pub fn check_caps<'a>(caps: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<(), ClusterError> {
    for (service, text) in caps {
        match service {
            "mon" => drop(CommandCaps::parse(CommandService::Mon, text)?),
            "mgr" => drop(CommandCaps::parse(CommandService::Mgr, text)?),
            "osd" => drop(OsdCaps::parse(text)?),
            "mds" => {}
            other => return Err(ClusterError::Invalid(format!("unknown cap type '{other}'"))),
        }
    }
    Ok(())
}

/// An entity's name in its full form, if it is one.
pub fn entity_name(text: &str) -> Option<String> {
    AuthEntityName::parse(text).map(|n| n.to_string())
}

/// Keys and capabilities.
impl Cluster {
    /// All entities.
    #[must_use]
    pub fn entities(&self) -> Keyring {
        Keyring {
            entities: self.auth.entities.read().clone(),
        }
    }

    /// Makes a key of the preferred type for an entity that does not exist yet, with those capabilities. `key` is
    /// used if given.
    pub fn add_entity(
        &self,
        name: &str,
        key: Option<CryptoKey>,
        caps: &[(String, String)],
    ) -> Result<EntityAuth, ClusterError> {
        check_caps(pairs(caps))?;
        if self.entity(name).is_some() {
            return Err(ClusterError::Exists(format!("entity {name}")));
        }
        let auth = EntityAuth {
            key: match key {
                Some(key) => key,
                None => new_key(self.preferred_cipher())?,
            },
            ..EntityAuth::default()
        };
        let auth = with_caps(auth, caps);
        self.auth.put(&*self.store, name, auth.clone())?;
        Ok(auth)
    }

    /// Stores an entity as it is given, over one that exists.
    pub fn import_entity(&self, name: &str, auth: EntityAuth) -> Result<(), ClusterError> {
        let texts: Vec<_> = auth
            .caps
            .keys()
            .map(|s| (s.clone(), auth.caps_text(s).unwrap_or_default()))
            .collect();
        check_caps(pairs(&texts))?;
        self.auth.put(&*self.store, name, auth)
    }

    /// Replaces an entity's capabilities.
    pub fn set_caps(&self, name: &str, caps: &[(String, String)]) -> Result<(), ClusterError> {
        check_caps(pairs(caps))?;
        let mut auth = self
            .entity(name)
            .ok_or_else(|| ClusterError::NoSuchEntity(name.to_owned()))?;
        auth.caps.clear();
        self.auth.put(&*self.store, name, with_caps(auth, caps))
    }

    /// Changes the keys of an entity that exists; `edit` says whether it changed anything. Returns the entity.
    pub fn edit_entity(
        &self,
        name: &str,
        edit: impl FnOnce(&mut EntityAuth) -> bool,
    ) -> Result<EntityAuth, ClusterError> {
        self.auth
            .edit(&*self.store, name, edit)?
            .ok_or_else(|| ClusterError::NoSuchEntity(name.to_owned()))
    }

    /// Makes the secrets that are due.
    pub(super) fn rotate_secrets(&self, now: SystemTime) -> Result<(), ClusterError> {
        let (ttl, cipher) = (self.ttl_options(), self.service_cipher());
        self.auth.clock.look(&self.auth.secrets.read(), now);
        self.auth
            .change_secrets(&*self.store, |secrets| secrets.rotate(now, &ttl, cipher))
    }

    /// Makes all secrets anew but those of AUTH.
    pub(super) fn wipe_secrets(&self, now: SystemTime) -> Result<(), ClusterError> {
        let (ttl, cipher) = (self.ttl_options(), self.service_cipher());
        self.auth.change_secrets(&*self.store, |secrets| {
            secrets.wipe(now, &ttl, cipher);
            true
        })
    }

    fn service_cipher(&self) -> KeyType {
        ciphers::key_type(self.ciphers().service_cipher)
    }

    /// Puts pending keys that have been used in the place of those they replace.
    pub(super) fn commit_used_pending_keys(&self) -> Result<(), ClusterError> {
        let used = std::mem::take(&mut *self.auth.used_pending.lock());
        for (name, key) in used {
            self.auth.edit(&*self.store, &name, |auth| {
                let committed = auth.commit_pending(&key);
                if committed {
                    tracing::info!(entity = name, "the pending key was used: it replaces the other");
                }
                committed
            })?;
        }
        Ok(())
    }

    /// Removes an entity; false if there was none.
    pub fn remove_entity(&self, name: &str) -> Result<bool, ClusterError> {
        self.auth.remove(&*self.store, name)
    }
}

fn pairs(caps: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    caps.iter().map(|(k, v)| (k.as_str(), v.as_str()))
}

/// A new key of that type.
pub fn new_key(kind: KeyType) -> Result<CryptoKey, ClusterError> {
    CryptoKey::generate_of(kind, SystemTime::now()).map_err(|error| ClusterError::Invalid(error.to_string()))
}

fn with_caps(auth: EntityAuth, caps: &[(String, String)]) -> EntityAuth {
    caps.iter()
        .fold(auth, |auth, (service, text)| auth.with_caps(service, text))
}

impl KeyServer for Cluster {
    fn entity(&self, name: &str) -> Option<EntityAuth> {
        self.auth.entities.read().get(name).cloned()
    }

    fn next_global_id(&self) -> Option<u64> {
        match self.global_ids.next(&*self.store) {
            Ok(id) => Some(id),
            Err(error) => {
                tracing::error!(%error, "no client id could be given out");
                None
            }
        }
    }

    fn secrets(&self) -> Arc<RotatingSecrets> {
        self.auth.secrets.read().clone()
    }

    fn ticket_ttl(&self) -> TicketTtl {
        self.ttl_options()
    }

    fn allow_insecure_global_id_reclaim(&self) -> bool {
        self.option_bool(INSECURE_RECLAIM)
    }

    fn is_cipher_allowed(&self, kind: KeyType) -> bool {
        self.ciphers().allowed_ciphers.contains(&i32::from(kind.0))
    }

    fn note_used_pending_key(&self, name: &str, key: &CryptoKey) {
        // The store is not waited for in a handshake: the next tick does it.
        self.auth.used_pending.lock().insert(name.to_owned(), key.clone());
    }
}
