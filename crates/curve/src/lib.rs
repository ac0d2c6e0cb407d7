//! A native CurveBS client.

pub mod buffers;
pub mod proto;
pub mod rpc;

pub use buffers::Buffers;
