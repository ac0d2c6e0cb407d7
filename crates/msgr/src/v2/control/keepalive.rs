//! Keepalives and acknowledgements.

use bytes::BytesMut;
use encoding::{Decode, Encode, Features, Reader, codec, types::Utime};

use super::{ControlFrame, Tag};

macro_rules! wrappers {
    ($($(#[$doc:meta])* $name:ident($t:ty) = $tag:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name(pub $t);

        impl Encode for $name {
            fn encode(&self, out: &mut BytesMut, f: Features) {
                self.0.encode(out, f);
            }
        }

        impl Decode for $name {
            fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
                Decode::decode(r).map(Self)
            }
        }

        impl ControlFrame for $name {
            const TAG: Tag = Tag::$tag;
        }
    )*};
}

wrappers! {
    /// When it was sent; comes back in the answer.
    Keepalive2(Utime) = KEEPALIVE2;
    /// The time of the keepalive that is answered.
    Keepalive2Ack(Utime) = KEEPALIVE2_ACK;
    /// Messages up to this number were received.
    Ack(u64) = ACK;
}
