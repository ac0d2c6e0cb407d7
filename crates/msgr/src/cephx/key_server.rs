//! The authentication database as cephx sees it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use encoding::Reader;

use super::{CryptoKey, KeyType, Keyring, RotatingSecrets, TicketTtl, keyring::encoded_caps};

/// An entity's key and capabilities (`EntityAuth` in Ceph `src/auth/Auth.h`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntityAuth {
    /// The key.
    pub key: CryptoKey,
    /// A key that is to replace it, accepted too.
    pub pending_key: Option<CryptoKey>,
    /// Encoded capability texts (length and string) by service name (`mon`, `osd`, ...).
    pub caps: BTreeMap<String, Bytes>,
}

impl EntityAuth {
    /// The capability text for a service.
    #[must_use]
    pub fn caps_text(&self, service: &str) -> Option<String> {
        Reader::new(self.caps.get(service)?).string().ok()
    }

    /// Puts the pending key in the key's place, if it is `used`; true if so.
    pub fn commit_pending(&mut self, used: &CryptoKey) -> bool {
        let fits = self.pending_key.as_ref() == Some(used);
        if let Some(pending) = self.pending_key.take_if(|_| fits) {
            self.key = pending;
        }
        fits
    }

    /// With a capability text for a service.
    #[must_use]
    pub fn with_caps(mut self, service: &str, text: &str) -> Self {
        self.caps.insert(service.to_owned(), encoded_caps(text));
        self
    }
}

/// What the servers' side of cephx needs to know. Called while a connection is shaking hands: answers must
/// not block for long.
pub trait KeyServer: Send + Sync + 'static {
    /// Key and capabilities of `TYPE.ID`, if it exists.
    fn entity(&self, name: &str) -> Option<EntityAuth>;

    /// A client instance number never given out before (also not before a restart), above zero. None if it
    /// cannot be had now: the client is told to come back later.
    fn next_global_id(&self) -> Option<u64>;

    /// The secrets at this moment.
    fn secrets(&self) -> Arc<RotatingSecrets>;

    /// How long tickets live.
    fn ticket_ttl(&self) -> TicketTtl {
        TicketTtl::default()
    }

    /// `auth_allowed_ciphers`: whether an entity may authenticate with a key of that type.
    fn is_cipher_allowed(&self, kind: KeyType) -> bool {
        matches!(kind, KeyType::AES | KeyType::AES256KRB5)
    }

    /// An entity has authenticated with the key that is to replace its own: the time to replace it.
    fn note_used_pending_key(&self, name: &str, key: &CryptoKey) {
        let _ = (name, key);
    }

    /// `auth_allow_insecure_global_id_reclaim`: whether clients from before the fix of CVE-2021-20288 may keep
    /// their global id on reconnect without showing a ticket.
    fn allow_insecure_global_id_reclaim(&self) -> bool {
        false
    }
}

/// A database in memory, from a keyring: for tests, tools and single gateways that store it elsewhere.
#[derive(Debug)]
pub struct KeyringServer {
    keyring: RwLock<Keyring>,
    global_id: AtomicU64,
    secrets: RwLock<Arc<RotatingSecrets>>,
    ttl: TicketTtl,
    service_cipher: KeyType,
}

impl KeyringServer {
    /// With fresh secrets; the first global id given out is `first_global_id`.
    #[must_use]
    pub fn new(keyring: Keyring, first_global_id: u64, now: SystemTime) -> Self {
        Self::with_ttl(keyring, first_global_id, TicketTtl::default(), now)
    }

    /// With tickets of another life time.
    #[must_use]
    pub fn with_ttl(keyring: Keyring, first_global_id: u64, ttl: TicketTtl, now: SystemTime) -> Self {
        Self {
            keyring: RwLock::new(keyring),
            global_id: AtomicU64::new(first_global_id),
            secrets: RwLock::new(Arc::new(RotatingSecrets::generate(now, &ttl, KeyType::AES))),
            ttl,
            service_cipher: KeyType::AES,
        }
    }

    /// With service secrets of another type.
    #[must_use]
    pub fn with_service_cipher(mut self, cipher: KeyType, now: SystemTime) -> Self {
        self.service_cipher = cipher;
        self.set_secrets(RotatingSecrets::generate(now, &self.ttl, cipher));
        self
    }

    /// Replaces the keyring.
    pub fn set_keyring(&self, keyring: Keyring) {
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = keyring;
    }

    /// Replaces the secrets.
    pub fn set_secrets(&self, secrets: RotatingSecrets) {
        *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(secrets);
    }

    /// Makes the secrets that are due; true if any.
    pub fn rotate(&self, now: SystemTime) -> bool {
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut secrets).rotate(now, &self.ttl, self.service_cipher)
    }
}

impl KeyServer for KeyringServer {
    fn entity(&self, name: &str) -> Option<EntityAuth> {
        let ring = self.keyring.read().unwrap_or_else(PoisonError::into_inner);
        ring.entities.get(name).cloned()
    }

    fn next_global_id(&self) -> Option<u64> {
        Some(self.global_id.fetch_add(1, Ordering::Relaxed))
    }

    fn secrets(&self) -> Arc<RotatingSecrets> {
        self.secrets
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn ticket_ttl(&self) -> TicketTtl {
        self.ttl
    }

    fn note_used_pending_key(&self, name: &str, key: &CryptoKey) {
        let mut ring = self.keyring.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entity) = ring.entities.get_mut(name) {
            entity.commit_pending(key);
        }
    }
}
