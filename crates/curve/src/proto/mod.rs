//! The messages of CurveBS, as far as a volume client uses them (proto2). Field numbers and types are those of CurveBS's
//! `proto/` folder; message names do not travel.
//!
//! What a request must carry is declared `required`, so that it is sent even where it has the default value. In replies
//! everything is optional: a missing status must not read as "all is well" (see [`Reply`]).

pub mod chunk;
pub mod meta;
pub mod namespace;
pub mod topology;

/// A request of one method.
pub trait Request: prost::Message + Default {
    /// The full name of the service.
    const SERVICE: &'static str;
    /// The method's name.
    const METHOD: &'static str;
    /// The numbers of the fields which a server insists on.
    const REQUIRED: &'static [u32];
    /// What is answered.
    type Reply: Reply;
}

/// A reply: it says at least how it went.
pub trait Reply: prost::Message + Default + 'static {
    /// The status, if the server sent one. Replies without a status of their own answer 0.
    fn status(&self) -> Option<i32>;
}

macro_rules! methods {
    ($service:expr; $($method:ident: $request:ident [$($required:literal),*] => $reply:ident;)*) => {
        $(impl $crate::proto::Request for $request {
            const SERVICE: &'static str = $service;
            const METHOD: &'static str = stringify!($method);
            const REQUIRED: &'static [u32] = &[$($required),*];
            type Reply = $reply;
        })*
    };
}

macro_rules! replies {
    ($field:ident; $($reply:ident),* $(,)?) => {
        $(impl $crate::proto::Reply for $reply {
            fn status(&self) -> Option<i32> {
                self.$field
            }
        })*
    };
}

/// An enum of the wire whose unknown values survive.
macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(pub i32);

        #[allow(non_upper_case_globals)]
        impl $name {
            $($(#[$vdoc])* pub const $variant: Self = Self($value);)*

            /// The value's name in CurveBS, without its prefix.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($variant)),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => write!(f, "{name} ({})", self.0),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    };
}

use {methods, replies, wire_enum};
