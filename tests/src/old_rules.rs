//! Maps read as Argonaut, Hammer, Jewel and Luminous read them, by a reader of its own that shares nothing with the server: every
//! byte must be accounted for, and what those releases do not know must not occur.
//!
//! Formats: Ceph `src/mon/MonMap.cc`, `src/osd/OSDMap.cc`, `src/crush/CrushWrapper.cc`, `src/msg/msg_types.h` of those
//! releases.

use crate::{Failure, Result};

/// A release whose rules are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// As Hammer, but maps are without sections, and straw2 buckets are not known: Argonaut to Emperor.
    Classic,
    /// Legacy addresses alone; bit 59 is not MSG_ADDR2.
    Hammer,
    /// As Hammer, with one more tunable.
    Jewel,
    /// The first that reads addresses with a type, device classes and upmaps.
    Luminous,
}

/// An IPv4 address and port; none of a blank address.
pub type Address = Option<([u8; 4], u16)>;

/// A monitor map as an old client sees it: names and addresses with their ports.
#[derive(Debug)]
pub struct OldMonMap {
    /// The version of the encoding.
    pub version: u8,
    /// The map's epoch.
    pub epoch: u32,
    /// Name and address of each monitor.
    pub mons: Vec<(String, Address)>,
}

/// An OSD map as an old client sees it.
#[derive(Debug)]
pub struct OldOsdMap {
    /// The version of the section for clients.
    pub client_version: u8,
    /// The version of the section for OSDs.
    pub osd_version: u8,
    /// The map's epoch.
    pub epoch: u32,
    /// Names of the pools.
    pub pools: Vec<String>,
    /// The OSDs' addresses for clients.
    pub osds: Vec<Address>,
}

/// Bytes that are still to be read.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    bytes: &'a [u8],
    rules: Rules,
}

fn wrong<T>(what: impl std::fmt::Display) -> Result<T> {
    Err(Failure(format!("against the old rules: {what}")))
}

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize, what: &str) -> Result<&'a [u8]> {
        let Some((head, rest)) = self.bytes.split_at_checked(n) else {
            return wrong(format!("{what} needs {n} bytes, {} are left", self.bytes.len()));
        };
        self.bytes = rest;
        Ok(head)
    }

    fn number(&mut self, n: usize, what: &str) -> Result<u64> {
        let raw = self.take(n, what)?;
        Ok(raw.iter().rev().fold(0, |sum, b| sum << 8 | u64::from(*b)))
    }

    fn u8(&mut self, what: &str) -> Result<u8> {
        Ok(self.number(1, what)? as u8)
    }

    fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(self.number(4, what)? as u32)
    }

    fn blob(&mut self, what: &str) -> Result<&'a [u8]> {
        let len = self.u32(what)?;
        self.take(len as usize, what)
    }

    fn text(&mut self, what: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(self.blob(what)?).into_owned())
    }

    /// A frame (ENCODE_START) that a reader of version `known` may read: its version and contents.
    fn frame(&mut self, known: u8, what: &str) -> Result<(u8, Self)> {
        let (version, compat) = (self.u8(what)?, self.u8(what)?);
        if compat > known {
            return wrong(format!(
                "{what} v{version} wants a reader of v{compat}, not v{known}"
            ));
        }
        let bytes = self.blob(what)?;
        Ok((
            version,
            Self {
                bytes,
                rules: self.rules,
            },
        ))
    }

    /// `n` elements after their count.
    fn each(&mut self, what: &str, mut element: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        for _ in 0..self.u32(what)? {
            element(self)?;
        }
        Ok(())
    }

    /// A vector of elements of `size` bytes.
    fn vector(&mut self, size: usize, what: &str) -> Result<()> {
        self.each(what, |c| c.take(size, what).map(drop))
    }

    fn end(&self, what: &str) -> Result<()> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            wrong(format!("{} bytes behind {what}", self.bytes.len()))
        }
    }

    /// `entity_addr_t`: the legacy form, and from Luminous on the one with a type.
    fn address(&mut self, what: &str) -> Result<Address> {
        let marker = self.u8(what)?;
        if marker == 1 && self.rules == Rules::Luminous {
            return self.typed_address(what);
        }
        let rest = self.number(3, what)?;
        if marker != 0 || rest != 0 {
            return wrong(format!("{what} begins with {marker}: no legacy address"));
        }
        self.u32(what)?; // nonce
        let storage = self.take(128, what)?;
        match u16::from_be_bytes([storage[0], storage[1]]) {
            0 => Ok(None),
            2 => Ok(Some(socket(storage))),
            family => wrong(format!("{what} has address family {family}")),
        }
    }

    fn typed_address(&mut self, what: &str) -> Result<Address> {
        let (_, mut c) = self.frame(1, what)?;
        c.take(8, what)?; // type, nonce
        let raw = c.blob(what)?;
        c.end(what)?;
        match raw {
            [] | [0, 0, ..] => Ok(None),
            [2, 0, ..] if raw.len() == 16 => Ok(Some(socket(raw))),
            _ => wrong(format!("{what} has a sockaddr of {} bytes", raw.len())),
        }
    }

    fn crush(&mut self) -> Result<Self> {
        let bytes = self.blob("crush")?;
        let rules = self.rules;
        Ok(Self { bytes, rules })
    }

    fn addresses(&mut self, what: &str) -> Result<Vec<Address>> {
        let mut out = Vec::new();
        self.each(what, |c| {
            out.push(c.address(what)?);
            Ok(())
        })?;
        Ok(out)
    }
}

fn socket(raw: &[u8]) -> ([u8; 4], u16) {
    (
        [raw[4], raw[5], raw[6], raw[7]],
        u16::from_be_bytes([raw[2], raw[3]]),
    )
}

/// Reads a monitor map to its last byte.
pub fn read_monmap(bytes: &[u8], rules: Rules) -> Result<OldMonMap> {
    let mut c = Cursor { bytes, rules };
    let known = if rules == Rules::Luminous { 5 } else { 3 };
    let (version, mut m) = c.frame(known, "MonMap")?;
    c.end("MonMap")?;
    m.take(16, "fsid")?;
    let epoch = m.u32("epoch")?;
    let mut mons = Vec::new();
    m.each("mon_addr", |c| {
        mons.push((c.text("mon name")?, c.address("mon address")?));
        Ok(())
    })?;
    m.take(16, "stamps")?;
    // What a reader of version 3 skips by the frame's length is read too: it must be well formed all the same.
    if version >= 4 {
        for what in ["persistent features", "optional features"] {
            m.frame(1, what)?.1.take(8, what)?;
        }
    }
    if version >= 5 {
        let mut again = Vec::new();
        m.each("mon_info", |c| {
            let name = c.text("mon name")?;
            let (_, mut info) = c.frame(2, "mon_info_t")?;
            if info.text("mon name")? != name {
                return wrong("mon_info_t under another name");
            }
            again.push((name, info.address("mon_info_t address")?));
            info.take(2, "priority")?;
            Ok(())
        })?;
        if again != mons {
            return wrong(format!("mon_info {again:?} is not mon_addr {mons:?}"));
        }
    }
    m.end("the last field of MonMap")?;
    Ok(OldMonMap { version, epoch, mons })
}

const PG: usize = 1 + 8 + 4 + 4;

/// Reads a full OSD map to its last byte, and checks its checksum if it must have one.
pub fn read_osdmap(bytes: &[u8], rules: Rules) -> Result<OldOsdMap> {
    let mut c = Cursor { bytes, rules };
    if rules == Rules::Classic {
        return read_classic(c);
    }
    let (version, mut m) = c.frame(8, "OSDMap")?;
    c.end("OSDMap")?;
    let known = if rules == Rules::Luminous { 6 } else { 3 };
    let (client_version, client) = m.frame(known, "OSDMap client section")?;
    if client_version > known {
        return wrong(format!("client section v{client_version}, newer than v{known}"));
    }
    let mut map = read_client_section(client, client_version)?;
    let known = if rules == Rules::Luminous { 5 } else { 1 };
    let (osd_version, osd) = m.frame(known, "OSDMap OSD section")?;
    if osd_version > known {
        return wrong(format!("OSD section v{osd_version}, newer than v{known}"));
    }
    read_osd_section(osd, osd_version, map.osds.len())?;
    map.osd_version = osd_version;
    if version < 8 {
        return wrong("no checksum");
    }
    let crc = m.u32("crc")?;
    m.end("the crc")?;
    let covered = &bytes[..bytes.len() - 4];
    let actual = !crc32c::crc32c(covered);
    if crc != actual {
        return wrong(format!("crc {crc:#x} of a map with {actual:#x}"));
    }
    Ok(map)
}

/// The form without sections: version 6, and behind what clients read version 10 of what OSDs read.
fn read_classic(mut c: Cursor<'_>) -> Result<OldOsdMap> {
    if c.number(2, "OSDMap version")? != 6 {
        return wrong("no OSDMap of version 6");
    }
    let (epoch, pools, osds) = read_for_all(&mut c, 6)?;
    read_crush(c.crush()?)?;
    if c.number(2, "version of the part for OSDs")? != 10 {
        return wrong("no part for OSDs of version 10");
    }
    read_osd_section(c, 0, osds.len())?;
    Ok(OldOsdMap {
        client_version: 6,
        osd_version: 10,
        epoch,
        pools,
        osds,
    })
}

fn read_client_section(mut c: Cursor<'_>, version: u8) -> Result<OldOsdMap> {
    let (epoch, pools, osds) = read_for_all(&mut c, version)?;
    c.vector(PG + 4, "primary_temp")?;
    c.vector(4, "osd_primary_affinity")?;
    read_crush(c.crush()?)?;
    c.each("erasure code profiles", |c| {
        c.text("profile")?;
        c.each("profile", |c| {
            c.text("key")?;
            c.text("value").map(drop)
        })
    })?;
    if version >= 4 {
        c.each("pg_upmap", |c| {
            c.take(PG, "pg_t")?;
            c.vector(4, "pg_upmap")
        })?;
        c.each("pg_upmap_items", |c| {
            c.take(PG, "pg_t")?;
            c.vector(8, "pg_upmap_items")
        })?;
    }
    if version >= 6 {
        c.u32("crush_version")?;
    }
    c.end("the client section")?;
    Ok(OldOsdMap {
        client_version: version,
        osd_version: 0,
        epoch,
        pools,
        osds,
    })
}

/// What maps of every form begin with: returns the epoch, the pools' names and the OSDs' addresses.
fn read_for_all(c: &mut Cursor<'_>, version: u8) -> Result<(u32, Vec<String>, Vec<Address>)> {
    c.take(16, "fsid")?;
    let epoch = c.u32("epoch")?;
    c.take(16, "created, modified")?;
    c.each("pools", |c| {
        c.take(8, "pool id")?;
        let (_, mut pool) = c.frame(17, "pg_pool_t")?;
        // type, size, crush_ruleset, object_hash; pg_num, pgp_num
        pool.take(4 + 8, "pg_pool_t").map(drop)
    })?;
    let mut pools = Vec::new();
    c.each("pool names", |c| {
        c.take(8, "pool id")?;
        pools.push(c.text("pool name")?);
        Ok(())
    })?;
    c.take(8, "pool_max, flags")?;
    let max_osd = c.u32("max_osd")? as usize;
    let wide = c.rules != Rules::Classic && version >= 5;
    c.vector(if wide { 4 } else { 1 }, "osd_state")?;
    c.vector(4, "osd_weight")?;
    let osds = c.addresses("client addresses")?;
    if osds.len() != max_osd {
        return wrong(format!("{} addresses of {max_osd} OSDs", osds.len()));
    }
    c.each("pg_temp", |c| {
        c.take(PG, "pg_t")?;
        c.vector(4, "pg_temp")
    })?;
    Ok((epoch, pools, osds))
}

fn read_osd_section(mut c: Cursor<'_>, version: u8, max_osd: usize) -> Result<()> {
    let mut lengths = vec![c.addresses("hb_back addresses")?.len()];
    c.vector(1 + 6 * 4, "osd_info")?;
    c.each("blacklist", |c| {
        c.address("blacklisted address")?;
        c.take(8, "until").map(drop)
    })?;
    lengths.push(c.addresses("cluster addresses")?.len());
    c.u32("cluster_snapshot_epoch")?;
    c.text("cluster_snapshot")?;
    c.vector(16, "osd_uuid")?;
    c.each("osd_xinfo", |c| {
        let (_, mut xinfo) = c.frame(3, "osd_xinfo_t")?;
        xinfo.take(8 + 4 + 4, "osd_xinfo_t").map(drop)
    })?;
    lengths.push(c.addresses("hb_front addresses")?.len());
    if version >= 5 {
        c.take(3 * 4 + 2, "ratios and releases")?;
    }
    c.end("the OSD section")?;
    if lengths.iter().any(|len| *len != max_osd) {
        return wrong(format!("addresses {lengths:?} of {max_osd} OSDs"));
    }
    Ok(())
}

fn read_crush(mut c: Cursor<'_>) -> Result<()> {
    if c.u32("crush magic")? != 0x0001_0000 {
        return wrong("no CRUSH magic");
    }
    let buckets = c.u32("max_buckets")?;
    let rules = c.u32("max_rules")?;
    c.u32("max_devices")?;
    for _ in 0..buckets {
        read_bucket(&mut c)?;
    }
    for _ in 0..rules {
        if c.u32("rule")? != 0 {
            let len = c.u32("rule length")?;
            c.take(4 + 12 * len as usize, "rule")?;
        }
    }
    for what in ["type names", "bucket names", "rule names"] {
        c.each(what, |c| {
            c.u32(what)?;
            c.text(what).map(drop)
        })?;
    }
    c.take(4 * 4 + 1 + 1 + 4, "tunables")?;
    if matches!(c.rules, Rules::Jewel | Rules::Luminous) {
        c.u8("chooseleaf_stable")?;
    }
    if c.rules == Rules::Luminous {
        c.vector(8, "device classes")?;
        c.each("class names", |c| {
            c.u32("class")?;
            c.text("class name").map(drop)
        })?;
        c.each("shadow buckets", |c| {
            c.u32("bucket")?;
            c.vector(8, "shadow buckets")
        })?;
        if c.u32("choose_args")? != 0 {
            return wrong("choose_args, of which the test cluster has none");
        }
    }
    c.end("the CRUSH map")
}

fn read_bucket(c: &mut Cursor<'_>) -> Result<()> {
    if c.u32("bucket")? == 0 {
        return Ok(());
    }
    c.take(6, "bucket id and type")?;
    let (alg, _hash) = (c.u8("bucket alg")?, c.u8("bucket hash")?);
    c.u32("bucket weight")?;
    let size = c.u32("bucket size")? as usize;
    c.take(4 * size, "bucket items")?;
    match alg {
        1 => c.take(4, "uniform bucket")?,
        2 | 4 => c.take(8 * size, "list or straw bucket")?,
        3 => {
            let nodes = c.u8("tree bucket")?;
            c.take(4 * usize::from(nodes), "tree bucket")?
        }
        5 if c.rules != Rules::Classic => c.take(4 * size, "straw2 bucket")?,
        _ => return wrong(format!("bucket algorithm {alg}")),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    /// Maps that real monitors sent over msgr v1 to a client with that word, with the release of the monitor.
    fn sent_by_monitors(kind: &str, word: &str) -> Vec<(String, Vec<u8>)> {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../crates/encoding/testdata/maps/probe.json"
        );
        let text = std::fs::read_to_string(path).unwrap();
        let goldens: serde_json::Value = serde_json::from_str(&text).unwrap();
        let goldens = goldens.as_array().unwrap().iter();
        let wanted = goldens.filter(|g| g["type"] == kind && g["words"].get(word).is_some());
        let maps = wanted.map(|g| {
            let hex = g["hex"].as_str().unwrap();
            let bytes = (0..hex.len()).step_by(2);
            let bytes = bytes.map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap());
            (g["writer"].as_str().unwrap().to_owned(), bytes.collect())
        });
        let maps: Vec<_> = maps.collect();
        assert!(!maps.is_empty(), "no {kind} for {word}");
        maps
    }

    #[test]
    fn maps_that_real_monitors_send_to_old_clients_are_read_to_the_last_byte() {
        let words = [
            ("hammer", Rules::Hammer),
            ("jewel", Rules::Jewel),
            ("luminous", Rules::Luminous),
        ];
        for (word, rules) in words {
            for (monitor, map) in sent_by_monitors("mon_map", word) {
                read_monmap(&map, rules).unwrap_or_else(|e| panic!("{monitor}, {word}: {e}"));
                assert!(read_monmap(&map[..map.len() - 1], rules).is_err());
            }
            for (monitor, map) in sent_by_monitors("osd_map", word) {
                read_osdmap(&map, rules).unwrap_or_else(|e| panic!("{monitor}, {word}: {e}"));
                let mut damaged = map.clone();
                damaged[70] ^= 1;
                assert!(read_osdmap(&damaged, rules).is_err());
            }
        }
    }

    #[test]
    fn a_hammer_client_with_bit_59_cannot_read_what_real_monitors_send_it() {
        for (_, map) in sent_by_monitors("mon_map", "hammer-bit59") {
            assert!(read_monmap(&map, Rules::Hammer).is_err());
        }
        for (_, map) in sent_by_monitors("osd_map", "hammer-bit59") {
            assert!(read_osdmap(&map, Rules::Hammer).is_err());
        }
    }
}
