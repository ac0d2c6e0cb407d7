//! What a client of Argonaut, Dumpling, Hammer, Jewel or Luminous does over msgr v1: authenticates, gets the maps, works on an object.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use bytes::{BufMut, Bytes, BytesMut};
use encoding::maps::OsdMap;
use encoding::messages::{MMonMap, MOsdMap, MOsdOp, MOsdOpReply};
use encoding::types::{
    AddrType, BlkinTrace, EntityAddr, EntityType, NOSNAP, ObjectLocator, OpArgs, OpCode, OpFlags, OsdFlags,
    OsdOp, Pg, ReqId, Spg, Utime,
};
use encoding::{Decode, Features, Message, MessageType, RawMessage};
use msgr::Protocol;

use crate::old_rules::{OldMonMap, OldOsdMap, Rules, read_monmap, read_osdmap};
use crate::peer::{self, Peer};
use crate::{Failure, Result};

/// A generation of clients.
#[derive(Debug, Clone, Copy)]
pub struct Generation {
    /// Its name, for messages.
    pub name: &'static str,
    /// Its feature word.
    pub word: Features,
    /// How it reads maps.
    pub rules: Rules,
    /// The version of its `MOSDOp`.
    pub osd_op: u16,
    /// The version of the `MOSDOpReply` that it must be sent.
    pub osd_op_reply: u16,
}

/// Hammer's word (0.94).
const HAMMER: u64 = 0x0083_ffff_ffff_ffff;

/// The generations that are older than stock clients to be had today.
pub const GENERATIONS: [Generation; 6] = [
    Generation {
        name: "hammer",
        word: Features(HAMMER),
        rules: Rules::Hammer,
        osd_op: 5,
        osd_op_reply: 6,
    },
    Generation {
        name: "hammer with a private bit 59",
        word: Features(HAMMER | 1 << 59),
        rules: Rules::Hammer,
        osd_op: 5,
        osd_op_reply: 6,
    },
    Generation {
        name: "dumpling",
        word: Features(0x0007_ffff_ffff),
        rules: Rules::Classic,
        osd_op: 5,
        osd_op_reply: 6,
    },
    Generation {
        name: "argonaut",
        word: Features(0x0007_ffff),
        rules: Rules::Classic,
        osd_op: 4,
        osd_op_reply: 6,
    },
    Generation {
        name: "jewel",
        word: Features(0x07fd_dff8_ef8c_bffb),
        rules: Rules::Jewel,
        osd_op: 7,
        osd_op_reply: 8,
    },
    Generation {
        name: "luminous",
        word: Features(0x3ffd_dff8_eea4_fffb),
        rules: Rules::Luminous,
        osd_op: 8,
        osd_op_reply: 8,
    },
];

/// A client with its maps.
pub struct OldClient {
    generation: Generation,
    mon: Peer,
    /// The monitor map, read by the generation's rules.
    pub monmap: OldMonMap,
    /// The OSD map, read by the generation's rules.
    pub osdmap: OldOsdMap,
    /// The monitor map as it came.
    pub monmap_bytes: Bytes,
    /// The OSD map as it came.
    pub osdmap_bytes: Bytes,
    /// The same OSD map, to place objects with.
    placement: OsdMap,
}

impl OldClient {
    /// Authenticates at the monitor, subscribes and waits for the maps.
    pub fn start(generation: Generation, mon_port: u16, keyring: &Path) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, mon_port));
        let mut mon = Peer::connect(peer::config(
            EntityType::MON,
            EntityAddr::v1(address, 0),
            peer::admin(keyring)?,
            Protocol::V1,
            generation.word,
        ))?;
        mon.send(&subscription())?;
        let raw = mon.receive(MessageType::MON_MAP)?;
        readable(&raw, 1)?;
        let message = MMonMap::decode(&raw).map_err(|e| Failure::new("MMonMap", e))?;
        let monmap_bytes = message.monmap;
        let monmap = read_monmap(&monmap_bytes, generation.rules)?;
        let raw = mon.receive(MessageType::OSD_MAP)?;
        readable(&raw, 3)?;
        let message = MOsdMap::decode(&raw).map_err(|e| Failure::new("MOSDMap", e))?;
        let Some((_, full)) = message.maps.last_key_value() else {
            return Err(Failure("MOSDMap without a full map".to_owned()));
        };
        let osdmap = read_osdmap(full, generation.rules)?;
        let placement = OsdMap::from_bytes(full).map_err(|e| Failure::new("OSDMap", e))?;
        Ok(Self {
            generation,
            mon,
            monmap,
            osdmap,
            placement,
            monmap_bytes,
            osdmap_bytes: full.clone(),
        })
    }

    /// Connects to the OSD with a ticket.
    pub fn osd(&self, id: usize) -> Result<OldOsdSession<'_>> {
        let addrs = self.placement.osd_addrs.get(id);
        let target = addrs.and_then(|a| a.client.first(AddrType::LEGACY));
        let target = target.ok_or_else(|| Failure(format!("osd.{id} has no legacy address")))?;
        let peer = Peer::connect(peer::config(
            EntityType::OSD,
            target,
            self.mon.tickets()?,
            Protocol::V1,
            self.generation.word,
        ))?;
        Ok(OldOsdSession {
            client: self,
            peer,
            tid: 0,
        })
    }
}

/// A session with an OSD.
pub struct OldOsdSession<'a> {
    client: &'a OldClient,
    peer: Peer,
    tid: u64,
}

impl OldOsdSession<'_> {
    /// Runs operations on an object of the pool and returns the reply.
    pub fn run(&mut self, pool: &str, oid: &str, writes: bool, ops: Vec<OsdOp>) -> Result<MOsdOpReply> {
        let generation = self.client.generation;
        let mut request = request(&self.client.placement, pool, oid, writes, ops)?;
        request.features = generation.word.0;
        let raw = match generation.osd_op {
            version @ (4 | 5) => encode_before_v6(&request, version),
            _ => request.encode(self.peer.info().features),
        };
        if raw.header.version != generation.osd_op {
            return Err(Failure(format!("MOSDOp v{} was written", raw.header.version)));
        }
        self.tid += 1;
        self.peer.send(&raw.with_tid(self.tid))?;
        let raw = self.peer.receive(MessageType::OSD_OPREPLY)?;
        if raw.header.version != generation.osd_op_reply || raw.header.tid != self.tid {
            return Err(Failure(format!("not the reply expected: {:?}", raw.header)));
        }
        MOsdOpReply::decode(&raw).map_err(|e| Failure::new("MOSDOpReply", e))
    }
}

/// A request on an object of the pool, placed by `map`, without snapshots.
pub fn request(map: &OsdMap, pool: &str, oid: &str, writes: bool, ops: Vec<OsdOp>) -> Result<MOsdOp> {
    let placed = map.pool_by_name(pool).and_then(|id| {
        let hash = map.object_to_pg(id, oid.as_bytes(), b"", b"")?;
        Some((id, hash, map.raw_pg_to_pg(hash)?))
    });
    let (id, raw, pg) = placed.ok_or_else(|| Failure(format!("no pool {pool}")))?;
    let ack = OsdFlags::ACK | OsdFlags::ONDISK;
    let kind = if writes { OsdFlags::WRITE } else { OsdFlags::READ };
    // Luminous names the placement group; those before it the hash.
    Ok(MOsdOp {
        client_inc: 0,
        osdmap_epoch: map.epoch,
        flags: ack | kind,
        retry_attempt: 0,
        reqid: ReqId::default(),
        pg: Spg { pg, shard: -1 },
        hash: raw.seed,
        mtime: Utime {
            sec: 1_700_000_000,
            nsec: 0,
        },
        locator: ObjectLocator::pool(id),
        oid: Bytes::copy_from_slice(oid.as_bytes()),
        snapid: NOSNAP,
        snap_seq: 0,
        snaps: Vec::new(),
        features: 0,
        trace: BlkinTrace::default(),
        ops,
    })
}

/// An operation on a range.
#[must_use]
pub fn on_range(op: OpCode, offset: u64, length: u64, data: &[u8]) -> OsdOp {
    OsdOp::on_range(op, offset, length, Bytes::copy_from_slice(data))
}

/// An exclusive creation.
#[must_use]
pub fn create_exclusively() -> OsdOp {
    OsdOp {
        flags: OpFlags::EXCL,
        ..OsdOp::new(OpCode::CREATE, OpArgs::Raw([0; 28]), Bytes::new())
    }
}

/// A message that a reader of version `known` accepts.
fn readable(raw: &RawMessage, known: u16) -> Result<()> {
    if raw.header.compat_version > known {
        return Err(Failure(format!("{:?}: not for v{known}", raw.header)));
    }
    Ok(())
}

/// `MMonSubscribe` version 2, without a host name: monmap and osdmap, from the newest on.
fn subscription() -> RawMessage {
    let mut out = BytesMut::new();
    out.put_u32_le(2);
    for what in ["monmap", "osdmap"] {
        out.put_u32_le(what.len() as u32);
        out.put_slice(what.as_bytes());
        out.put_u64_le(0);
        out.put_u8(0);
    }
    RawMessage::new(MessageType::MON_SUBSCRIBE, 2, 1, out.freeze())
}

fn put_pg(out: &mut BytesMut, pg: Pg) {
    out.put_u8(1);
    out.put_u64_le(pg.pool);
    out.put_u32_le(pg.seed);
    out.put_i32_le(-1);
}

/// `MOSDOp` version 4 or 5, which end before the features and the request id; the product writes none before 6.
fn encode_before_v6(op: &MOsdOp, version: u16) -> RawMessage {
    let mut out = BytesMut::new();
    out.put_u32_le(op.client_inc);
    out.put_u32_le(op.osdmap_epoch);
    out.put_u32_le(op.flags.bits());
    out.put_u32_le(op.mtime.sec);
    out.put_u32_le(op.mtime.nsec);
    out.put_bytes(0, 12); // reassert_version
    // object_locator_t: pool, preferred, key, nspace, hash
    out.put_slice(&[6, 3]);
    out.put_u32_le(8 + 4 + 4 + 4 + 8);
    out.put_i64_le(op.locator.pool);
    out.put_i32_le(-1);
    out.put_u64_le(0);
    out.put_i64_le(-1);
    put_pg(&mut out, op.raw_pg());
    out.put_u32_le(op.oid.len() as u32);
    out.put_slice(&op.oid);
    out.put_u16_le(op.ops.len() as u16);
    for op in &op.ops {
        out.put_u16_le(op.op.0);
        out.put_u32_le(op.flags.bits());
        out.put_slice(&op.union);
        out.put_u32_le(op.indata.len() as u32);
    }
    out.put_u64_le(op.snapid);
    out.put_u64_le(op.snap_seq);
    out.put_u32_le(0);
    out.put_i32_le(op.retry_attempt);
    if version >= 5 {
        out.put_u64_le(op.features);
    }
    let mut raw = RawMessage::new(MessageType::OSD_OP, version, 3, out.freeze());
    let data = op.ops.iter().map(|op| op.indata.clone());
    raw.data = data.filter(|d| !d.is_empty()).collect();
    raw
}
