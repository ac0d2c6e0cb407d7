//! Who is shut out (Ceph `OSDMap::is_blocklisted`).

use std::net::{IpAddr, SocketAddr};

use super::{osdmap::OsdMap, release::Release};
use crate::types::{AddrType, EntityAddr};

impl OsdMap {
    /// The address as it stands in the blocklist: since Nautilus of type ANY, so that it holds for both
    /// protocols, before of type LEGACY. Clients look their own address up in this form.
    #[must_use]
    pub fn blocklist_key(&self, addr: EntityAddr) -> EntityAddr {
        let kind = if self.require_osd_release < Release::NAUTILUS {
            AddrType::LEGACY
        } else {
            AddrType::ANY
        };
        EntityAddr { kind, ..addr }
    }

    /// Whether a client at this address is shut out: itself, its whole host (an entry with port and nonce 0),
    /// or a range that it is in. Times are not looked at: whoever makes maps drops entries that have expired.
    #[must_use]
    pub fn is_blocklisted(&self, addr: &EntityAddr) -> bool {
        let Some(socket) = addr.socket else {
            return false;
        };
        let host = EntityAddr {
            kind: addr.kind,
            nonce: 0,
            socket: Some(SocketAddr::new(socket.ip(), 0)),
        };
        // Maps that others wrote may have entries of a single protocol: they hold for both here.
        let listed = |wanted: &EntityAddr| {
            self.blocklist.contains_key(&self.blocklist_key(*wanted))
                || self.blocklist.keys().any(|entry| entry.same_entity(wanted))
        };
        listed(addr)
            || listed(&host)
            || self
                .range_blocklist
                .keys()
                .any(|range| in_range(range, socket.ip()))
    }
}

/// Whether `ip` is in the range, whose nonce is the length of its prefix.
fn in_range(range: &EntityAddr, ip: IpAddr) -> bool {
    match (range.socket.map(|s| s.ip()), ip) {
        (Some(IpAddr::V4(net)), IpAddr::V4(ip)) => {
            let shift = 32_u32.saturating_sub(range.nonce);
            (net.to_bits() ^ ip.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        (Some(IpAddr::V6(net)), IpAddr::V6(ip)) => {
            let shift = 128_u32.saturating_sub(range.nonce);
            (net.to_bits() ^ ip.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Utime;

    fn map() -> OsdMap {
        OsdMap {
            require_osd_release: Release::PACIFIC,
            ..OsdMap::default()
        }
    }

    #[test]
    fn an_entry_shuts_out_one_incarnation_over_both_protocols() {
        let mut map = map();
        let client = EntityAddr::v1(([10, 0, 0, 1], 0).into(), 4242);
        map.blocklist.insert(map.blocklist_key(client), Utime::default());
        assert!(map.is_blocklisted(&client));
        assert!(map.is_blocklisted(&EntityAddr::v2(([10, 0, 0, 1], 0).into(), 4242)));
        assert!(!map.is_blocklisted(&EntityAddr::v1(([10, 0, 0, 1], 0).into(), 4243)));
        assert!(!map.is_blocklisted(&EntityAddr::default()));
    }

    #[test]
    fn an_entry_without_port_and_nonce_shuts_out_the_host() {
        let mut map = map();
        let host = EntityAddr::v1(([10, 0, 0, 1], 0).into(), 0);
        map.blocklist.insert(map.blocklist_key(host), Utime::default());
        assert!(map.is_blocklisted(&EntityAddr::v2(([10, 0, 0, 1], 5555).into(), 7)));
        assert!(!map.is_blocklisted(&EntityAddr::v2(([10, 0, 0, 2], 5555).into(), 7)));
    }

    #[test]
    fn a_range_shuts_out_what_shares_its_prefix() {
        let check = |net: &str, prefix, inside: &str, outside: Option<&str>| {
            let at = |ip: &str| SocketAddr::new(ip.parse().expect("an address"), 9);
            let mut map = map();
            let range = map.blocklist_key(EntityAddr::v1(at(net), prefix));
            map.range_blocklist.insert(range, Utime::default());
            assert!(map.is_blocklisted(&EntityAddr::v2(at(inside), 1)));
            if let Some(outside) = outside {
                assert!(!map.is_blocklisted(&EntityAddr::v2(at(outside), 1)));
            }
        };
        check("10.1.2.3", 16, "10.1.200.1", Some("10.2.0.1"));
        check("10.1.2.3", 32, "10.1.2.3", Some("10.1.2.2"));
        check("10.1.2.3", 0, "1.2.3.4", Some("::1"));
        check("fd00:1::", 33, "fd00:1::7", Some("fd00:1:8000::"));
        check("fd00::7", 128, "fd00::7", Some("fd00::6"));
        check("10.1.2.3", 99, "10.1.2.3", None);
    }
}
