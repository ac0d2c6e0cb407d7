//! Makes the first corpus from the test data of the crates: `cargo run --example make_corpus` in `fuzz`.

use std::error::Error;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use encoding::messages::{MAuth, MAuthReply};
use encoding::types::{EntityType, Utime};
use encoding::{Encode, Features, Message, MessageType, RawMessage};
use msgr::cephx::{
    AuthCapsInfo, AuthEntityName, AuthTicket, Authorize, AuthorizeReply, AuthorizerHead, CryptoKey,
    ExpiringKey, KeyUsage, ServiceTicketInfo, TicketBlob, seal,
};
use msgr::connection::Connection;
use msgr::v1::BANNER;
use msgr::{ClientAuth, ClientConfig, ServerConfig};
use rbdgate_fuzz::{cephx, cls_call, maps, message, msgr_pair, msgr_v1, msgr_v2};
use serde_json::Value;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// Inputs of one kind of message, at most: the fuzzer makes the others.
const EACH: usize = 3;
/// Of the maps for many generations of clients, one in so many.
const SOME: usize = 25;
/// Larger inputs slow a fuzzer down.
const LARGEST: usize = 4096;

fn main() -> Result {
    messages()?;
    map_files()?;
    streams()?;
    captures()?;
    blobs()?;
    pairs()?;
    calls()?;
    curve_frames()?;
    vectors()
}

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates")
}

fn keep(target: &str, name: &str, input: &[u8]) -> Result {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    Ok(std::fs::write(folder.join(name), input)?)
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let digits: Vec<char> = text.chars().collect();
    let pair = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16);
    Ok(digits
        .chunks(2)
        .map(pair)
        .collect::<std::result::Result<_, _>>()?)
}

/// Messages cut from captures.
fn messages() -> Result {
    let path = crates().join("encoding/testdata/messages/captured.json");
    let captured: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let mut seen: Vec<(String, u64)> = Vec::new();
    for entry in captured.as_array().into_iter().flatten() {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let version = entry["version"].as_u64().unwrap_or(0);
        let (front, data) = (unhex(&text("front"))?, unhex(&text("data"))?);
        let key = (text("type"), version);
        let Some(kind) = message::kind(&key.0) else {
            continue;
        };
        if seen.iter().filter(|other| **other == key).count() >= EACH || front.len() + data.len() > LARGEST {
            continue;
        }
        let origin = text("origin").replace(' ', "-");
        keep(
            "message",
            &origin,
            &message::input(kind, u16::try_from(version)?, &front, &data),
        )?;
        seen.push(key);
    }
    Ok(())
}

/// The first packets of recordings, and how many bytes of each.
const CAPTURES: [(&str, usize); 6] = [
    ("nautilus/nautilus-crc", 9000),
    ("pacific/krbd5.10-legacy", 9000),
    ("pacific/krbd6.1-crc", 20000),
    ("pacific/krbd6.1-secure", 9000),
    ("pacific/krbd6.1-v1none", 9000),
    ("tentacle/krbd7.2-secure-aes256k", 9000),
];

/// Captures, cut behind a packet.
fn captures() -> Result {
    const RECORD_HEADER: usize = 16;
    for (name, most) in CAPTURES {
        let path = crates().join("../captures").join(format!("{name}.pcap.gz"));
        let mut file = Vec::new();
        flate2::read::GzDecoder::new(std::fs::File::open(path)?).read_to_end(&mut file)?;
        let mut end = 24;
        while let Some(len) = file.get(end + 8..).and_then(|rest| rest.first_chunk::<4>()) {
            let next = end + RECORD_HEADER + u32::from_le_bytes(*len) as usize;
            if next > most {
                break;
            }
            end = next;
        }
        keep(
            "capture",
            &format!("{}.pcap", name.replace('/', "-")),
            &file[..end.min(file.len())],
        )?;
    }
    Ok(())
}

/// Maps of real monitors.
fn map_files() -> Result {
    let folder = crates().join("encoding/testdata/maps");
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let kind = match &name {
            _ if path.extension().is_none_or(|extension| extension != "bin") => continue,
            name if name.ends_with("monmap") => maps::kind::MON_MAP,
            name if name.ends_with("osdmap") => maps::kind::OSD_MAP,
            _ => continue,
        };
        keep("maps", &name, &[&[kind][..], &std::fs::read(&path)?].concat())?;
    }
    classic_maps(&folder)?;
    probed_maps(&folder)
}

/// Maps in the form for clients before Firefly, one of each type, and of OSD maps some more.
fn classic_maps(folder: &Path) -> Result {
    let rows: Value = serde_json::from_slice(&std::fs::read(folder.join("classic.json"))?)?;
    for row in rows.as_array().into_iter().flatten() {
        let what = row["type"].as_str().unwrap_or_default();
        let kind = match what {
            "MonMap.1" => maps::kind::MON_MAP,
            "OSDMap.1" | "OSDMap.cluster" => maps::kind::OSD_MAP,
            "OSDMap_Incremental.1" | "OSDMap_Incremental.osd_inc.4" | "OSDMap_Incremental.osd_inc.6" => {
                maps::kind::INCREMENTAL
            }
            _ => continue,
        };
        let bytes = unhex(row["hex"].as_str().unwrap_or_default())?;
        let word = row["words"].as_object().and_then(|words| words.keys().next());
        let name = format!("classic-{what}-{}", word.map_or("", String::as_str));
        keep("maps", &name, &[&[kind][..], &bytes].concat())?;
    }
    Ok(())
}

/// What cephx sends, seals and stores: made here, and cut from recorded messages.
fn blobs() -> Result {
    let one = |kind: u8, name: &str, bytes: &[u8]| keep("cephx", name, &[&[kind][..], bytes].concat());
    let key = CryptoKey::from_base64(cephx::KEY)?;
    let time = Utime {
        sec: 1_700_000_000,
        nsec: 5,
    };
    let caps = b"\x07\0\0\0allow *";
    let info = ServiceTicketInfo {
        ticket: AuthTicket {
            name: AuthEntityName::parse("client.admin").ok_or("client.admin is no name")?,
            global_id: 4100,
            created: time,
            expires: time,
            caps: AuthCapsInfo {
                allow_all: false,
                caps: caps[..].into(),
            },
            flags: 0,
        },
        session_key: key.clone(),
    };
    let authorize = Authorize {
        nonce: 7,
        challenge_plus_one: Some(9),
    };
    let reply = AuthorizeReply {
        nonce_plus_one: 8,
        connection_secret: vec![3; 64].into(),
    };
    let head = AuthorizerHead {
        global_id: 4100,
        service: EntityType::OSD,
        ticket: TicketBlob {
            secret_id: 1,
            blob: seal(&key, KeyUsage::TICKET_BLOB, &info)?,
        },
    };
    let expiring = ExpiringKey {
        key: key.clone(),
        expiration: time,
    };
    let plain: [(&str, &dyn Fn() -> bytes::Bytes); 6] = [
        ("ticket-info", &|| info.to_bytes(Features::NONE)),
        ("key", &|| key.to_bytes(Features::NONE)),
        ("expiring-key", &|| expiring.to_bytes(Features::NONE)),
        ("authorizer-head", &|| head.to_bytes(Features::NONE)),
        ("authorize", &|| authorize.to_bytes(Features::NONE)),
        ("authorize-reply", &|| reply.to_bytes(Features::NONE)),
    ];
    for (name, bytes) in plain {
        one(cephx::kind::VALUE, name, &bytes())?;
    }
    one(cephx::kind::SEALED, "sealed-ticket", &head.ticket.blob)?;
    one(
        cephx::kind::SEALED,
        "sealed-authorize",
        &seal(&key, KeyUsage::AUTHORIZE, &authorize)?,
    )?;
    let proof = seal(&key, KeyUsage::AUTHORIZE, &authorize)?;
    let authorizer = [
        &head.to_bytes(Features::NONE)[..],
        &u32::try_from(proof.len())?.to_le_bytes(),
        &proof,
    ];
    one(cephx::kind::AUTHORIZER, "authorizer", &authorizer.concat())?;
    for name in ["keyring", "keyring.aes256k"] {
        let text = std::fs::read(crates().join("msgr/testdata").join(name))?;
        one(cephx::kind::KEYRING, name, &text)?;
    }
    recorded_blobs(one)
}

/// The payloads of recorded `MAuth` and `MAuthReply`.
fn recorded_blobs(one: impl Fn(u8, &str, &[u8]) -> Result) -> Result {
    let path = crates().join("encoding/testdata/messages/captured.json");
    let captured: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    for entry in captured.as_array().into_iter().flatten() {
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        let version = u16::try_from(entry["version"].as_u64().unwrap_or(0))?;
        let raw = RawMessage::new(MessageType(0), version, 0, unhex(text("front"))?.into());
        let payload = match text("type") {
            "MAuth" => MAuth::decode(&raw)?.payload,
            "MAuthReply" => MAuthReply::decode(&raw)?.payload,
            _ => continue,
        };
        let origin = text("origin").replace(' ', "-");
        for (name, kind) in [("mon", cephx::kind::MON), ("request", cephx::kind::REQUEST)] {
            one(kind, &format!("{origin}-{name}"), &payload)?;
        }
    }
    Ok(())
}

/// What monitors sent to clients of several generations: a few full maps, and all incremental ones that are small.
fn probed_maps(folder: &Path) -> Result {
    let probes: Value = serde_json::from_slice(&std::fs::read(folder.join("probe.json"))?)?;
    let mut full = Vec::new();
    for (i, probe) in probes.as_array().into_iter().flatten().enumerate() {
        let text = |key: &str| probe[key].as_str().unwrap_or_default();
        let (what, writer, bytes) = (text("type"), text("writer"), unhex(text("hex"))?);
        let kind = match what {
            "mon_map" => maps::kind::MON_MAP,
            "osd_map" => maps::kind::OSD_MAP,
            _ if what.contains("inc") => maps::kind::INCREMENTAL,
            _ => continue,
        };
        if bytes.len() > LARGEST || i % SOME != 0 {
            continue;
        }
        keep(
            "maps",
            &format!("{writer}-{what}-{i}"),
            &[&[kind][..], &bytes].concat(),
        )?;
        if kind == maps::kind::OSD_MAP {
            full = bytes;
        } else if kind == maps::kind::INCREMENTAL && !full.is_empty() {
            let len = u32::try_from(full.len())?.to_le_bytes();
            let input = [&[maps::kind::APPLY][..], &len, &full, &bytes].concat();
            keep("maps", &format!("{writer}-apply-{i}"), &input)?;
        }
    }
    Ok(())
}

/// What clients sent to servers: captured, and by the client of the crate without authentication.
fn streams() -> Result {
    if let Ok(entries) = std::fs::read_dir(crates().join("msgr/testdata")) {
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "c2s") {
                let bytes = std::fs::read(&path)?;
                let bytes = bytes.get(..LARGEST).unwrap_or(&bytes);
                let name = path
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let target = if bytes.starts_with(BANNER) {
                    "msgr_v1"
                } else {
                    "msgr_v2"
                };
                // The flags: is it an OSD, and with authentication.
                let osd = if name.ends_with("osd") {
                    msgr_v2::flag::OSD
                } else {
                    0
                };
                let none = if name.contains("none") {
                    msgr_v2::flag::AUTH_NONE
                } else {
                    0
                };
                keep(target, &name, &[&[osd | none, 0][..], bytes].concat())?;
            }
        }
    }
    let flags = msgr_v2::flag::AUTH_NONE;
    for (target, server) in [
        ("msgr_v1", msgr_v1::config(flags)),
        ("msgr_v2", msgr_v2::config(flags)),
    ] {
        let stream = session_without_authentication(server)?;
        for piece in [0, 7] {
            let input = [&[flags, piece][..], &stream].concat();
            keep(target, &format!("auth-none-{piece}"), &input)?;
        }
    }
    Ok(())
}

fn session_without_authentication(server: ServerConfig) -> Result<Vec<u8>> {
    let name = AuthEntityName::parse("client.admin").ok_or("client.admin is no name")?;
    let auth = ClientAuth::None { name, global_id: 0 };
    let mut config = ClientConfig::new(EntityType::MON, server.addrs.0[0], auth);
    config.protocol = server.protocol;
    let peer = SocketAddr::from(([127, 0, 0, 1], 3300));
    let mut client = Connection::client(config, peer, Instant::now());
    let mut server = Connection::server(
        server.into(),
        SocketAddr::from(([127, 0, 0, 1], 50_000)),
        Instant::now(),
    );
    let mut stream = Vec::new();
    for _ in 0..10 {
        client.step(SystemTime::now())?;
        let sent = client.output().take();
        stream.extend_from_slice(&sent);
        server.receive(&sent);
        server.step(SystemTime::now())?;
        let answer = server.output().take();
        client.receive(&answer);
    }
    Ok(stream)
}

/// A call of each method without arguments, and some that belong together.
fn calls() -> Result {
    let table = cls::table();
    let number = |class: &str, name: &str| {
        let found = table
            .iter()
            .position(|method| method.class == class && method.name == name);
        found
            .and_then(|index| u16::try_from(index).ok())
            .ok_or(format!("no method {class}.{name}"))
    };
    let none: &[u8] = &[];
    let all: Vec<(u16, &[u8])> = (0..u16::try_from(table.len())?)
        .map(|method| (method, none))
        .collect();
    for (i, some) in all.chunks(16).enumerate() {
        keep("cls_call", &format!("no-arguments-{i}"), &cls_call::input(some))?;
    }
    // rbd.create: size, order, features, prefix, data pool; then what a client reads of a header.
    let create = [
        &(1u64 << 30).to_le_bytes()[..],
        &[22],
        &61u64.to_le_bytes(),
        &10u32.to_le_bytes(),
        b"rbd_data.1",
        &(-1i64).to_le_bytes(),
    ]
    .concat();
    let head = (!1u64).to_le_bytes();
    let size = [&head[..], &[]].concat();
    let features = [&head[..], &[0]].concat();
    let header: [(u16, &[u8]); 5] = [
        (number("rbd", "create")?, &create),
        (number("rbd", "get_size")?, &size),
        (number("rbd", "get_features")?, &features),
        (number("rbd", "get_object_prefix")?, none),
        (number("rbd", "set_size")?, &head),
    ];
    keep("cls_call", "header", &cls_call::input(&header))?;
    let entry = b"\x04\0\0\0disk\x02\0\0\0id";
    let directory: [(u16, &[u8]); 3] = [
        (number("rbd", "dir_add_image")?, entry),
        (number("rbd", "dir_list")?, b"\0\0\0\0\x40\0\0\0\0\0\0\0"),
        (number("rbd", "dir_remove_image")?, entry),
    ];
    keep("cls_call", "directory", &cls_call::input(&directory))
}

/// Scripts for two peers: undisturbed talk, bytes in pieces, and each way to disturb a wire.
fn pairs() -> Result {
    use msgr_pair::{flag, input, op};
    let kinds = [
        ("v1-cephx", flag::V1),
        ("v1-none", flag::V1 | flag::NONE | flag::OSD),
        ("v2-crc", 0),
        ("v2-secure", flag::SECURE),
        ("v2.0-none", flag::V20 | flag::NONE),
        ("v2-compressed", flag::COMPRESSED),
        ("v1-lossless", flag::LOSSLESS | flag::V1 | flag::NONE | flag::OSD),
        ("v2-lossless", flag::LOSSLESS | flag::SECURE),
    ];
    let both = |op: u8, argument: u16| [(op, argument), (op | op::SERVER, argument)];
    let talk = [both(op::MESSAGE, 700), both(op::KEEPALIVE, 0)].concat();
    let disturbed = |how: u8, argument: u16| {
        let mut script = vec![(op::SETTLE, 0)];
        script.extend_from_slice(&talk);
        script.push((how | op::SERVER, argument));
        script.extend_from_slice(&talk);
        script.push((op::SETTLE, 0));
        script
    };
    let mut pieces = Vec::new();
    for n in 0..60 {
        pieces.extend_from_slice(&both(op::DELIVER, 1 + n * 3));
    }
    pieces.extend_from_slice(&talk);
    pieces.extend_from_slice(&both(op::DELIVER, 100));
    let scripts = [
        ("pieces", pieces),
        ("lost", disturbed(op::LOSE, 10)),
        ("twice", disturbed(op::REPEAT, 200)),
        ("changed", disturbed(op::CHANGE, 40)),
        ("acknowledged", disturbed(op::ACK, 7)),
        ("closed", disturbed(op::CLOSE, 0)),
        ("again", disturbed(op::RECONNECT, 0)),
        ("shaken", vec![(op::CHANGE | op::SERVER, 12), (op::SETTLE, 0)]),
    ];
    for (kind, flags) in kinds {
        for (name, script) in &scripts {
            for word in [1_u8, 6] {
                let input = input(flags, word, script);
                keep("msgr_pair", &format!("{kind}-{name}-{word}"), &input)?;
            }
        }
    }
    Ok(())
}

/// Frames of a real CurveBS cluster, one an input, and all of them in a row.
fn curve_frames() -> Result {
    let mut all = vec![200];
    let mut paths: Vec<PathBuf> = std::fs::read_dir(crates().join("curve/testdata"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.sort();
    for path in paths
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
    {
        let frame = std::fs::read(path)?;
        if frame.len() <= LARGEST {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            keep("curve_rpc", &name, &[&[63][..], &frame].concat())?;
            all.extend_from_slice(&frame);
        }
    }
    keep("curve_rpc", "all", &all)
}

/// Choices at random, as a beginning: every byte chooses something.
fn vectors() -> Result {
    for seed in 0..6_u64 {
        let mut random = disk_sim::Random::new(seed);
        let input: Vec<u8> = (0..400).map(|_| random.below(256) as u8).collect();
        keep("op_vectors", &format!("random-{seed}"), &input)?;
    }
    Ok(())
}
