//! `entity_addr_t` and `entity_addrvec_t`: where a peer is (Ceph `src/msg/msg_types.h`, `msg_types.cc`).
//!
//! Two encodings exist: the legacy one (a zero marker, a nonce and a `sockaddr_storage`) and, for peers with
//! MSG_ADDR2, a versioned one that carries the protocol. A peer without MSG_ADDR2 is given of a vector the
//! first legacy address, as Ceph does.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
};

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result},
    features::{Feature, Features},
};

/// Which protocol is spoken at an address (`TYPE_*`). Open: unknown types survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct AddrType(pub u32);

impl AddrType {
    /// No address.
    pub const NONE: Self = Self(0);
    /// msgr v1.
    pub const LEGACY: Self = Self(1);
    /// msgr v2.
    pub const MSGR2: Self = Self(2);
    /// Either.
    pub const ANY: Self = Self(3);
    /// A range: the nonce is the length of its prefix.
    pub const CIDR: Self = Self(4);
}

/// An address: protocol, nonce and socket address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct EntityAddr {
    /// The protocol.
    pub kind: AddrType,
    /// Tells incarnations at the same socket address apart.
    pub nonce: u32,
    /// The socket address; none for a blank address.
    pub socket: Option<SocketAddr>,
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
/// `sizeof(struct sockaddr_storage)`.
const SOCKADDR_STORAGE: usize = 128;

impl EntityAddr {
    /// A msgr v2 address.
    #[must_use]
    pub const fn v2(socket: SocketAddr, nonce: u32) -> Self {
        Self {
            kind: AddrType::MSGR2,
            nonce,
            socket: Some(socket),
        }
    }

    /// A msgr v1 address.
    #[must_use]
    pub const fn v1(socket: SocketAddr, nonce: u32) -> Self {
        Self {
            kind: AddrType::LEGACY,
            nonce,
            socket: Some(socket),
        }
    }

    /// Whether both are the same incarnation at the same socket, whatever the protocol: how blocklist
    /// entries are matched.
    #[must_use]
    pub fn same_entity(&self, other: &Self) -> bool {
        self.nonce == other.nonce && self.socket == other.socket
    }

    /// The legacy encoding: marker, nonce, `sockaddr_storage` with the family in network byte order.
    fn encode_legacy(&self, out: &mut BytesMut) {
        out.put_u32_le(0);
        out.put_u32_le(self.nonce);
        let start = out.len();
        if let Some(s) = self.socket {
            put_sockaddr(out, s, true);
        }
        out.put_bytes(0, SOCKADDR_STORAGE - (out.len() - start));
    }

    fn decode_legacy(r: &mut Reader<'_>) -> Result<Self> {
        r.skip(3, "entity_addr_t marker")?;
        let nonce = r.u32()?;
        let raw: [u8; SOCKADDR_STORAGE] = r.array("sockaddr_storage")?;
        let family = u16::from_be_bytes([raw[0], raw[1]]);
        let socket = socket_of(family, &raw[2..])?;
        let kind = if socket.is_some() {
            AddrType::LEGACY
        } else {
            AddrType::NONE
        };
        Ok(Self { kind, nonce, socket })
    }

    /// What follows the marker byte 1.
    fn decode_versioned(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(1, "entity_addr_t")?;
        let kind = AddrType(f.u32()?);
        let nonce = f.u32()?;
        let raw = f.blob()?;
        let socket = match raw.len() {
            0 => None,
            1 => {
                return Err(DecodeError::Invalid {
                    what: "sockaddr length",
                    value: 1,
                });
            }
            _ => socket_of(u16::from_le_bytes([raw[0], raw[1]]), &raw[2..])?,
        };
        Ok(Self { kind, nonce, socket })
    }

    fn decode_after_marker(marker: u8, r: &mut Reader<'_>) -> Result<Self> {
        match marker {
            0 => Self::decode_legacy(r),
            1 => Self::decode_versioned(r),
            v => Err(DecodeError::Invalid {
                what: "entity_addr_t marker",
                value: v.into(),
            }),
        }
    }
}

fn put_sockaddr(out: &mut BytesMut, s: SocketAddr, family_be: bool) {
    let family = if s.is_ipv4() { AF_INET } else { AF_INET6 };
    if family_be {
        out.put_u16(family);
    } else {
        out.put_u16_le(family);
    }
    out.put_u16(s.port());
    match s {
        SocketAddr::V4(v4) => {
            out.put_slice(&v4.ip().octets());
            out.put_bytes(0, 8);
        }
        SocketAddr::V6(v6) => {
            out.put_u32(v6.flowinfo());
            out.put_slice(&v6.ip().octets());
            out.put_u32_le(v6.scope_id());
        }
    }
}

/// The socket address of a `sockaddr` whose family was read; `raw` starts behind the family.
fn socket_of(family: u16, raw: &[u8]) -> Result<Option<SocketAddr>> {
    let short = |needed| DecodeError::UnexpectedEnd {
        what: "sockaddr",
        needed,
        left: raw.len(),
    };
    let port = |b: &[u8]| u16::from_be_bytes([b[0], b[1]]);
    match family {
        0 => Ok(None),
        AF_INET => {
            let b = raw.get(..6).ok_or(short(6))?;
            let ip = Ipv4Addr::new(b[2], b[3], b[4], b[5]);
            Ok(Some(SocketAddr::new(IpAddr::V4(ip), port(b))))
        }
        AF_INET6 => {
            let b = raw.get(..26).ok_or(short(26))?;
            let flow = u32::from_be_bytes([b[2], b[3], b[4], b[5]]);
            let mut ip = [0; 16];
            ip.copy_from_slice(&b[6..22]);
            let scope = u32::from_le_bytes([b[22], b[23], b[24], b[25]]);
            Ok(Some(SocketAddr::V6(SocketAddrV6::new(
                Ipv6Addr::from(ip),
                port(b),
                flow,
                scope,
            ))))
        }
        f => Err(DecodeError::Invalid {
            what: "sockaddr family",
            value: f.into(),
        }),
    }
}

impl Decode for EntityAddr {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let marker = r.u8()?;
        Self::decode_after_marker(marker, r)
    }
}

impl Encode for EntityAddr {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        if !features.has(Feature::MSG_ADDR2) {
            return self.encode_legacy(out);
        }
        // Before Nautilus nobody knew ANY, which blocklist entries have.
        let kind = match self.kind {
            AddrType::ANY if !features.has(Feature::SERVER_NAUTILUS) => AddrType::LEGACY,
            kind => kind,
        };
        out.put_u8(1);
        out.put_frame(1, 1, |out| {
            out.put_u32_le(kind.0);
            out.put_u32_le(self.nonce);
            match self.socket {
                None => {
                    // An address of no family is written at the full size of Ceph's union of sockaddrs.
                    out.put_u32_le(28);
                    out.put_bytes(0, 28);
                }
                Some(s) => {
                    out.put_u32_le(if s.is_ipv4() { 16 } else { 28 });
                    put_sockaddr(out, s, false);
                }
            }
        });
    }
}

impl fmt::Display for EntityAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            AddrType::LEGACY => f.write_str("v1:")?,
            AddrType::MSGR2 => f.write_str("v2:")?,
            AddrType::ANY => f.write_str("any:")?,
            _ => return f.write_str("-"),
        }
        match self.socket {
            Some(s) => write!(f, "{s}/{}", self.nonce),
            None => write!(f, "-/{}", self.nonce),
        }
    }
}

/// All addresses of one entity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct EntityAddrVec(pub Vec<EntityAddr>);

impl EntityAddrVec {
    /// The first address of that protocol.
    #[must_use]
    pub fn first(&self, kind: AddrType) -> Option<EntityAddr> {
        self.0.iter().find(|a| a.kind == kind).copied()
    }

    /// What a peer without MSG_ADDR2 is told: the first legacy address, else the first one as a legacy
    /// address, else a blank one (`entity_addrvec_t::legacy_addr`, `as_legacy_addr`).
    #[must_use]
    pub fn as_legacy(&self) -> EntityAddr {
        self.first(AddrType::LEGACY)
            .or_else(|| self.0.first().copied())
            .unwrap_or_default()
    }
}

impl Decode for EntityAddrVec {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        match r.u8()? {
            2 => Ok(Self(r.vec()?)),
            marker => Ok(Self(vec![EntityAddr::decode_after_marker(marker, r)?])),
        }
    }
}

impl Encode for EntityAddrVec {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        if !features.has(Feature::MSG_ADDR2) {
            return self.as_legacy().encode_legacy(out);
        }
        out.put_u8(2);
        out.put_vec(self.0.iter(), features);
    }
}

impl fmt::Display for EntityAddrVec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "{one}"),
            many => {
                f.write_str("[")?;
                for (i, a) in many.iter().enumerate() {
                    if i > 0 {
                        f.write_str(",")?;
                    }
                    write!(f, "{a}")?;
                }
                f.write_str("]")
            }
        }
    }
}
