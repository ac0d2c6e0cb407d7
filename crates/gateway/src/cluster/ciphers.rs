//! The cipher fields of the monitor map: which types of keys authenticate, which type new keys get, and which type
//! the rotating secrets of services are of.
//!
//! Their defaults let clients of all releases in: keys of both types are accepted, and new ones are of the type
//! that every client can read. The services' secrets are of the stronger type from the beginning, as nobody but this
//! server sees them; a session key is then as strong as its client's own key.

use std::{sync::Arc, time::SystemTime};

use encoding::{
    maps::{AuthCiphers, MonMap},
    types::Utime,
};
use msgr::cephx::KeyType;
use tokio::sync::watch;

use super::{Cluster, ClusterError, keys, state_store::Change};

/// What a new cluster begins with.
pub(super) fn defaults() -> AuthCiphers {
    AuthCiphers {
        auth_epoch: 0,
        service_cipher: number(KeyType::AES256KRB5),
        allowed_ciphers: vec![number(KeyType::AES), number(KeyType::AES256KRB5)],
        preferred_cipher: number(KeyType::AES),
    }
}

/// A key type as maps have it.
fn number(kind: KeyType) -> i32 {
    kind.0.into()
}

/// A key type that a map has; one that is out of range is none that could be used.
pub(super) fn key_type(number: i32) -> KeyType {
    u16::try_from(number).map_or(KeyType(u16::MAX), KeyType)
}

/// The cipher fields of a map.
pub(super) fn of(map: &MonMap) -> AuthCiphers {
    map.ciphers.clone().unwrap_or_else(defaults)
}

/// The monitor map and who waits for the next.
pub(super) struct MonMaps {
    current: watch::Sender<Arc<MonMap>>,
}

impl MonMaps {
    pub(super) fn new(map: MonMap) -> Self {
        Self {
            current: watch::Sender::new(Arc::new(map)),
        }
    }

    pub(super) fn current(&self) -> Arc<MonMap> {
        self.current.borrow().clone()
    }
}

/// A cipher field that can be set, by its name in commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CipherSetting {
    /// `auth_service_cipher`: the type of the services' secrets from their next rotation on.
    Service(KeyType),
    /// `auth_allowed_ciphers`: the types that authenticate.
    Allowed(Vec<KeyType>),
    /// `auth_preferred_cipher`: the type of new keys.
    Preferred(KeyType),
}

impl CipherSetting {
    /// Puts it into the fields; false if they had it already.
    fn apply(self, ciphers: &mut AuthCiphers) -> bool {
        let before = ciphers.clone();
        match self {
            Self::Service(kind) => ciphers.service_cipher = number(kind),
            Self::Preferred(kind) => ciphers.preferred_cipher = number(kind),
            Self::Allowed(kinds) => {
                ciphers.allowed_ciphers = kinds.into_iter().map(number).collect();
                ciphers.allowed_ciphers.sort_unstable();
                ciphers.allowed_ciphers.dedup();
            }
        }
        *ciphers != before
    }
}

/// Key types.
impl Cluster {
    /// Is told of each new monitor map.
    #[must_use]
    pub fn watch_monmap(&self) -> watch::Receiver<Arc<MonMap>> {
        self.mon_maps.current.subscribe()
    }

    /// The cipher fields.
    #[must_use]
    pub fn ciphers(&self) -> AuthCiphers {
        of(&self.monmap())
    }

    /// The cipher fields by name, as commands take them.
    #[must_use]
    pub fn cipher_names(&self) -> [(&'static str, String); 3] {
        let ciphers = self.ciphers();
        let allowed: Vec<_> = ciphers
            .allowed_ciphers
            .iter()
            .map(|n| key_type(*n).name())
            .collect();
        [
            (
                "auth_service_cipher",
                key_type(ciphers.service_cipher).name().to_owned(),
            ),
            ("auth_allowed_ciphers", allowed.join(",")),
            (
                "auth_preferred_cipher",
                key_type(ciphers.preferred_cipher).name().to_owned(),
            ),
        ]
    }

    /// The type of keys that are made without a wish.
    #[must_use]
    pub fn preferred_cipher(&self) -> KeyType {
        key_type(self.ciphers().preferred_cipher)
    }

    /// Sets a cipher field; false if it was so already. Blocks.
    pub fn set_cipher(&self, setting: CipherSetting) -> Result<bool, ClusterError> {
        self.change_ciphers(|ciphers| setting.apply(ciphers))
    }

    /// Throws the secrets of all services but AUTH away, so that no ticket from before opens anything, and tells
    /// clients that know of it to ask for new ones. Returns the epoch that they are told. Blocks.
    pub fn wipe_service_secrets(&self, now: SystemTime) -> Result<u32, ClusterError> {
        self.wipe_secrets(now)?;
        self.change_ciphers(|ciphers| {
            ciphers.auth_epoch = ciphers.auth_epoch.wrapping_add(1);
            true
        })?;
        Ok(self.ciphers().auth_epoch)
    }

    /// Makes the next monitor map, durable before anybody sees it, if `edit` says that it changed something.
    fn change_ciphers(&self, edit: impl FnOnce(&mut AuthCiphers) -> bool) -> Result<bool, ClusterError> {
        let _writer = self.writer.lock();
        let mut map = MonMap::clone(&self.monmap());
        let mut ciphers = of(&map);
        if !edit(&mut ciphers) {
            return Ok(false);
        }
        map.ciphers = Some(ciphers);
        map.epoch += 1;
        map.last_changed = Utime::from_system_time(SystemTime::now());
        self.store
            .commit(vec![Change::put(keys::MONMAP, keys::stored(&map))])?;
        self.mon_maps.current.send_replace(Arc::new(map));
        Ok(true)
    }
}
