//! Where the cluster's state is in the store. Every key begins with `c/`; every value begins with a version byte.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use encoding::{Decode, Encode, features::Features};

use super::ClusterError;

/// The version of all values so far.
const VERSION: u8 = 1;

/// The cluster's identity.
pub(super) const FSID: &[u8] = b"c/fsid";
/// When it was made.
pub(super) const CREATED: &[u8] = b"c/created";
/// The monitor map.
pub(super) const MONMAP: &[u8] = b"c/monmap";
/// The epoch of the last manager map.
pub(super) const MGR_EPOCH: &[u8] = b"c/mgr_epoch";
/// The RADOS clients that the manager's modules have, or had when the process ended.
pub(super) const MGR_CLIENTS: &[u8] = b"c/mgr_clients";
/// The newest OSD map.
pub(super) const OSDMAP: &[u8] = b"c/osdmap/full";
/// Incremental OSD maps, by epoch.
pub(super) const INCREMENTALS: &[u8] = b"c/osdmap/inc/";
/// Snapshots ever removed, by pool.
pub(super) const REMOVED_SNAPS: &[u8] = b"c/snaps/removed/";
/// Pools that were deleted and whose objects may still be there, by pool.
pub(super) const DELETED_POOLS: &[u8] = b"c/pools/deleted/";
/// Keys and capabilities, by entity.
pub(super) const AUTH: &[u8] = b"c/auth/";
/// Rotating secrets of services.
pub(super) const SECRETS: &[u8] = b"c/secrets";
/// The first client id that was not reserved yet.
pub(super) const GLOBAL_ID: &[u8] = b"c/global_id";
/// Configuration options, by section and name.
pub(super) const CONFIG: &[u8] = b"c/config/";
/// Changes of configuration options, by number.
pub(super) const CONFIG_HISTORY: &[u8] = b"c/config-history/";
/// Values of `config-key`, by key.
pub(super) const CONFIG_KEYS: &[u8] = b"c/config-key/";

/// Muted health checks, by code.
pub(super) const HEALTH_MUTES: &[u8] = b"c/health-mute/";

/// The key of a name below a prefix.
pub(super) fn named(prefix: &[u8], name: &str) -> Bytes {
    [prefix, name.as_bytes()].concat().into()
}

/// The key of a number below a prefix; numbers sort.
pub(super) fn numbered(prefix: &[u8], number: u64) -> Bytes {
    let mut key = BytesMut::from(prefix);
    key.put_u64(number);
    key.freeze()
}

/// The name behind a prefix.
pub(super) fn name_in(key: &[u8], prefix: &[u8]) -> Option<String> {
    String::from_utf8(key.strip_prefix(prefix)?.to_vec()).ok()
}

/// The number behind a prefix.
pub(super) fn number_in(key: &[u8], prefix: &[u8]) -> Option<u64> {
    key.strip_prefix(prefix)?.try_into().ok().map(u64::from_be_bytes)
}

/// A value as it is stored.
pub(super) fn stored(value: &impl Encode) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(VERSION);
    value.encode(&mut out, Features::ALL);
    out.freeze()
}

/// A stored value.
pub(super) fn load<T: Decode>(what: &'static str, mut raw: Bytes) -> Result<T, ClusterError> {
    match raw.first() {
        Some(&VERSION) => raw.advance(1),
        version => {
            return Err(ClusterError::Damaged {
                what,
                why: format!("unknown version {version:?}"),
            });
        }
    }
    T::from_bytes(&raw).map_err(|e| ClusterError::Damaged {
        what,
        why: e.to_string(),
    })
}
