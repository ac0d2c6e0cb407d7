//! rbdgate: a server that is a Ceph cluster on the wire.

pub mod cluster;
pub mod mon;
