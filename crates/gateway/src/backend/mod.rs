//! Where images lie when it is not in local files.

pub mod curve;
mod health;
mod names;

pub use curve::CurveDevices;
pub use health::BackendStats;
