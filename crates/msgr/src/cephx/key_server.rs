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

use super::{CryptoKey, Keyring, RotatingSecrets, TicketTtl, keyring::encoded_caps};

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
            secrets: RwLock::new(Arc::new(RotatingSecrets::generate(now, &ttl))),
            ttl,
        }
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
        Arc::make_mut(&mut secrets).rotate(now, &self.ttl)
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
}
