//! What a session's peer may ask for, and running its commands aside from the session's task.

use std::sync::Arc;

use bytes::Bytes;
use msgr::Session;
use rustix::io::Errno;

use super::{
    reply::{CommandError, Reply},
    run::{Asker, run, run_tell},
    shared::MonShared,
};
use crate::cluster::caps::{CommandCaps, CommandService};

/// The peer of a session.
pub(super) fn of(session: &Session, service: CommandService) -> Asker {
    let peer = session.peer();
    let text = if peer.caps.allow_all {
        Some("allow *".to_owned())
    } else {
        peer.caps.text()
    };
    let caps = CommandCaps::parse(service, &text.unwrap_or_default()).unwrap_or_else(|error| {
        tracing::warn!(entity = peer.entity, %error, "unusable capabilities grant nothing");
        CommandCaps::none()
    });
    Asker {
        caps: Arc::new(caps),
        features: peer.features,
        peer: Some(peer.socket.ip()),
        entity: peer.entity.clone(),
    }
}

/// A command's outcome as messages carry it: result, status line, data.
pub(super) type Outcome = (i32, String, Bytes);

/// Runs a command on a thread that may block.
pub(super) async fn command(
    shared: &Arc<MonShared>,
    asker: &Asker,
    cmd: Vec<String>,
    input: Bytes,
) -> Outcome {
    let (shared, asker) = (shared.clone(), asker.clone());
    finish(tokio::task::spawn_blocking(move || run(&shared, &asker, &cmd, &input)).await)
}

/// The same for a command that was sent to the daemon `name`.
pub(super) async fn tell(
    shared: &Arc<MonShared>,
    asker: &Asker,
    name: String,
    cmd: Vec<String>,
    input: Bytes,
) -> Outcome {
    let (shared, asker) = (shared.clone(), asker.clone());
    finish(tokio::task::spawn_blocking(move || run_tell(&shared, &asker, &name, &cmd, &input)).await)
}

fn finish(done: Result<Result<Reply, CommandError>, tokio::task::JoinError>) -> Outcome {
    let result: Result<Reply, CommandError> = done.unwrap_or_else(|error| {
        tracing::error!(%error, "a command panicked");
        Err(CommandError::new(Errno::IO, "internal error"))
    });
    match result {
        Ok(reply) => (0, reply.status, reply.data),
        Err(error) => (error.code(), error.text, Bytes::new()),
    }
}
