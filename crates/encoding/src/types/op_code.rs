//! `CEPH_OSD_OP_*`: the operations on objects, and the flags of an op and of a request (Ceph
//! `src/include/rados.h`).

use std::fmt;

/// An operation. Open: unknown codes survive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct OpCode(pub u16);

macro_rules! op_codes {
    ($($name:ident = $value:literal $text:literal,)*) => {
        impl OpCode {
            $(#[doc = concat!("`CEPH_OSD_OP_", stringify!($name), "`, \"", $text, "\".")]
            pub const $name: Self = Self($value);)*

            /// Every known operation.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Ceph's text for it, if it is known.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($value => Some($text),)* _ => None }
            }
        }
    };
}

op_codes! {
    READ = 0x1201 "read",
    STAT = 0x1202 "stat",
    MAPEXT = 0x1203 "mapext",
    CHECKSUM = 0x121f "checksum",
    MASKTRUNC = 0x1204 "masktrunc",
    SPARSE_READ = 0x1205 "sparse-read",
    NOTIFY = 0x1206 "notify",
    NOTIFY_ACK = 0x1207 "notify-ack",
    ASSERT_VER = 0x1208 "assert-version",
    LIST_WATCHERS = 0x1209 "list-watchers",
    LIST_SNAPS = 0x120a "list-snaps",
    SYNC_READ = 0x120b "sync_read",
    WRITE = 0x2201 "write",
    WRITEFULL = 0x2202 "writefull",
    TRUNCATE = 0x2203 "truncate",
    ZERO = 0x2204 "zero",
    DELETE = 0x2205 "delete",
    APPEND = 0x2206 "append",
    STARTSYNC = 0x2207 "startsync",
    SETTRUNC = 0x2208 "settrunc",
    TRIMTRUNC = 0x2209 "trimtrunc",
    TMAPUP = 0x320a "tmapup",
    TMAPPUT = 0x220b "tmapput",
    TMAPGET = 0x120c "tmapget",
    CREATE = 0x220d "create",
    ROLLBACK = 0x220e "rollback",
    WATCH = 0x220f "watch",
    OMAPGETKEYS = 0x1211 "omap-get-keys",
    OMAPGETVALS = 0x1212 "omap-get-vals",
    OMAPGETHEADER = 0x1213 "omap-get-header",
    OMAPGETVALSBYKEYS = 0x1214 "omap-get-vals-by-keys",
    OMAPSETVALS = 0x2215 "omap-set-vals",
    OMAPSETHEADER = 0x2216 "omap-set-header",
    OMAPCLEAR = 0x2217 "omap-clear",
    OMAPRMKEYS = 0x2218 "omap-rm-keys",
    OMAPRMKEYRANGE = 0x222c "omap-rm-key-range",
    OMAP_CMP = 0x1219 "omap-cmp",
    COPY_FROM = 0x221a "copy-from",
    COPY_FROM2 = 0x222d "copy-from2",
    UNDIRTY = 0x221c "undirty",
    ISDIRTY = 0x121d "isdirty",
    COPY_GET = 0x121e "copy-get",
    CACHE_FLUSH = 0x821f "cache-flush",
    CACHE_EVICT = 0x8220 "cache-evict",
    CACHE_TRY_FLUSH = 0x8221 "cache-try-flush",
    TMAP2OMAP = 0x3222 "tmap2omap",
    SETALLOCHINT = 0x2223 "set-alloc-hint",
    CACHE_PIN = 0x2224 "cache-pin",
    CACHE_UNPIN = 0x2225 "cache-unpin",
    WRITESAME = 0x2226 "write-same",
    CMPEXT = 0x1220 "cmpext",
    SET_REDIRECT = 0x2227 "set-redirect",
    SET_CHUNK = 0x8228 "set-chunk",
    TIER_PROMOTE = 0x2229 "tier-promote",
    UNSET_MANIFEST = 0x222a "unset-manifest",
    TIER_FLUSH = 0x822b "tier-flush",
    TIER_EVICT = 0x822c "tier-evict",
    GETXATTR = 0x1301 "getxattr",
    GETXATTRS = 0x1302 "getxattrs",
    CMPXATTR = 0x1303 "cmpxattr",
    SETXATTR = 0x2301 "setxattr",
    SETXATTRS = 0x2302 "setxattrs",
    RESETXATTRS = 0x2303 "resetxattrs",
    RMXATTR = 0x2304 "rmxattr",
    PULL = 0x4001 "pull",
    PUSH = 0x4002 "push",
    BALANCEREADS = 0x4003 "balance-reads",
    UNBALANCEREADS = 0x4004 "unbalance-reads",
    SCRUB = 0x4005 "scrub",
    SCRUB_RESERVE = 0x4006 "scrub-reserve",
    SCRUB_UNRESERVE = 0x4007 "scrub-unreserve",
    SCRUB_MAP = 0x4009 "scrub-map",
    CALL = 0x1401 "call",
    PGLS = 0x1501 "pgls",
    PGLS_FILTER = 0x1502 "pgls-filter",
    PG_HITSET_LS = 0x1503 "pg-hitset-ls",
    PG_HITSET_GET = 0x1504 "pg-hitset-get",
    PGNLS = 0x1505 "pgnls",
    PGNLS_FILTER = 0x1506 "pgnls-filter",
    SCRUBLS = 0x1507 "scrubls",
}

impl OpCode {
    const MODE_RD: u16 = 0x1000;
    const MODE_WR: u16 = 0x2000;
    const MODE_CACHE: u16 = 0x8000;
    const TYPE: u16 = 0x0f00;
    const TYPE_PG: u16 = 0x0500;

    /// Whether it reads. A call is neither a read nor a write by itself: its method decides.
    #[must_use]
    pub const fn is_read(self) -> bool {
        self.0 & Self::MODE_RD != 0 && self.0 != Self::CALL.0
    }

    /// Whether it modifies the object.
    #[must_use]
    pub const fn is_write(self) -> bool {
        self.0 & Self::MODE_WR != 0
    }

    /// Whether it is about cache tiering.
    #[must_use]
    pub const fn is_cache(self) -> bool {
        self.0 & Self::MODE_CACHE != 0
    }

    /// Whether it is about a placement group, not an object.
    #[must_use]
    pub const fn is_pg(self) -> bool {
        self.0 & Self::TYPE == Self::TYPE_PG
    }
}

impl fmt::Display for OpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "op-{:#x}", self.0),
        }
    }
}

impl fmt::Debug for OpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

bitflags::bitflags! {
    /// `CEPH_OSD_OP_FLAG_*`: flags of one op. Unknown bits survive.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct OpFlags: u32 {
        /// Fail if the object exists (create).
        const EXCL = 0x1;
        /// Go on with the next op if this one fails.
        const FAILOK = 0x2;
        /// Random access.
        const FADVISE_RANDOM = 0x4;
        /// Sequential access.
        const FADVISE_SEQUENTIAL = 0x8;
        /// Will be accessed soon.
        const FADVISE_WILLNEED = 0x10;
        /// Will not be accessed soon.
        const FADVISE_DONTNEED = 0x20;
        /// Accessed once by this client.
        const FADVISE_NOCACHE = 0x40;
        /// Reference counting (manifest objects).
        const WITH_REFERENCE = 0x80;
        /// Do not use the store's cache.
        const BYPASS_CLEAN_CACHE = 0x100;
        const _ = !0;
    }
}

bitflags::bitflags! {
    /// `CEPH_OSD_FLAG_*`: flags of a request and its reply. Unknown bits survive.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct OsdFlags: u32 {
        /// An acknowledgement is wanted, or this is it.
        const ACK = 0x1;
        /// Never used.
        const ONNVRAM = 0x2;
        /// A commit is wanted, or this is it.
        const ONDISK = 0x4;
        /// Sent again.
        const RETRY = 0x8;
        /// May read.
        const READ = 0x10;
        /// May write.
        const WRITE = 0x20;
        /// -EOLDSNAPC if the snap context is older than the object's.
        const ORDERSNAP = 0x40;
        /// Deprecated.
        const PEERSTAT_OLD = 0x80;
        /// Read from any replica.
        const BALANCE_READS = 0x100;
        /// Run in parallel.
        const PARALLELEXEC = 0x200;
        /// An op on the PG, no object.
        const PGOP = 0x400;
        /// May call methods.
        const EXEC = 0x800;
        /// Deprecated.
        const EXEC_PUBLIC = 0x1000;
        /// Read from a near replica.
        const LOCALIZE_READS = 0x2000;
        /// Reads are ordered with writes.
        const RWORDERED = 0x4000;
        /// Ignore cache logic.
        const IGNORE_CACHE = 0x8000;
        /// Skip locks.
        const SKIPRWLOCKS = 0x1_0000;
        /// Ignore the pool's overlay.
        const IGNORE_OVERLAY = 0x2_0000;
        /// Part of a flush.
        const FLUSH = 0x4_0000;
        /// The snapshot is a clone id.
        const MAP_SNAP_CLONE = 0x8_0000;
        /// Use the snap context even if the pool has pool snapshots.
        const ENFORCE_SNAPC = 0x10_0000;
        /// Was redirected.
        const REDIRECTED = 0x20_0000;
        /// The redirect bit can be relied on.
        const KNOWN_REDIR = 0x40_0000;
        /// Try although full, -ENOSPC if it would not fit.
        const FULL_TRY = 0x80_0000;
        /// Run although full.
        const FULL_FORCE = 0x100_0000;
        /// Ignore redirection.
        const IGNORE_REDIRECT = 0x200_0000;
        /// Return results and data of each op of a write, too.
        const RETURNVEC = 0x400_0000;
        /// The client understands a pool's EIO flag.
        const SUPPORTSPOOLEIO = 0x800_0000;
        const _ = !0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_are_told_to_read_or_write_as_in_ceph() {
        assert!(OpCode::READ.is_read() && !OpCode::READ.is_write());
        assert!(OpCode::WRITE.is_write() && !OpCode::WRITE.is_read());
        assert!(!OpCode::CALL.is_read() && !OpCode::CALL.is_write());
        assert!(OpCode::TMAPUP.is_read() && OpCode::TMAPUP.is_write());
        assert!(OpCode::PGNLS.is_pg() && OpCode::PGNLS.is_read());
        assert_eq!(OpCode(0x7777).to_string(), "op-0x7777");
    }
}
