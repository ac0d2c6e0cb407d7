//! Clients that are shut out (Ceph `src/osd/OSDMap.cc`, `OSDMonitor.cc`).

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use encoding::{
    maps::OsdMap,
    types::{AddrType, EntityAddr, Utime},
};

use super::{Cluster, ClusterError};

/// An address as people write it: `[v1:|v2:|any:]IP[:PORT][/NONCE]`, IPv6 in brackets if a port follows.
#[must_use]
pub fn parse_address(text: &str) -> Option<EntityAddr> {
    let (kind, rest) = match text.split_once(':') {
        Some(("v1", rest)) => (AddrType::LEGACY, rest),
        Some(("v2", rest)) => (AddrType::MSGR2, rest),
        Some(("any", rest)) => (AddrType::ANY, rest),
        _ => (AddrType::ANY, text),
    };
    let (host, nonce) = match rest.split_once('/') {
        Some((host, nonce)) => (host, nonce.parse().ok()?),
        None => (rest, 0),
    };
    let socket = host.parse::<SocketAddr>().ok().or_else(|| {
        let bare = host
            .strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .unwrap_or(host);
        bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0))
    })?;
    Some(EntityAddr {
        kind,
        nonce,
        socket: Some(socket),
    })
}

/// A range of addresses, `IP/LENGTH`: its type is CIDR, the length of its prefix the nonce.
#[must_use]
pub fn parse_range(text: &str) -> Option<EntityAddr> {
    let addr = parse_address(text).filter(|_| text.contains('/'))?;
    let socket = addr.socket.filter(|s| s.port() == 0)?;
    let bits = if socket.is_ipv4() { 32 } else { 128 };
    (addr.nonce <= bits).then_some(EntityAddr {
        kind: AddrType::CIDR,
        ..addr
    })
}

/// The list that an address belongs to: single ones or ranges.
fn list_of(map: &mut OsdMap, addr: EntityAddr) -> (&mut BTreeMap<EntityAddr, Utime>, EntityAddr) {
    if addr.kind == AddrType::CIDR {
        (&mut map.range_blocklist, addr)
    } else {
        let key = map.blocklist_key(addr);
        (&mut map.blocklist, key)
    }
}

/// The blocklist.
impl Cluster {
    /// Shuts a client, or a range of addresses, out until `now + lifetime`. Returns when it ends.
    pub fn blocklist_add(&self, addr: EntityAddr, lifetime: Duration) -> Result<Utime, ClusterError> {
        let now = SystemTime::now();
        let until = Utime::from_system_time(now.checked_add(lifetime).unwrap_or(now));
        self.change_osdmap(|edit| {
            let (list, key) = list_of(&mut edit.map, addr);
            list.insert(key, until);
            Ok(until)
        })
    }

    /// Lets a client in again; false if it was not shut out.
    pub fn blocklist_rm(&self, addr: EntityAddr) -> Result<bool, ClusterError> {
        self.change_osdmap(|edit| {
            let (list, key) = list_of(&mut edit.map, addr);
            let was = list.remove(&key).is_some();
            edit.unchanged = !was;
            Ok(was)
        })
    }

    /// Lets everybody in again.
    pub fn blocklist_clear(&self) -> Result<(), ClusterError> {
        self.change_osdmap(|edit| {
            edit.unchanged = edit.map.blocklist.is_empty() && edit.map.range_blocklist.is_empty();
            edit.map.blocklist.clear();
            edit.map.range_blocklist.clear();
            Ok(())
        })
    }

    /// Drops the entries that have expired.
    pub(super) fn expire_blocklist(&self, now: SystemTime) -> Result<(), ClusterError> {
        let now = Utime::from_system_time(now);
        let map = self.osdmap();
        if !map
            .blocklist
            .values()
            .chain(map.range_blocklist.values())
            .any(|t| *t <= now)
        {
            return Ok(());
        }
        self.change_osdmap(|edit| {
            edit.map.blocklist.retain(|_, until| *until > now);
            edit.map.range_blocklist.retain(|_, until| *until > now);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, shown) in [
            ("127.0.0.1:0/4242", "any:127.0.0.1:0/4242"),
            ("127.0.0.1", "any:127.0.0.1:0/0"),
            ("v1:10.0.0.1:6789/3", "v1:10.0.0.1:6789/3"),
            ("[::1]:0/7", "any:[::1]:0/7"),
            ("::1", "any:[::1]:0/0"),
        ] {
            assert_eq!(parse_address(text).unwrap().to_string(), shown);
        }
        let range = parse_range("10.9.0.0/16").unwrap();
        assert_eq!((range.kind, range.nonce), (AddrType::CIDR, 16));
        for bad in ["10.9.0.0", "10.9.0.0/33", "fd00::/129", "10.9.0.0:1/16", "here/8"] {
            assert!(parse_range(bad).is_none(), "{bad}");
        }
        assert!(parse_address("here").is_none() && parse_address("127.0.0.1/x").is_none());
    }
}
