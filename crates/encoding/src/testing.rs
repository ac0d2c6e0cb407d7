//! Reads the encodings that Ceph's own code made of test instances (`testdata/messages/RELEASE/TYPE.json`), and
//! the checks that every type passes.

use std::{fmt::Debug, path::PathBuf};

use bytes::Bytes;

use crate::{
    codec::{Decode, Encode, Reader},
    features::Features,
    message::{Message, MessageHeader, MessageType, RawMessage},
};

/// The feature words at which the encodings were made: none, the words of releases, and all bits.
const WORDS: [(&str, u64); 8] = [
    ("zero", 0),
    ("hammer", 0x0083_ffff_ffff_ffff),
    ("hammer-bit59", 0x0883_ffff_ffff_ffff),
    ("jewel", 0x07fd_dff8_ef8c_bffb),
    ("luminous", 0x3ffd_dff8_eea4_fffb),
    ("nautilus", 0x3ffd_dff8_ffec_ffff),
    ("pacific", 0x3f01_cfbd_fffd_ffff),
    ("all", 0x3fff_ffff_ffff_ffff),
];

/// One encoding of one test instance.
pub(crate) struct Golden {
    /// Release, type, instance and feature word.
    pub(crate) origin: String,
    /// The instance as Ceph prints it.
    pub(crate) dump: serde_json::Value,
    /// The name of the feature word.
    word: &'static str,
    pub(crate) features: Features,
    pub(crate) bytes: Bytes,
}

impl Golden {
    /// Whether it was made at that word, or by that release at that word.
    pub(crate) fn is_at(&self, place: &str) -> bool {
        match place.split_once('/') {
            Some((release, word)) => self.origin.starts_with(release) && (word == "*" || self.word == word),
            None => self.word == place,
        }
    }
}

fn unhex(text: &str) -> Bytes {
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

pub(crate) fn testdata(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(path)
}

/// All encodings of a type by all releases.
pub(crate) fn goldens(name: &str) -> Vec<Golden> {
    let mut out = Vec::new();
    for release in ["nautilus", "reef", "tentacle"] {
        let path = testdata(&format!("messages/{release}/{name}.json"));
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (i, test) in json["tests"].as_array().unwrap().iter().enumerate() {
            for encoding in test["encodings"].as_array().unwrap() {
                let bytes = unhex(encoding["hex"].as_str().unwrap());
                for word in encoding["features"].as_array().unwrap() {
                    let (word, bits) = *WORDS.iter().find(|(n, _)| *n == word.as_str().unwrap()).unwrap();
                    out.push(Golden {
                        origin: format!("{release}/{name} #{i} at {word}"),
                        dump: test["dump"].clone(),
                        word,
                        features: Features(bits),
                        bytes: bytes.clone(),
                    });
                }
            }
        }
    }
    assert!(!out.is_empty(), "no goldens of {name}");
    out
}

/// Takes apart what `encode_message` of Ceph writes: header, old footer, front, middle, data.
pub(crate) fn unpack(bytes: &Bytes) -> RawMessage {
    let mut r = Reader::new(bytes);
    r.skip(8, "seq").unwrap();
    let tid = r.u64().unwrap();
    let kind = MessageType(r.u16().unwrap());
    let priority = r.u16().unwrap();
    let version = r.u16().unwrap();
    r.skip(12, "lengths").unwrap();
    let data_off = r.u16().unwrap();
    r.skip(9, "source").unwrap();
    let compat_version = r.u16().unwrap();
    r.skip(6 + 13, "reserved, crc, footer").unwrap();
    let raw = RawMessage {
        header: MessageHeader {
            tid,
            kind,
            priority,
            version,
            compat_version,
            data_off,
        },
        front: r.blob().unwrap(),
        middle: r.blob().unwrap(),
        data: Some(r.blob().unwrap())
            .filter(|d| !d.is_empty())
            .into_iter()
            .collect(),
    };
    r.finish("message").unwrap();
    raw
}

/// Every golden of a message decodes, encodes to the same bytes, and no truncation of it panics. `exceptions`
/// are feature words (or `RELEASE/WORD`, `RELEASE/*`) at which the encoding differs from Ceph's (still decoded), or which are not decoded at all.
pub(crate) fn check_message<M: Message + PartialEq + Debug>(name: &str, exceptions: &[(&str, Expect, &str)]) {
    for golden in goldens(name) {
        let raw = unpack(&golden.bytes);
        assert_eq!(raw.header.kind, M::TYPE);
        let expect = exceptions.iter().find(|(at, ..)| golden.is_at(at)).map(|e| e.1);
        let decoded = M::decode(&raw);
        if expect == Some(Expect::Refused) {
            assert!(decoded.is_err(), "{}: stale exception", golden.origin);
            continue;
        }
        let message = decoded.unwrap_or_else(|e| panic!("{}: {e}", golden.origin));
        let again = message.encode(golden.features);
        if expect == Some(Expect::Differs) {
            assert_ne!(again.front, raw.front, "{}: stale exception", golden.origin);
        } else {
            assert_same(&again, &raw, &golden.origin);
        }
        assert_eq!(M::decode(&again).as_ref(), Ok(&message), "{}", golden.origin);
        check_truncations::<M>(&raw);
    }
}

/// What happens at a feature word that is an exception.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// We encode otherwise than Ceph does.
    Differs,
    /// We do not decode it.
    Refused,
}

pub(crate) fn assert_same(ours: &RawMessage, ceph: &RawMessage, origin: &str) {
    assert_eq!(ours.front, ceph.front, "front of {origin}");
    assert_eq!(ours.middle, ceph.middle, "middle of {origin}");
    assert_eq!(ours.data_bytes(), ceph.data_bytes(), "data of {origin}");
    let versions = |m: &RawMessage| (m.header.version, m.header.compat_version);
    assert_eq!(versions(ours), versions(ceph), "versions of {origin}");
}

/// No front or data that ends early panics; whatever still decodes was optional.
pub(crate) fn check_truncations<M: Message>(raw: &RawMessage) {
    for n in 0..raw.front.len() {
        let mut cut = raw.clone();
        cut.front.truncate(n);
        let _ = M::decode(&cut);
    }
    for n in 0..raw.data_bytes().len().min(256) {
        let mut cut = raw.clone();
        cut.data = [raw.data_bytes().slice(..n)].into();
        let _ = M::decode(&cut);
    }
}

/// Every golden of a type decodes and encodes to the same bytes, and every truncation is refused.
pub(crate) fn check_type<T: Decode + Encode + PartialEq + Debug>(name: &str) {
    check_type_but::<T>(name, &[]);
}

/// The same but for feature words at which the encoding differs from Ceph's.
pub(crate) fn check_type_but<T: Decode + Encode + PartialEq + Debug>(
    name: &str,
    exceptions: &[(&str, Expect, &str)],
) {
    let mut differing = vec![0; exceptions.len()];
    for golden in goldens(name) {
        let value = T::from_bytes(&golden.bytes).unwrap_or_else(|e| panic!("{}: {e}", golden.origin));
        let again = value.to_bytes(golden.features);
        if let Some(i) = exceptions.iter().position(|(at, ..)| golden.is_at(at)) {
            differing[i] += usize::from(again != golden.bytes);
        } else {
            assert_eq!(again, golden.bytes, "{} {}", golden.origin, golden.dump);
        }
        for n in 0..golden.bytes.len() {
            assert!(
                T::from_bytes(&golden.bytes.slice(..n)).is_err(),
                "{} cut at {n}",
                golden.origin
            );
        }
    }
    assert!(
        !differing.contains(&0),
        "stale exception of {name}: {differing:?}"
    );
}

/// A message that a real peer sent, cut from a recording.
pub(crate) struct Captured {
    /// The server's and the client's release, the mode, and the message's place in the recording.
    pub(crate) origin: String,
    /// Ceph's name of the message.
    pub(crate) name: String,
    /// The features of the session.
    pub(crate) features: Features,
    pub(crate) raw: RawMessage,
}

/// `testdata/messages/captured.json`; the headers there have types and versions only.
pub(crate) fn captured() -> Vec<Captured> {
    let text = std::fs::read_to_string(testdata("messages/captured.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let read = |m: &serde_json::Value| {
        let text = |key: &str| m[key].as_str().unwrap().to_owned();
        let origin = text("origin");
        // Both sides must know a release for its encodings to be used.
        let features = if origin.starts_with("tentacle-tentacle") {
            Features(0x3f07_ffff_fffd_ffff)
        } else {
            Features::OURS
        };
        let version = m["version"].as_u64().unwrap() as u16;
        let mut raw = RawMessage::new(MessageType(0), version, 0, unhex(&text("front")));
        raw.data = crate::pieces(unhex(&text("data")));
        Captured {
            name: text("type"),
            origin,
            features,
            raw,
        }
    };
    json.as_array().unwrap().iter().map(read).collect()
}
