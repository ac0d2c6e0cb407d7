//! `MMgrConfigure`: how often the manager wants reports (Ceph `src/messages/MMgrConfigure.h`).

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    codec::{Reader, Result},
    features::Features,
    message::{Message, MessageType, RawMessage},
    messages::plain::check_compat,
};

const HEAD_VERSION: u16 = 4;
const COMPAT_VERSION: u16 = 1;

/// The answer to `MMgrOpen`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MMgrConfigure {
    /// Seconds between reports; 0 for none.
    pub stats_period: u32,
    /// The least priority of the counters wanted; 0 for all.
    pub stats_threshold: u32,
    /// Metrics wanted of OSDs and MDSs, as they travel; empty for none.
    pub queries: Bytes,
}

impl Message for MMgrConfigure {
    const TYPE: MessageType = MessageType::MGR_CONFIGURE;

    fn decode(raw: &RawMessage) -> Result<Self> {
        check_compat(raw, HEAD_VERSION, "MMgrConfigure")?;
        let mut r = Reader::new(&raw.front);
        Ok(Self {
            stats_period: r.u32()?,
            stats_threshold: if raw.header.version >= 2 { r.u32()? } else { 0 },
            queries: Some(r.rest())
                .filter(|q| q.iter().any(|b| *b != 0))
                .unwrap_or_default(),
        })
    }

    fn encode(&self, _: Features) -> RawMessage {
        let mut out = BytesMut::new();
        out.put_u32_le(self.stats_period);
        out.put_u32_le(self.stats_threshold);
        if self.queries.is_empty() {
            out.put_u32_le(0); // no queries of OSDs
            out.put_u8(0); // none of others
        } else {
            out.put_slice(&self.queries);
        }
        RawMessage::new(Self::TYPE, HEAD_VERSION, COMPAT_VERSION, out.freeze())
    }
}
