//! The cluster's maps: decoded, encoded again, incremental maps applied.

use bytes::Bytes;
use encoding::maps::{CrushMap, MonMap, OsdMap, OsdMapIncremental};
use encoding::{Decode, Encode};

use crate::{WORDS, bounded, take};

/// What an input holds: its first byte.
pub mod kind {
    /// A MonMap.
    pub const MON_MAP: u8 = 0;
    /// A full OSDMap.
    pub const OSD_MAP: u8 = 1;
    /// An incremental OSDMap.
    pub const INCREMENTAL: u8 = 2;
    /// A CRUSH map.
    pub const CRUSH_MAP: u8 = 3;
    /// The length of a full OSDMap (32 bits, little-endian), the map, and an incremental map to apply to it.
    pub const APPLY: u8 = 4;
}

/// Whether a value can be told from its encoding.
trait Clear: Decode + Encode {
    fn is_clear(&self) -> bool {
        true
    }
}

impl Clear for MonMap {}

impl Clear for OsdMapIncremental {
    fn is_clear(&self) -> bool {
        self.crush.as_ref().is_none_or(CrushMap::is_clear)
    }
}

impl Clear for CrushMap {
    /// A name without letters looks like the upper half of a 64-bit id, which some old writers used.
    fn is_clear(&self) -> bool {
        let names = [&self.type_names, &self.names, &self.rule_names];
        names
            .iter()
            .all(|names| names.values().all(|name| !name.is_empty()))
    }
}

impl Clear for OsdMap {
    fn is_clear(&self) -> bool {
        self.crush.is_clear()
    }
}

fn check<T: Clear>(bytes: &Bytes) -> Option<T> {
    let value = T::from_bytes(bytes).ok()?;
    for features in WORDS {
        let _ = value.to_bytes(features);
    }
    if !value.is_clear() {
        return Some(value);
    }
    // Argonaut's word too: the classic form of OSD maps.
    for features in [WORDS[7], WORDS[8]] {
        if let Err(error) = T::from_bytes(&value.to_bytes(features)) {
            panic!(
                "{} does not decode what it encodes for {features}: {error}",
                std::any::type_name::<T>()
            );
        }
    }
    Some(value)
}

/// Runs one input.
pub fn run(data: &[u8]) {
    bounded(data.len(), || run_unbounded(data));
}

fn run_unbounded(data: &[u8]) {
    let mut data = data;
    let Some([kind]) = take(&mut data) else {
        return;
    };
    let bytes = Bytes::copy_from_slice(data);
    match kind {
        kind::MON_MAP => drop(check::<MonMap>(&bytes)),
        kind::OSD_MAP => {
            if let Some(map) = check::<OsdMap>(&bytes) {
                place(&map);
            }
        }
        kind::INCREMENTAL => drop(check::<OsdMapIncremental>(&bytes)),
        kind::CRUSH_MAP => drop(check::<CrushMap>(&bytes)),
        kind::APPLY => apply(bytes),
        _ => {}
    }
}

/// Objects find their PGs in whatever map.
fn place(map: &OsdMap) {
    for (&pool, _) in map.pools.iter().take(8) {
        let pg = map.object_to_pg(pool, b"rbd_header.1", b"", b"");
        let _ = pg.and_then(|pg| map.raw_pg_to_pg(pg));
    }
}

fn apply(mut bytes: Bytes) {
    let Some((len, _)) = bytes.split_first_chunk() else {
        return;
    };
    let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
    let _ = bytes.split_to(4);
    let incremental = bytes.split_off(len.min(bytes.len()));
    let (Ok(mut map), Ok(incremental)) = (
        OsdMap::from_bytes(&bytes),
        OsdMapIncremental::from_bytes(&incremental),
    ) else {
        return;
    };
    let old = map.clone();
    if map.apply(&incremental).is_ok() {
        place(&map);
        let _ = map.to_bytes(WORDS[6]);
        let _ = OsdMapIncremental::diff(&old, &map).to_bytes(WORDS[6]);
    }
}
