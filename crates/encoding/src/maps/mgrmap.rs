//! `MgrMap`: the active manager and what it offers (Ceph `src/mon/MgrMap.h`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, BytesMut};

use super::wire::{legacy_addr, map_with, put_map_with, set};
use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result, wire_len},
    features::{Feature, Features},
    types::{EntityAddrVec, Utime},
};

/// An option of a manager module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModuleOption {
    /// Its name.
    pub name: String,
    /// `Option::type_t`.
    pub kind: u8,
    /// `Option::level_t`.
    pub level: u8,
    /// `Option::flag_t`.
    pub flags: u32,
    /// The default, as text.
    pub default_value: String,
    /// The smallest value, as text.
    pub min: String,
    /// The largest value, as text.
    pub max: String,
    /// The values allowed; empty is any.
    pub enum_allowed: BTreeSet<String>,
    /// One line about it.
    pub desc: String,
    /// More about it.
    pub long_desc: String,
    /// Tags.
    pub tags: BTreeSet<String>,
    /// Related options.
    pub see_also: BTreeSet<String>,
}

/// A manager module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModuleInfo {
    /// Its name.
    pub name: String,
    /// Whether it could run.
    pub can_run: bool,
    /// Why not.
    pub error_string: String,
    /// Its options by name.
    pub options: BTreeMap<String, ModuleOption>,
}

/// A manager that would take over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StandbyInfo {
    /// Its global id.
    pub gid: u64,
    /// Its name.
    pub name: String,
    /// The modules it has.
    pub available_modules: Vec<ModuleInfo>,
    /// Its features.
    pub features: u64,
}

/// The active manager and what it offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MgrMap {
    /// Version of the map.
    pub epoch: u32,
    /// Where the active manager is.
    pub active_addrs: EntityAddrVec,
    /// Its global id; 0 is that there is none.
    pub active_gid: u64,
    /// Whether it is ready; clients connect when it is.
    pub available: bool,
    /// Its name.
    pub active_name: String,
    /// Those that would take over, by global id.
    pub standbys: BTreeMap<u64, StandbyInfo>,
    /// Modules that are enabled.
    pub modules: BTreeSet<String>,
    /// Addresses that modules serve at, by module.
    pub services: BTreeMap<String, String>,
    /// Modules that exist.
    pub available_modules: Vec<ModuleInfo>,
    /// When the active manager changed.
    pub active_change: Utime,
    /// Modules that are enabled always, by release number.
    pub always_on_modules: BTreeMap<u32, BTreeSet<String>>,
    /// Features of the active manager.
    pub active_mgr_features: u64,
    /// The osdmap epoch that shuts the last manager out.
    pub last_failure_osd_epoch: u32,
    /// RADOS clients of the active manager, by name.
    pub clients: Vec<(String, EntityAddrVec)>,
    /// Bit 0: managers are to be down.
    pub flags: u64,
    /// Modules switched off against the above; what Tentacle writes, kept for peers of that release.
    pub force_disabled_modules: Option<BTreeSet<String>>,
}

impl Encode for MgrMap {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        if !features.has(Feature::SERVER_NAUTILUS) {
            return out.put_frame(5, 1, |out| {
                out.put_u32_le(self.epoch);
                legacy_addr(&self.active_addrs).encode(out, features);
                self.encode_active(out, features);
                put_module_names(out, &self.available_modules, features);
                out.put_map(&self.services, features);
                out.put_vec(self.available_modules.iter(), features);
            });
        }
        let disabled = self
            .force_disabled_modules
            .as_ref()
            .filter(|_| features.has(Feature::SERVER_TENTACLE));
        let version = if disabled.is_some() { 14 } else { 13 };
        out.put_frame(version, 6, |out| {
            out.put_u32_le(self.epoch);
            self.active_addrs.encode(out, features);
            self.encode_active(out, features);
            out.put_map(&self.services, features);
            out.put_vec(self.available_modules.iter(), features);
            self.active_change.encode(out, features);
            put_map_with(out, &self.always_on_modules, features, |out, names| {
                out.put_vec(names.iter(), features);
            });
            out.put_u64_le(self.active_mgr_features);
            out.put_u32_le(self.last_failure_osd_epoch);
            out.put_vec(self.clients.iter().map(|(_, addrs)| addrs), features);
            out.put_vec(self.clients.iter().map(|(name, _)| name), features);
            out.put_u64_le(self.flags);
            if let Some(disabled) = disabled {
                out.put_vec(disabled.iter(), features);
            }
        });
    }
}

impl MgrMap {
    /// What both forms have in the middle.
    fn encode_active(&self, out: &mut BytesMut, features: Features) {
        out.put_u64_le(self.active_gid);
        out.put_bool(self.available);
        out.put_string(&self.active_name);
        out.put_map(&self.standbys, features);
        out.put_vec(self.modules.iter(), features);
    }

    fn decode_clients(r: &mut Reader<'_>, named: bool) -> Result<Vec<(String, EntityAddrVec)>> {
        let addrs = r.vec::<EntityAddrVec>()?;
        let names = if named {
            r.vec()?
        } else {
            vec![String::new(); addrs.len()]
        };
        if names.len() != addrs.len() {
            return Err(DecodeError::Invalid {
                what: "MgrMap: number of client names",
                value: names.len() as u64,
            });
        }
        Ok(names.into_iter().zip(addrs).collect())
    }
}

impl Decode for MgrMap {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(14, "MgrMap")?;
        let mut m = Self {
            epoch: f.u32()?,
            active_addrs: EntityAddrVec::decode(&mut f)?,
            active_gid: f.u64()?,
            available: f.bool()?,
            active_name: f.string()?,
            standbys: f.map()?,
            ..Self::default()
        };
        if f.since(2) {
            m.modules = set(&mut f)?;
            if !f.since(6) {
                let names: Vec<String> = f.vec()?;
                if !f.since(4) {
                    m.available_modules = names.into_iter().map(ModuleInfo::named).collect();
                }
            }
        }
        if f.since(3) {
            m.services = f.map()?;
        }
        if f.since(4) {
            m.available_modules = f.vec()?;
        }
        if f.since(7) {
            m.active_change = Utime::decode(&mut f)?;
        }
        if f.since(8) {
            m.always_on_modules = map_with(&mut f, set)?;
        }
        if f.since(9) {
            m.active_mgr_features = f.u64()?;
        }
        if f.since(10) {
            m.last_failure_osd_epoch = f.u32()?;
        }
        if f.since(11) {
            let named = f.since(12);
            m.clients = Self::decode_clients(&mut f, named)?;
        }
        if f.since(13) {
            m.flags = f.u64()?;
        }
        if f.since(14) {
            m.force_disabled_modules = Some(set(&mut f)?);
        }
        Ok(m)
    }
}

/// The set of names that readers before version 4 know modules by.
fn put_module_names(out: &mut BytesMut, modules: &[ModuleInfo], features: Features) {
    let names: BTreeSet<&String> = modules.iter().map(|m| &m.name).collect();
    out.put_u32_le(wire_len(names.len()));
    for name in names {
        name.encode(out, features);
    }
}

impl ModuleInfo {
    fn named(name: String) -> Self {
        Self {
            name,
            can_run: true,
            ..Self::default()
        }
    }
}

impl Decode for ModuleInfo {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(2, "MgrMap::ModuleInfo")?;
        let mut m = Self {
            name: f.string()?,
            can_run: f.bool()?,
            error_string: f.string()?,
            ..Self::default()
        };
        if f.since(2) {
            m.options = f.map()?;
        }
        Ok(m)
    }
}

impl Encode for ModuleInfo {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(2, 1, |out| {
            out.put_string(&self.name);
            out.put_bool(self.can_run);
            out.put_string(&self.error_string);
            out.put_map(&self.options, features);
        });
    }
}

impl Decode for ModuleOption {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(1, "MgrMap::ModuleOption")?;
        Ok(Self {
            name: f.string()?,
            kind: f.u8()?,
            level: f.u8()?,
            flags: f.u32()?,
            default_value: f.string()?,
            min: f.string()?,
            max: f.string()?,
            enum_allowed: set(&mut f)?,
            desc: f.string()?,
            long_desc: f.string()?,
            tags: set(&mut f)?,
            see_also: set(&mut f)?,
        })
    }
}

impl Encode for ModuleOption {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(1, 1, |out| {
            out.put_string(&self.name);
            out.put_u8(self.kind);
            out.put_u8(self.level);
            out.put_u32_le(self.flags);
            out.put_string(&self.default_value);
            out.put_string(&self.min);
            out.put_string(&self.max);
            out.put_vec(self.enum_allowed.iter(), features);
            out.put_string(&self.desc);
            out.put_string(&self.long_desc);
            out.put_vec(self.tags.iter(), features);
            out.put_vec(self.see_also.iter(), features);
        });
    }
}

impl Decode for StandbyInfo {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(4, "MgrMap::StandbyInfo")?;
        let mut s = Self {
            gid: f.u64()?,
            name: f.string()?,
            ..Self::default()
        };
        if f.since(2) {
            let names: Vec<String> = f.vec()?;
            s.available_modules = if f.since(3) {
                f.vec()?
            } else {
                names.into_iter().map(ModuleInfo::named).collect()
            };
        }
        if f.since(4) {
            s.features = f.u64()?;
        }
        Ok(s)
    }
}

impl Encode for StandbyInfo {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(4, 1, |out| {
            out.put_u64_le(self.gid);
            out.put_string(&self.name);
            put_module_names(out, &self.available_modules, features);
            out.put_vec(self.available_modules.iter(), features);
            out.put_u64_le(self.features);
        });
    }
}
