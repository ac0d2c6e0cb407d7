//! Where our bytes knowingly differ from those of a release, or are not read.

use super::{Excuse, Outcome};

/// All of them; the first that fits counts.
pub(crate) const EXCUSES: &[Excuse] = &[
    Excuse {
        kinds: &["MOSDOp", "MOSDOpReply"],
        writers: &[],
        words: &["zero"],
        outcome: Outcome::Refused,
        reason: "version 1, for peers without PGID64: no client since Bobtail",
    },
    Excuse {
        kinds: &["OSDMap", "CrushWrapper"],
        writers: &["tentacle"],
        words: &["jewel"],
        outcome: Outcome::Refused,
        reason: "CRUSH with the fields of CRUSH_MSR, whose bit Jewel's word has, but without those of Luminous before them: no release reads it",
    },
    Excuse {
        kinds: &["MOSDOp"],
        writers: &["reef"],
        words: &["all"],
        outcome: Outcome::Differs,
        reason: "Reef does not know SERVER_SQUID and writes version 8",
    },
    Excuse {
        kinds: &[
            "MMgrConfigure",
            "MMgrReport",
            "cls::rbd::MigrationSpec",
            "cls::rbd::MirrorImage",
            "cls::rbd::MirrorImageStatus",
            "cls::rbd::MirrorPeer",
        ],
        writers: &["nautilus"],
        words: &[],
        outcome: Outcome::Differs,
        reason: "Nautilus writes an older version",
    },
    Excuse {
        kinds: &[],
        writers: &[],
        words: &["hammer-bit59"],
        outcome: Outcome::Differs,
        reason: "bit 59 alone is not MSG_ADDR2: such a peer gets legacy addresses",
    },
    Excuse {
        kinds: &["MonMap", "mon_map (sent)"],
        writers: &["nautilus"],
        words: &[],
        outcome: Outcome::Differs,
        reason: "Pacific's forms carry weight, crush_loc and more at the end",
    },
    Excuse {
        kinds: &["MonMap"],
        writers: &["reef", "tentacle"],
        words: &["hammer", "jewel", "luminous"],
        outcome: Outcome::Differs,
        reason: "a weight behind version 2 of mon_info_t is one that no reader sees",
    },
    Excuse {
        kinds: &["MonMap", "mon_map (sent)"],
        writers: &["tentacle"],
        words: &["hammer", "jewel", "luminous", "nautilus", "pacific"],
        outcome: Outcome::Differs,
        reason: "Tentacle writes its fields to every peer; here SERVER_TENTACLE decides",
    },
    Excuse {
        kinds: &[
            "OSDMap",
            "OSDMap_Incremental",
            "osd_map (sent)",
            "osd_inc (sent)",
            "pg_pool_t",
            "CrushWrapper",
        ],
        writers: &["tentacle"],
        words: &["jewel", "luminous"],
        outcome: Outcome::Differs,
        reason: "Tentacle takes bits of old words for SERVER_TENTACLE and CRUSH_MSR",
    },
    Excuse {
        kinds: &["osd_inc (sent)"],
        writers: &["tentacle"],
        words: &["all"],
        outcome: Outcome::Differs,
        reason: "its CRUSH map was written for more than the word it names",
    },
    Excuse {
        kinds: &["OSDMap_Incremental"],
        writers: &["nautilus"],
        words: &["nautilus", "pacific", "all"],
        outcome: Outcome::Differs,
        reason: "the word in it has bits that Nautilus did not know",
    },
    Excuse {
        kinds: &["OSDMap_Incremental"],
        writers: &["nautilus"],
        words: &["linux-3.9", "argonaut", "dumpling"],
        outcome: Outcome::Differs,
        reason: "ceph-dencoder hands the CRUSH map in it on as it came, with fields that such a peer is not sent",
    },
    Excuse {
        kinds: &["MgrMap"],
        writers: &["nautilus"],
        words: &["nautilus", "pacific", "all"],
        outcome: Outcome::Differs,
        reason: "Reef's form carries more at the end",
    },
];
