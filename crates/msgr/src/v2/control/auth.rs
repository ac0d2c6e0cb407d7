//! Authentication.

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{Decode, Encode, Features, Reader, codec};

use super::{ControlFrame, Tag, control_frames};

control_frames! {
    /// The client's choice of method, and the method's first payload.
    AuthRequest = AUTH_REQUEST {
        /// `CEPH_AUTH_*`.
        method: u32,
        /// `CEPH_CON_MODE_*`, the client's favourite first.
        modes: Vec<u32>,
        /// For the method.
        payload: Bytes,
    }

    /// The server's refusal.
    AuthBadMethod = AUTH_BAD_METHOD {
        /// The method refused.
        method: u32,
        /// Negative errno.
        result: i32,
        /// Methods that would be accepted.
        methods: Vec<u32>,
        /// Modes that would be accepted.
        modes: Vec<u32>,
    }

    /// The method needs another round; from the server.
    AuthReplyMore = AUTH_REPLY_MORE {
        /// For the method.
        payload: Bytes,
    }

    /// The method's next round; from the client.
    AuthRequestMore = AUTH_REQUEST_MORE {
        /// For the method.
        payload: Bytes,
    }

    /// Authenticated.
    AuthDoneFrame = AUTH_DONE {
        /// The client's instance number.
        global_id: u64,
        /// `CEPH_CON_MODE_*` from here on.
        mode: u32,
        /// For the method.
        payload: Bytes,
    }
}

/// HMAC-SHA256 of all bytes the sender has received, under the session key; zero without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthSignature(pub [u8; 32]);

impl Encode for AuthSignature {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_slice(&self.0);
    }
}

impl Decode for AuthSignature {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        Ok(Self(r.array("signature")?))
    }
}

impl ControlFrame for AuthSignature {
    const TAG: Tag = Tag::AUTH_SIGNATURE;
}
