//! What stands in front of messages to and from a monitor's services (Ceph `src/messages/PaxosServiceMessage.h`).

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, Encode, Reader, Result},
    features::Features,
};

/// The common head of monitor messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaxosHeader {
    /// The version of the service's map that the sender has seen, or that answers.
    pub version: u64,
    /// No longer used; -1.
    pub session_mon: i16,
    /// No longer used; 0.
    pub session_mon_tid: u64,
}

impl PaxosHeader {
    /// A head with that version.
    #[must_use]
    pub const fn new(version: u64) -> Self {
        Self {
            version,
            session_mon: -1,
            session_mon_tid: 0,
        }
    }
}

impl Default for PaxosHeader {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Decode for PaxosHeader {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            version: r.u64()?,
            session_mon: i16::decode(r)?,
            session_mon_tid: r.u64()?,
        })
    }
}

impl Encode for PaxosHeader {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u64_le(self.version);
        out.put_i16_le(self.session_mon);
        out.put_u64_le(self.session_mon_tid);
    }
}
