//! What operators look at besides Ceph's own commands.

pub mod check;
pub mod http;
