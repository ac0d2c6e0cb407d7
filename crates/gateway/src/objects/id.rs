//! The name of an object, and where it sorts: Ceph's bitwise object order, so that a placement group is one
//! contiguous range of keys (`hobject_t` in Ceph `src/common/hobject.h`).

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use encoding::maps::ceph_str_hash_rjenkins;

/// An object's full name. Names are bytes: nothing says that they are text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectId {
    /// Pool id.
    pub pool: i64,
    /// RADOS namespace, empty for the default one.
    pub nspace: Bytes,
    /// Locator key; empty if placement follows the name.
    pub key: Bytes,
    /// The name.
    pub name: Bytes,
}

impl ObjectId {
    /// An object of the default placement.
    #[must_use]
    pub fn new(pool: i64, nspace: impl Into<Bytes>, name: impl Into<Bytes>) -> Self {
        Self {
            pool,
            nspace: nspace.into(),
            key: Bytes::new(),
            name: name.into(),
        }
    }

    /// The same name in memory of its own. A decoded name is a slice of the message it came in, which with its data can
    /// be megabytes: whoever keeps the name longer than the message takes a copy.
    #[must_use]
    pub fn detached(&self) -> Self {
        let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        Self {
            pool: self.pool,
            nspace: copy(&self.nspace),
            key: copy(&self.key),
            name: copy(&self.name),
        }
    }

    /// The placement hash: rjenkins, as all our pools have it (`pg_pool_t::hash_key`).
    #[must_use]
    pub fn hash(&self) -> u32 {
        let placed_by = if self.key.is_empty() {
            &self.name
        } else {
            &self.key
        };
        if self.nspace.is_empty() {
            return ceph_str_hash_rjenkins(placed_by);
        }
        ceph_str_hash_rjenkins(&[self.nspace.as_ref(), &[0o37], placed_by].concat())
    }

    /// The key's part behind the table prefix: pool, reversed hash, then the escaped names. Sorts as Ceph
    /// sorts objects.
    pub fn put_sort_key(&self, out: &mut BytesMut) {
        out.put_i64(self.pool);
        out.put_u32(self.hash().reverse_bits());
        put_escaped(out, &self.nspace);
        put_escaped(out, &self.key);
        put_escaped(out, &self.name);
    }

    /// Reads back what [`put_sort_key`](Self::put_sort_key) wrote.
    #[must_use]
    pub fn from_sort_key(mut key: &[u8]) -> Option<Self> {
        let pool = i64::from_be_bytes(key.get(..8)?.try_into().ok()?);
        key = key.get(12..)?;
        let nspace = take_escaped(&mut key)?;
        let locator = take_escaped(&mut key)?;
        let name = take_escaped(&mut key)?;
        key.is_empty().then_some(Self {
            pool,
            nspace,
            key: locator,
            name,
        })
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.pool)?;
        if !self.nspace.is_empty() {
            write!(f, "{}/", self.nspace.escape_ascii())?;
        }
        write!(f, "{}", self.name.escape_ascii())
    }
}

/// Appends `s` so that it sorts as the plain bytes do, also when something follows: NUL becomes NUL 0xff, and
/// NUL NUL ends it.
pub fn put_escaped(out: &mut BytesMut, s: &[u8]) {
    for &b in s {
        out.put_u8(b);
        if b == 0 {
            out.put_u8(0xff);
        }
    }
    out.put_slice(&[0, 0]);
}

/// Takes one escaped string off the front.
pub fn take_escaped(from: &mut &[u8]) -> Option<Bytes> {
    let mut out = Vec::new();
    let mut rest = *from;
    loop {
        let (&b, tail) = rest.split_first()?;
        rest = tail;
        if b != 0 {
            out.push(b);
            continue;
        }
        let (&mark, tail) = rest.split_first()?;
        rest = tail;
        match mark {
            0xff => out.push(0),
            0 => break,
            _ => return None,
        }
    }
    *from = rest;
    Some(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sort_key_gives_the_name_back_whatever_bytes_it_has() {
        let id = ObjectId {
            pool: 3,
            nspace: Bytes::from_static(b"a\0b"),
            key: Bytes::new(),
            name: Bytes::from_static(b"\0\0x\xff"),
        };
        let mut out = BytesMut::new();
        id.put_sort_key(&mut out);
        assert_eq!(ObjectId::from_sort_key(&out), Some(id));
    }

    #[test]
    fn escaped_names_sort_as_the_names_do() {
        let mut names: Vec<&[u8]> = vec![b"", b"\0", b"\0\0", b"a", b"a\0", b"a\0b", b"ab", b"b"];
        names.sort_unstable();
        let escaped: Vec<_> = names
            .iter()
            .map(|n| {
                let mut out = BytesMut::new();
                put_escaped(&mut out, n);
                out
            })
            .collect();
        assert!(escaped.is_sorted());
    }
}
