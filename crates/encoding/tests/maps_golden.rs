//! Cluster maps that real Ceph wrote: they decode, and are written again to the same bytes.
//!
//! Origin: `dencoder.json` is ceph-dencoder's test instances at eight feature words; `probe.json` is what
//! monitors of four releases sent to clients that offered those words; `classic.json` is what Nautilus'
//! ceph-dencoder makes of its test instances and of its cluster's maps for words from before OSDMAP_ENC; `*.bin` are `ceph mon getmap` and
//! `ceph osd getmap` of the same clusters.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test that cannot read its data must fail"
)]

use std::{fmt::Debug, path::Path};

use bytes::Bytes;
use proptest::prelude::*;
use rbdgate_encoding::{
    Decode, Encode, Feature, Features,
    maps::{
        CrushMap, MgrMap, MonMap, OsdInfo, OsdMap, OsdMapIncremental, OsdXinfo, PgPool, PoolSnapInfo,
        significant_features,
    },
};
use serde_json::Value;

/// Feature words by the names that the goldens use.
const WORDS: &[(&str, u64)] = &[
    ("zero", 0),
    ("linux-3.9", 0x4a04_2a42),
    ("argonaut", 0x0007_ffff),
    ("dumpling", 0x0007_ffff_ffff),
    ("hammer", 0x0083_ffff_ffff_ffff),
    ("hammer-bit59", 0x0883_ffff_ffff_ffff),
    ("jewel", 0x07fd_dff8_ef8c_bffb),
    ("luminous", 0x3ffd_dff8_eea4_fffb),
    ("nautilus", 0x3ffd_dff8_ffec_ffff),
    ("pacific", 0x3f01_cfbd_fffd_ffff),
    ("all", 0x3fff_ffff_ffff_ffff),
];

fn word(name: &str) -> Features {
    Features(WORDS.iter().find(|(n, _)| *n == name).unwrap().1)
}

struct Golden {
    kind: String,
    writer: String,
    /// Name and the features that writer and reader had in common.
    words: Vec<(String, Features)>,
    bytes: Bytes,
}

impl Golden {
    fn name(&self, word: &str) -> String {
        format!(
            "{} by {} for {word}, {} bytes",
            self.kind,
            self.writer,
            self.bytes.len()
        )
    }
}

fn data(name: &str) -> Vec<u8> {
    std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("testdata/maps")
            .join(name),
    )
    .unwrap()
}

fn unhex(s: &str) -> Bytes {
    (0..s.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&s[i..i + 2], 16).unwrap())
        .collect()
}

fn words_of(v: &Value) -> Vec<(String, Features)> {
    match v {
        Value::Object(words) => words
            .iter()
            .map(|(name, word)| {
                let word = word.as_str().unwrap().trim_start_matches("0x");
                (name.clone(), Features(u64::from_str_radix(word, 16).unwrap()))
            })
            .collect(),
        _ => v
            .as_array()
            .unwrap()
            .iter()
            .map(|name| {
                let name = name.as_str().unwrap();
                let word = WORDS.iter().find(|(n, _)| *n == name).unwrap().1;
                (name.to_owned(), Features(word))
            })
            .collect(),
    }
}

fn goldens(file: &str) -> Vec<Golden> {
    let rows: Value = serde_json::from_slice(&data(file)).unwrap();
    let text = |r: &Value, k: &str| r[k].as_str().unwrap().to_owned();
    rows.as_array()
        .unwrap()
        .iter()
        .map(|r| Golden {
            kind: text(r, "type").split('.').next().unwrap().to_owned(),
            writer: text(r, "writer"),
            words: words_of(&r["words"]),
            bytes: unhex(&text(r, "hex")),
        })
        .collect()
}

/// Where our bytes knowingly differ from the writer's, with the reason.
fn excuse(g: &Golden, word: &str) -> Option<&'static str> {
    let tentacle = g.writer == "tentacle";
    let old_word = ["jewel", "luminous"].contains(&word);
    match g.kind.as_str() {
        _ if word == "hammer-bit59" => Some("bit 59 of a Hammer client is not MSG_ADDR2"),
        "MonMap" | "mon_map" if g.writer == "nautilus" && word != "zero" => {
            Some("Pacific's forms carry weight, crush_loc and more")
        }
        "MonMap" | "mon_map" if tentacle && word != "all" && word != "zero" => {
            Some("Tentacle writes its fields to every peer; here SERVER_TENTACLE decides")
        }
        "MonMap" if ["hammer", "jewel", "luminous"].contains(&word) => {
            Some("a weight behind version 2 of mon_info_t is one that no reader sees")
        }
        "OSDMap" | "osd_map" | "osd_inc" | "pg_pool_t" | "CrushWrapper" | "OSDMap_Incremental"
            if tentacle && old_word =>
        {
            Some("Tentacle takes old bits for its own release bit and for CRUSH_MSR")
        }
        "MgrMap" if !["hammer", "jewel", "luminous", "zero"].contains(&word) => {
            Some("Reef's form carries more at the end")
        }
        "OSDMap_Incremental"
            if g.writer == "nautilus" && !["hammer", "jewel", "luminous"].contains(&word) =>
        {
            Some("the word has bits that Nautilus did not know")
        }
        "osd_inc" if tentacle && word == "all" => {
            Some("its CRUSH map was written for more than the word it names")
        }
        _ => None,
    }
}

/// The word as the writer's release reads it: without the bits that later releases took into use again.
/// The word in an incremental map is so already.
fn as_read_by(g: &Golden, features: Features) -> Features {
    let unknown: &[u32] = match g.writer.as_str() {
        _ if g.kind.ends_with("nc") || g.kind.ends_with("Incremental") => &[],
        "nautilus" => &[16, 20, 31, 32, 33, 34, 38, 49, 50],
        "pacific" => &[31, 33, 38, 49, 50],
        "reef" => &[38, 49, 50],
        _ => &[],
    };
    Features(unknown.iter().fold(features.0, |word, bit| word & !(1 << bit)))
}

/// Decodes, encodes for each word and compares; returns what differs without an excuse.
fn check<T: Decode + Encode + PartialEq + Debug>(g: &Golden) -> Vec<String> {
    let value = match T::from_bytes(&g.bytes) {
        Ok(v) => v,
        // Fields of CRUSH_MSR without those of Luminous before them: Ceph cannot read that either.
        Err(_) if g.writer == "tentacle" && g.words.iter().all(|(word, _)| word == "jewel") => {
            return Vec::new();
        }
        Err(e) => return vec![format!("{}: {e}", g.name(&g.words[0].0))],
    };
    let mut wrong = Vec::new();
    for (word, features) in &g.words {
        let ours = value.to_bytes(as_read_by(g, *features));
        if excuse(g, word).is_some() {
            if let Err(e) = T::from_bytes(&ours) {
                wrong.push(format!("{}: own bytes: {e}", g.name(word)));
            }
        } else if ours != g.bytes {
            let differs = |(a, b): (&u8, &u8)| a != b;
            let at = ours
                .iter()
                .zip(&g.bytes)
                .skip(10)
                .position(differs)
                .map_or(0, |n| n + 10);
            let part = |b: &Bytes| format!("{:02x?}", &b[at..(at + 16).min(b.len())]);
            let (n, ours, theirs) = (ours.len(), part(&ours), part(&g.bytes));
            wrong.push(format!(
                "{}: ours has {n} bytes, at {at} {ours} for {theirs}",
                g.name(word)
            ));
        }
    }
    wrong
}

fn check_any(g: &Golden) -> Vec<String> {
    match g.kind.as_str() {
        "MonMap" | "mon_map" => check::<MonMap>(g),
        "OSDMap" | "osd_map" => check::<OsdMap>(g),
        "OSDMap_Incremental" | "osd_inc" => check_incremental(g),
        "MgrMap" => check::<MgrMap>(g),
        "pg_pool_t" => check::<PgPool>(g),
        "CrushWrapper" => check::<CrushMap>(g),
        "osd_info_t" => check::<OsdInfo>(g),
        "osd_xinfo_t" => check::<OsdXinfo>(g),
        "pool_snap_info_t" => check::<PoolSnapInfo>(g),
        _ => Vec::new(),
    }
}

/// An incremental map names the word it was written for, but for those in the classic form; monitors write for the
/// significant part of it.
fn check_incremental(g: &Golden) -> Vec<String> {
    let mut g = Golden {
        kind: g.kind.clone(),
        writer: g.writer.clone(),
        words: g.words.clone(),
        bytes: g.bytes.clone(),
    };
    if let Ok(inc) = OsdMapIncremental::from_bytes(&g.bytes)
        && inc.encode_features & Feature::OSDMAP_ENC.word().0 != 0
    {
        for (_, word) in &mut g.words {
            *word = Features(inc.encode_features);
        }
    }
    check::<OsdMapIncremental>(&g)
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn maps_of_ceph_dencoder_are_written_again_to_the_same_bytes() {
    assert_none(
        &goldens("dencoder.json")
            .iter()
            .flat_map(check_any)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn maps_sent_by_monitors_are_written_again_to_the_same_bytes() {
    assert_none(
        &goldens("probe.json")
            .iter()
            .flat_map(check_any)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn maps_for_clients_before_firefly_are_written_again_to_the_same_bytes() {
    let goldens = goldens("classic.json");
    assert_none(&goldens.iter().flat_map(check_any).collect::<Vec<_>>());
    let classic = |g: &Golden| g.kind.starts_with("osd_inc") || g.kind.starts_with("OSDMap");
    let wide = goldens.iter().filter(|g| classic(g));
    assert!(wide.clone().count() > 20 && wide.into_iter().all(|g| g.bytes[..2] == [6, 0]));
}

#[test]
fn every_truncation_of_the_classic_form_is_refused() {
    let (short, wide) = (goldens("dencoder.json"), goldens("classic.json"));
    let short = short.iter().filter(|g| g.words[0].0 == "zero");
    for g in short.chain(&wide) {
        for n in 0..g.bytes.len() {
            let part = g.bytes.slice(..n);
            let refused = match g.kind.as_str() {
                "OSDMap" => OsdMap::from_bytes(&part).is_err(),
                "OSDMap_Incremental" => OsdMapIncremental::from_bytes(&part).is_err(),
                _ => continue,
            };
            assert!(refused, "{} cut to {n}", g.name("any"));
        }
    }
}

/// The map of a monitor, as sent to a client of that generation.
fn sent(writer: &str, kind: &str, word: &str) -> Bytes {
    let golden = goldens("probe.json")
        .into_iter()
        .find(|g| g.writer == writer && g.kind == kind && g.words.iter().any(|(w, _)| w == word));
    golden.unwrap().bytes
}

#[test]
fn a_hammer_client_with_bit_59_is_sent_hammers_bytes() {
    for writer in ["nautilus", "pacific", "reef", "tentacle"] {
        let conflicting = word("hammer-bit59");
        let hammer = word("hammer");
        let map = OsdMap::from_bytes(&sent(writer, "osd_map", "pacific")).unwrap();
        assert_eq!(map.to_bytes(conflicting), map.to_bytes(hammer));
        assert_eq!(map.to_bytes(hammer), sent(writer, "osd_map", "hammer"));
        let mons = MonMap::from_bytes(&data(&format!("{writer}-monmap.bin")).into()).unwrap();
        assert_eq!(mons.to_bytes(conflicting), mons.to_bytes(hammer));
    }
}

#[test]
fn the_newest_form_of_a_map_is_written_for_each_generation_as_the_monitor_wrote_it() {
    for writer in ["pacific", "reef"] {
        let map = OsdMap::from_bytes(&sent(writer, "osd_map", "pacific")).unwrap();
        let mons = MonMap::from_bytes(&data(&format!("{writer}-monmap.bin")).into()).unwrap();
        for g in goldens("probe.json").iter().filter(|g| g.writer == writer) {
            for (word, features) in &g.words {
                let ours = match g.kind.as_str() {
                    _ if word == "hammer-bit59" => continue,
                    "osd_map" => map.to_bytes(as_read_by(g, *features)),
                    "mon_map" => mons.to_bytes(*features),
                    _ => continue,
                };
                let epoch = OsdMap::from_bytes(&g.bytes).map_or(map.epoch, |m| m.epoch);
                if epoch != map.epoch {
                    continue; // the cluster went on while it was asked
                }
                assert_eq!(ours, g.bytes, "{}", g.name(word));
            }
        }
    }
}

#[test]
fn a_changed_byte_fails_the_checksum_of_an_osdmap() {
    let bytes = data("reef-osdmap.bin");
    for at in [30, 100, bytes.len() - 1] {
        let mut broken = bytes.clone();
        broken[at] ^= 1;
        assert!(OsdMap::from_bytes(&broken.into()).is_err(), "byte {at}");
    }
}

#[test]
fn every_truncation_of_a_golden_is_refused_and_nothing_panics() {
    for g in goldens("dencoder.json").iter().chain(&goldens("probe.json")) {
        if g.words[0].0 != "all" && g.words[0].0 != "hammer" {
            continue;
        }
        for n in 0..g.bytes.len() {
            let part = g.bytes.slice(..n);
            let refused = match g.kind.as_str() {
                "MonMap" | "mon_map" => MonMap::from_bytes(&part).is_err(),
                "OSDMap" | "osd_map" => OsdMap::from_bytes(&part).is_err(),
                "OSDMap_Incremental" | "osd_inc" => OsdMapIncremental::from_bytes(&part).is_err(),
                "MgrMap" => MgrMap::from_bytes(&part).is_err(),
                "pg_pool_t" => PgPool::from_bytes(&part).is_err(),
                "osd_info_t" => OsdInfo::from_bytes(&part).is_err(),
                "osd_xinfo_t" => OsdXinfo::from_bytes(&part).is_err(),
                "pool_snap_info_t" => PoolSnapInfo::from_bytes(&part).is_err(),
                // A CRUSH map may end before each group of tunables: only panics count.
                "CrushWrapper" => CrushMap::from_bytes(&part).is_err() || n > 40,
                kind => panic!("unknown type {kind}"),
            };
            assert!(refused, "{} cut to {n}", g.name("any"));
        }
    }
}

fn decode_all(bytes: &Bytes) {
    let _ = MonMap::from_bytes(bytes).map(|m| m.to_bytes(Features::ALL));
    let _ = OsdMap::from_bytes(bytes).map(|m| m.to_bytes(Features::ALL));
    let _ = OsdMapIncremental::from_bytes(bytes).map(|m| m.to_bytes(Features::ALL));
    let _ = MgrMap::from_bytes(bytes).map(|m| m.to_bytes(Features::ALL));
    let _ = PgPool::from_bytes(bytes).map(|m| m.to_bytes(Features::ALL));
    let _ = CrushMap::from_bytes(bytes).map(|m| m.to_bytes(Features::NONE));
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        decode_all(&bytes.into());
    }

    #[test]
    fn a_damaged_map_never_panics(at in any::<prop::sample::Index>(), which in 0usize..1000, value: u8) {
        let goldens = goldens("dencoder.json");
        let mut bytes = goldens[which % goldens.len()].bytes.to_vec();
        let at = at.index(bytes.len());
        bytes[at] = value;
        decode_all(&bytes.into());
    }
}

#[test]
fn a_monitors_incremental_map_leads_to_the_map_that_it_sent_for_that_epoch() {
    let mut seen = 0;
    for writer in ["nautilus", "pacific", "reef", "tentacle"] {
        let old = OsdMap::from_bytes(&data(&format!("{writer}-osdmap.bin")).into()).unwrap();
        let newest = OsdMap::from_bytes(&sent(writer, "osd_map", "all")).unwrap();
        let incs = goldens("probe.json")
            .into_iter()
            .filter(|g| g.writer == writer && g.kind == "osd_inc" && g.words.iter().any(|(w, _)| w == "all"));
        let mut incs: Vec<_> = incs
            .map(|g| OsdMapIncremental::from_bytes(&g.bytes).unwrap())
            .collect();
        incs.retain(|i| i.epoch > old.epoch && i.epoch <= newest.epoch);
        incs.sort_by_key(|i| i.epoch);
        if old.epoch + incs.len() as u32 != newest.epoch {
            continue;
        }
        let mut map = old.clone();
        for inc in &incs {
            map.apply(inc).unwrap();
        }
        assert_eq!(map, newest, "{writer}");
        if let ([only], "pacific" | "reef") = (incs.as_slice(), writer) {
            let written_for = Features(only.encode_features);
            assert_eq!(map.crc(written_for), only.full_crc, "{writer}");
            let ours = OsdMapIncremental::diff(&old, &newest);
            assert!(ours.full_map.is_none());
            let mut again = old.clone();
            again.apply(&ours).unwrap();
            assert_eq!(again, newest);
        }
        seen += incs.len();
    }
    assert!(seen > 0);
}

#[test]
fn an_object_is_placed_where_ceph_osd_map_says() {
    // `ceph osd map rbd obj1`: pool 'rbd' (1) object 'obj1' -> pg 1.6cf8deff (1.7)
    let map = OsdMap::from_bytes(&data("pacific-osdmap.bin").into()).unwrap();
    let pool = map.pool_by_name("rbd").unwrap();
    let raw = map.object_to_pg(pool, b"obj1", b"", b"").unwrap();
    assert_eq!((raw.pool, raw.seed), (1, 0x6cf8_deff));
    assert_eq!(map.raw_pg_to_pg(raw).unwrap().seed, 7);
    assert_eq!(map.object_to_pg(pool, b"other", b"obj1", b""), Some(raw));
    assert_ne!(map.object_to_pg(pool, b"obj1", b"", b"ns"), Some(raw));
    assert_eq!(map.object_to_pg(99, b"obj1", b"", b""), None);
}

#[test]
fn peers_that_agree_in_the_significant_features_get_the_same_bytes() {
    let krbd = [
        ("krbd 5.10", 0x2f01_8fb8_6aa4_2ada),
        ("krbd 6.1", 0x2f01_8fb8_7aa4_aafe),
    ];
    for (name, word) in WORDS.iter().chain(&krbd) {
        let features = Features(*word);
        for writer in ["nautilus", "pacific", "reef", "tentacle"] {
            let map = OsdMap::from_bytes(&sent(writer, "osd_map", "pacific")).unwrap();
            assert_eq!(
                map.to_bytes(features),
                map.to_bytes(significant_features(features)),
                "{name}"
            );
        }
    }
}

/// `WRITER-mgrmap.bin`: the MMgrMap that each release's monitor sent to a client of its time or older.
#[test]
fn the_mgrmap_of_a_monitor_is_written_again_with_what_later_releases_add_at_its_end() {
    for (writer, version) in [("nautilus", 8), ("pacific", 12), ("reef", 13), ("tentacle", 14)] {
        let theirs: Bytes = data(&format!("{writer}-mgrmap.bin")).into();
        let map = MgrMap::from_bytes(&theirs).unwrap();
        assert!(map.available && map.active_name == "x" && map.active_addrs.0.len() == 2);
        assert!(
            map.available_modules.iter().any(|m| m.name == "rbd_support"),
            "{writer}"
        );
        let ours = map.to_bytes(Features::ALL);
        assert_eq!(theirs[0], version);
        assert!(ours[6..].starts_with(&theirs[6..]), "{writer}");
        assert_eq!(ours.len() == theirs.len(), version >= 13, "{writer}");
        assert_eq!(MgrMap::from_bytes(&ours).unwrap(), map);
        for n in (0..theirs.len()).step_by(7) {
            assert!(MgrMap::from_bytes(&theirs.slice(..n)).is_err());
        }
    }
}
