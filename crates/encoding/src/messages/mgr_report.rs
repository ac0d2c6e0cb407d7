//! `MMgrReport`: a daemon's or client's counters and state (Ceph `src/messages/MMgrReport.h`).

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    codec::{Decode, Encode, Put, Reader, Result},
    features::Features,
    message::{Message, MessageType, RawMessage},
    messages::plain::check_compat,
};

const HEAD_VERSION: u16 = 9;
const COMPAT_VERSION: u16 = 1;

/// Introduces a counter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PerfCounterType {
    /// Its name, with dots.
    pub path: String,
    /// For people.
    pub description: String,
    /// Short name.
    pub nick: String,
    /// `perfcounter_type_d`: kind of value.
    pub kind: u8,
    /// How much it matters.
    pub priority: u8,
    /// `unit_t`: 0 none, 1 bytes.
    pub unit: u8,
}

impl PerfCounterType {
    /// `PRIO_USEFUL`: for senders that do not say.
    const PRIO_USEFUL: u8 = 5;
}

impl Decode for PerfCounterType {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(3, "PerfCounterType")?;
        Ok(Self {
            path: f.string()?,
            description: f.string()?,
            nick: f.string()?,
            kind: f.u8()?,
            priority: if f.since(2) { f.u8()? } else { Self::PRIO_USEFUL },
            unit: if f.since(3) { f.u8()? } else { 0 },
        })
    }
}

impl Encode for PerfCounterType {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_frame(3, 1, |out| {
            out.put_string(&self.path);
            out.put_string(&self.description);
            out.put_string(&self.nick);
            out.put_u8(self.kind);
            out.put_u8(self.priority);
            out.put_u8(self.unit);
        });
    }
}

/// A number about a daemon's health (`DaemonHealthMetric`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DaemonHealthMetric {
    /// What: 0 slow ops, 1 pending creating PGs.
    pub kind: u8,
    /// The number, or two of 32 bits.
    pub value: u64,
}

impl Decode for DaemonHealthMetric {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(1, "DaemonHealthMetric")?;
        Ok(Self {
            kind: f.u8()?,
            value: f.u64()?,
        })
    }
}

impl Encode for DaemonHealthMetric {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_frame(1, 1, |out| {
            out.put_u8(self.kind);
            out.put_u64_le(self.value);
        });
    }
}

/// Counters and state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MMgrReport {
    /// The daemon or client, without its type.
    pub daemon_name: String,
    /// Counters that follow from now on.
    pub declare_types: Vec<PerfCounterType>,
    /// The values of all declared counters, in their order.
    pub packed: Bytes,
    /// Counters that are no more.
    pub undeclare_types: Vec<String>,
    /// Its service; empty follows from its entity type.
    pub service_name: String,
    /// Its status, if it changed.
    pub daemon_status: Option<BTreeMap<String, String>>,
    /// Its health.
    pub daemon_health_metrics: Vec<DaemonHealthMetric>,
    /// Its configuration, encoded, if it changed.
    pub config: Bytes,
    /// Metrics that were queried, and the status of tasks, as they travel; empty for none.
    pub metrics: Bytes,
}

impl MMgrReport {
    /// The tasks of a daemon that belongs to a service, and how far they are; none if it does not say. Reports that carry metrics of
    /// OSDs are not looked into: no such daemon sends them.
    ///
    /// # Errors
    /// If what is there is damaged.
    pub fn task_status(&self) -> Result<Option<BTreeMap<String, String>>> {
        let mut r = Reader::new(&self.metrics);
        if self.metrics.is_empty() || r.u32()? != 0 {
            return Ok(None);
        }
        if !r.bool()? {
            return Ok(None);
        }
        Ok(Some(r.map()?))
    }
}

impl Message for MMgrReport {
    const TYPE: MessageType = MessageType::MGR_REPORT;

    fn decode(raw: &RawMessage) -> Result<Self> {
        check_compat(raw, HEAD_VERSION, "MMgrReport")?;
        let version = raw.header.version;
        let mut r = Reader::new(&raw.front);
        let mut m = Self {
            daemon_name: r.string()?,
            declare_types: r.vec()?,
            packed: r.blob()?,
            ..Self::default()
        };
        if version >= 2 {
            m.undeclare_types = r.vec()?;
        }
        if version >= 3 {
            m.service_name = r.string()?;
            m.daemon_status = Decode::decode(&mut r)?;
        }
        if version >= 5 {
            m.daemon_health_metrics = r.vec()?;
        }
        if version >= 6 {
            m.config = r.blob()?;
        }
        m.metrics = Some(r.rest())
            .filter(|m| m.iter().any(|b| *b != 0))
            .unwrap_or_default();
        Ok(m)
    }

    fn encode(&self, features: Features) -> RawMessage {
        let mut out = BytesMut::new();
        out.put_string(&self.daemon_name);
        out.put_vec(self.declare_types.iter(), features);
        out.put_blob(&self.packed);
        out.put_vec(self.undeclare_types.iter(), features);
        out.put_string(&self.service_name);
        self.daemon_status.encode(&mut out, features);
        out.put_vec(self.daemon_health_metrics.iter(), features);
        out.put_blob(&self.config);
        if self.metrics.is_empty() {
            out.put_u32_le(0); // no metrics of OSDs
            out.put_u8(0); // no task status
            out.put_u8(0); // no metrics of others
        } else {
            out.put_slice(&self.metrics);
        }
        RawMessage::new(Self::TYPE, HEAD_VERSION, COMPAT_VERSION, out.freeze())
    }
}
