//! Rotating service secrets: what tickets are sealed with. Each service has three, previous, current and next,
//! so that a ticket outlives the rotation it was made before.
//!
//! Format: Ceph `src/auth/Auth.h` (`RotatingSecrets`, `ExpiringCryptoKey`) and
//! `src/auth/cephx/CephxKeyServer.h` (`KeyServerData::encode_rotating`); rules: `CephxKeyServer.cc`.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::{BufMut, BytesMut};
use encoding::{
    Decode, Encode, Features, Put, Reader, codec,
    types::{EntityType, Utime},
};

use super::{CryptoKey, KeyType, ticket::entity_type};

/// `KEY_ROTATE_NUM`.
const KEPT: usize = 3;

/// How long tickets live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketTtl {
    /// `auth_mon_ticket_ttl`: the ticket that buys service tickets.
    pub mon: Duration,
    /// `auth_service_ticket_ttl`: tickets for one service.
    pub service: Duration,
}

impl Default for TicketTtl {
    fn default() -> Self {
        Self {
            mon: Duration::from_secs(72 * 3600),
            service: Duration::from_secs(3600),
        }
    }
}

impl TicketTtl {
    fn of(&self, service: EntityType) -> Duration {
        if service == EntityType::AUTH {
            self.mon
        } else {
            self.service
        }
    }
}

/// A secret and when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiringKey {
    /// The secret.
    pub key: CryptoKey,
    /// When it ends.
    pub expiration: Utime,
}

impl Encode for ExpiringKey {
    fn encode(&self, out: &mut BytesMut, f: Features) {
        out.put_u8(1);
        self.key.encode(out, f);
        self.expiration.encode(out, f);
    }
}

impl Decode for ExpiringKey {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        r.u8()?;
        Ok(Self {
            key: CryptoKey::decode(r)?,
            expiration: Utime::decode(r)?,
        })
    }
}

/// The secrets of one service by id, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceSecrets {
    /// At most three.
    pub secrets: BTreeMap<u64, ExpiringKey>,
    /// The highest id given out.
    pub max_id: u64,
}

impl ServiceSecrets {
    /// The secret of that id, if it is still kept.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<&CryptoKey> {
        self.secrets.get(&id).map(|s| &s.key)
    }

    /// The secret to seal new tickets with, its id, and how long a ticket may live that asks for `ttl`: never
    /// longer than the newest secret.
    #[must_use]
    pub fn current(&self, now: SystemTime, ttl: Duration) -> Option<(u64, &CryptoKey, Duration)> {
        let now = Utime::from_system_time(now);
        let mut by_age = self.secrets.iter();
        let mut chosen = by_age.next()?;
        if let Some(second) = by_age.next() {
            chosen = second;
        }
        if chosen.1.expiration < now
            && let Some(next) = by_age.next()
        {
            chosen = next;
        }
        let newest = self.secrets.values().next_back()?.expiration;
        let left = newest.as_duration().saturating_sub(now.as_duration());
        Some((*chosen.0, &chosen.1.key, ttl.min(left)))
    }

    fn needs_rotation(&self, now: Utime) -> bool {
        self.secrets.len() < KEPT || self.secrets.values().nth(1).is_none_or(|c| c.expiration <= now)
    }

    /// The ids of the oldest and the newest secret.
    #[must_use]
    pub fn ids(&self) -> Option<(u64, u64)> {
        let oldest = self.secrets.keys().next()?;
        Some((*oldest, *self.secrets.keys().next_back()?))
    }

    fn rotate(&mut self, now: SystemTime, ttl: Duration, cipher: KeyType) -> bool {
        let mut changed = false;
        while self.needs_rotation(Utime::from_system_time(now)) {
            let from = match self.secrets.values().next_back() {
                None => now,
                Some(newest) => (now + ttl).max(UNIX_EPOCH + newest.expiration.as_duration()),
            };
            self.max_id += 1;
            let key = ExpiringKey {
                // As in Ceph, a cipher that is no cipher means the strongest one.
                key: CryptoKey::generate_of(cipher, now)
                    .or_else(|_| CryptoKey::generate_of(KeyType::AES256KRB5, now))
                    .unwrap_or_else(|_| CryptoKey::generate(now)),
                expiration: Utime::from_system_time(from + ttl),
            };
            self.secrets.insert(self.max_id, key);
            while self.secrets.len() > KEPT {
                self.secrets.pop_first();
            }
            changed = true;
        }
        changed
    }
}

impl Encode for ServiceSecrets {
    fn encode(&self, out: &mut BytesMut, f: Features) {
        out.put_u8(1);
        out.put_map(&self.secrets, f);
        out.put_u64_le(self.max_id);
    }
}

impl Decode for ServiceSecrets {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        r.u8()?;
        Ok(Self {
            secrets: r.map()?,
            max_id: r.u64()?,
        })
    }
}

/// The secrets of all services. Encoded as Ceph's monitors store them, so that they survive a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RotatingSecrets {
    /// Counts rotations.
    pub version: u64,
    /// By service.
    pub services: BTreeMap<EntityType, ServiceSecrets>,
}

impl RotatingSecrets {
    /// The services that have secrets.
    pub const SERVICES: [EntityType; 5] = [
        EntityType::AUTH,
        EntityType::MON,
        EntityType::OSD,
        EntityType::MDS,
        EntityType::MGR,
    ];

    /// Fresh secrets.
    #[must_use]
    pub fn generate(now: SystemTime, ttl: &TicketTtl, cipher: KeyType) -> Self {
        let mut secrets = Self::default();
        secrets.rotate(now, ttl, cipher);
        secrets
    }

    /// Throws the secrets of all services away and makes new ones. Those for AUTH stay: they only let clients
    /// renew what they have, and keep their global ids.
    pub fn wipe(&mut self, now: SystemTime, ttl: &TicketTtl, cipher: KeyType) {
        for (_, secrets) in self.services.iter_mut().filter(|(s, _)| **s != EntityType::AUTH) {
            // Ids go on, so that an old ticket does not meet a new secret.
            secrets.secrets.clear();
        }
        self.rotate(now, ttl, cipher);
    }

    /// How far the clock is behind the time at which the newest of the secrets was made, if it is: it was set back,
    /// and until it has caught up nothing is rotated.
    #[must_use]
    pub fn clock_behind(&self, now: SystemTime) -> Option<Duration> {
        let all = self.services.values().flat_map(|s| s.secrets.values());
        let made = all.map(|s| s.key.created().as_duration()).max()?;
        let behind = made.checked_sub(Utime::from_system_time(now).as_duration())?;
        (!behind.is_zero()).then_some(behind)
    }

    /// Makes the secrets that are due at `now`, with keys of type `cipher` (`auth_service_cipher`). True if anything
    /// changed and is to be stored. To be called well more often than the shortest ttl.
    pub fn rotate(&mut self, now: SystemTime, ttl: &TicketTtl, cipher: KeyType) -> bool {
        let mut changed = false;
        for service in Self::SERVICES {
            changed |= self
                .services
                .entry(service)
                .or_default()
                .rotate(now, ttl.of(service), cipher);
        }
        self.version += u64::from(changed);
        changed
    }

    /// The secret of a service by id.
    #[must_use]
    pub fn get(&self, service: EntityType, id: u64) -> Option<&CryptoKey> {
        self.services.get(&service)?.get(id)
    }

    /// The secret to seal new tickets of a service with; see [`ServiceSecrets::current`].
    #[must_use]
    pub fn current(
        &self,
        service: EntityType,
        now: SystemTime,
        ttl: &TicketTtl,
    ) -> Option<(u64, &CryptoKey, Duration)> {
        self.services.get(&service)?.current(now, ttl.of(service))
    }
}

impl Encode for RotatingSecrets {
    fn encode(&self, out: &mut BytesMut, f: Features) {
        out.put_u8(1);
        out.put_u64_le(self.version);
        out.put_u32_le(codec::wire_len(self.services.len()));
        for (service, secrets) in &self.services {
            out.put_u32_le(service.0.into());
            secrets.encode(out, f);
        }
    }
}

impl Decode for RotatingSecrets {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        r.u8()?;
        let version = r.u64()?;
        let mut services = BTreeMap::new();
        for _ in 0..r.count(4, "rotating secrets")? {
            services.insert(entity_type(r.u32()?)?, ServiceSecrets::decode(r)?);
        }
        Ok(Self { version, services })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(hours: u32) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000) + HOUR * hours
    }

    #[test]
    fn fresh_secrets_are_three_and_nothing_is_due() {
        let ttl = TicketTtl::default();
        let mut secrets = RotatingSecrets::generate(at(0), &ttl, KeyType::AES);
        assert!(secrets.services.values().all(|s| s.secrets.len() == 3));
        assert!(!secrets.rotate(at(0), &ttl, KeyType::AES));
        let (id, _, left) = secrets.current(EntityType::OSD, at(0), &ttl).unwrap();
        assert_eq!((id, left), (2, HOUR));
    }

    #[test]
    fn a_ticket_outlives_the_next_rotation() {
        let ttl = TicketTtl::default();
        let mut secrets = RotatingSecrets::generate(at(0), &ttl, KeyType::AES);
        let (id, key, _) = secrets.current(EntityType::OSD, at(0), &ttl).unwrap();
        let key = key.clone();
        // The current secret was made to end two hours from the start.
        assert!(!secrets.rotate(at(1), &ttl, KeyType::AES));
        assert!(secrets.rotate(at(2), &ttl, KeyType::AES));
        assert_eq!(secrets.current(EntityType::OSD, at(2), &ttl).unwrap().0, id + 1);
        assert_eq!(secrets.get(EntityType::OSD, id), Some(&key));
        assert!(secrets.rotate(at(3), &ttl, KeyType::AES));
        assert_eq!(secrets.get(EntityType::OSD, id), None);
    }

    #[test]
    fn another_service_cipher_comes_in_as_old_secrets_rotate_out() {
        let ttl = TicketTtl::default();
        let mut secrets = RotatingSecrets::generate(at(0), &ttl, KeyType::AES);
        assert!(!secrets.rotate(at(1), &ttl, KeyType::AES256KRB5));
        let kind = |s: &RotatingSecrets, hours| s.current(EntityType::OSD, at(hours), &ttl).unwrap().1.kind();
        secrets.rotate(at(2), &ttl, KeyType::AES256KRB5);
        assert_eq!(kind(&secrets, 2), KeyType::AES);
        secrets.rotate(at(3), &ttl, KeyType::AES256KRB5);
        assert_eq!(kind(&secrets, 3), KeyType::AES256KRB5);
    }

    #[test]
    fn wiping_changes_all_secrets_but_those_of_auth_and_gives_new_ids() {
        let ttl = TicketTtl::default();
        let before = RotatingSecrets::generate(at(0), &ttl, KeyType::AES);
        let mut after = before.clone();
        after.wipe(at(0), &ttl, KeyType::AES256KRB5);
        assert_eq!(
            after.services[&EntityType::AUTH],
            before.services[&EntityType::AUTH]
        );
        assert_eq!(after.services[&EntityType::OSD].ids(), Some((4, 6)));
        assert_eq!(after.get(EntityType::OSD, 2), None);
        assert!(after.version > before.version);
    }

    #[test]
    fn a_clock_that_was_set_back_is_noticed() {
        let secrets = RotatingSecrets::generate(at(5), &TicketTtl::default(), KeyType::AES);
        assert_eq!(secrets.clock_behind(at(5)), None);
        assert_eq!(secrets.clock_behind(at(4)), Some(HOUR));
    }

    #[test]
    fn secrets_round_trip() {
        let secrets = RotatingSecrets::generate(at(0), &TicketTtl::default(), KeyType::AES256KRB5);
        let bytes = secrets.to_bytes(Features::ALL);
        assert_eq!(RotatingSecrets::from_bytes(&bytes).unwrap(), secrets);
        for n in 0..bytes.len() {
            assert!(RotatingSecrets::from_bytes(&bytes.slice(..n)).is_err());
        }
    }
}
