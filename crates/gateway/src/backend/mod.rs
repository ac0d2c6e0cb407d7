//! Where images lie when it is not in local files.

pub mod commands;
pub mod curve;
mod health;
pub mod images;
mod names;
mod owners;

pub use curve::CurveDevices;
pub use health::BackendStats;
