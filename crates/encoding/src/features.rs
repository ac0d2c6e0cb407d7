//! Feature bits that peers exchange, and every decision that follows from them.
//!
//! Ceph reuses bits: a *feature* is a bit together with its incarnation, which is told from two other bits
//! (`src/include/ceph_features.h`). All choices of an encoding ask [`Features::has`]; nothing else looks at bits.
//!
//! # The bit-59 conflict
//! `1 << 59` is MSG_ADDR2 in Ceph, first set by Nautilus. Hammer builds exist which use the same bit for a
//! feature of their own and cannot read the newer addresses. A peer has MSG_ADDR2 only if it also carries
//! SERVER_JEWEL and SERVER_LUMINOUS, which every real ADDR2 client does, the kernel's included.

use std::fmt;

/// The feature word of a peer, as exchanged in handshakes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Features(pub u64);

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $incarnation:literal;)*) => {
        /// A feature that some decision of ours depends on, or that a session's report names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[non_exhaustive]
        pub enum Feature {
            $($(#[$doc])* $name,)*
        }

        impl Feature {
            /// All features, in order of their bits.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Ceph's name without its CEPH_FEATURE_ prefix.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The feature of that name, in any case of letters.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().find(|f| f.name().eq_ignore_ascii_case(name)).copied()
            }

            /// The feature's own bit, as a word.
            #[must_use]
            pub const fn word(self) -> Features {
                Features(1 << self.bit().0)
            }

            /// The bit and its incarnation.
            const fn bit(self) -> (u32, u8) {
                match self { $(Self::$name => ($bit, $incarnation),)* }
            }
        }
    };
}

features! {
    /// Ceph 0.20.
    UID = 0, 1;
    /// Addresses without source.
    NOSRCADDR = 1, 1;
    /// Release bit of Nautilus.
    SERVER_NAUTILUS = 2, 3;
    /// MDS only.
    FLOCK = 3, 1;
    /// MMonSubscribe with `start` and flags.
    SUBSCRIBE2 = 4, 1;
    /// MonMap with names.
    MONNAMES = 5, 1;
    /// Sequence exchange when a v1 session is reconnected.
    RECONNECT_SEQ = 6, 1;
    /// MDS only.
    DIRLAYOUTHASH = 7, 1;
    /// object_locator_t on ops.
    OBJECTLOCATOR = 8, 1;
    /// 64-bit pool ids.
    PGID64 = 9, 1;
    /// Incremental osdmaps in subscriptions.
    INCSUBOSDMAP = 10, 1;
    /// pg_pool_t v3.
    PGPOOL3 = 11, 1;
    /// Many replies on one connection.
    OSDREPLYMUX = 12, 1;
    /// Versioned encodings of OSD types.
    OSDENC = 13, 1;
    /// Release bit of Kraken.
    SERVER_KRAKEN = 14, 2;
    /// Versioned MonMap.
    MONENC = 15, 1;
    /// Release bit of Octopus.
    SERVER_OCTOPUS = 16, 3;
    /// Crush tunables of Argonaut.
    CRUSH_TUNABLES = 18, 1;
    /// OSD to OSD.
    OSD_PGLOG_HARDLIMIT = 19, 2;
    /// Release bit of Pacific.
    SERVER_PACIFIC = 20, 3;
    /// Release bit of Luminous; also RESEND_ON_SPLIT, RADOS_BACKOFF, OSDMAP_PG_UPMAP, CRUSH_CHOOSE_ARGS.
    SERVER_LUMINOUS = 21, 2;
    /// OSD to OSD.
    OSD_FIXED_COLLECTION_LIST = 22, 2;
    /// Signed messages (v1).
    MSG_AUTH = 23, 1;
    /// OSD to OSD.
    RECOVERY_RESERVATION_2 = 24, 2;
    /// Crush tunables of Bobtail.
    CRUSH_TUNABLES2 = 25, 1;
    /// Pool ids in pool creation.
    CREATEPOOLID = 26, 1;
    /// MDS only.
    REPLY_CREATE_INODE = 27, 1;
    /// Release bit of Mimic.
    SERVER_MIMIC = 28, 2;
    /// MDS only.
    MDSENC = 29, 1;
    /// Pool id hashed into placement.
    OSDHASHPSPOOL = 30, 1;
    /// Release bit of Reef. Nautilus and Pacific set it as well, by its older meaning: it may only decide what such a
    /// peer skips. Whether a peer is a Reef is told by [`Features::is_since`].
    SERVER_REEF = 31, 3;
    /// Stretch clusters.
    STRETCH_MODE = 32, 3;
    /// Release bit of Quincy.
    SERVER_QUINCY = 33, 3;
    /// Blocklist entries that are address ranges.
    RANGE_BLOCKLIST = 34, 3;
    /// Cache tiering fields of pools.
    OSD_CACHEPOOL = 35, 1;
    /// Crush rules with more steps.
    CRUSH_V2 = 36, 1;
    /// MDS only.
    EXPORT_PEER = 37, 1;
    /// Crush multi-step retry rules.
    CRUSH_MSR = 38, 3;
    /// OSDMap in two sections with its own crc.
    OSDMAP_ENC = 39, 1;
    /// MDS only.
    MDS_INLINE_DATA = 40, 1;
    /// Crush tunables of Firefly, and primary affinity.
    CRUSH_TUNABLES3 = 41, 1;
    /// Keepalives that carry a time stamp.
    MSGR_KEEPALIVE2 = 42, 1;
    /// Resend when a pool's interval changes.
    OSD_POOLRESEND = 43, 1;
    /// NVMe-oF gateways in the monitor.
    NVMEOFHA = 44, 3;
    /// NVMe-oF gateway map.
    NVMEOFHAMAP = 45, 2;
    /// fadvise flags on ops.
    OSD_FADVISE_FLAGS = 46, 1;
    /// MDS only.
    MDS_QUOTA = 47, 1;
    /// Crush straw2.
    CRUSH_V4 = 48, 1;
    /// Release bit of Squid.
    SERVER_SQUID = 49, 3;
    /// Release bit of Tentacle.
    SERVER_TENTACLE = 50, 3;
    /// MOSDOp with a spg_t and reqid in front; pg_pool_t from 25 on.
    NEW_OSDOP_ENCODING = 56, 1;
    /// Release bit of Jewel; also MON_STATEFUL_SUB.
    SERVER_JEWEL = 57, 1;
    /// Crush tunables of Jewel; also NEW_OSDOPREPLY_ENCODING.
    CRUSH_TUNABLES5 = 58, 1;
    /// entity_addr_t with a type, and address vectors. See the module's text on the conflict.
    MSG_ADDR2 = 59, 1;
    /// OSD to OSD.
    OSD_RECOVERY_DELETES = 60, 1;
    /// cephx authorizers with a server challenge.
    CEPHX_V2 = 61, 1;
}

const JEWEL: u64 = 1 << 57;
const MIMIC: u64 = 1 << 28;
const LUMINOUS: u64 = 1 << 21;

impl Features {
    /// No features: the oldest encodings.
    pub const NONE: Self = Self(0);
    /// What we offer, as a server: Pacific's word, which every client generation connects to.
    pub const OURS: Self = Self(0x3f01_cfbd_fffd_ffff);
    /// What we require of a client: that it speaks of pools by 64-bit ids, as all do since Argonaut (0.48) and
    /// Linux 3.9. Without, requests and replies have forms of their own, which we do not write.
    ///
    /// A real cluster requires what its CRUSH map and pools need, too. Our OSDs serve every group, so that it does not
    /// matter where a client looks for it; and what it cannot read is translated
    /// ([`crate::maps::OsdMap::translated_for`]).
    pub const REQUIRED: Self = Feature::PGID64.word();
    /// Everything that has a meaning: for what we store ourselves.
    pub const ALL: Self = Self(0x3fff_ffff_ffff_ffff);

    /// Whether the peer has `feature`: its bit, the bits of its incarnation, and for MSG_ADDR2 the proof that
    /// the bit is Ceph's.
    #[must_use]
    pub const fn has(self, feature: Feature) -> bool {
        let (bit, incarnation) = feature.bit();
        let mask = (1 << bit)
            | match incarnation {
                1 => 0,
                2 => JEWEL,
                _ => JEWEL | MIMIC,
            }
            | match feature {
                Feature::MSG_ADDR2 => JEWEL | LUMINOUS,
                _ => 0,
            };
        self.0 & mask == mask
    }

    /// The features both words have.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The word with Ceph's meaning made explicit: bit 59 is dropped where it is not MSG_ADDR2.
    #[must_use]
    pub const fn sanitised(self) -> Self {
        if self.has(Feature::MSG_ADDR2) {
            self
        } else {
            Self(self.0 & !(1 << 59))
        }
    }

    /// The word without those bits.
    #[must_use]
    pub const fn without(self, bits: Self) -> Self {
        Self(self.0 & !bits.0)
    }

    /// This word of ours as it is shown to `peer`: without bit 59 if the bit is the peer's private feature, lest it
    /// takes us for one of its kind.
    #[must_use]
    pub const fn shown_to(self, peer: Self) -> Self {
        if peer.has(Feature::MSG_ADDR2) {
            self
        } else {
            self.without(Self(1 << 59 & peer.0))
        }
    }

    /// The names of the features in the word.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Feature::ALL
            .iter()
            .filter(move |f| self.has(**f))
            .map(|f| f.name())
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Features({:#x})", self.0)
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words seen on the wire or known to be sent (captures/README.md).
    const HAMMER: Features = Features(0x0083_ffff_ffff_ffff);
    const NAUTILUS: Features = Features(0x3ffd_dff8_ffec_ffff);
    const PACIFIC: Features = Features(0x3f01_cfbd_fffd_ffff);
    const TENTACLE: Features = Features(0x3f07_ffff_fffd_ffff);
    const KRBD_5_10: Features = Features(0x2f01_8fb8_6aa4_2ada);

    #[test]
    fn bit_59_of_a_hammer_client_is_not_msg_addr2() {
        let conflicting = Features(HAMMER.0 | 1 << 59);
        assert!(!conflicting.has(Feature::MSG_ADDR2));
        assert_eq!(conflicting.sanitised(), HAMMER);
    }

    #[test]
    fn our_bit_59_is_hidden_from_a_peer_that_means_something_else_by_it() {
        let conflicting = Features(HAMMER.0 | 1 << 59);
        assert_eq!(PACIFIC.shown_to(conflicting), Features(PACIFIC.0 & !(1 << 59)));
        for word in [HAMMER, NAUTILUS, KRBD_5_10] {
            assert_eq!(PACIFIC.shown_to(word), PACIFIC);
        }
    }

    #[test]
    fn real_addr2_clients_have_msg_addr2_the_kernel_included() {
        for word in [NAUTILUS, PACIFIC, TENTACLE, KRBD_5_10] {
            assert!(word.has(Feature::MSG_ADDR2), "{word}");
            assert_eq!(word.sanitised(), word);
        }
    }

    #[test]
    fn a_reused_bit_means_the_newer_feature_only_with_its_incarnation() {
        assert!(!HAMMER.has(Feature::SERVER_LUMINOUS), "bit 21 was MON_GV");
        assert!(PACIFIC.has(Feature::SERVER_PACIFIC) && !NAUTILUS.has(Feature::SERVER_PACIFIC));
        assert!(!KRBD_5_10.has(Feature::SERVER_MIMIC));
    }
}
