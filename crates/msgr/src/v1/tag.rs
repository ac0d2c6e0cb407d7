//! What each piece of the stream begins with.

use std::fmt;

/// `CEPH_MSGR_TAG_*`. Open: unknown tags are told by their number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag(pub u8);

macro_rules! tags {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl Tag {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// Ceph's name without its prefix.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 { $($value => stringify!($name),)* _ => "unknown" }
            }
        }
    };
}

tags! {
    /// Connected.
    READY = 1;
    /// There is no such session: begin anew.
    RESETSESSION = 2;
    /// The server is connecting too, and its connection wins.
    WAIT = 3;
    /// Try again with a higher connect sequence.
    RETRY_SESSION = 4;
    /// Try again with a higher global sequence.
    RETRY_GLOBAL = 5;
    /// The session ends.
    CLOSE = 6;
    /// A message.
    MSG = 7;
    /// Messages up to a number were received.
    ACK = 8;
    /// A sign of life.
    KEEPALIVE = 9;
    /// The protocol between daemon and client has another version.
    BADPROTOVER = 10;
    /// The authorizer is refused.
    BADAUTHORIZER = 11;
    /// Features are missing.
    FEATURES = 12;
    /// Connected; both sides tell which message they received last.
    SEQ = 13;
    /// A sign of life with a time stamp.
    KEEPALIVE2 = 14;
    /// Its answer.
    KEEPALIVE2_ACK = 15;
    /// Show the authorizer again, with the answer to a challenge.
    CHALLENGE_AUTHORIZER = 16;
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "unknown" => write!(f, "Tag({})", self.0),
            name => f.write_str(name),
        }
    }
}
