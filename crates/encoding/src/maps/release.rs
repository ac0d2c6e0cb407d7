//! `ceph_release_t`: a major release by its number (Ceph `src/common/ceph_releases.h`).

use std::fmt;

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, Encode, Reader, Result},
    features::Features,
};

/// A major release. Open: unknown numbers survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Release(pub u8);

macro_rules! releases {
    ($($name:ident = $n:literal, $text:literal;)*) => {
        impl Release {
            $(#[doc = concat!("Ceph ", $text, ".")] pub const $name: Self = Self($n);)*

            /// Ceph's name of the release in lower case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 { $($n => $text,)* _ => "unknown" }
            }

            /// The release of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self($n)),)* _ => None }
            }
        }
    };
}

releases! {
    ARGONAUT = 1, "argonaut";
    BOBTAIL = 2, "bobtail";
    CUTTLEFISH = 3, "cuttlefish";
    DUMPLING = 4, "dumpling";
    EMPEROR = 5, "emperor";
    FIREFLY = 6, "firefly";
    GIANT = 7, "giant";
    HAMMER = 8, "hammer";
    INFERNALIS = 9, "infernalis";
    JEWEL = 10, "jewel";
    KRAKEN = 11, "kraken";
    LUMINOUS = 12, "luminous";
    MIMIC = 13, "mimic";
    NAUTILUS = 14, "nautilus";
    OCTOPUS = 15, "octopus";
    PACIFIC = 16, "pacific";
    QUINCY = 17, "quincy";
    REEF = 18, "reef";
    SQUID = 19, "squid";
    TENTACLE = 20, "tentacle";
}

impl Release {
    /// Not known.
    pub const UNKNOWN: Self = Self(0);
    /// In an incremental map: leave the value as it is.
    pub const UNCHANGED: Self = Self(0xff);
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Decode for Release {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self(r.u8()?))
    }
}

impl Encode for Release {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u8(self.0);
    }
}
