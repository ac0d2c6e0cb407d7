//! The state of the cluster.

pub mod caps;
