//! Control frames: everything but messages. Each has one segment.
//!
//! Addresses in frames are always encoded as for peers with MSG_ADDR2.

mod auth;
mod compression;
mod hello;
mod ident;
mod keepalive;
mod session;

pub use auth::{AuthBadMethod, AuthDoneFrame, AuthReplyMore, AuthRequest, AuthRequestMore, AuthSignature};
pub use compression::{CompressionDone, CompressionRequest};
pub use hello::Hello;
pub use ident::{ClientIdent, FLAG_LOSSY, IdentMissingFeatures, ServerIdent};
pub use keepalive::{Ack, Keepalive2, Keepalive2Ack};
pub use session::{
    SessionReconnect, SessionReconnectOk, SessionReset, SessionRetry, SessionRetryGlobal, Wait,
};

use encoding::{Decode, Encode, Reader};

use crate::error::Result;

use super::{frame::Frame, preamble::Tag};

/// A frame with one segment.
pub trait ControlFrame: Encode + Decode {
    /// Its tag.
    const TAG: Tag;
}

/// Reads the segment of a control frame; newer peers may append to it.
pub(super) fn decode<F: ControlFrame>(frame: &Frame) -> Result<F> {
    Ok(F::decode(&mut Reader::new(&frame.segments[0]))?)
}

macro_rules! control_frames {
    ($($(#[$doc:meta])* $name:ident = $tag:ident { $($(#[$field_doc:meta])* $field:ident: $t:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $t,)*
        }

        impl encoding::Encode for $name {
            #[allow(unused_variables)]
            fn encode(&self, out: &mut bytes::BytesMut, f: encoding::Features) {
                $($crate::v2::control::Field::put(&self.$field, out, f);)*
            }
        }

        impl encoding::Decode for $name {
            #[allow(unused_variables)]
            fn decode(r: &mut encoding::Reader<'_>) -> encoding::codec::Result<Self> {
                Ok(Self { $($field: $crate::v2::control::Field::get(r)?,)* })
            }
        }

        impl $crate::v2::control::ControlFrame for $name {
            const TAG: $crate::v2::preamble::Tag = $crate::v2::preamble::Tag::$tag;
        }
    )*};
}
use control_frames;

/// A field of a control frame.
trait Field: Sized {
    fn put(&self, out: &mut bytes::BytesMut, f: encoding::Features);
    fn get(r: &mut Reader<'_>) -> encoding::codec::Result<Self>;
}

macro_rules! fields {
    ($($t:ty),*) => {$(
        impl Field for $t {
            fn put(&self, out: &mut bytes::BytesMut, f: encoding::Features) {
                self.encode(out, f);
            }
            fn get(r: &mut Reader<'_>) -> encoding::codec::Result<Self> {
                Decode::decode(r)
            }
        }
    )*};
}

fields!(
    u32,
    u64,
    i32,
    i64,
    encoding::types::EntityAddr,
    encoding::types::EntityAddrVec
);

impl Field for bool {
    fn put(&self, out: &mut bytes::BytesMut, _: encoding::Features) {
        encoding::Put::put_bool(out, *self);
    }
    fn get(r: &mut Reader<'_>) -> encoding::codec::Result<Self> {
        r.bool()
    }
}

impl Field for encoding::Features {
    fn put(&self, out: &mut bytes::BytesMut, f: encoding::Features) {
        self.0.encode(out, f);
    }
    fn get(r: &mut Reader<'_>) -> encoding::codec::Result<Self> {
        r.u64().map(Self)
    }
}

impl Field for bytes::Bytes {
    fn put(&self, out: &mut bytes::BytesMut, _: encoding::Features) {
        encoding::Put::put_blob(out, self);
    }
    fn get(r: &mut Reader<'_>) -> encoding::codec::Result<Self> {
        r.blob()
    }
}

impl Field for Vec<u32> {
    fn put(&self, out: &mut bytes::BytesMut, f: encoding::Features) {
        encoding::Put::put_vec(out, self.iter(), f);
    }
    fn get(r: &mut Reader<'_>) -> encoding::codec::Result<Self> {
        r.vec()
    }
}

#[cfg(test)]
mod tests;
