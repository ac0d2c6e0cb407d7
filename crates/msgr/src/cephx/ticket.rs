//! Tickets: who a client is and what it may do, sealed with a service's secret.
//!
//! Format: Ceph `src/auth/Auth.h` (`AuthTicket`, `AuthCapsInfo`), `src/common/entity_name.h`,
//! `src/auth/cephx/CephxProtocol.h` (`CephXTicketBlob`, `CephXServiceTicketInfo`).

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{
    Decode, DecodeError, Encode, Features, Put, Reader, codec,
    types::{EntityType, Utime},
};

use super::CryptoKey;

/// An entity of the authentication database: `client.admin`. On the wire a 32-bit type and a string.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct AuthEntityName {
    /// What it is.
    pub kind: EntityType,
    /// The part behind the dot.
    pub id: String,
}

impl AuthEntityName {
    /// Parses `TYPE.ID`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, id) = text.split_once('.')?;
        Some(Self {
            kind: EntityType::from_name(kind)?,
            id: id.to_owned(),
        })
    }
}

impl fmt::Display for AuthEntityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind, self.id)
    }
}

impl Encode for AuthEntityName {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u32_le(self.kind.0.into());
        out.put_string(&self.id);
    }
}

impl Decode for AuthEntityName {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        Ok(Self {
            kind: entity_type(r.u32()?)?,
            id: r.string()?,
        })
    }
}

/// An entity type where the wire has 32 bits for it.
pub(super) fn entity_type(raw: u32) -> codec::Result<EntityType> {
    u8::try_from(raw)
        .map(EntityType)
        .map_err(|_| DecodeError::Invalid {
            what: "entity type",
            value: raw.into(),
        })
}

/// What a ticket's owner may do at one service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthCapsInfo {
    /// Everything (authentication is off).
    pub allow_all: bool,
    /// The encoded capability text: a 32-bit length and the string; may be empty.
    pub caps: Bytes,
}

impl AuthCapsInfo {
    /// The capability text, if there is one and it is text.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        Reader::new(&self.caps).string().ok()
    }
}

impl Encode for AuthCapsInfo {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u8(1);
        out.put_bool(self.allow_all);
        out.put_blob(&self.caps);
    }
}

impl Decode for AuthCapsInfo {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        r.u8()?;
        Ok(Self {
            allow_all: r.bool()?,
            caps: r.blob()?,
        })
    }
}

/// `CEPH_AUTH_UID_DEFAULT`, what is left of a field without use.
const AUID_DEFAULT: u64 = u64::MAX;

/// Identity, validity and capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthTicket {
    /// Whose it is.
    pub name: AuthEntityName,
    /// The client instance.
    pub global_id: u64,
    /// When it was made.
    pub created: Utime,
    /// When it ends.
    pub expires: Utime,
    /// What it allows.
    pub caps: AuthCapsInfo,
    /// No flags are defined.
    pub flags: u32,
}

impl AuthTicket {
    /// The same ticket, valid from `now` for `ttl`.
    #[must_use]
    pub fn valid_for(mut self, now: SystemTime, ttl: Duration) -> Self {
        self.created = Utime::from_system_time(now);
        self.expires = Utime::from_system_time(now + ttl);
        self
    }
}

impl Encode for AuthTicket {
    fn encode(&self, out: &mut BytesMut, f: Features) {
        out.put_u8(2);
        self.name.encode(out, f);
        out.put_u64_le(self.global_id);
        out.put_u64_le(AUID_DEFAULT);
        self.created.encode(out, f);
        self.expires.encode(out, f);
        self.caps.encode(out, f);
        out.put_u32_le(self.flags);
    }
}

impl Decode for AuthTicket {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        let version = r.u8()?;
        let name = AuthEntityName::decode(r)?;
        let global_id = r.u64()?;
        if version >= 2 {
            r.u64()?;
        }
        Ok(Self {
            name,
            global_id,
            created: Utime::decode(r)?,
            expires: Utime::decode(r)?,
            caps: AuthCapsInfo::decode(r)?,
            flags: r.u32()?,
        })
    }
}

/// What a service finds in a ticket: the ticket and the key it shares with its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceTicketInfo {
    /// The ticket.
    pub ticket: AuthTicket,
    /// The key between owner and service.
    pub session_key: CryptoKey,
}

impl Encode for ServiceTicketInfo {
    fn encode(&self, out: &mut BytesMut, f: Features) {
        out.put_u8(1);
        self.ticket.encode(out, f);
        self.session_key.encode(out, f);
    }
}

impl Decode for ServiceTicketInfo {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        r.u8()?;
        Ok(Self {
            ticket: AuthTicket::decode(r)?,
            session_key: CryptoKey::decode(r)?,
        })
    }
}

/// A sealed [`ServiceTicketInfo`] with the id of the rotating secret that opens it. Opaque to its owner.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TicketBlob {
    /// Which of the service's secrets.
    pub secret_id: u64,
    /// The sealed ticket; empty for none.
    pub blob: Bytes,
}

impl Encode for TicketBlob {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u8(1);
        out.put_u64_le(self.secret_id);
        out.put_blob(&self.blob);
    }
}

impl Decode for TicketBlob {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        r.u8()?;
        Ok(Self {
            secret_id: r.u64()?,
            blob: r.blob()?,
        })
    }
}
