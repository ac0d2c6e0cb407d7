//! The tokio driver: moves bytes between sockets and the state machines, and calls a [`Dispatcher`].

mod connect;
mod handshake;
mod listener;
mod live;
mod log_limit;
mod pump;

/// Lines about peers that fail, over all listeners.
static FAILURES: log_limit::LogLimit = log_limit::LogLimit::new();

pub use connect::{ConnectError, Connected, connect};
pub use listener::serve;

#[allow(unused_imports)] // For the module's documentation.
use crate::session::Dispatcher;
