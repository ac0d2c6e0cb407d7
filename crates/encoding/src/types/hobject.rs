//! `hobject_t`: an object's full identity, in the order in which a PG is listed (Ceph `src/common/hobject.h`).

use std::cmp::Ordering;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result},
    features::Features,
    types::snap::{NOSNAP, SnapId},
};

/// An object: pool, namespace, name, snapshot and placement hash. Names may be arbitrary bytes.
///
/// The order is Ceph's: by pool, then by the hash with its bits reversed, then namespace, key, name, snapshot;
/// so that the objects of a PG, and of its children after a split, are contiguous.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hobject {
    /// If not empty, hashed instead of the name.
    pub key: Bytes,
    /// The name.
    pub oid: Bytes,
    /// The snapshot; [`NOSNAP`] is the head.
    pub snap: SnapId,
    /// The full 32-bit placement hash.
    pub hash: u32,
    /// Whether this is the value beyond every object.
    pub max: bool,
    /// Namespace.
    pub nspace: Bytes,
    /// Pool id; `i64::MIN` for the smallest and the greatest value.
    pub pool: i64,
}

impl Hobject {
    /// The smallest value: where a listing starts. Also the default.
    pub const MIN: Self = Self {
        key: Bytes::new(),
        oid: Bytes::new(),
        snap: 0,
        hash: 0,
        max: false,
        nspace: Bytes::new(),
        pool: i64::MIN,
    };

    /// The greatest value: where a listing ends.
    pub const MAX: Self = Self {
        key: Bytes::new(),
        oid: Bytes::new(),
        snap: 0,
        hash: 0,
        max: true,
        nspace: Bytes::new(),
        pool: i64::MIN,
    };

    /// The head of an object.
    #[must_use]
    pub fn head(pool: i64, nspace: Bytes, oid: Bytes, hash: u32) -> Self {
        Self {
            oid,
            snap: NOSNAP,
            hash,
            nspace,
            pool,
            ..Self::MIN
        }
    }

    /// What is compared for the key: the key, or the name where there is none.
    #[must_use]
    pub fn effective_key(&self) -> &Bytes {
        if self.key.is_empty() { &self.oid } else { &self.key }
    }
}

impl Default for Hobject {
    fn default() -> Self {
        Self::MIN
    }
}

impl PartialOrd for Hobject {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Hobject {
    fn cmp(&self, other: &Self) -> Ordering {
        let keys = || {
            if self.key.is_empty() && other.key.is_empty() {
                return Ordering::Equal;
            }
            // The raw key last: two objects with the same effective key are still different objects.
            self.effective_key().cmp(other.effective_key())
        };
        self.max
            .cmp(&other.max)
            .then(self.pool.cmp(&other.pool))
            .then(self.hash.reverse_bits().cmp(&other.hash.reverse_bits()))
            .then_with(|| self.nspace.cmp(&other.nspace))
            .then_with(keys)
            .then_with(|| self.oid.cmp(&other.oid))
            .then(self.snap.cmp(&other.snap))
            .then_with(|| self.key.cmp(&other.key))
    }
}

impl Decode for Hobject {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "hobject_t";
        let mut f = r.frame(4, WHAT)?;
        if !f.since(3) {
            return Err(DecodeError::TooOld {
                what: WHAT,
                version: f.version,
            });
        }
        let mut o = Self {
            key: f.blob()?,
            oid: f.blob()?,
            snap: f.u64()?,
            hash: f.u32()?,
            max: f.bool()?,
            ..Self::MIN
        };
        if f.since(4) {
            o.nspace = f.blob()?;
            o.pool = f.i64()?;
            // Hammer writes the smallest value with pool -1.
            if o.pool == -1 && o.snap == 0 && o.hash == 0 && !o.max && o.oid.is_empty() {
                o.pool = i64::MIN;
            }
            // Early releases wrote a greatest value with other fields set.
            if o.max {
                return Ok(Self::MAX);
            }
        }
        Ok(o)
    }
}

impl Encode for Hobject {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_frame(4, 3, |out| {
            out.put_blob(&self.key);
            out.put_blob(&self.oid);
            out.put_u64_le(self.snap);
            out.put_u32_le(self.hash);
            out.put_bool(self.max);
            out.put_blob(&self.nspace);
            out.put_i64_le(self.pool);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_ordered_by_the_reversed_hash_between_min_and_max() {
        let o = |hash, name: &'static str| {
            Hobject::head(1, Bytes::new(), Bytes::from_static(name.as_bytes()), hash)
        };
        let mut all = vec![
            Hobject::MAX,
            o(1, "a"),
            o(2, "b"),
            o(2, "a"),
            o(0x8000_0000, "z"),
            Hobject::MIN,
        ];
        all.sort();
        let expected = [
            Hobject::MIN,
            o(0x8000_0000, "z"),
            o(2, "a"),
            o(2, "b"),
            o(1, "a"),
            Hobject::MAX,
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn hammers_smallest_object_is_the_smallest() {
        let hammer = Hobject {
            pool: -1,
            ..Hobject::MIN
        };
        let bytes = hammer.to_bytes(Features::NONE);
        assert_eq!(Hobject::from_bytes(&bytes).unwrap(), Hobject::MIN);
    }
}
