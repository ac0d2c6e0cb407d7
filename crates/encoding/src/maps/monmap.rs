//! `MonMap`: the monitors of a cluster (Ceph `src/mon/MonMap.h`, `MonMap.cc`).
//!
//! Four forms exist: without names (1), with names (2), framed with legacy addresses (5) and, for peers with
//! SERVER_NAUTILUS, framed with address vectors and explicit ranks (9, and 10 with cipher fields).

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, BytesMut};

use super::{
    release::Release,
    wire::{legacy_addr, put_map_with, set},
};
use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result, wire_len},
    features::{Feature, Features},
    types::{AddrType, EntityAddr, EntityAddrVec, EntityName, EntityType, Utime, Uuid},
};

/// `mon_info_t`: one monitor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MonInfo {
    /// Its addresses.
    pub public_addrs: EntityAddrVec,
    /// Clients prefer lower values.
    pub priority: u16,
    /// Clients choose among equals in this proportion; 0 everywhere is even.
    pub weight: u16,
    /// Where it stands, by CRUSH type.
    pub crush_loc: BTreeMap<String, String>,
    /// When it joined; what Tentacle writes, kept for peers of that release.
    pub time_added: Option<Utime>,
}

/// Which cephx key types the cluster uses (Tentacle 20.2.4). A map without them means AES.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthCiphers {
    /// Raised whenever service keys must be made anew.
    pub auth_epoch: u32,
    /// The key type of service secrets.
    pub service_cipher: i32,
    /// The key types that are accepted, ascending.
    pub allowed_ciphers: Vec<i32>,
    /// The key type of new keys.
    pub preferred_cipher: i32,
}

/// The monitors of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonMap {
    /// The cluster.
    pub fsid: Uuid,
    /// Version of the map.
    pub epoch: u32,
    /// When it changed last.
    pub last_changed: Utime,
    /// When the cluster was made.
    pub created: Utime,
    /// Monitor features that are required for good (`FEATURE_*` of `mon_types.h`).
    pub persistent_features: u64,
    /// Monitor features that may be turned off again.
    pub optional_features: u64,
    /// The monitors by name.
    pub mons: BTreeMap<String, MonInfo>,
    /// Names by rank.
    pub ranks: Vec<String>,
    /// The oldest release a monitor may be.
    pub min_mon_release: Release,
    /// Ranks that were removed since the last election.
    pub removed_ranks: BTreeSet<u32>,
    /// `election_strategy`; 1 is the classic one.
    pub strategy: u8,
    /// Monitors that may not lead.
    pub disallowed_leaders: BTreeSet<String>,
    /// Whether the cluster is stretched over two sites.
    pub stretch_mode_enabled: bool,
    /// The monitor at the third site.
    pub tiebreaker_mon: String,
    /// Monitors of the site that is down.
    pub stretch_marked_down_mons: BTreeSet<String>,
    /// Key types; written to peers with SERVER_TENTACLE, if set.
    pub ciphers: Option<AuthCiphers>,
}

impl Default for MonMap {
    fn default() -> Self {
        Self {
            fsid: Uuid::default(),
            epoch: 0,
            last_changed: Utime::default(),
            created: Utime::default(),
            persistent_features: 0,
            optional_features: 0,
            mons: BTreeMap::new(),
            ranks: Vec::new(),
            min_mon_release: Release::UNKNOWN,
            removed_ranks: BTreeSet::new(),
            strategy: 1,
            disallowed_leaders: BTreeSet::new(),
            stretch_mode_enabled: false,
            tiebreaker_mon: String::new(),
            stretch_marked_down_mons: BTreeSet::new(),
            ciphers: None,
        }
    }
}

/// The release that a set of persistent monitor features implies, newest first.
const RELEASE_OF_FEATURE: &[(u64, Release)] = &[
    (1 << 11, Release::TENTACLE),
    (1 << 10, Release::SQUID),
    (1 << 9, Release::REEF),
    (1 << 8, Release::QUINCY),
    (1 << 6, Release::PACIFIC),
    (1 << 5, Release::OCTOPUS),
    (1 << 4, Release::NAUTILUS),
    (1 << 2, Release::MIMIC),
    (1 << 1, Release::LUMINOUS),
    (1 << 0, Release::KRAKEN),
];

impl MonMap {
    /// Adds a monitor under the next rank, or replaces the one of that name.
    pub fn add(&mut self, name: &str, public_addrs: EntityAddrVec) {
        let info = MonInfo {
            public_addrs,
            ..MonInfo::default()
        };
        if self.mons.insert(name.to_owned(), info).is_none() {
            self.ranks.push(name.to_owned());
        }
    }

    /// The monitor of that rank.
    #[must_use]
    pub fn by_rank(&self, rank: usize) -> Option<(&str, &MonInfo)> {
        let name = self.ranks.get(rank)?;
        Some((name, self.mons.get(name)?))
    }

    /// Ranks in order of addresses, as before Nautilus.
    fn calc_legacy_ranks(&mut self) {
        let mut names: Vec<_> = self.mons.iter().collect();
        names.sort_by_cached_key(|(name, info)| (front_addr(info).to_bytes(Features::ALL), (*name).clone()));
        self.ranks = names.into_iter().map(|(name, _)| name.clone()).collect();
    }

    fn decode_body(r: &mut Reader<'_>, version: u8) -> Result<Self> {
        let mut m = Self {
            fsid: Uuid::decode(r)?,
            epoch: r.u32()?,
            ..Self::default()
        };
        let mut legacy: BTreeMap<String, EntityAddr> = BTreeMap::new();
        match version {
            1 => {
                let insts = r.vec::<(EntityName, EntityAddr)>()?;
                legacy.extend(insts.into_iter().enumerate().map(|(i, x)| (i.to_string(), x.1)));
            }
            2..6 => legacy = r.map()?,
            _ => {}
        }
        m.last_changed = Utime::decode(r)?;
        m.created = Utime::decode(r)?;
        if version >= 4 {
            m.persistent_features = mon_features(r)?;
            m.optional_features = mon_features(r)?;
        }
        if version >= 5 {
            m.mons = r.map()?;
        } else {
            for (name, addr) in legacy {
                m.add(&name, EntityAddrVec(vec![addr]));
            }
        }
        if version >= 6 {
            m.ranks = r.vec()?;
        } else {
            m.calc_legacy_ranks();
        }
        m.decode_since_nautilus(r, version)?;
        Ok(m)
    }

    fn decode_since_nautilus(&mut self, r: &mut Reader<'_>, version: u8) -> Result<()> {
        self.min_mon_release = if version >= 7 {
            Release(r.u8()?)
        } else {
            RELEASE_OF_FEATURE
                .iter()
                .find(|(bit, _)| self.persistent_features & bit != 0)
                .map_or(Release::UNKNOWN, |(_, release)| *release)
        };
        if version >= 8 {
            self.removed_ranks = set(r)?;
            self.strategy = r.u8()?;
            self.disallowed_leaders = set(r)?;
        }
        if version >= 9 {
            self.stretch_mode_enabled = r.bool()?;
            self.tiebreaker_mon = r.string()?;
            self.stretch_marked_down_mons = set(r)?;
        }
        if version >= 10 {
            self.ciphers = Some(AuthCiphers {
                auth_epoch: r.u32()?,
                service_cipher: r.i32()?,
                allowed_ciphers: r.vec()?,
                preferred_cipher: r.i32()?,
            });
        }
        Ok(())
    }

    /// Form 1: no names, no frame.
    fn encode_unnamed(&self, out: &mut BytesMut, features: Features) {
        out.put_u16_le(1);
        self.fsid.encode(out, features);
        out.put_u32_le(self.epoch);
        out.put_u32_le(wire_len(self.ranks.len()));
        for (rank, name) in (0_i64..).zip(&self.ranks) {
            let addr = self
                .mons
                .get(name)
                .map(|i| legacy_addr(&i.public_addrs))
                .unwrap_or_default();
            let name = EntityName {
                kind: EntityType::MON,
                num: rank,
            };
            name.encode(out, features);
            addr.encode(out, features);
        }
        self.last_changed.encode(out, features);
        self.created.encode(out, features);
    }

    /// The part that forms 2 and 5 begin with.
    fn encode_legacy_fields(&self, out: &mut BytesMut, features: Features) {
        self.fsid.encode(out, features);
        out.put_u32_le(self.epoch);
        put_map_with(out, &self.mons, features, |out, info| {
            shown_legacy_addr(info).encode(out, features);
        });
        self.last_changed.encode(out, features);
        self.created.encode(out, features);
    }

    fn encode_nautilus(&self, out: &mut BytesMut, features: Features) {
        self.fsid.encode(out, features);
        out.put_u32_le(self.epoch);
        self.last_changed.encode(out, features);
        self.created.encode(out, features);
        put_mon_features(out, self.persistent_features);
        put_mon_features(out, self.optional_features);
        put_mon_infos(out, &self.mons, features);
        out.put_vec(self.ranks.iter(), features);
        self.min_mon_release.encode(out, features);
        out.put_vec(self.removed_ranks.iter(), features);
        out.put_u8(self.strategy);
        out.put_vec(self.disallowed_leaders.iter(), features);
        out.put_bool(self.stretch_mode_enabled);
        out.put_string(&self.tiebreaker_mon);
        out.put_vec(self.stretch_marked_down_mons.iter(), features);
    }

    /// The cipher fields, if the peer is to see them.
    fn ciphers_for(&self, features: Features) -> Option<&AuthCiphers> {
        self.ciphers
            .as_ref()
            .filter(|_| features.has(Feature::SERVER_TENTACLE))
    }
}

impl Decode for MonMap {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        match r.peek().first() {
            Some(0) => Err(DecodeError::TooOld {
                what: "MonMap",
                version: 0,
            }),
            Some(&v) if v < 3 => {
                r.u16()?;
                Self::decode_body(r, v)
            }
            _ => {
                let mut f = r.frame(10, "MonMap")?;
                let version = f.version;
                Self::decode_body(&mut f, version)
            }
        }
    }
}

impl Encode for MonMap {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        if !features.has(Feature::MONNAMES) {
            self.encode_unnamed(out, features);
        } else if !features.has(Feature::MONENC) {
            out.put_u16_le(2);
            self.encode_legacy_fields(out, features);
        } else if !features.has(Feature::SERVER_NAUTILUS) {
            out.put_frame(5, 3, |out| {
                self.encode_legacy_fields(out, features);
                put_mon_features(out, self.persistent_features);
                put_mon_features(out, self.optional_features);
                put_mon_infos(out, &self.mons, features);
            });
        } else {
            let ciphers = self.ciphers_for(features);
            let version = if ciphers.is_some() { 10 } else { 9 };
            out.put_frame(version, 6, |out| {
                self.encode_nautilus(out, features);
                if let Some(c) = ciphers {
                    out.put_u32_le(c.auth_epoch);
                    out.put_i32_le(c.service_cipher);
                    out.put_vec(c.allowed_ciphers.iter(), features);
                    out.put_i32_le(c.preferred_cipher);
                }
            });
        }
    }
}

/// `mon_feature_t`: a framed 64-bit word.
fn mon_features(r: &mut Reader<'_>) -> Result<u64> {
    r.frame(1, "mon_feature_t")?.u64()
}

fn put_mon_features(out: &mut BytesMut, word: u64) {
    out.put_frame(1, 1, |out| out.put_u64_le(word));
}

/// The address that legacy ranks are sorted by.
fn front_addr(info: &MonInfo) -> EntityAddr {
    let addrs = &info.public_addrs;
    addrs
        .first(AddrType::LEGACY)
        .or_else(|| addrs.0.first().copied())
        .unwrap_or_default()
}

/// The address for peers that know only legacy ones. A monitor that has none is shown by its first address
/// as if it were one, so that the map at least looks valid (`entity_addrvec_t::as_legacy_addr`).
fn shown_legacy_addr(info: &MonInfo) -> EntityAddr {
    let mut addr = front_addr(info);
    if !info.public_addrs.0.is_empty() {
        addr.kind = AddrType::LEGACY;
    }
    addr
}

/// The map of [`MonInfo`] by name; each entry repeats its name.
fn put_mon_infos(out: &mut BytesMut, mons: &BTreeMap<String, MonInfo>, features: Features) {
    let nautilus = features.has(Feature::SERVER_NAUTILUS);
    out.put_u32_le(wire_len(mons.len()));
    for (name, info) in mons {
        out.put_string(name);
        let time_added = info.time_added.filter(|_| features.has(Feature::SERVER_TENTACLE));
        let version = match (nautilus, time_added) {
            (false, _) => 2,
            (true, None) => 5,
            (true, Some(_)) => 6,
        };
        out.put_frame(version, 1, |out| {
            out.put_string(name);
            if nautilus {
                info.public_addrs.encode(out, features);
            } else {
                shown_legacy_addr(info).encode(out, features);
            }
            out.put_u16_le(info.priority);
            out.put_u16_le(info.weight);
            out.put_map(&info.crush_loc, features);
            if let Some(t) = time_added {
                t.encode(out, features);
            }
        });
    }
}

impl Decode for MonInfo {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(6, "mon_info_t")?;
        f.string()?; // the name, which is the key of the map too
        let mut info = Self {
            public_addrs: EntityAddrVec::decode(&mut f)?,
            ..Self::default()
        };
        if f.since(2) {
            info.priority = f.u16()?;
        }
        if f.since(4) {
            info.weight = f.u16()?;
        }
        if f.since(5) {
            info.crush_loc = f.map()?;
        }
        if f.since(6) {
            info.time_added = Some(Utime::decode(&mut f)?);
        }
        Ok(info)
    }
}
