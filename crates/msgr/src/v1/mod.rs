//! msgr v1, the legacy protocol. Format: Ceph `src/include/msgr.h`; behaviour: `src/msg/async/ProtocolV1.cc`.
//!
//! Unlike v2, a monitor's clients authenticate with messages (`MAuth`) in a session that stands already. Here that
//! belongs to the handshake: whoever is above sees a session only once it is authenticated, as with v2.

mod banner;
mod connect;
mod connection;
mod halves;
mod message;
mod mon_handshake;
mod signature;
mod stream;
mod tag;

pub use banner::BANNER;
pub use connect::{Connect, ConnectReply, FLAG_LOSSY, protocol_version};
pub use connection::{Connection, Established};
pub use halves::{ReadHalf, WriteHalf};
pub use message::{Footer, MessageHeader};
pub use mon_handshake::{MonHandshake, MonStep};
pub use signature::Signer;
pub use tag::Tag;

#[cfg(test)]
mod tests;
