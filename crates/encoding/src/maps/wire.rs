//! Maps of maps and other shapes that only cluster maps have.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result, wire_len},
    features::Features,
    types::{AddrType, EntityAddr, EntityAddrVec, Pg, Utime},
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

/// Writes OSDs' states for peers that know the low eight bits of each, without a count.
pub(super) fn put_state_bytes(out: &mut BytesMut, states: &[u32]) {
    out.extend(states.iter().map(|s| *s as u8));
}

/// Reads OSDs' states of eight bits each.
pub(super) fn state_bytes(r: &mut Reader<'_>) -> Result<Vec<u32>> {
    Ok(r.vec::<u8>()?.into_iter().map(u32::from).collect())
}

/// Writes a pool id, as 32 bits for peers without PGID64, which have no pools above.
pub(super) fn put_pool_id(out: &mut BytesMut, id: i64, short: bool) {
    if short {
        out.put_u32_le(id as u32);
    } else {
        out.put_i64_le(id);
    }
}

/// Reads a pool id of 64 or 32 bits.
pub(super) fn pool_id(r: &mut Reader<'_>, short: bool) -> Result<i64> {
    if short { Ok(r.u32()?.into()) } else { r.i64() }
}

/// Writes a map by pool id, in either width.
pub(super) fn put_pool_map<V>(
    out: &mut BytesMut,
    map: &BTreeMap<i64, V>,
    short: bool,
    mut value: impl FnMut(&mut BytesMut, &V),
) {
    out.put_u32_le(wire_len(map.len()));
    for (id, v) in map {
        put_pool_id(out, *id, short);
        value(out, v);
    }
}

/// Reads a map by pool id, in either width.
pub(super) fn pool_map<'a, V>(
    r: &mut Reader<'a>,
    short: bool,
    mut value: impl FnMut(&mut Reader<'a>) -> Result<V>,
) -> Result<BTreeMap<i64, V>> {
    let n = r.count(4, "map by pool")?;
    let mut out = BTreeMap::new();
    for _ in 0..n {
        let id = pool_id(r, short)?;
        out.insert(id, value(r)?);
    }
    Ok(out)
}

/// Writes a map by group: with `pg_t`, or with the 8 bytes of `ceph_pg` for peers without PGID64.
pub(super) fn put_pg_map<T: Encode>(out: &mut BytesMut, map: &BTreeMap<Pg, Vec<T>>, short: bool) {
    out.put_u32_le(wire_len(map.len()));
    for (pg, values) in map {
        if short {
            out.put_i16_le(-1); // `preferred`, unused since Argonaut
            out.put_u16_le(pg.seed as u16);
            out.put_u32_le(pg.pool as u32);
        } else {
            pg.encode(out, Features::NONE);
        }
        out.put_vec(values.iter(), Features::NONE);
    }
}

/// Reads a map by group, in either form.
pub(super) fn pg_map<T: Decode>(r: &mut Reader<'_>, short: bool) -> Result<BTreeMap<Pg, Vec<T>>> {
    let n = r.count(12, "map by group")?;
    let mut out = BTreeMap::new();
    for _ in 0..n {
        let pg = if short {
            r.skip(2, "ceph_pg preferred")?;
            let seed = r.u16()?.into();
            let pool = r.u32()?.into();
            Pg { pool, seed }
        } else {
            Pg::decode(r)?
        };
        out.insert(pg, r.vec()?);
    }
    Ok(out)
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
