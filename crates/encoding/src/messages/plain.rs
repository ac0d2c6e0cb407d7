//! The shape of most messages: fields in a fixed order, later ones added by later versions.

use crate::{
    codec::{DecodeError, Result},
    message::RawMessage,
};

/// Refuses a message whose sender says that it takes a newer decoder than version `known`.
pub(super) fn check_compat(raw: &RawMessage, known: u16, what: &'static str) -> Result<()> {
    // Old kernels leave both versions 0, or set the compat version only.
    if raw.header.version == 0 || raw.header.compat_version <= known {
        return Ok(());
    }
    let byte = |v: u16| u8::try_from(v).unwrap_or(u8::MAX);
    Err(DecodeError::Incompatible {
        what,
        compat: byte(raw.header.compat_version),
        known: byte(known),
    })
}

/// Declares a message as a table of its fields, in the order of the wire.
///
/// Behind a field may stand, in brackets, `since N`: default before version N; `if any`: default if the front
/// ended before; `data`: not in the front, but all of the data section.
macro_rules! plain_message {
    (
        $(#[$meta:meta])*
        pub struct $name:ident: $kind:ident, version $version:literal, compat $compat:literal {
            $($(#[$fmeta:meta])* $field:ident: $t:ty $([$($how:tt)+])?,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct $name {
            $($(#[$fmeta])* pub $field: $t,)*
        }

        impl $crate::message::Message for $name {
            const TYPE: $crate::message::MessageType = $crate::message::MessageType::$kind;

            #[allow(unused_mut, unused_variables)]
            fn decode(raw: &$crate::message::RawMessage) -> $crate::codec::Result<Self> {
                $crate::messages::plain::check_compat(raw, $version, stringify!($name))?;
                let mut r = $crate::codec::Reader::new(&raw.front);
                Ok(Self {
                    $($field: plain_message!(@decode raw, r $(, $($how)+)?),)*
                })
            }

            #[allow(unused_mut, unused_variables)]
            fn encode(&self, features: $crate::features::Features) -> $crate::message::RawMessage {
                let mut out = bytes::BytesMut::new();
                let mut data = $crate::message::Pieces::new();
                $(plain_message!(@encode self.$field, out, data, features $(, $($how)+)?);)*
                let mut raw = $crate::message::RawMessage::new(Self::TYPE, $version, $compat, out.freeze());
                raw.data = data;
                raw
            }
        }
    };
    (@decode $raw:ident, $r:ident) => { $crate::codec::Decode::decode(&mut $r)? };
    (@decode $raw:ident, $r:ident, since $v:literal) => {
        if $raw.header.version >= $v { $crate::codec::Decode::decode(&mut $r)? } else { Default::default() }
    };
    (@decode $raw:ident, $r:ident, if any) => {
        if $r.is_empty() { Default::default() } else { $crate::codec::Decode::decode(&mut $r)? }
    };
    (@decode $raw:ident, $r:ident, data) => { $raw.data_bytes() };
    (@encode $field:expr, $out:ident, $data:ident, $features:ident, data) => {
        if !$field.is_empty() {
            $data.push($field.clone());
        }
    };
    (@encode $field:expr, $out:ident, $data:ident, $features:ident $(, $($how:tt)+)?) => {
        $crate::codec::Encode::encode(&$field, &mut $out, $features);
    };
}

pub(super) use plain_message;
