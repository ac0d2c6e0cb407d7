//! The goldens, what they are judged by, and where our bytes knowingly differ.

use std::{fmt::Debug, path::PathBuf};

use bytes::Bytes;
use rbdgate_encoding::{
    Decode, Encode, Feature, Features, Message, MessageHeader, MessageType, RawMessage, Reader,
    cls::{journal, lock, rbd},
    maps::{CrushMap, MgrMap, MonMap, OsdInfo, OsdMap, OsdMapIncremental, OsdXinfo, PgPool, PoolSnapInfo},
    messages::*,
    pieces,
    types::*,
};
use serde_json::Value;

/// Feature words by the names that the goldens use, from old to new.
pub(crate) const WORDS: &[(&str, u64)] = &[
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

/// One encoding at one feature word.
pub(crate) struct Golden {
    /// Ceph's name of the type; maps that monitors sent have names of their own.
    pub(crate) kind: String,
    /// The release that wrote it.
    pub(crate) writer: String,
    pub(crate) word: String,
    features: Features,
    bytes: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Decoded, and encoded to the same bytes.
    Same,
    /// Decoded, encoded to other bytes, which decode.
    Differs,
    /// Not decoded.
    Refused,
}

/// What came of a golden.
pub(crate) struct Judged {
    pub(crate) outcome: Outcome,
    /// What we write of it; none if it was not read.
    pub(crate) ours: Option<Bytes>,
}

impl Judged {
    const REFUSED: Self = Self {
        outcome: Outcome::Refused,
        ours: None,
    };

    fn written(same: bool, ours: Bytes) -> Self {
        Self {
            outcome: if same { Outcome::Same } else { Outcome::Differs },
            ours: Some(ours),
        }
    }
}

/// Why goldens are not encoded to the same bytes. An empty list covers everything.
pub(crate) struct Excuse {
    pub(crate) kinds: &'static [&'static str],
    pub(crate) writers: &'static [&'static str],
    pub(crate) words: &'static [&'static str],
    pub(crate) outcome: Outcome,
    pub(crate) reason: &'static str,
}

mod excuses;

pub(crate) use excuses::EXCUSES;

pub(crate) fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(name)
}

fn unhex(text: &str) -> Bytes {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

fn json(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(testdata(path)).unwrap();
    match serde_json::from_str(&text).unwrap() {
        Value::Array(rows) => rows,
        one => vec![one],
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn word(name: &str) -> Features {
    Features(WORDS.iter().find(|(n, _)| *n == name).unwrap().1)
}

/// Every golden that there is.
pub(crate) fn all() -> Vec<Golden> {
    let mut out = of_dencoder();
    out.extend(of_maps("maps/dencoder.json", false));
    out.extend(of_maps("maps/probe.json", true));
    out.extend(of_maps("maps/classic.json", false));
    out.extend(of_classes());
    out
}

/// `messages/RELEASE/TYPE.json`.
fn of_dencoder() -> Vec<Golden> {
    let mut out = Vec::new();
    for writer in ["nautilus", "reef", "tentacle"] {
        let folder = testdata(&format!("messages/{writer}"));
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let file = json(&format!("messages/{writer}/{name}")).remove(0);
            let tests = file["tests"].as_array().unwrap().iter();
            for encoding in tests.flat_map(|test| test["encodings"].as_array().unwrap()) {
                let bytes = unhex(encoding["hex"].as_str().unwrap());
                out.extend(
                    encoding["features"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|name| Golden {
                            kind: text(&file["type"]),
                            writer: writer.to_owned(),
                            word: text(name),
                            features: word(name.as_str().unwrap()),
                            bytes: bytes.clone(),
                        }),
                );
            }
        }
    }
    out
}

/// `maps/*.json`; those that monitors sent name the features that both sides had.
fn of_maps(path: &str, sent: bool) -> Vec<Golden> {
    let mut out = Vec::new();
    for row in json(path) {
        let kind = text(&row["type"]).split('.').next().unwrap().to_owned();
        let words: Vec<(String, Features)> = match &row["words"] {
            Value::Object(words) => {
                let parse = |word: &Value| {
                    let digits = word.as_str().unwrap().trim_start_matches("0x");
                    Features(u64::from_str_radix(digits, 16).unwrap())
                };
                words
                    .iter()
                    .map(|(name, word)| (name.clone(), parse(word)))
                    .collect()
            }
            names => names
                .as_array()
                .unwrap()
                .iter()
                .map(|name| (text(name), word(name.as_str().unwrap())))
                .collect(),
        };
        out.extend(words.into_iter().map(|(word, features)| Golden {
            kind: if sent {
                format!("{kind} (sent)")
            } else {
                kind.clone()
            },
            writer: text(&row["writer"]),
            word,
            features,
            bytes: unhex(row["hex"].as_str().unwrap()),
        }));
    }
    out
}

/// `cls_dencoder.txt`: no class type depends on features, so they are there for one word or two.
fn of_classes() -> Vec<Golden> {
    let lines = std::fs::read_to_string(testdata("cls_dencoder.txt")).unwrap();
    let lines = lines.lines().filter(|line| !line.starts_with('#'));
    let golden = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        Golden {
            kind: fields[1].to_owned(),
            writer: fields[0].to_owned(),
            word: if fields[2] == "all" { "all" } else { "zero" }.to_owned(),
            features: word(if fields[2] == "all" { "all" } else { "zero" }),
            bytes: unhex(fields[3]),
        }
    };
    lines.map(golden).collect()
}

/// The word as the writer's release reads it: without the bits that later releases took into use again.
fn as_read_by(golden: &Golden) -> Features {
    let unknown: &[u32] = match golden.writer.as_str() {
        "nautilus" => &[16, 20, 31, 32, 33, 34, 38, 49, 50],
        "pacific" => &[31, 33, 38, 49, 50],
        "reef" => &[38, 49, 50],
        _ => &[],
    };
    Features(
        unknown
            .iter()
            .fold(golden.features.0, |word, bit| word & !(1 << bit)),
    )
}

fn value<T: Decode + Encode + PartialEq + Debug>(golden: &Golden) -> Judged {
    as_written_for(&golden.bytes, |value: &T| value.to_bytes(as_read_by(golden)))
}

/// An incremental map names the word that it was written for, but for those from before OSDMAP_ENC.
fn incremental(golden: &Golden) -> Judged {
    as_written_for(&golden.bytes, |value: &OsdMapIncremental| {
        let named = Features(value.encode_features);
        value.to_bytes(if named.has(Feature::OSDMAP_ENC) {
            named
        } else {
            golden.features
        })
    })
}

fn as_written_for<T: Decode + PartialEq + Debug>(bytes: &Bytes, write: impl Fn(&T) -> Bytes) -> Judged {
    let Ok(value) = T::from_bytes(bytes) else {
        return Judged::REFUSED;
    };
    let ours = write(&value);
    assert!(T::from_bytes(&ours).is_ok(), "{value:?} is not read back");
    Judged::written(ours == *bytes, ours)
}

fn message<M: Message + PartialEq + Debug>(golden: &Golden) -> Judged {
    let raw = unpack(&golden.bytes);
    let Ok(message) = M::decode(&raw) else {
        return Judged::REFUSED;
    };
    let ours = message.encode(golden.features);
    assert_eq!(M::decode(&ours).as_ref(), Ok(&message));
    let parts = |m: &RawMessage| {
        let versions = (m.header.version, m.header.compat_version);
        (versions, m.front.clone(), m.middle.clone(), m.data_bytes())
    };
    Judged::written(parts(&ours) == parts(&raw), pack(&golden.bytes, &ours))
}

/// Writes a message as Ceph's `encode_message` does, with header and footer of the golden.
fn pack(golden: &Bytes, message: &RawMessage) -> Bytes {
    let data = message.data_bytes();
    let mut head = golden[..53 + 13].to_vec();
    head[20..22].copy_from_slice(&message.header.version.to_le_bytes());
    head[45..47].copy_from_slice(&message.header.compat_version.to_le_bytes());
    for (part, at) in [&message.front, &message.middle, &data]
        .into_iter()
        .zip([22, 26, 30])
    {
        let len = (part.len() as u32).to_le_bytes();
        head[at..at + 4].copy_from_slice(&len);
        head.extend_from_slice(&len);
        head.extend_from_slice(part);
    }
    head.into()
}

/// Takes apart what Ceph's `encode_message` writes: header, old footer, front, middle, data.
fn unpack(bytes: &Bytes) -> RawMessage {
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
    let header = MessageHeader {
        tid,
        kind,
        priority,
        version,
        compat_version,
        data_off,
    };
    let (front, middle, data) = (r.blob().unwrap(), r.blob().unwrap(), r.blob().unwrap());
    r.finish("message").unwrap();
    RawMessage {
        header,
        front,
        middle,
        data: pieces(data),
    }
}

/// By Ceph's names: messages, then types.
macro_rules! kinds {
    (messages { $($message:ident = $name:literal,)* } values { $($value:ty = $($of:literal)|+,)* }) => {
        fn by_name(golden: &Golden) -> Option<Judged> {
            Some(match golden.kind.as_str() {
                $($name => message::<$message>(golden),)*
                $($($of)|+ => value::<$value>(golden),)*
                "OSDMap_Incremental" | "osd_inc (sent)" => incremental(golden),
                _ => return None,
            })
        }
    };
}

kinds! {
    messages {
        MAuth = "MAuth", MAuthReply = "MAuthReply", MCommand = "MCommand", MCommandReply = "MCommandReply",
        MConfig = "MConfig", MGetConfig = "MGetConfig", MGetPoolStats = "MGetPoolStats",
        MGetPoolStatsReply = "MGetPoolStatsReply", MLog = "MLog", MLogAck = "MLogAck", MMgrClose = "MMgrClose",
        MMgrConfigure = "MMgrConfigure", MMgrMap = "MMgrMap", MMgrOpen = "MMgrOpen", MMgrReport = "MMgrReport",
        MMonCommand = "MMonCommand", MMonCommandAck = "MMonCommandAck", MMonGetMap = "MMonGetMap",
        MMonGetVersion = "MMonGetVersion", MMonGetVersionReply = "MMonGetVersionReply", MMonMap = "MMonMap",
        MMonSubscribe = "MMonSubscribe", MMonSubscribeAck = "MMonSubscribeAck", MOsdBackoff = "MOSDBackoff",
        MOsdMap = "MOSDMap", MOsdOp = "MOSDOp", MOsdOpReply = "MOSDOpReply", MPing = "MPing", MPoolOp = "MPoolOp",
        MPoolOpReply = "MPoolOpReply", MStatfs = "MStatfs", MStatfsReply = "MStatfsReply",
        MWatchNotify = "MWatchNotify",
    }
    values {
        CloneInfo = "clone_info", EntityAddr = "entity_addr_t", EntityAddrVec = "entity_addrvec_t",
        EntityName = "entity_name_t", Eversion = "eversion_t", Hobject = "hobject_t", LogEntry = "LogEntry",
        ListSnapsResponse = "obj_list_snap_response_t", ListWatchersResponse = "obj_list_watch_response_t",
        ObjectLocator = "object_locator_t", ObjectStatCollection = "object_stat_collection_t",
        ObjectStatSum = "object_stat_sum_t", Pg = "pg_t", PgLsResponse = "pg_ls_response_t",
        PgNlsResponse = "pg_nls_response_t", PoolStat = "pool_stat_t", ReqId = "osd_reqid_t",
        RequestRedirect = "request_redirect_t", SnapContext = "SnapContext", SnapSet = "SnapSet", Utime = "utime_t",
        MonMap = "MonMap" | "mon_map (sent)", OsdMap = "OSDMap" | "osd_map (sent)", CrushMap = "CrushWrapper",
        MgrMap = "MgrMap", OsdInfo = "osd_info_t", OsdXinfo = "osd_xinfo_t", PgPool = "pg_pool_t",
        PoolSnapInfo = "pool_snap_info_t",
        journal::Client = "cls::journal::Client", journal::ObjectPosition = "cls::journal::ObjectPosition",
        journal::ObjectSetPosition = "cls::journal::ObjectSetPosition", journal::Tag = "cls::journal::Tag",
        rbd::ChildImageSpec = "cls::rbd::ChildImageSpec", rbd::GroupImageSpec = "cls::rbd::GroupImageSpec",
        rbd::GroupImageStatus = "cls::rbd::GroupImageStatus", rbd::GroupSnapshot = "cls::rbd::GroupSnapshot",
        rbd::GroupSpec = "cls::rbd::GroupSpec", rbd::ImageSnapshotSpec = "cls::rbd::ImageSnapshotSpec",
        rbd::MigrationSpec = "cls::rbd::MigrationSpec", rbd::MirrorImage = "cls::rbd::MirrorImage",
        rbd::MirrorImageMap = "cls::rbd::MirrorImageMap", rbd::MirrorImageStatus = "cls::rbd::MirrorImageStatus",
        rbd::MirrorPeer = "cls::rbd::MirrorPeer", rbd::ParentImageSpec = "cls::rbd::ParentImageSpec",
        rbd::SnapshotInfo = "cls::rbd::SnapshotInfo", rbd::SnapshotNamespace = "cls::rbd::SnapshotNamespace",
        rbd::TrashImageSpec = "cls::rbd::TrashImageSpec", rbd::Parent = "cls_rbd_parent",
        rbd::Snapshot = "cls_rbd_snap",
        lock::AssertOp = "cls_lock_assert_op", lock::BreakOp = "cls_lock_break_op",
        lock::GetInfoOp = "cls_lock_get_info_op",
        lock::LockInfo = "cls_lock_get_info_reply" | "rados::cls::lock::lock_info_t",
        lock::ListLocksReply = "cls_lock_list_locks_reply", lock::LockOp = "cls_lock_lock_op",
        lock::SetCookieOp = "cls_lock_set_cookie_op", lock::UnlockOp = "cls_lock_unlock_op",
        lock::LockerId = "rados::cls::lock::locker_id_t", lock::LockerInfo = "rados::cls::lock::locker_info_t",
    }
}

pub(crate) fn judge(golden: &Golden) -> Judged {
    by_name(golden).unwrap_or_else(|| panic!("no type for {}", golden.kind))
}
