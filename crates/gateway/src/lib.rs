//! rbdgate: a server that stock Ceph clients take for a Ceph cluster.
//!
//! [`mon`] and the manager's face answer for the [`cluster`]'s state; [`osd`] runs ops on [`objects`]; [`serve`] puts
//! them on the wire.

pub mod admin;
pub mod backend;
pub mod client_files;
pub mod cluster;
pub mod compatibility;
pub mod config;
pub mod daemon;
pub mod decode;
pub mod fsck;
mod listeners;
pub mod mon;
pub mod objects;
pub mod op_tracker;
pub mod open;
pub mod osd;
pub mod perf;
pub mod rados;
pub mod rbd;
pub mod rbd_support;
pub mod serve;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
