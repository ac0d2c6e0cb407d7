//! From the text of a command to its reply: finds it in the table, checks capabilities, runs it.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use encoding::features::Features;
use rustix::io::Errno;

use super::{
    args::Args,
    command_table::{Command, describe_all},
    commands::{COMMANDS, Context},
    reply::{CommandError, Reply, einval},
    shared::MonShared,
};
use crate::{
    cluster::caps::{CommandAccess, CommandCaps},
    daemon::{self, DAEMON_COMMANDS, Daemon, DaemonCommand},
};

/// Who asks.
#[derive(Debug, Clone)]
pub struct Asker {
    /// What it may ask for.
    pub caps: Arc<CommandCaps>,
    /// Its features.
    pub features: Features,
    /// Where it is.
    pub peer: Option<IpAddr>,
    /// Its name, for the log.
    pub entity: String,
}

/// The command of that prefix.
fn find(prefix: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|c| c.prefix() == prefix)
}

/// Whether the asker may run the command. Descriptions are for everybody.
fn allowed(command: &Command, args: &Args, asker: &Asker) -> bool {
    if args.prefix() == "get_command_descriptions" {
        return true;
    }
    let has = |letter: char| command.perm.contains(letter);
    asker.caps.allows(&CommandAccess {
        service: command.module,
        module: command.manager_module(),
        command: args.prefix(),
        args: &args.for_caps(),
        read: has('r'),
        write: has('w'),
        exec: has('x'),
        peer: asker.peer,
    })
}

fn denied(asker: &Asker, args: &Args) -> CommandError {
    tracing::info!(entity = asker.entity, command = args.prefix(), "access denied");
    CommandError::new(Errno::ACCESS, "access denied")
}

/// Runs a command that was sent to one daemon (`ceph tell`): the daemon's own, or else one of the table. A command of the table that
/// has the same name as a daemon's is told by its argument `who`: managers before Octopus got those the same way.
pub fn run_tell(
    shared: &MonShared,
    asker: &Asker,
    name: &str,
    cmd: &[String],
    input: &Bytes,
) -> Result<Reply, CommandError> {
    let args = Args::parse(cmd)?;
    if args.prefix() == "get_command_descriptions" {
        let own = DAEMON_COMMANDS.iter().map(DaemonCommand::as_command);
        let is_own = |c: &&Command| DAEMON_COMMANDS.iter().any(|own| own.prefix() == c.prefix());
        let others = COMMANDS.iter().filter(|c| !is_own(c)).copied();
        let all: Vec<Command> = own.chain(others).collect();
        return Ok(Reply::data(describe_all(&all, asker.features).to_string()));
    }
    if args.str("who").is_some() || args.prefix() == "status" {
        return run(shared, asker, cmd, input);
    }
    let daemon = Daemon {
        cluster: shared.cluster(),
        name,
        sessions: shared.cluster().sessions(),
    };
    let Some(known) = DAEMON_COMMANDS.iter().find(|c| c.prefix() == args.prefix()) else {
        return run(shared, asker, cmd, input);
    };
    if !allowed(&known.as_command(), &args, asker) {
        return Err(denied(asker, &args));
    }
    daemon::run(&daemon, &args).unwrap_or_else(|| Err(einval("command not known")))
}

/// Runs a command. Blocks, as some commands store something.
pub fn run(shared: &MonShared, asker: &Asker, cmd: &[String], input: &Bytes) -> Result<Reply, CommandError> {
    let args = Args::parse(cmd)?;
    let command = find(args.prefix()).ok_or_else(|| einval("command not known"))?;
    if !allowed(command, &args, asker) {
        return Err(denied(asker, &args));
    }
    if command.perm.contains('w') {
        tracing::info!(entity = asker.entity, command = args.prefix(), "command");
    }
    (command.handler)(&Context {
        mon: shared,
        format: args.format(),
        args: &args,
        input,
        features: asker.features,
    })
}
