//! The authentication database: keys, capabilities and the rotating secrets of services.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::BytesMut;
use encoding::{
    codec::{self, Decode, Encode, Put, Reader},
    features::Features,
};
use msgr::cephx::{AuthEntityName, CryptoKey, EntityAuth, KeyServer, Keyring, RotatingSecrets, TicketTtl};
use parking_lot::{Mutex, RwLock};

use super::{
    Cluster, ClusterError,
    caps::{CommandCaps, CommandService, OsdCaps},
    keys,
    state_store::{Change, StateStore},
};

/// Keys and secrets in memory, as they are stored.
pub(super) struct AuthDb {
    entities: RwLock<BTreeMap<String, EntityAuth>>,
    secrets: RwLock<Arc<RotatingSecrets>>,
    /// Serialises changes, so that memory follows the store.
    writer: Mutex<()>,
}

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
    pub(super) fn open(store: &dyn StateStore, now: SystemTime) -> Result<Self, ClusterError> {
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
            None => RotatingSecrets::generate(now, &TicketTtl::default()),
        };
        secrets.rotate(now, &TicketTtl::default());
        store.commit(vec![Change::put(keys::SECRETS, keys::stored(&secrets))])?;
        Ok(Self {
            entities: RwLock::new(entities),
            secrets: RwLock::new(Arc::new(secrets)),
            writer: Mutex::new(()),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entities.read().is_empty()
    }

    /// Makes the secrets that are due, durable before they are used.
    pub(super) fn rotate(&self, store: &dyn StateStore, now: SystemTime) -> Result<(), ClusterError> {
        let _writer = self.writer.lock();
        let mut secrets = RotatingSecrets::clone(&self.secrets.read());
        if secrets.rotate(now, &TicketTtl::default()) {
            store.commit(vec![Change::put(keys::SECRETS, keys::stored(&secrets))])?;
            *self.secrets.write() = Arc::new(secrets);
        }
        Ok(())
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

    /// Makes a key for an entity that does not exist yet, with those capabilities. `key` is used if given.
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
            key: key.unwrap_or_else(|| CryptoKey::generate(SystemTime::now())),
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

    /// Removes an entity; false if there was none.
    pub fn remove_entity(&self, name: &str) -> Result<bool, ClusterError> {
        self.auth.remove(&*self.store, name)
    }
}

fn pairs(caps: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    caps.iter().map(|(k, v)| (k.as_str(), v.as_str()))
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
        TicketTtl {
            service: Duration::from_secs(3600),
            ..TicketTtl::default()
        }
    }
}
