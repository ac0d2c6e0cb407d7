//! What a feature word tells of its peer: the release it is probably of, and whether its bit 59 is Ceph's.
//!
//! No bit alone proves anything: bits were taken back and given a new meaning, so that Nautilus sets what reads as
//! SERVER_TENTACLE today, and the kernel skips releases. The guess goes up release by release, and stops at the
//! first whose bit is missing. For people to read; encodings ask [`Features::has`].

use std::fmt;

use crate::{
    features::{Feature, Features},
    maps::Release,
};

/// The release a peer is probably of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerRelease {
    /// librados or a daemon of that release.
    Ceph(Release),
    /// librados from before Hammer.
    BeforeHammer,
    /// The kernel's client, of these versions of Linux.
    Kernel(&'static str),
}

impl fmt::Display for PeerRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What comes after it may well set no bit that we know.
            Self::Ceph(Release::TENTACLE) => write!(f, "tentacle or later"),
            Self::Ceph(release) => write!(f, "{release}"),
            Self::BeforeHammer => write!(f, "before hammer"),
            Self::Kernel(versions) => write!(f, "Linux {versions}"),
        }
    }
}

/// The steps from Jewel up: what a release has that the one before it has not.
const RELEASES: &[(Feature, Release)] = &[
    (Feature::SERVER_JEWEL, Release::JEWEL),
    (Feature::SERVER_KRAKEN, Release::KRAKEN),
    (Feature::SERVER_LUMINOUS, Release::LUMINOUS),
    (Feature::SERVER_MIMIC, Release::MIMIC),
    (Feature::SERVER_NAUTILUS, Release::NAUTILUS),
    (Feature::SERVER_OCTOPUS, Release::OCTOPUS),
    (Feature::SERVER_PACIFIC, Release::PACIFIC),
    (Feature::SERVER_QUINCY, Release::QUINCY),
    (Feature::SERVER_REEF, Release::REEF),
    (Feature::SERVER_SQUID, Release::SQUID),
    (Feature::SERVER_TENTACLE, Release::TENTACLE),
];

/// The steps of the kernel's client, newest first (`CEPH_FEATURES_SUPPORTED_DEFAULT` of each version).
const KERNELS: &[(Feature, &str)] = &[
    (Feature::SERVER_NAUTILUS, "5.11 or later"),
    (Feature::MSG_ADDR2, "5.3 to 5.10"),
    (Feature::CEPHX_V2, "4.19 to 5.2"),
    (Feature::SERVER_LUMINOUS, "4.13 to 4.18"),
];

/// What bit 59 of a word means, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bit59 {
    /// It is not set: the peer knows legacy addresses only.
    Unset,
    /// It is MSG_ADDR2.
    MsgAddr2,
    /// It is a private feature of the peer's build.
    Private,
}

impl fmt::Display for Bit59 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unset => "not set: legacy addresses",
            Self::MsgAddr2 => "MSG_ADDR2, as SERVER_JEWEL and SERVER_LUMINOUS are set too: address vectors",
            Self::Private => {
                "a private feature, as SERVER_JEWEL and SERVER_LUMINOUS, which every client with MSG_ADDR2 has, are \
                 not both set: legacy addresses"
            }
        })
    }
}

impl Features {
    /// Guesses the release of the peer that supports these features. The word must be what the peer said, not what
    /// both sides have in common.
    #[must_use]
    pub fn peer_release(self) -> PeerRelease {
        if self.is_kernel() {
            let step = KERNELS.iter().find(|(feature, _)| self.has(*feature));
            return PeerRelease::Kernel(step.map_or("4.12 or earlier", |(_, versions)| versions));
        }
        let steps = RELEASES.iter().take_while(|(feature, _)| self.has(*feature));
        match steps.last() {
            Some((_, release)) => PeerRelease::Ceph(*release),
            None if self.has(Feature::CRUSH_V4) => PeerRelease::Ceph(Release::HAMMER),
            None => PeerRelease::BeforeHammer,
        }
    }

    /// Whether this is the word of a librados or daemon of that release or a later one.
    #[must_use]
    pub fn is_since(self, release: Release) -> bool {
        matches!(self.peer_release(), PeerRelease::Ceph(r) if r >= release)
    }

    /// What bit 59 means in this word.
    #[must_use]
    pub const fn bit_59(self) -> Bit59 {
        match (
            self.0 & Feature::MSG_ADDR2.word().0 != 0,
            self.has(Feature::MSG_ADDR2),
        ) {
            (false, _) => Bit59::Unset,
            (true, true) => Bit59::MsgAddr2,
            (true, false) => Bit59::Private,
        }
    }

    /// The kernel's client never had the first of all features, which everybody else has.
    fn is_kernel(self) -> bool {
        self.has(Feature::NOSRCADDR) && !self.has(Feature::UID) && !self.has(Feature::OBJECTLOCATOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words as real clients send them: those of captures, and for the releases that are not among them those that
    /// `ceph features` is known to show.
    const WORDS: &[(u64, &str, Bit59)] = &[
        (0x0007_ffff, "before hammer", Bit59::Unset),
        (0x0000_ffff_ffff_ffff, "before hammer", Bit59::Unset),
        (0x0083_ffff_ffff_ffff, "hammer", Bit59::Unset),
        (0x0883_ffff_ffff_ffff, "hammer", Bit59::Private),
        (0x07fd_dff8_ef8c_bffb, "jewel", Bit59::Unset),
        (0x3ffd_dff8_eea4_fffb, "luminous", Bit59::MsgAddr2),
        (0x3ffd_dff8_ffac_ffff, "nautilus", Bit59::MsgAddr2),
        (0x3ffd_dff8_ffec_ffff, "nautilus", Bit59::MsgAddr2),
        (0x3f01_cfb8_ffed_ffff, "octopus", Bit59::MsgAddr2),
        (0x3f01_cfbd_fffd_ffff, "pacific", Bit59::MsgAddr2),
        (0x3f01_cfbf_7ffd_ffff, "quincy", Bit59::MsgAddr2),
        (0x3f01_cfbf_fffd_ffff, "reef", Bit59::MsgAddr2),
        (0x3f03_cfbf_fffd_ffff, "squid", Bit59::MsgAddr2),
        (0x3f07_ffff_fffd_ffff, "tentacle or later", Bit59::MsgAddr2),
        (0x2f01_8fb8_7aa4_aafe, "Linux 5.11 or later", Bit59::MsgAddr2),
        (0x2f01_8fb8_6aa4_2ada, "Linux 5.3 to 5.10", Bit59::MsgAddr2),
        (0x2701_8fb8_6aa4_2ada, "Linux 4.19 to 5.2", Bit59::Unset),
        (0x0701_0fb8_6aa4_2ada, "Linux 4.13 to 4.18", Bit59::Unset),
        (0x0401_06b8_4a84_2a42, "Linux 4.12 or earlier", Bit59::Unset),
        (0x4a04_2a42, "Linux 4.12 or earlier", Bit59::Unset),
    ];

    #[test]
    fn each_generation_is_told_by_its_word() {
        for &(word, release, bit_59) in WORDS {
            let word = Features(word);
            assert_eq!(word.peer_release().to_string(), release, "{word}");
            assert_eq!(word.bit_59(), bit_59, "{word}");
            assert_eq!(word.has(Feature::MSG_ADDR2), bit_59 == Bit59::MsgAddr2, "{word}");
        }
    }

    #[test]
    fn a_newer_release_is_never_told_from_one_reused_bit() {
        let nautilus = Features(0x3ffd_dff8_ffec_ffff);
        assert!(nautilus.has(Feature::SERVER_TENTACLE), "the bit was MON_METADATA");
        assert!(!nautilus.is_since(Release::OCTOPUS));
        let pacific = Features(0x3f01_cfbd_fffd_ffff);
        assert!(pacific.has(Feature::SERVER_REEF), "the bit was MON_SINGLE_PAXOS");
        assert!(!pacific.is_since(Release::QUINCY));
        assert!(Features(0x3f07_ffff_fffd_ffff).is_since(Release::TENTACLE));
        assert!(
            !Features(0x2f01_8fb8_7aa4_aafe).is_since(Release::JEWEL),
            "the kernel is no release"
        );
    }
}
