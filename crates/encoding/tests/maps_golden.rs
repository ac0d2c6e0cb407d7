//! Cluster maps that real Ceph wrote: they decode, and are written again to the same bytes.
//!
//! Origin: `dencoder.json` is ceph-dencoder's test instances at eight feature words; `probe.json` is what
//! monitors of four releases sent to clients that offered those words; `*.bin` are `ceph mon getmap` and
//! `ceph osd getmap` of the same clusters.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test that cannot read its data must fail"
)]

use std::{fmt::Debug, path::Path};

use bytes::Bytes;
use rbdgate_encoding::{
    Decode, DecodeError, Encode, Features,
    maps::{CrushMap, MonMap, OsdInfo, OsdMap, OsdXinfo, PgPool, PoolSnapInfo},
};
use serde_json::Value;

/// Feature words by the names that the goldens use.
const WORDS: &[(&str, u64)] = &[
    ("zero", 0),
    ("hammer", 0x0083_ffff_ffff_ffff),
    ("hammer-bit59", 0x0883_ffff_ffff_ffff),
    ("jewel", 0x07fd_dff8_ef8c_bffb),
    ("luminous", 0x3ffd_dff8_eea4_fffb),
    ("nautilus", 0x3ffd_dff8_ffec_ffff),
    ("pacific", 0x3f01_cfbd_fffd_ffff),
    ("all", 0x3fff_ffff_ffff_ffff),
];

struct Golden {
    kind: String,
    writer: String,
    /// Name and the features that writer and reader had in common.
    words: Vec<(String, Features)>,
    bytes: Bytes,
}

impl Golden {
    fn name(&self, word: &str) -> String {
        format!("{} by {} for {word}, {} bytes", self.kind, self.writer, self.bytes.len())
    }
}

fn data(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/maps").join(name)).unwrap()
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
        "OSDMap" | "osd_map" | "osd_inc" | "pg_pool_t" | "CrushWrapper" | "OSDMap_Incremental"
            if tentacle && old_word =>
        {
            Some("Tentacle takes old bits for its own release bit and for CRUSH_MSR")
        }
        _ => None,
    }
}

/// Decodes, encodes for each word and compares; returns what differs without an excuse.
fn check<T: Decode + Encode + PartialEq + Debug>(g: &Golden) -> Vec<String> {
    let value = match T::from_bytes(&g.bytes) {
        Ok(v) => v,
        Err(e) => return vec![format!("{}: {e}", g.name(&g.words[0].0))],
    };
    let mut wrong = Vec::new();
    for (word, features) in &g.words {
        let ours = value.to_bytes(*features);
        if excuse(g, word).is_some() {
            if let Err(e) = T::from_bytes(&ours) {
                wrong.push(format!("{}: own bytes: {e}", g.name(word)));
            }
        } else if ours != g.bytes {
            let differs = |(a, b): (&u8, &u8)| a != b;
            let at = ours.iter().zip(&g.bytes).skip(10).position(differs).map_or(0, |n| n + 10);
            let part = |b: &Bytes| format!("{:02x?}", &b[at..(at + 16).min(b.len())]);
            let (n, ours, theirs) = (ours.len(), part(&ours), part(&g.bytes));
            wrong.push(format!("{}: ours has {n} bytes, at {at} {ours} for {theirs}", g.name(word)));
        }
    }
    wrong
}

fn check_any(g: &Golden) -> Vec<String> {
    match g.kind.as_str() {
        "MonMap" | "mon_map" => check::<MonMap>(g),
        "OSDMap" if g.words[0].0 == "zero" => {
            let refused = matches!(OsdMap::from_bytes(&g.bytes), Err(DecodeError::TooOld { .. }));
            assert!(refused, "the form before OSDMAP_ENC is not read");
            Vec::new()
        }
        "OSDMap" | "osd_map" => check::<OsdMap>(g),
        "pg_pool_t" => check::<PgPool>(g),
        "CrushWrapper" => check::<CrushMap>(g),
        "osd_info_t" => check::<OsdInfo>(g),
        "osd_xinfo_t" => check::<OsdXinfo>(g),
        "pool_snap_info_t" => check::<PoolSnapInfo>(g),
        _ => Vec::new(),
    }
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn maps_of_ceph_dencoder_are_written_again_to_the_same_bytes() {
    assert_none(&goldens("dencoder.json").iter().flat_map(check_any).collect::<Vec<_>>());
}

#[test]
fn maps_sent_by_monitors_are_written_again_to_the_same_bytes() {
    assert_none(&goldens("probe.json").iter().flat_map(check_any).collect::<Vec<_>>());
}
