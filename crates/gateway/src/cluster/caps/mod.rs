//! Capabilities: what an entity may do with monitors, managers and OSDs.
//!
//! Each service has a grammar of its own (Ceph `src/mon/MonCap.cc`, `src/mgr/MgrCap.cc`, `src/osd/OSDCap.cc`).
//! A text that does not parse grants nothing.

mod command;
mod osd;
mod profiles;
mod scanner;

pub use command::{CommandAccess, CommandCaps, CommandService};
pub use osd::{Applications, ClassCall, OsdAccess, OsdCaps};

/// A capability that does not follow the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{service} capability parse failed, stopped at '{stopped_at}' of '{text}'")]
pub struct CapsError {
    service: &'static str,
    stopped_at: String,
    text: String,
}
