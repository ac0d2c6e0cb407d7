//! `MLog`: entries for the cluster's log (Ceph `src/messages/MLog.h`, `src/common/LogEntry.h`).

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result},
    features::{Feature, Features},
    messages::{PaxosHeader, plain::plain_message},
    types::{AddrType, EntityAddr, EntityAddrVec, EntityName, EntityTypeId, Utime, Uuid},
};

plain_message! {
    /// Entries for the cluster's log.
    pub struct MLog: LOG, version 1, compat 1 {
        /// Common head.
        paxos: PaxosHeader,
        /// The cluster.
        fsid: Uuid,
        /// The entries, oldest first.
        entries: Vec<LogEntry>,
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogEntry {
    /// Who logs, by its name in the keyring.
    pub name: EntityTypeId,
    /// Who logs, by number.
    pub rank: EntityName,
    /// Where from.
    pub addrs: EntityAddrVec,
    /// When.
    pub stamp: Utime,
    /// The sender's number of the entry.
    pub seq: u64,
    /// Severity: 0 debug, 1 info, 2 sec, 3 warn, 4 error.
    pub prio: u16,
    /// The text; what is not UTF-8 is replaced.
    pub msg: String,
    /// The channel: cluster, audit, ...
    pub channel: String,
}

/// Text of people and programs: bytes that are not UTF-8 are replaced, not refused.
fn lossy(r: &mut Reader<'_>) -> Result<String> {
    Ok(String::from_utf8_lossy(&r.blob()?).into_owned())
}

impl Decode for LogEntry {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "LogEntry";
        let mut f = r.frame(5, WHAT)?;
        if !f.since(2) {
            return Err(DecodeError::TooOld {
                what: WHAT,
                version: f.version,
            });
        }
        if f.since(5) {
            return Ok(Self {
                name: EntityTypeId::decode(&mut f)?,
                rank: EntityName::decode(&mut f)?,
                addrs: EntityAddrVec::decode(&mut f)?,
                stamp: Utime::decode(&mut f)?,
                seq: f.u64()?,
                prio: f.u16()?,
                msg: lossy(&mut f)?,
                channel: lossy(&mut f)?,
            });
        }
        Ok(Self {
            rank: EntityName::decode(&mut f)?,
            addrs: EntityAddrVec(vec![EntityAddr::decode(&mut f)?]),
            stamp: Utime::decode(&mut f)?,
            seq: f.u64()?,
            prio: f.u16()?,
            msg: lossy(&mut f)?,
            channel: if f.since(3) {
                lossy(&mut f)?
            } else {
                "cluster".into()
            },
            name: if f.since(4) {
                EntityTypeId::decode(&mut f)?
            } else {
                EntityTypeId::default()
            },
        })
    }
}

impl Encode for LogEntry {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        if features.has(Feature::SERVER_NAUTILUS) {
            out.put_frame(5, 5, |out| {
                self.name.encode(out, features);
                self.rank.encode(out, features);
                self.addrs.encode(out, features);
                self.encode_text(out, features);
                out.put_string(&self.channel);
            });
        } else {
            out.put_frame(4, 2, |out| {
                self.rank.encode(out, features);
                let legacy = self
                    .addrs
                    .first(AddrType::LEGACY)
                    .unwrap_or_else(|| self.addrs.as_legacy());
                legacy.encode(out, features);
                self.encode_text(out, features);
                out.put_string(&self.channel);
                self.name.encode(out, features);
            });
        }
    }
}

impl LogEntry {
    fn encode_text(&self, out: &mut BytesMut, features: Features) {
        self.stamp.encode(out, features);
        out.put_u64_le(self.seq);
        out.put_u16_le(self.prio);
        out.put_string(&self.msg);
    }
}
