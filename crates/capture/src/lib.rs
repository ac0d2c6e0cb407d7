//! Captures of Ceph's messenger: from the bytes of a pcap file to the frames and messages in it.
//!
//! [`Transcript`] reads a file that is in memory: packets ([`pcap`], [`packet`]), TCP streams ([`tcp`]), and in
//! them msgr v1 and v2.1, the latter's secure mode too where a keyring allows. It never fails on what the file
//! holds: damage is an item like others, after which it goes on where that is possible. [`describe`] puts an
//! item into words.

pub mod describe;
mod keys;
mod msgr;
pub mod packet;
pub mod pcap;
pub mod tcp;
mod transcript;

pub use keys::KeyBook;
pub use msgr::{
    ConnectionInfo, Control, Damage, Item, MessageItem, Protocol, Traffic, V1Connect, V1ConnectReply, V1Item,
};
pub use transcript::{Record, Transcript};
