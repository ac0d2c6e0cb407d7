//! msgr v2: revision 1 (v2.1), and the crc mode of revision 0 (v2.0). Format: Ceph `src/msg/async/frames_v2.h`, `frames_v2.cc`, `crypto_onwire.cc`;
//! behaviour: `src/msg/async/ProtocolV2.cc`.

pub mod banner;
mod compression;
mod connection;
pub mod control;
mod crypto;
mod frame;
mod halves;
mod message;
mod preamble;
mod segments;

pub use crate::connection::Event;
pub use banner::{Banner, Revision};
pub use compression::{Algorithm, Compression, CompressionMode};
pub use connection::{ClientAuth, ClientConfig, Connection, Established, HandshakeEvent, ServerConfig};
pub use frame::{Frame, FrameReader, FrameWriter, Output, Progress};
pub use halves::{ReadHalf, WriteHalf};
pub use message::MessageHeader2;
pub use preamble::{Preamble, Tag};
pub use segments::Limits;

#[cfg(test)]
mod tests;
