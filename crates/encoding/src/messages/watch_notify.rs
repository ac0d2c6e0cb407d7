//! `MWatchNotify`: an event for a watcher, or the end of a notify (Ceph `src/messages/MWatchNotify.h`).

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    codec::{Put, Reader, Result},
    features::Features,
    message::{Message, MessageType, RawMessage},
    messages::plain::check_compat,
};

const HEAD_VERSION: u16 = 3;
const COMPAT_VERSION: u16 = 1;

/// `CEPH_WATCH_EVENT_*`: what happened. Open: unknown values survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct WatchEvent(pub u8);

impl WatchEvent {
    /// Somebody notifies; to a watcher.
    pub const NOTIFY: Self = Self(1);
    /// All watchers have answered, or the time is up; to who notifies.
    pub const NOTIFY_COMPLETE: Self = Self(2);
    /// The watch was lost; to a watcher.
    pub const DISCONNECT: Self = Self(3);
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MWatchNotify {
    /// The client's id of its watch, or of its notify.
    pub cookie: u64,
    /// No longer used.
    pub ver: u64,
    /// The server's id of the notify.
    pub notify_id: u64,
    /// What happened.
    pub opcode: WatchEvent,
    /// The notify's payload, to a watcher.
    pub payload: Bytes,
    /// When complete: 0, or a negative errno (-ETIMEDOUT if a watcher did not answer).
    pub return_code: i32,
    /// The client (global id) that notifies.
    pub notifier_gid: u64,
    /// When complete: what watchers answered, and who did not (the data section).
    pub data: Bytes,
}

impl Message for MWatchNotify {
    const TYPE: MessageType = MessageType::WATCH_NOTIFY;

    fn decode(raw: &RawMessage) -> Result<Self> {
        check_compat(raw, HEAD_VERSION, "MWatchNotify")?;
        let version = raw.header.version;
        let mut r = Reader::new(&raw.front);
        let payload_follows = r.u8()? >= 1;
        let opcode = WatchEvent(r.u8()?);
        Ok(Self {
            cookie: r.u64()?,
            ver: r.u64()?,
            notify_id: r.u64()?,
            opcode,
            payload: if payload_follows { r.blob()? } else { Bytes::new() },
            return_code: if version >= 2 { r.i32()? } else { 0 },
            notifier_gid: if version >= 3 { r.u64()? } else { 0 },
            data: raw.data_bytes(),
        })
    }

    fn encode(&self, _: Features) -> RawMessage {
        let mut out = BytesMut::new();
        out.put_u8(1); // the payload follows
        out.put_u8(self.opcode.0);
        out.put_u64_le(self.cookie);
        out.put_u64_le(self.ver);
        out.put_u64_le(self.notify_id);
        out.put_blob(&self.payload);
        out.put_i32_le(self.return_code);
        out.put_u64_le(self.notifier_gid);
        let mut raw = RawMessage::new(Self::TYPE, HEAD_VERSION, COMPAT_VERSION, out.freeze());
        if !self.data.is_empty() {
            raw.data.push(self.data.clone());
        }
        raw
    }
}
