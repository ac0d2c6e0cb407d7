//! `EntityName` of `src/common/entity_name.h`: who a peer is by type and id, as in a keyring. Not `entity_name_t`,
//! whose second part is a number.

use std::fmt;

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result},
    features::Features,
    types::EntityType,
};

/// Type and id (`client.admin`, `mon.a`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct EntityTypeId {
    /// What it is.
    pub kind: EntityType,
    /// Its id.
    pub id: String,
}

impl fmt::Display for EntityTypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind, self.id)
    }
}

impl Decode for EntityTypeId {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let kind = r.u32()?;
        let kind = u8::try_from(kind).map_err(|_| DecodeError::Invalid {
            what: "entity type",
            value: kind.into(),
        })?;
        Ok(Self {
            kind: EntityType(kind),
            id: r.string()?,
        })
    }
}

impl Encode for EntityTypeId {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u32_le(self.kind.0.into());
        out.put_string(&self.id);
    }
}
