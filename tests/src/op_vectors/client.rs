//! A client that sends the vectors and puts the answers into words.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use encoding::maps::OsdMap;
use encoding::messages::{MMonSubscribe, MOsdMap, MOsdOp, MOsdOpReply, MWatchNotify, SubscribeItem};
use encoding::types::{
    AddrType, BlkinTrace, EntityAddr, EntityType, ObjectLocator, OsdFlags, ReqId, Spg, Utime,
};
use encoding::{Decode, Features, Message, MessageType, RawMessage};
use msgr::Protocol;

use super::Step;
use crate::peer::{self, Peer};
use crate::{Failure, Result};

/// The pools, each with one placement group: then all versions of a pool's objects are of one order.
pub const POOLS: [&str; 2] = ["vectors", "vectors-2"];

/// A client of an OSD.
pub struct Client {
    // The session is open as long as its client is there.
    mon: Peer,
    at: EntityAddr,
    osd: Peer,
    map: OsdMap,
    tid: u64,
    /// Events that came and were not taken yet.
    events: Vec<MWatchNotify>,
    /// The versions that each object was seen to have.
    pub versions: BTreeMap<(bool, String, String), Vec<u64>>,
}

fn monitor(conf: &Path) -> Result<EntityAddr> {
    let text = std::fs::read_to_string(conf).map_err(|e| Failure::new(conf.display(), e))?;
    let address = text.split("v2:").nth(1).and_then(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':')?;
        rest[..end].parse::<SocketAddr>().ok()
    });
    let address = address.ok_or_else(|| Failure(format!("no v2 address in {text}")))?;
    Ok(EntityAddr::v2(address, 0))
}

fn osd(mon: &Peer, at: EntityAddr) -> Result<Peer> {
    let (kind, auth) = (EntityType::OSD, mon.tickets()?);
    Peer::connect(peer::config(kind, at, auth, Protocol::V2, Features::OURS))
}

impl Client {
    /// Connects to the monitor that the configuration names, and to the first OSD.
    pub fn start(conf: &Path, keyring: &Path) -> Result<Self> {
        let mut mon = Peer::connect(peer::config(
            EntityType::MON,
            monitor(conf)?,
            peer::admin(keyring)?,
            Protocol::V2,
            Features::OURS,
        ))?;
        let mut subscribe = MMonSubscribe::default();
        subscribe
            .what
            .insert("osdmap".to_owned(), SubscribeItem::default());
        mon.send(&subscribe.encode(mon.info().features))?;
        let raw = mon.receive(MessageType::OSD_MAP)?;
        let maps = MOsdMap::decode(&raw).map_err(|e| Failure::new("MOSDMap", e))?;
        let full = maps.maps.into_values().next_back().unwrap_or_default();
        let map = OsdMap::from_bytes(&full).map_err(|e| Failure::new("OSDMap", e))?;
        let at = map.osd_addrs.first();
        let at = at.and_then(|addrs| addrs.client.first(AddrType::MSGR2));
        let at = at.ok_or_else(|| Failure("the OSD has no v2 address".to_owned()))?;
        Ok(Self {
            osd: osd(&mon, at)?,
            mon,
            at,
            map,
            tid: 0,
            events: Vec::new(),
            versions: BTreeMap::new(),
        })
    }

    /// Drops the connection to the OSD and makes a new one, as the same client.
    pub fn reconnect(&mut self) -> Result<()> {
        self.osd = osd(&self.mon, self.at)?;
        Ok(())
    }

    /// The id of one of [`POOLS`].
    pub fn pool(&self, other: bool) -> Result<i64> {
        let name = POOLS[usize::from(other)];
        let id = self.map.pool_by_name(name);
        id.ok_or_else(|| Failure(format!("no pool {name}")))
    }

    /// The request of a step.
    pub fn request(&self, step: &Step) -> Result<MOsdOp> {
        let pool = self.pool(step.other_pool)?;
        let (oid, key) = (step.oid.as_bytes(), step.key.as_bytes());
        let placed = self.map.object_to_pg(pool, oid, key, step.nspace.as_bytes());
        let raw = placed.ok_or_else(|| Failure("an object has no place".to_owned()))?;
        let pg = self.map.raw_pg_to_pg(raw).unwrap_or(raw);
        let writes = step.ops.iter().any(|op| op.op.is_write());
        let kind = if writes { OsdFlags::WRITE } else { OsdFlags::READ };
        Ok(MOsdOp {
            client_inc: 0,
            osdmap_epoch: self.map.epoch,
            flags: OsdFlags::ONDISK | kind | step.flags,
            retry_attempt: 0,
            reqid: ReqId::default(),
            pg: Spg { pg, shard: -1 },
            hash: raw.seed,
            mtime: Utime {
                sec: step.time,
                nsec: 0,
            },
            locator: ObjectLocator {
                key: Bytes::copy_from_slice(key),
                nspace: Bytes::copy_from_slice(step.nspace.as_bytes()),
                ..ObjectLocator::pool(pool)
            },
            oid: Bytes::copy_from_slice(oid),
            snapid: step.snapid,
            snap_seq: step.snap_seq,
            snaps: step.snaps.clone(),
            features: Features::OURS.0,
            trace: BlkinTrace::default(),
            ops: step.ops.clone(),
        })
    }

    /// Sends a step and waits for the answer.
    pub fn run(&mut self, step: &Step) -> Result<MOsdOpReply> {
        let request = self.request(step)?;
        self.tid += 1;
        let raw = request.encode(self.osd.info().features).with_tid(self.tid);
        self.osd.send(&raw)?;
        loop {
            let raw = self.osd.next_message()?;
            if raw.header.kind == MessageType::OSD_OPREPLY && raw.header.tid == self.tid {
                return MOsdOpReply::decode(&raw).map_err(|e| Failure::new("MOSDOpReply", e));
            }
            self.note(&raw)?;
        }
    }

    /// The next event that was, or will be, sent to this client.
    pub fn event(&mut self) -> Result<MWatchNotify> {
        while self.events.is_empty() {
            let raw = self.osd.next_message()?;
            self.note(&raw)?;
        }
        Ok(self.events.remove(0))
    }

    fn note(&mut self, raw: &RawMessage) -> Result<()> {
        if raw.header.kind == MessageType::WATCH_NOTIFY {
            let event = MWatchNotify::decode(raw).map_err(|e| Failure::new("MWatchNotify", e))?;
            self.events.push(event);
        }
        Ok(())
    }
}
