//! What the commands do. One table lists them all; a handler each does the work.

mod auth;
mod auth_dump;
mod auth_keys;
mod cluster;
mod config;
mod config_history;
mod crash;
mod crush;
mod crush_rules;
mod df;
mod erasure;
mod health;
mod mgr;
mod modules;
mod mon;
mod osd;
mod osd_df;
mod osd_dump;
mod osd_tree;
mod pg;
mod pg_stats;
mod pool;
mod pool_vars;
mod rbd_support;
mod report;
mod scrub;
mod status;
mod table;
mod tier;

use std::sync::Arc;

use bytes::Bytes;
use encoding::features::Features;

use super::{
    args::Args,
    format::Format,
    reply::{CommandError, Reply},
    run::Asker,
    shared::MonShared,
};
use crate::cluster::{Cluster, ClusterError};

pub(crate) use config::option_value;
pub(super) use health::review;
pub(super) use mon::pong;
pub(super) use pg::states;
pub(crate) use pg_stats::query as group_query;
pub(super) use status::io_line;
pub use table::COMMANDS;

/// What a handler works with.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// The monitor's own state.
    pub mon: &'a MonShared,
    /// The command and its arguments.
    pub args: &'a Args,
    /// What came with it (`-i FILE`).
    pub input: &'a Bytes,
    /// How the reply is to be rendered.
    pub format: Format,
    /// The client's features.
    pub features: Features,
    /// Who asks.
    pub asker: &'a Asker,
}

impl Context<'_> {
    /// The state of the cluster.
    #[must_use]
    pub fn cluster(&self) -> &Arc<Cluster> {
        self.mon.cluster()
    }
}

/// What a handler answers.
pub type CommandResult = Result<Reply, CommandError>;
/// Does the work of a command. May block.
pub type Handler = fn(&Context<'_>) -> CommandResult;

impl From<ClusterError> for CommandError {
    fn from(error: ClusterError) -> Self {
        if matches!(error, ClusterError::State(_) | ClusterError::Damaged { .. }) {
            tracing::error!(%error, "a command failed");
        }
        Self::new(error.errno(), error.to_string())
    }
}
