//! From the text of a command to its reply: finds it in the table, checks capabilities, runs it.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use encoding::features::Features;
use rustix::io::Errno;

use super::{
    args::Args,
    command_table::Command,
    commands::{COMMANDS, Context},
    reply::{CommandError, Reply, einval},
    shared::MonShared,
};
use crate::cluster::caps::{CommandAccess, CommandCaps};

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
        module: "",
        command: args.prefix(),
        args: &args.for_caps(),
        read: has('r'),
        write: has('w'),
        exec: has('x'),
        peer: asker.peer,
    })
}

/// Runs a command. Blocks, as some commands store something.
pub fn run(shared: &MonShared, asker: &Asker, cmd: &[String], input: &Bytes) -> Result<Reply, CommandError> {
    let args = Args::parse(cmd)?;
    let command = find(args.prefix()).ok_or_else(|| einval("command not known"))?;
    if !allowed(command, &args, asker) {
        tracing::info!(entity = asker.entity, command = args.prefix(), "access denied");
        return Err(CommandError::new(Errno::ACCESS, "access denied"));
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
