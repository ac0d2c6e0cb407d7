//! `MMgrMap`: the map of managers (Ceph `src/messages/MMgrMap.h`).

use bytes::Bytes;

use crate::{
    codec::Result,
    features::Features,
    message::{Message, MessageType, RawMessage},
};

/// The mgrmap, encoded for the receiver by whoever sends it. It is the whole front, without a length.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MMgrMap {
    /// An encoded `maps::MgrMap`.
    pub mgrmap: Bytes,
}

impl Message for MMgrMap {
    const TYPE: MessageType = MessageType::MGR_MAP;

    fn decode(raw: &RawMessage) -> Result<Self> {
        Ok(Self {
            mgrmap: raw.front.clone(),
        })
    }

    fn encode(&self, _: Features) -> RawMessage {
        RawMessage::new(Self::TYPE, 1, 1, self.mgrmap.clone())
    }
}
