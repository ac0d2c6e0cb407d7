//! `entity_name_t`: who a peer is, by type and number (Ceph `src/msg/msg_types.h`).

use std::fmt;

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, Encode, Reader, Result},
    features::Features,
};

/// `CEPH_ENTITY_TYPE_*`. Open: unknown types survive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct EntityType(pub u8);

impl EntityType {
    /// A monitor.
    pub const MON: Self = Self(0x01);
    /// A metadata server.
    pub const MDS: Self = Self(0x02);
    /// An object storage daemon.
    pub const OSD: Self = Self(0x04);
    /// A client.
    pub const CLIENT: Self = Self(0x08);
    /// A manager.
    pub const MGR: Self = Self(0x10);
    /// The authentication service: tickets to talk to monitors.
    pub const AUTH: Self = Self(0x20);

    /// Ceph's short name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MON => "mon",
            Self::MDS => "mds",
            Self::OSD => "osd",
            Self::CLIENT => "client",
            Self::MGR => "mgr",
            Self::AUTH => "auth",
            _ => "unknown",
        }
    }

    /// The type of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::MON,
            Self::MDS,
            Self::OSD,
            Self::CLIENT,
            Self::MGR,
            Self::AUTH,
        ]
        .into_iter()
        .find(|t| t.name() == name)
    }
}

impl fmt::Debug for EntityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "unknown" => write!(f, "EntityType({:#x})", self.0),
            name => f.write_str(name),
        }
    }
}

impl fmt::Display for EntityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A peer: its type and number (`client.4123`, `osd.0`). For clients the number is the global id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct EntityName {
    /// What it is.
    pub kind: EntityType,
    /// Which one.
    pub num: i64,
}

impl EntityName {
    /// `client.NUM`.
    #[must_use]
    pub const fn client(num: i64) -> Self {
        Self {
            kind: EntityType::CLIENT,
            num,
        }
    }

    /// `osd.NUM`.
    #[must_use]
    pub const fn osd(num: i64) -> Self {
        Self {
            kind: EntityType::OSD,
            num,
        }
    }
}

impl fmt::Display for EntityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.num < 0 {
            write!(f, "{}.?", self.kind)
        } else {
            write!(f, "{}.{}", self.kind, self.num)
        }
    }
}

impl Decode for EntityName {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            kind: EntityType(r.u8()?),
            num: r.i64()?,
        })
    }
}

impl Encode for EntityName {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u8(self.kind.0);
        out.put_i64_le(self.num);
    }
}
