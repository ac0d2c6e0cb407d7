//! Ceph's messenger: framing (msgr v1, v2.0 and v2.1), the handshake with cephx, and sessions.
//!
//! Each protocol is a state machine without I/O ([`v1::Connection`], [`v2::Connection`]): bytes go in, events and
//! bytes come out, time is an argument. [`driver`] is the thin tokio layer that moves the bytes; [`cephx`] is Ceph's ticket
//! protocol, both sides of it. Sessions that outlive their connection are kept in [`lossless`].

pub mod auth;
pub mod budget;
pub mod cephx;
mod config;
pub mod connection;
pub mod driver;
mod error;
mod gate;
mod gather;
pub mod lossless;
mod receiving;
mod room;
pub mod session;
pub mod v1;
pub mod v2;

pub use config::{ClientAuth, ClientConfig, Crc, MonMapSource, Protocol, ServerConfig};
pub use error::{Error, Incompatible, Malformed, Misbehaved, Result};
pub use gate::{Gate, GateLimits};
pub use gather::gather;
pub use lossless::{Policies, Policy, SessionTable};
pub use session::{Deliver, Dispatcher, PeerInfo, Session};
