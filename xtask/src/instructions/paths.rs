//! The paths: what each request of a client goes through in the codecs and the messenger, without I/O.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use encoding::messages::{MOsdOp, MOsdOpReply};
use encoding::types::{
    BlkinTrace, EntityAddr, EntityAddrVec, EntityName, EntityType, NOSNAP, ObjectLocator, OpArgs, OpCode,
    OsdFlags, OsdOp, Pg, ReqId, Spg, Utime,
};
use encoding::{Features, Message, RawMessage};
use msgr::auth::{AuthConfig, ConMode};
use msgr::cephx::{AuthEntityName, CephxClient, CryptoKey, EntityAuth, Keyring, KeyringServer};
use msgr::connection::{Connection, Established, Event, HandshakeEvent, ReadHalf, WriteHalf};
use msgr::{ClientAuth, ClientConfig, ServerConfig};
use rbdgate_tests::old_client::on_range;

use crate::{Failure, Result};

/// Something that is done once for each request.
pub(super) struct Path {
    /// Its name, as the file of figures has it.
    pub(super) name: &'static str,
    run: fn(u32) -> Result<()>,
}

impl Path {
    /// Does it so many times.
    pub(super) fn run(&self, times: u32) -> Result<()> {
        (self.run)(times)
    }
}

/// All of them.
pub(super) const PATHS: [Path; 8] = [
    Path {
        name: "decode a write",
        run: decode_write,
    },
    Path {
        name: "encode its answer",
        run: encode_answer,
    },
    Path {
        name: "receive a write (crc)",
        run: |n| receive(n, ConMode::CRC),
    },
    Path {
        name: "receive a write (secure)",
        run: |n| receive(n, ConMode::SECURE),
    },
    Path {
        name: "send an answer (crc)",
        run: |n| send(n, ConMode::CRC, &answer()),
    },
    Path {
        name: "send an answer (secure)",
        run: |n| send(n, ConMode::SECURE, &answer()),
    },
    Path {
        name: "send what was read (crc)",
        run: |n| send(n, ConMode::CRC, &with_data()),
    },
    Path {
        name: "send what was read (secure)",
        run: |n| send(n, ConMode::SECURE, &with_data()),
    },
];

const BLOCK: usize = 4096;

fn write() -> MOsdOp {
    let hint = OpArgs::AllocHint {
        expected_object_size: 4 << 20,
        expected_write_size: 4 << 20,
        flags: 0,
    };
    MOsdOp {
        osdmap_epoch: 20,
        flags: OsdFlags::ACK | OsdFlags::ONDISK | OsdFlags::WRITE,
        pg: Spg {
            pg: Pg { pool: 1, seed: 7 },
            shard: -1,
        },
        hash: 0x1234_5677,
        oid: Bytes::from_static(b"rbd_data.1056aa8d5fd7.0000000000000a3c"),
        snapid: NOSNAP,
        ops: vec![
            OsdOp::new(OpCode::SETALLOCHINT, hint, Bytes::new()),
            on_range(OpCode::WRITE, 0x0010_0000, BLOCK as u64, &[0x5a; BLOCK]),
        ],
        client_inc: 0,
        retry_attempt: 0,
        reqid: ReqId::default(),
        mtime: Utime::default(),
        locator: ObjectLocator::pool(1),
        snap_seq: 0,
        snaps: Vec::new(),
        features: 0,
        trace: BlkinTrace::default(),
    }
}

fn answer() -> RawMessage {
    let ack = OsdFlags::ACK | OsdFlags::ONDISK;
    MOsdOpReply::to(&write(), 0, 20, ack, false).encode(Features::OURS)
}

fn with_data() -> RawMessage {
    let mut request = write();
    request.ops = vec![on_range(OpCode::READ, 0x0010_0000, BLOCK as u64, &[])];
    request.ops[0].outdata = [Bytes::from(vec![0x5a; BLOCK])].into();
    let ack = OsdFlags::ACK | OsdFlags::ONDISK;
    MOsdOpReply::to(&request, 0, 20, ack, true).encode(Features::OURS)
}

fn decode_write(times: u32) -> Result<()> {
    let raw = write().encode(Features::OURS);
    for _ in 0..times {
        let message = MOsdOp::decode(std::hint::black_box(&raw)).map_err(|e| Failure::new("MOSDOp", e))?;
        std::hint::black_box(message);
    }
    Ok(())
}

fn encode_answer(times: u32) -> Result<()> {
    let mut request = write();
    let ack = OsdFlags::ACK | OsdFlags::ONDISK;
    for _ in 0..times {
        let reply = MOsdOpReply::taking(std::hint::black_box(&mut request), 0, 20, ack, false);
        std::hint::black_box(reply.encode(Features::OURS));
        request.ops = reply.ops;
    }
    Ok(())
}

fn receive(times: u32, mode: ConMode) -> Result<()> {
    let (mut client, mut server) = session(mode)?;
    let raw = write().encode(Features::OURS);
    for _ in 0..times {
        pass(&mut client.write, &mut server.read, &raw)?;
    }
    Ok(())
}

/// Sending alone cannot be seen apart from the peer's receiving in secure mode, whose nonces go with both; so what the
/// peer does is left out, and it never sees the bytes.
fn send(times: u32, mode: ConMode, raw: &RawMessage) -> Result<()> {
    let (_, mut server) = session(mode)?;
    for _ in 0..times {
        server.write.send(raw);
        let output = server.write.output();
        let len = output.len();
        std::hint::black_box(output.pieces().count());
        output.advance(len);
    }
    Ok(())
}

fn pass(from: &mut WriteHalf, to: &mut ReadHalf, raw: &RawMessage) -> Result<()> {
    from.send(raw);
    let output = from.output();
    for piece in output.pieces() {
        to.read_buf().extend_from_slice(piece);
    }
    let len = output.len();
    output.advance(len);
    match to.poll_event().map_err(|e| Failure::new("receiving", e))? {
        Some(Event::Message(message)) => {
            std::hint::black_box(message);
            Ok(())
        }
        other => Err(Failure(format!("{other:?} instead of the message"))),
    }
}

/// Both ends of a session, without a socket.
fn session(mode: ConMode) -> Result<(Established, Established)> {
    let now = SystemTime::now();
    let key = CryptoKey::generate(now);
    let auth = EntityAuth {
        key: key.clone(),
        ..EntityAuth::default()
    };
    let mut ring = Keyring::default();
    ring.entities
        .insert("client.admin".to_owned(), auth.with_caps("mon", "allow *"));
    let keys = Arc::new(KeyringServer::new(ring, 1, now));
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 3300));
    let target = EntityAddr::v2(at, 0);
    let name = EntityName {
        kind: EntityType::MON,
        num: 0,
    };
    let config = ServerConfig::new(name, EntityAddrVec(vec![target]), AuthConfig::cephx(keys));
    let admin = AuthEntityName::parse("client.admin").ok_or_else(|| Failure("no name".to_owned()))?;
    let client = CephxClient::new(admin, key);
    let auth = ClientAuth::Mon(Box::new(client), vec![EntityType::OSD]);
    let mut client = ClientConfig::new(EntityType::MON, target, auth);
    client.modes = vec![mode];
    let mut ends = [
        Connection::client(client, at, Instant::now()),
        Connection::server(Arc::new(config), at, Instant::now()),
    ];
    let mut ready = [false; 2];
    while ready != [true; 2] {
        for this in 0..2 {
            let step = ends[this]
                .step(now)
                .map_err(|e| Failure::new("shaking hands", e))?;
            ready[this] = step == HandshakeEvent::Ready;
            let bytes = ends[this].output().take();
            ends[1 - this].receive(&bytes);
        }
    }
    let [client, server] = ends.map(Connection::into_session);
    client
        .zip(server)
        .ok_or_else(|| Failure("no session after the handshake".to_owned()))
}
