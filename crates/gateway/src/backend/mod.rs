//! Where images lie when it is not in local files.

pub mod commands;
pub mod curve;
mod device;
mod health;
pub mod images;
mod link;
mod names;
mod owners;
mod stats;

pub use curve::CurveDevices;
pub use stats::BackendStats;
