//! Maps of maps and other shapes that only cluster maps have.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result, wire_len},
    features::Features,
    types::{AddrType, EntityAddr, EntityAddrVec, Utime},
};

/// Reads a map whose values `value` decodes.
pub(super) fn map_with<'a, K: Decode + Ord, V>(
    r: &mut Reader<'a>,
    mut value: impl FnMut(&mut Reader<'a>) -> Result<V>,
) -> Result<BTreeMap<K, V>> {
    let n = r.count(1, "map")?;
    let mut out = BTreeMap::new();
    for _ in 0..n {
        let key = K::decode(r)?;
        out.insert(key, value(r)?);
    }
    Ok(out)
}

/// Writes a map whose values `value` encodes.
pub(super) fn put_map_with<K: Encode, V>(
    out: &mut BytesMut,
    map: &BTreeMap<K, V>,
    features: Features,
    mut value: impl FnMut(&mut BytesMut, &V),
) {
    out.put_u32_le(wire_len(map.len()));
    for (k, v) in map {
        k.encode(out, features);
        value(out, v);
    }
}

/// Reads a set.
pub(super) fn set<T: Decode + Ord>(r: &mut Reader<'_>) -> Result<BTreeSet<T>> {
    Ok(r.vec::<T>()?.into_iter().collect())
}

/// Reads a map of maps of strings: erasure code profiles, application metadata.
pub(super) fn string_map_map(r: &mut Reader<'_>) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
    map_with(r, Reader::map)
}

/// Writes a map of maps of strings.
pub(super) fn put_string_map_map(out: &mut BytesMut, map: &BTreeMap<String, BTreeMap<String, String>>) {
    put_map_with(out, map, Features::NONE, |out, v| {
        out.put_map(v, Features::NONE);
    });
}

/// Reads a 32-bit float.
pub(super) fn f32(r: &mut Reader<'_>) -> Result<f32> {
    Ok(f32::from_bits(r.u32()?))
}

/// `entity_addrvec_t::legacy_addr`: the first v1 address, else a blank one.
pub(super) fn legacy_addr(addrs: &EntityAddrVec) -> EntityAddr {
    addrs.first(AddrType::LEGACY).unwrap_or_default()
}

/// Writes a vector of address vectors, or of single legacy addresses for readers that know only those.
pub(super) fn put_addrvecs(out: &mut BytesMut, addrs: &[EntityAddrVec], vectors: bool, features: Features) {
    out.put_u32_le(wire_len(addrs.len()));
    for a in addrs {
        put_addrvec(out, a, vectors, features);
    }
}

/// Writes a map to address vectors, or to single legacy addresses for readers that know only those.
pub(super) fn put_addrvec_map(
    out: &mut BytesMut,
    addrs: &BTreeMap<i32, EntityAddrVec>,
    vectors: bool,
    features: Features,
) {
    put_map_with(out, addrs, features, |out, a| {
        put_addrvec(out, a, vectors, features);
    });
}

fn put_addrvec(out: &mut BytesMut, a: &EntityAddrVec, vectors: bool, features: Features) {
    if vectors {
        a.encode(out, features);
    } else {
        legacy_addr(a).encode(out, features);
    }
}

/// Writes a map keyed by address in Ceph's order, which compares the bytes of `entity_addr_t`.
pub(super) fn put_blocklist(out: &mut BytesMut, list: &BTreeMap<EntityAddr, Utime>, features: Features) {
    let mut entries: Vec<_> = list.iter().collect();
    entries.sort_by_cached_key(|(a, _)| a.to_bytes(Features::ALL));
    out.put_u32_le(wire_len(entries.len()));
    for (addr, until) in entries {
        addr.encode(out, features);
        until.encode(out, features);
    }
}

/// Fails with [`DecodeError::Invalid`] unless the checksum that a map carries is that of its bytes.
pub(super) fn check_crc(what: &'static str, carried: u32, actual: u32) -> Result<()> {
    if carried == actual {
        return Ok(());
    }
    Err(DecodeError::Invalid {
        what,
        value: carried.into(),
    })
}
