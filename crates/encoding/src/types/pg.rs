//! `pg_t` and `spg_t`: placement groups (Ceph `src/osd/osd_types.h`).

use std::fmt;

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result},
    features::Features,
};

/// A placement group: pool and seed. In requests the seed is the full 32-bit hash of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Pg {
    /// Pool id.
    pub pool: u64,
    /// Placement seed.
    pub seed: u32,
}

impl fmt::Display for Pg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:x}", self.pool, self.seed)
    }
}

impl Decode for Pg {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        match r.u8()? {
            1 => {}
            v => {
                return Err(DecodeError::Invalid {
                    what: "pg_t version",
                    value: v.into(),
                });
            }
        }
        let pg = Self {
            pool: r.u64()?,
            seed: r.u32()?,
        };
        r.skip(4, "pg_t preferred")?;
        Ok(pg)
    }
}

impl Encode for Pg {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u8(1);
        out.put_u64_le(self.pool);
        out.put_u32_le(self.seed);
        out.put_i32_le(-1); // `preferred`, unused since Argonaut
    }
}

/// A placement group and the shard of it (-1 for replicated pools).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Spg {
    /// The placement group.
    pub pg: Pg,
    /// The erasure-code shard; -1 is none.
    pub shard: i8,
}

impl Decode for Spg {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(1, "spg_t")?;
        let pg = Pg::decode(&mut f)?;
        Ok(Self {
            pg,
            shard: i8::decode(&mut f)?,
        })
    }
}

impl Encode for Spg {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(1, 1, |out| {
            self.pg.encode(out, features);
            out.put_i8(self.shard);
        });
    }
}
