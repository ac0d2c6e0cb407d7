//! The two shapes that most class types have, as tables: a number with names, and a versioned frame of fields.

/// An open number with named values; unknown ones survive.
macro_rules! open_number {
    ($(#[$meta:meta])* $name:ident($repr:ident) { $($(#[$doc:meta])* $value:ident = $number:expr,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $repr);

        impl $name {
            $($(#[$doc])* pub const $value: Self = Self($number);)*
        }

        impl $crate::codec::Decode for $name {
            fn decode(r: &mut $crate::codec::Reader<'_>) -> $crate::codec::Result<Self> {
                Ok(Self(<$repr as $crate::codec::Decode>::decode(r)?))
            }
        }

        impl $crate::codec::Encode for $name {
            fn encode(&self, out: &mut bytes::BytesMut, features: $crate::features::Features) {
                $crate::codec::Encode::encode(&self.0, out, features);
            }
        }
    };
}

/// A structure whose encoding is one `ENCODE_START(version, compat)` frame around its fields in order. A field
/// marked `since n` is read from version n on, and is its default in older ones.
macro_rules! framed {
    ($(#[$meta:meta])* $name:ident = $what:literal ($version:literal, $compat:literal) {
        $($(#[$doc:meta])* $field:ident: $type:ty $(, since $since:literal)?;)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl $crate::codec::Decode for $name {
            fn decode(r: &mut $crate::codec::Reader<'_>) -> $crate::codec::Result<Self> {
                let mut f = r.frame($version, $what)?;
                Ok(Self {
                    $($field: framed!(@field f $type $(, $since)?),)*
                })
            }
        }

        impl $crate::codec::Encode for $name {
            fn encode(&self, out: &mut bytes::BytesMut, features: $crate::features::Features) {
                $crate::codec::Put::put_frame(out, $version, $compat, |out| {
                    $($crate::codec::Encode::encode(&self.$field, out, features);)*
                });
            }
        }
    };
    (@field $f:ident $type:ty) => { <$type as $crate::codec::Decode>::decode(&mut $f)? };
    (@field $f:ident $type:ty, $since:literal) => {
        if $f.since($since) { <$type as $crate::codec::Decode>::decode(&mut $f)? } else { <$type>::default() }
    };
}
