//! What operators look at besides Ceph's own commands.

pub mod ask;
pub mod check;
pub mod http;
pub mod sessions;
pub mod socket;
