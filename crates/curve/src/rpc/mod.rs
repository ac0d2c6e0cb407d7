//! baidu_std, brpc's protocol, over TCP: [`frame`] is the codec without I/O, [`connection`] and [`Rpc`] move the bytes.
//!
//! There is no handshake. A connection carries any number of calls at once; replies come in any order and are told apart
//! by their correlation id.

pub mod connection;
pub mod error;
pub mod frame;
mod outlet;
mod pool;

pub use connection::{Call, Connection, RpcConfig};
pub use error::{RpcError, code};
pub use frame::{Decoder, Frame, FrameError};
pub use pool::Rpc;
