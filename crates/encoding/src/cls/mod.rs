//! Arguments, results and stored values of class methods (Ceph `src/cls/`).
//!
//! Strings are [`bytes::Bytes`]: Ceph's are byte strings, and the names in them come from clients.

#[macro_use]
mod table;

pub mod bit_vector;
pub mod image_journal;
pub mod journal;
pub mod lock;
pub mod rbd;
pub mod version;
