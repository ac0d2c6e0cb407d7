//! Ceph's wire format: primitives and versioned frames, feature bits, types, cluster maps, messages and the
//! arguments of class methods. No I/O, no clock, no async runtime.

pub mod cls;
pub mod codec;
pub mod errno;
pub mod features;
pub mod maps;
pub mod message;
pub mod messages;
pub mod peer_release;
pub mod types;

#[cfg(test)]
mod testing;

pub use codec::{Decode, DecodeError, Encode, Put, Reader};
pub use errno::Errno;
pub use features::{Feature, Features};
pub use message::{Message, MessageHeader, MessageType, Pieces, RawMessage, pieces};
pub use peer_release::{Bit59, PeerRelease};
