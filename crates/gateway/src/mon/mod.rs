//! The monitor and the manager: what they answer to clients.
//!
//! One process is the cluster's only monitor and its active manager, so both faces share one table of commands.

mod args;
mod command_table;
mod commands;
mod format;
mod reply;
mod shared;
mod show;
mod time;

pub use args::Args;
pub use command_table::Command;
pub use commands::{COMMANDS, Context};
pub use format::Format;
pub use reply::{CommandError, Reply};
pub use shared::MonShared;
