//! A CurveBS cluster in one process, for tests: MDS and chunkservers that speak the real protocol and are as strict as the real
//! ones. `tests/recorded.rs` proves it against a recording of a real cluster.
//!
//! - [`Sim`] starts, kills and moves MDS, chunkservers and leaders.
//! - [`Faults`] says which requests are lost, late, refused, or lose their connection.
//! - [`SimConfig::directory`] keeps everything on disk, so that the process can be killed and started again.
//!
//! One copy of each chunk stands for all replicas; a copyset is a leader with a term and a log that is applied in order. Clone files
//! are not played.

mod chunkserver;
mod clock;
mod config;
pub mod control;
mod copyset;
pub mod faults;
mod mds;
pub mod namespace;
pub mod server;
mod sim;
pub mod store;

pub use clock::Clock;
pub use config::SimConfig;
pub use faults::{Action, Fault, Faults};
pub use sim::Sim;
