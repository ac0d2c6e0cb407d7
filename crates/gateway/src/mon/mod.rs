//! The monitor and the manager: what they answer to clients.
//!
//! One process is the cluster's only monitor and its active manager, so both faces share one table of commands.
//! A session's messages are handled one after the other by a task of its own, which also pushes new maps.

mod args;
mod asker;
mod client_options;
mod command_table;
mod commands;
mod dispatch;
mod format;
pub mod health_log;
mod host;
mod inbox;
mod log;
mod mgr_session;
mod mon_session;
mod pgmap;
mod pool_op;
mod queries;
mod reply;
mod run;
mod services;
mod sessions;
mod shared;
mod show;
mod time;
mod xml;

pub use args::Args;
pub use command_table::{Command, DEPRECATED, MGR, TELL, describe_all};
pub use commands::{COMMANDS, CommandResult, Context, Handler};
pub(crate) use commands::{group_query, option_value};
pub use dispatch::{MgrDispatcher, MonDispatcher};
pub use format::Format;
pub(crate) use pgmap::report as report_pgmap;
pub use reply::{CommandError, Reply};
pub use run::{Asker, run};
pub use shared::MonShared;
pub(crate) use show::{RELEASE, VERSION_NUMBER, address_value, osd_counts};
pub(crate) use time::local as local_time;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod key_tests;
