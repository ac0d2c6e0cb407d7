//! `object_locator_t`: where an object lives besides its name (Ceph `src/osd/osd_types.h`).

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result},
    features::Features,
};

/// Pool, namespace and placement override of an object. Key and namespace may be arbitrary bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectLocator {
    /// Pool id; -1 is none.
    pub pool: i64,
    /// If not empty, hashed instead of the object's name.
    pub key: Bytes,
    /// Namespace in the pool; empty is the default one.
    pub nspace: Bytes,
    /// The placement hash itself where the sender fixes it (listing a PG), else -1.
    pub hash: i64,
}

impl ObjectLocator {
    /// The default namespace of `pool`.
    #[must_use]
    pub const fn pool(pool: i64) -> Self {
        Self {
            pool,
            key: Bytes::new(),
            nspace: Bytes::new(),
            hash: -1,
        }
    }
}

impl Default for ObjectLocator {
    /// No pool.
    fn default() -> Self {
        Self::pool(-1)
    }
}

impl Decode for ObjectLocator {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "object_locator_t";
        let mut f = r.frame(6, WHAT)?;
        if !f.since(3) {
            return Err(DecodeError::TooOld {
                what: WHAT,
                version: f.version,
            });
        }
        let pool = f.i64()?;
        f.skip(4, "object_locator_t preferred")?;
        Ok(Self {
            pool,
            key: f.blob()?,
            nspace: if f.since(5) { f.blob()? } else { Bytes::new() },
            hash: if f.since(6) { f.i64()? } else { -1 },
        })
    }
}

impl Encode for ObjectLocator {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        // A reader that does not know `hash` must not ignore one.
        let compat = if self.hash == -1 { 3 } else { 6 };
        out.put_frame(6, compat, |out| {
            out.put_i64_le(self.pool);
            out.put_i32_le(-1); // `preferred`, unused since Argonaut
            out.put_blob(&self.key);
            out.put_blob(&self.nspace);
            out.put_i64_le(self.hash);
        });
    }
}
