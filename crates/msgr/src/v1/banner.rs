//! The banner, and the addresses behind it: always in the legacy encoding.

use bytes::{Bytes, BytesMut};
use encoding::{
    Decode, Encode, Features, Reader,
    types::{AddrType, EntityAddr},
};

use crate::error::{Incompatible, Malformed, Result};

/// `CEPH_BANNER`: what both sides begin with.
pub const BANNER: &[u8; 9] = b"ceph v027";
/// What every msgr v2 peer begins with.
const PREFIX_V2: &[u8] = b"ceph v2\n";
/// `sizeof(struct ceph_entity_addr)`.
pub(super) const ADDR_LEN: usize = 136;

/// Takes the banner off `rx`. False if more bytes are needed.
pub(super) fn take_banner(rx: &mut BytesMut) -> Result<bool> {
    let seen = rx.len().min(BANNER.len());
    if rx[..seen] != BANNER[..seen] {
        return Err(if rx.starts_with(PREFIX_V2) {
            Incompatible::MsgrV2.into()
        } else if seen < PREFIX_V2.len() && PREFIX_V2.starts_with(&rx[..seen]) {
            return Ok(false);
        } else {
            Malformed::Banner.into()
        });
    }
    if seen < BANNER.len() {
        return Ok(false);
    }
    let _ = rx.split_to(BANNER.len());
    Ok(true)
}

/// Takes an address off `rx`. None if more bytes are needed.
pub(super) fn take_addr(rx: &mut BytesMut) -> Result<Option<EntityAddr>> {
    if rx.len() < ADDR_LEN {
        return Ok(None);
    }
    let raw = rx.split_to(ADDR_LEN).freeze();
    Ok(Some(EntityAddr::decode(&mut Reader::new(&raw))?))
}

/// An address as it stands behind the banner.
pub(super) fn addr_bytes(addr: EntityAddr) -> Bytes {
    addr.to_bytes(Features::NONE)
}

/// Whether the peer does not know its IP address.
pub(super) fn is_blank_ip(addr: &EntityAddr) -> bool {
    addr.socket.is_none_or(|s| s.ip().is_unspecified())
}

/// A client's address as it says itself, with the IP address it connects from if it does not know its own.
pub(super) fn real_addr(said: EntityAddr, from: std::net::SocketAddr) -> EntityAddr {
    if !is_blank_ip(&said) {
        return said;
    }
    let mut socket = from;
    socket.set_port(said.socket.map_or(0, |s| s.port()));
    EntityAddr {
        kind: AddrType::LEGACY,
        nonce: said.nonce,
        socket: Some(socket),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn take(bytes: &[u8]) -> Result<bool> {
        take_banner(&mut BytesMut::from(bytes))
    }

    #[test]
    fn every_prefix_of_the_banner_asks_for_more_and_all_of_it_is_taken() {
        for n in 0..BANNER.len() {
            assert_eq!(take(&BANNER[..n]), Ok(false), "{n}");
        }
        let mut rx = BytesMut::from(&b"ceph v027rest"[..]);
        assert_eq!(take_banner(&mut rx), Ok(true));
        assert_eq!(&rx[..], b"rest");
    }

    #[test]
    fn other_protocols_are_told_apart() {
        assert_eq!(take(b"ceph v2\n\x10"), Err(Error::from(Incompatible::MsgrV2)));
        assert_eq!(take(b"ceph v026"), Err(Malformed::Banner.into()));
        assert_eq!(take(b"GET / HTTP"), Err(Malformed::Banner.into()));
    }

    #[test]
    fn addresses_take_136_bytes_and_round_trip() {
        for socket in ["127.0.0.1:6789", "[::1]:6789"] {
            let addr = EntityAddr::v1(socket.parse().unwrap(), 7);
            let bytes = addr_bytes(addr);
            assert_eq!(bytes.len(), ADDR_LEN);
            assert_eq!(take_addr(&mut BytesMut::from(&bytes[..])), Ok(Some(addr)));
            assert_eq!(take_addr(&mut BytesMut::from(&bytes[1..])), Ok(None));
        }
    }

    #[test]
    fn a_client_without_an_ip_address_gets_the_one_it_connects_from() {
        let from = "10.0.0.1:40000".parse().unwrap();
        let blank = EntityAddr {
            nonce: 9,
            ..EntityAddr::default()
        };
        let expected = EntityAddr::v1("10.0.0.1:0".parse().unwrap(), 9);
        assert_eq!(real_addr(blank, from), expected);
        let any = EntityAddr::v1("0.0.0.0:0".parse().unwrap(), 9);
        assert_eq!(real_addr(any, from), expected);
        let known = EntityAddr::v1("10.0.0.2:0".parse().unwrap(), 9);
        assert_eq!(real_addr(known, from), known);
    }
}
