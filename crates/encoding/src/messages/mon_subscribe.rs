//! `MMonSubscribe`: which maps a client wants to be kept informed of (Ceph `src/messages/MMonSubscribe.h`).

use std::collections::BTreeMap;

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, Encode, Put, Reader, Result, wire_len},
    features::{Feature, Features},
    message::{Message, MessageType, RawMessage},
    messages::plain::check_compat,
};

const HEAD_VERSION: u16 = 3;
const COMPAT_VERSION: u16 = 1;

/// What is wanted of one map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SubscribeItem {
    /// The first version wanted; 0 is the newest, whichever it is.
    pub start: u64,
    /// `CEPH_SUBSCRIBE_*`.
    pub flags: u8,
}

impl SubscribeItem {
    /// `CEPH_SUBSCRIBE_ONETIME`: once, then no more.
    pub const ONETIME: u8 = 1;

    /// Whether it ends with the first answer.
    #[must_use]
    pub const fn is_onetime(self) -> bool {
        self.flags & Self::ONETIME != 0
    }

    /// The form before SUBSCRIBE2: the version that the client has, 0 for none.
    fn decode_old(r: &mut Reader<'_>) -> Result<Self> {
        r.skip(8, "subscription")?;
        let have = r.u64()?;
        Ok(Self {
            start: if have == 0 { 0 } else { have.saturating_add(1) },
            flags: u8::from(r.bool()?) * Self::ONETIME,
        })
    }

    fn encode_old(self, out: &mut BytesMut) {
        out.put_u64_le(0);
        out.put_u64_le(self.start.saturating_sub(1));
        out.put_u8(self.flags & Self::ONETIME);
    }
}

impl Decode for SubscribeItem {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            start: r.u64()?,
            flags: r.u8()?,
        })
    }
}

impl Encode for SubscribeItem {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u64_le(self.start);
        out.put_u8(self.flags);
    }
}

/// Subscribes to maps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MMonSubscribe {
    /// What is wanted, by name: osdmap, monmap, mgrmap, config, osd_pg_creates, ...
    pub what: BTreeMap<String, SubscribeItem>,
    /// The client's host; empty from the kernel and before Nautilus.
    pub hostname: String,
}

impl Message for MMonSubscribe {
    const TYPE: MessageType = MessageType::MON_SUBSCRIBE;

    fn decode(raw: &RawMessage) -> Result<Self> {
        check_compat(raw, HEAD_VERSION, "MMonSubscribe")?;
        let mut r = Reader::new(&raw.front);
        if raw.header.version < 2 {
            let mut what = BTreeMap::new();
            for _ in 0..r.count(4 + 17, "subscriptions")? {
                let name = r.string()?;
                what.insert(name, SubscribeItem::decode_old(&mut r)?);
            }
            return Ok(Self {
                what,
                hostname: String::new(),
            });
        }
        Ok(Self {
            what: r.map()?,
            hostname: if raw.header.version >= 3 {
                r.string()?
            } else {
                String::new()
            },
        })
    }

    fn encode(&self, features: Features) -> RawMessage {
        let mut out = BytesMut::new();
        if !features.has(Feature::SUBSCRIBE2) {
            out.put_u32_le(wire_len(self.what.len()));
            for (name, item) in &self.what {
                out.put_string(name);
                item.encode_old(&mut out);
            }
            return RawMessage::new(Self::TYPE, 0, COMPAT_VERSION, out.freeze());
        }
        out.put_map(&self.what, features);
        out.put_string(&self.hostname);
        RawMessage::new(Self::TYPE, HEAD_VERSION, COMPAT_VERSION, out.freeze())
    }
}
