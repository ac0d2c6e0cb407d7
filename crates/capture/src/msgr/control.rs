//! The control frames of msgr v2, each by its type.

use bytes::Bytes;
use encoding::{Decode, Encode, Features, Reader, codec};
use msgr::v2::{Frame, Tag, control::*};

macro_rules! controls {
    ($($name:ident($t:ty) = $tag:ident,)*) => {
        /// A control frame.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs)]
        #[non_exhaustive]
        pub enum Control {
            $($name($t),)*
        }

        impl Control {
            /// Reads the frame. None for a message.
            pub(super) fn decode(frame: &Frame) -> Option<codec::Result<Self>> {
                let mut r = Reader::new(&frame.segments[0]);
                match frame.tag {
                    $(Tag::$tag => Some(<$t>::decode(&mut r).map(Self::$name)),)*
                    Tag::MESSAGE => None,
                }
            }

            /// The frame's segment, encoded.
            #[must_use]
            pub fn to_bytes(&self) -> Bytes {
                match self { $(Self::$name(frame) => frame.to_bytes(Features::ALL),)* }
            }

            /// What the frame is.
            #[must_use]
            pub const fn tag(&self) -> Tag {
                match self { $(Self::$name(_) => Tag::$tag,)* }
            }
        }
    };
}

controls! {
    Hello(Hello) = HELLO,
    AuthRequest(AuthRequest) = AUTH_REQUEST,
    AuthBadMethod(AuthBadMethod) = AUTH_BAD_METHOD,
    AuthReplyMore(AuthReplyMore) = AUTH_REPLY_MORE,
    AuthRequestMore(AuthRequestMore) = AUTH_REQUEST_MORE,
    AuthDone(AuthDoneFrame) = AUTH_DONE,
    AuthSignature(AuthSignature) = AUTH_SIGNATURE,
    ClientIdent(ClientIdent) = CLIENT_IDENT,
    ServerIdent(ServerIdent) = SERVER_IDENT,
    IdentMissingFeatures(IdentMissingFeatures) = IDENT_MISSING_FEATURES,
    SessionReconnect(SessionReconnect) = SESSION_RECONNECT,
    SessionReset(SessionReset) = SESSION_RESET,
    SessionRetry(SessionRetry) = SESSION_RETRY,
    SessionRetryGlobal(SessionRetryGlobal) = SESSION_RETRY_GLOBAL,
    SessionReconnectOk(SessionReconnectOk) = SESSION_RECONNECT_OK,
    Wait(Wait) = WAIT,
    Keepalive(Keepalive2) = KEEPALIVE2,
    KeepaliveAck(Keepalive2Ack) = KEEPALIVE2_ACK,
    Ack(Ack) = ACK,
    CompressionRequest(CompressionRequest) = COMPRESSION_REQUEST,
    CompressionDone(CompressionDone) = COMPRESSION_DONE,
}
