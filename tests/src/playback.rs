//! The client's side of a recording, played to a server under test, whose answers are compared with the recorded ones.
//!
//! Everything is sent in the order of the recording, and nothing before the answers that came before it there. What
//! depends on the cluster is put right: the cluster's id, the map's epoch, placement groups, numbers of notifies.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use bytes::{BufMut, Bytes, BytesMut};
use capture::tcp::Direction;
use capture::{ConnectionInfo, Item, KeyBook, Transcript};
use encoding::maps::OsdMap;
use encoding::messages::{
    MGetPoolStats, MMonCommand, MMonCommandAck, MMonSubscribe, MOsdMap, MOsdOp, MOsdOpReply, MPoolOp,
    MPoolOpReply, MStatfs, MWatchNotify, PoolOpCode, SubscribeItem,
};
use encoding::types::{EntityAddr, EntityType, OpCode, OsdOp};
use encoding::{Decode, Features, Message, MessageType, RawMessage};
use msgr::cephx::AuthEntityName;
use msgr::{ClientAuth, Protocol};

use crate::old_client;
use crate::peer::{self, Peer};
use crate::{Failure, Result};

/// A message of the recording.
struct Step {
    connection: u32,
    to_server: bool,
    message: RawMessage,
}

/// A recording: its connections and messages.
pub struct Recorded {
    connections: BTreeMap<u32, ConnectionInfo>,
    steps: Vec<Step>,
}

/// Where to play it.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The monitor's address.
    pub mon: EntityAddr,
    /// The protocol.
    pub protocol: Protocol,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Messages sent.
    pub sent: usize,
    /// Answers compared, by kind.
    pub compared: BTreeMap<String, usize>,
    /// Answers that were not the recorded ones.
    pub differences: Vec<String>,
}

/// What answers carry the request's number.
const ANSWERS: [MessageType; 5] = [
    MessageType::OSD_OPREPLY,
    MessageType::MON_COMMAND_ACK,
    MessageType::POOLOP_REPLY,
    MessageType::MON_GET_VERSION_REPLY,
    MessageType::STATFS_REPLY,
];

impl Recorded {
    /// Reads a compressed recording of unauthenticated sessions.
    pub fn read(path: &Path) -> Result<Self> {
        let packed = std::fs::read(path).map_err(|e| Failure::new(path.display(), e))?;
        let mut file = Vec::new();
        flate2::read::GzDecoder::new(&packed[..])
            .read_to_end(&mut file)
            .map_err(|e| Failure::new(path.display(), e))?;
        let transcript = Transcript::new(file.into(), KeyBook::default());
        let mut transcript = transcript.map_err(|e| Failure::new(path.display(), e))?;
        let mut steps = Vec::new();
        for record in &mut transcript {
            if let (Some(connection), Item::Message(item)) = (record.connection, record.item) {
                steps.push(Step {
                    connection,
                    to_server: record.direction == Some(Direction::ToServer),
                    message: item.message,
                });
            }
        }
        let connections = transcript.connections();
        Ok(Self {
            connections: connections.map(|(id, info)| (id, info.clone())).collect(),
            steps,
        })
    }

    /// The number of the first snapshot made.
    fn first_snapshot(&self) -> Option<u64> {
        let replies = self
            .steps
            .iter()
            .filter_map(|step| decode::<MPoolOpReply>(&step.message));
        replies.filter_map(|reply| snapshot(&reply)).next()
    }

    /// What the recorded OSD answered to the first request that has such an operation: the output of all of its
    /// operations.
    #[must_use]
    pub fn answer(&self, wanted: impl Fn(&OsdOp) -> bool) -> Option<Bytes> {
        let asked = self.steps.iter().find(|step| {
            decode::<MOsdOp>(&step.message).is_some_and(|request| request.ops.iter().any(&wanted))
        })?;
        let answers = |step: &&Step| {
            let header = step.message.header;
            let tid = asked.message.header.tid;
            step.connection == asked.connection
                && header.kind == MessageType::OSD_OPREPLY
                && header.tid == tid
        };
        Some(self.steps.iter().find(answers)?.message.data_bytes())
    }

    /// Plays it.
    pub fn play(&self, target: Target) -> Result<Report> {
        self.play_after(target, Vec::new())
    }

    /// Plays it after the operations that make the objects which were there before, by name.
    pub fn play_after(&self, target: Target, before: Vec<(String, OsdOp)>) -> Result<Report> {
        let mut player = Player::new(self, target)?;
        player.prepare(before)?;
        for (n, step) in self.steps.iter().enumerate() {
            player
                .step(step)
                .map_err(|e| Failure(format!("message {n} of connection {}: {e}", step.connection)))?;
        }
        player.finish()
    }
}

fn decode<M: Message>(raw: &RawMessage) -> Option<M> {
    (raw.header.kind == M::TYPE)
        .then(|| M::decode(raw).ok())
        .flatten()
}

fn snapshot(reply: &MPoolOpReply) -> Option<u64> {
    let data = reply.response.as_ref()?;
    Some(u64::from_le_bytes(*data.first_chunk()?))
}

/// One connection that is played.
struct Live {
    peer: Peer,
    /// Received and not yet compared.
    received: Vec<RawMessage>,
    /// Kinds received.
    kinds: BTreeSet<u16>,
}

impl Live {
    fn new(peer: Peer) -> Self {
        Self {
            peer,
            received: Vec::new(),
            kinds: BTreeSet::new(),
        }
    }

    /// The first message that passes, waiting for it.
    fn wait(&mut self, wanted: impl Fn(&RawMessage) -> bool) -> Result<RawMessage> {
        if let Some(at) = self.received.iter().position(&wanted) {
            return Ok(self.received.remove(at));
        }
        loop {
            let message = self.peer.next_message()?;
            self.kinds.insert(message.header.kind.0);
            if wanted(&message) {
                return Ok(message);
            }
            self.received.push(message);
        }
    }
}

struct Player<'a> {
    recorded: &'a Recorded,
    target: Target,
    map: OsdMap,
    live: BTreeMap<u32, Live>,
    /// Recorded numbers of notifies, and ours.
    notifies: BTreeMap<u64, u64>,
    /// Kinds that the recorded server sent, by connection.
    kinds: BTreeMap<u32, BTreeSet<u16>>,
    report: Report,
}

impl<'a> Player<'a> {
    fn new(recorded: &'a Recorded, target: Target) -> Result<Self> {
        let mut mon = Live::new(connect(target, EntityType::MON, target.mon, 0, None)?);
        let mut subscribe = MMonSubscribe::default();
        subscribe
            .what
            .insert("osdmap".to_owned(), SubscribeItem::default());
        mon.peer.send(&subscribe.encode(mon.peer.info().features))?;
        let raw = mon.wait(|m| m.header.kind == MessageType::OSD_MAP)?;
        let maps = MOsdMap::decode(&raw).map_err(|e| Failure::new("MOSDMap", e))?;
        let full = maps.maps.into_values().next_back().unwrap_or_default();
        let map = OsdMap::from_bytes(&full).map_err(|e| Failure::new("OSDMap", e))?;
        let player = Self {
            recorded,
            target,
            map,
            live: BTreeMap::new(),
            notifies: BTreeMap::new(),
            kinds: BTreeMap::new(),
            report: Report::default(),
        };
        if let Some(first) = recorded.first_snapshot() {
            player.use_up_snapshots(&mut mon, first)?;
        }
        Ok(player)
    }

    /// Runs the operations, one request each.
    fn prepare(&self, before: Vec<(String, OsdOp)>) -> Result<()> {
        let mut live = Live::new(connect(self.target, EntityType::OSD, self.osd()?, 1 << 40, None)?);
        for (tid, (oid, op)) in (1..).zip(before) {
            let request = old_client::request(&self.map, "rbd", &oid, true, vec![op])?;
            let raw = request.encode(live.peer.info().features).with_tid(tid);
            live.peer.send(&raw)?;
            let raw = live.wait(|m| m.header.kind == MessageType::OSD_OPREPLY)?;
            match decode::<MOsdOpReply>(&raw) {
                Some(reply) if reply.result == 0 => {}
                reply => return Err(Failure(format!("making {oid}: {reply:?}"))),
            }
        }
        Ok(())
    }

    /// Makes snapshots of the pool until the next one has the recorded number.
    fn use_up_snapshots(&self, mon: &mut Live, first: u64) -> Result<()> {
        let pool = self.map.pool_by_name("rbd").unwrap_or_default();
        for tid in 1..first {
            let make = MPoolOp {
                fsid: self.map.fsid,
                pool: pool as u32,
                op: PoolOpCode::CREATE_UNMANAGED_SNAP,
                ..MPoolOp::default()
            };
            let raw = make.encode(mon.peer.info().features).with_tid(tid);
            mon.peer.send(&raw)?;
            let raw = mon.wait(|m| m.header.kind == MessageType::POOLOP_REPLY)?;
            let made = decode::<MPoolOpReply>(&raw).as_ref().and_then(snapshot);
            if made.is_none_or(|made| made + 1 >= first) {
                break;
            }
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        let info = self.recorded.connections.get(&step.connection);
        let server = info.and_then(|info| info.server).map(|name| name.kind);
        let Some(server @ (EntityType::MON | EntityType::OSD)) = server else {
            return Ok(()); // the manager's, where clients say nothing
        };
        if step.to_server {
            self.send(step, server)
        } else {
            self.expect(step)
        }
    }

    fn send(&mut self, step: &Step, server: EntityType) -> Result<()> {
        if !self.live.contains_key(&step.connection) {
            let recorded = self.recorded.connections.get(&step.connection);
            let gid = recorded.and_then(|info| info.client).map_or(0, |name| name.num);
            let at = match server {
                EntityType::MON => self.target.mon,
                _ => self.osd()?,
            };
            let word = recorded.and_then(|info| info.client_features);
            let peer = connect(self.target, server, at, gid.max(0).cast_unsigned(), word)?;
            self.live.insert(step.connection, Live::new(peer));
        }
        let features = self
            .live
            .get(&step.connection)
            .map(|live| live.peer.info().features);
        let message = self.adapted(&step.message, features.unwrap_or_default());
        if let Some(live) = self.live.get_mut(&step.connection)
            && message.header.kind != MessageType::AUTH
        {
            live.peer.send(&message)?;
            self.report.sent += 1;
        }
        Ok(())
    }

    fn osd(&self) -> Result<EntityAddr> {
        let wanted = match self.target.protocol {
            Protocol::V1 => encoding::types::AddrType::LEGACY,
            _ => encoding::types::AddrType::MSGR2,
        };
        let addrs = self.map.osd_addrs.first();
        let addr = addrs.and_then(|addrs| addrs.client.first(wanted));
        addr.ok_or_else(|| Failure("the OSD has no address of that kind".to_owned()))
    }

    /// The recorded message as it is right for this cluster.
    fn adapted(&self, raw: &RawMessage, features: Features) -> RawMessage {
        let fsid = self.map.fsid;
        let adapted = if let Some(mut op) = decode::<MOsdOp>(raw) {
            op.osdmap_epoch = self.map.epoch;
            if let Some(pg) = self.map.raw_pg_to_pg(op.raw_pg()) {
                op.pg.pg = pg;
            }
            for op in op.ops.iter_mut().filter(|op| op.op == OpCode::NOTIFY_ACK) {
                op.indata = self.renumbered(&op.indata);
            }
            Some(op.encode(features))
        } else if let Some(m) = decode::<MMonCommand>(raw) {
            Some(MMonCommand { fsid, ..m }.encode(features))
        } else if let Some(m) = decode::<MPoolOp>(raw) {
            Some(MPoolOp { fsid, ..m }.encode(features))
        } else if let Some(m) = decode::<MStatfs>(raw) {
            Some(MStatfs { fsid, ..m }.encode(features))
        } else {
            decode::<MGetPoolStats>(raw).map(|m| MGetPoolStats { fsid, ..m }.encode(features))
        };
        adapted.map_or_else(|| raw.clone(), |message| message.with_tid(raw.header.tid))
    }

    /// The input of a notify-ack, which begins with the number of the notify.
    fn renumbered(&self, input: &Bytes) -> Bytes {
        let Some((number, rest)) = input.split_first_chunk() else {
            return input.clone();
        };
        let number = u64::from_le_bytes(*number);
        let mut out = BytesMut::new();
        out.put_u64_le(self.notifies.get(&number).copied().unwrap_or(number));
        out.put_slice(rest);
        out.freeze()
    }

    fn expect(&mut self, step: &Step) -> Result<()> {
        let Some(live) = self.live.get_mut(&step.connection) else {
            return Ok(()); // part of the handshake
        };
        let recorded = &step.message;
        let (kind, tid) = (recorded.header.kind, recorded.header.tid);
        if kind == MessageType::AUTH_REPLY {
            return Ok(()); // part of the handshake here
        }
        self.kinds.entry(step.connection).or_default().insert(kind.0);
        let ours = if ANSWERS.contains(&kind) {
            live.wait(|m| m.header.kind == kind && m.header.tid == tid)?
        } else if let Some(theirs) = decode::<MWatchNotify>(recorded) {
            let same = |m: &MWatchNotify| m.cookie == theirs.cookie && m.opcode == theirs.opcode;
            let raw = live.wait(|m| decode::<MWatchNotify>(m).as_ref().is_some_and(same))?;
            if let Some(ours) = decode::<MWatchNotify>(&raw) {
                self.notifies.insert(theirs.notify_id, ours.notify_id);
            }
            raw
        } else {
            return Ok(());
        };
        let name = kind.name().unwrap_or("unknown").to_owned();
        *self.report.compared.entry(name).or_default() += 1;
        if let Some(difference) = compare(recorded, &ours) {
            let text = format!("connection {}, tid {tid}: {difference}", step.connection);
            self.report.differences.push(text);
        }
        Ok(())
    }

    /// Every kind of message that the recorded server sent on a connection must have come from this one too.
    fn finish(mut self) -> Result<Report> {
        for (id, kinds) in &self.kinds {
            let Some(live) = self.live.get_mut(id) else {
                continue;
            };
            for kind in kinds {
                while !live.kinds.contains(kind) {
                    let what = format!("connection {id}: message type {kind}");
                    let message = live.peer.next_message().map_err(|e| Failure::new(what, e))?;
                    live.kinds.insert(message.header.kind.0);
                }
            }
        }
        Ok(self.report)
    }
}

/// Connects with the recorded client's feature word.
fn connect(
    target: Target,
    server: EntityType,
    at: EntityAddr,
    global_id: u64,
    word: Option<Features>,
) -> Result<Peer> {
    let name = AuthEntityName::parse("client.admin");
    let name = name.ok_or_else(|| Failure("no name".to_owned()))?;
    let auth = ClientAuth::None { name, global_id };
    Peer::connect(peer::config(
        server,
        at,
        auth,
        target.protocol,
        word.unwrap_or(Features::OURS),
    ))
}

/// What is different, as far as it must not be: results, operations, lengths of answers, bytes read.
fn compare(recorded: &RawMessage, ours: &RawMessage) -> Option<String> {
    let (theirs, ours) = (essence(recorded), essence(ours));
    (theirs != ours).then(|| format!("recorded {theirs}, now {ours}"))
}

fn essence(raw: &RawMessage) -> String {
    if let Some(reply) = decode::<MOsdOpReply>(raw) {
        let ops = reply.ops.iter();
        let read = |op: &OsdOp| match op.op {
            OpCode::READ => format!(" with crc {:#x}", crc32c::crc32c(&op.outdata.concat())),
            _ => String::new(),
        };
        let ops = ops.map(|op| {
            let (code, result, len) = (op.op, op.rval, op.outdata_len());
            format!("{code} {result} ({len} bytes{})", read(op))
        });
        let ops: Vec<String> = ops.collect();
        let oid = String::from_utf8_lossy(&reply.oid);
        format!("{oid} {} [{}]", reply.result, ops.join(", "))
    } else if let Some(reply) = decode::<MPoolOpReply>(raw) {
        format!("pool op {} {:?}", reply.result, snapshot(&reply))
    } else if let Some(reply) = decode::<MMonCommandAck>(raw) {
        format!("command {:?} {}", reply.cmd, reply.result)
    } else if let Some(event) = decode::<MWatchNotify>(raw) {
        let len = event.payload.len() + event.data.len();
        format!("event {:?} {} ({len} bytes)", event.opcode, event.return_code)
    } else {
        raw.header.kind.name().unwrap_or("unknown").to_owned()
    }
}
