//! `MPing`: a sign of life (Ceph `src/messages/MPing.h`). The monitor's answer also tells its state: it has a string
//! behind the header, where everybody else's has nothing (`Monitor::handle_ping`).

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    codec::Result,
    features::Features,
    message::{Message, MessageType, RawMessage},
    messages::plain::check_compat,
};

const VERSION: u16 = 1;

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MPing {
    /// What is behind the header: nothing, or as a monitor's answer has it, see [`MPing::pong`].
    pub payload: Bytes,
}

impl MPing {
    /// A monitor's answer: `state` is its health and status as JSON.
    #[must_use]
    pub fn pong(state: &str) -> Self {
        let mut payload = BytesMut::with_capacity(4 + state.len());
        payload.put_u32_le(u32::try_from(state.len()).unwrap_or(u32::MAX));
        payload.put_slice(state.as_bytes());
        Self {
            payload: payload.freeze(),
        }
    }
}

impl Message for MPing {
    const TYPE: MessageType = MessageType::PING;

    fn decode(raw: &RawMessage) -> Result<Self> {
        check_compat(raw, VERSION, "MPing")?;
        Ok(Self {
            payload: raw.front.clone(),
        })
    }

    fn encode(&self, _: Features) -> RawMessage {
        RawMessage::new(Self::TYPE, VERSION, VERSION, self.payload.clone())
    }
}
