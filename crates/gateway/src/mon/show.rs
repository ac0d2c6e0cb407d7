//! Values that several commands show: addresses, names of flags, versions.

use encoding::{
    maps::OsdMap,
    types::{AddrType, EntityAddr, EntityAddrVec},
};
use serde_json::{Value, json};

/// The Ceph version that clients may rely on. Its third word is a version that tools parse; the hash's place says
/// who is really there.
pub(super) const VERSION: &str = concat!(
    "ceph version 16.2.15 (rbdgate-",
    env!("CARGO_PKG_VERSION"),
    ") pacific (stable)"
);
/// The number in [`VERSION`].
pub(crate) const VERSION_NUMBER: &str = "16.2.15";
/// The release in [`VERSION`].
pub(crate) const RELEASE: &str = "pacific";

/// `IP:PORT/NONCE`, without the protocol.
pub(super) fn plain_addr(addr: &EntityAddr) -> String {
    match addr.socket {
        Some(s) => format!("{s}/{}", addr.nonce),
        None => "-".to_owned(),
    }
}

/// The address that clients before Nautilus see.
pub(super) fn legacy_addr(addrs: &EntityAddrVec) -> String {
    plain_addr(&addrs.as_legacy())
}

/// An address taken apart.
pub(crate) fn address_value(a: &EntityAddr) -> Value {
    json!({
        "type": match a.kind {
            AddrType::LEGACY => "v1",
            AddrType::MSGR2 => "v2",
            AddrType::ANY => "any",
            AddrType::CIDR => "cidr",
            _ => "none",
        },
        "addr": a.socket.map_or_else(|| "-".to_owned(), |s| s.to_string()),
        "nonce": a.nonce,
    })
}

pub(super) fn addrvec(addrs: &EntityAddrVec) -> Value {
    json!({ "addrvec": addrs.0.iter().map(address_value).collect::<Vec<_>>() })
}

/// Names of the cluster's flags, in order of their bits.
const FLAGS: [(u32, &str); 23] = [
    (1 << 0, "nearfull"),
    (1 << 1, "full"),
    (1 << 2, "pauserd"),
    (1 << 3, "pausewr"),
    (1 << 4, "pauserec"),
    (1 << 5, "noup"),
    (1 << 6, "nodown"),
    (1 << 7, "noout"),
    (1 << 8, "noin"),
    (1 << 9, "nobackfill"),
    (1 << 10, "norecover"),
    (1 << 11, "noscrub"),
    (1 << 12, "nodeep-scrub"),
    (1 << 13, "notieragent"),
    (1 << 14, "norebalance"),
    (1 << 15, "sortbitwise"),
    (1 << 16, "require_jewel_osds"),
    (1 << 17, "require_kraken_osds"),
    (1 << 18, "require_luminous_osds"),
    (1 << 19, "recovery_deletes"),
    (1 << 20, "purged_snapdirs"),
    (1 << 21, "nosnaptrim"),
    (1 << 22, "pglog_hardlimit"),
];

pub(super) fn flag_bit(name: &str) -> Option<u32> {
    FLAGS.iter().find(|(_, n)| *n == name).map(|(bit, _)| *bit)
}

pub(super) fn flag_names(flags: u32) -> Vec<&'static str> {
    FLAGS
        .iter()
        .filter(|(bit, _)| flags & bit != 0)
        .map(|(_, name)| *name)
        .collect()
}

/// The flags that an operator set, as health and status name them.
pub(super) fn operator_flags(flags: u32) -> Vec<&'static str> {
    const ALWAYS: [&str; 4] = [
        "sortbitwise",
        "recovery_deletes",
        "purged_snapdirs",
        "pglog_hardlimit",
    ];
    flag_names(flags)
        .into_iter()
        .filter(|n| !ALWAYS.contains(n) && !n.starts_with("require_"))
        .collect()
}

/// Names of a pool's flags.
pub(super) fn pool_flag_names(flags: u64) -> String {
    const NAMES: [&str; 18] = [
        "hashpspool",
        "full",
        "ec_overwrites",
        "incomplete_clones",
        "nodelete",
        "nopgchange",
        "nosizechange",
        "write_fadvise_dontneed",
        "noscrub",
        "nodeep-scrub",
        "full_quota",
        "nearfull",
        "backfillfull",
        "selfmanaged_snaps",
        "pool_snaps",
        "creating",
        "eio",
        "bulk",
    ];
    let set = NAMES.iter().enumerate().filter(|(bit, _)| flags >> bit & 1 != 0);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join(",")
}

/// How many OSDs exist, are up and are in.
pub(crate) fn osd_counts(map: &OsdMap) -> (usize, usize, usize) {
    let exists = osds(map).count();
    let up = osds(map).filter(|o| map.is_up(o.0)).count();
    let is_in = osds(map)
        .filter(|o| map.osd_weight.get(o.1).is_some_and(|w| *w > 0))
        .count();
    (exists, up, is_in)
}

/// The OSDs that exist: id and index.
pub(super) fn osds(map: &OsdMap) -> impl Iterator<Item = (i32, usize)> {
    (0..map.max_osd)
        .zip(0_usize..)
        .filter(|(_, i)| map.osd_state.get(*i).is_some_and(|s| s & 1 != 0))
}

/// Placement groups of all pools.
pub(super) fn pg_count(map: &OsdMap) -> u64 {
    map.pools.values().map(|p| u64::from(p.pg_num)).sum()
}
