//! Ceph's messenger: framing (msgr v2.1), the handshake with cephx, and sessions.
//!
//! The protocol is a state machine without I/O ([`v2::Connection`]): bytes go in, events and bytes come out,
//! time is an argument. [`driver`] is the thin tokio layer that moves the bytes; [`cephx`] is Ceph's ticket
//! protocol, both sides of it.

pub mod auth;
pub mod cephx;
pub mod driver;
mod error;
pub mod session;
pub mod v2;

pub use error::{Error, Incompatible, Malformed, Misbehaved, Result};
pub use session::{Dispatcher, PeerInfo, Session};
