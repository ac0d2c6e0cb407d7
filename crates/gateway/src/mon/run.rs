//! From the text of a command to its reply: finds it in the table, checks capabilities, runs it.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use encoding::features::Features;
use rustix::io::Errno;

use super::{
    args::Args,
    command_table::{Command, describe_all},
    commands::{COMMANDS, Context},
    format::Format,
    log::LogLevel,
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

/// Tells the log's readers of a command, in the words of Ceph's monitor. Keys that came with it do not get there: they
/// are in its input, not in its text; values that may be secrets are in the text of two, which are not told.
fn audit(shared: &MonShared, asker: &Asker, level: LogLevel, cmd: &[String]) {
    if cmd
        .iter()
        .any(|text| text.contains("config set") || text.contains("config-key set"))
    {
        return;
    }
    let from = asker
        .peer
        .map_or_else(|| "admin socket".to_owned(), |peer| peer.to_string());
    let text = format!("from='{from}' entity='{}' cmd={cmd:?}: dispatch", asker.entity);
    shared.log().say("audit", level, text);
}

fn denied(asker: &Asker, args: &Args) -> CommandError {
    tracing::info!(entity = asker.entity, command = args.prefix(), "access denied");
    CommandError::new(Errno::ACCESS, "access denied")
}

/// Whether the asker may tell the daemon of that name something: a manager only who may do everything there, a monitor who may read, write
/// and execute what is the monitor's.
fn may_tell(asker: &Asker, name: &str, args: &Args) -> bool {
    if name.starts_with("mgr.") {
        return asker.caps.allows_all();
    }
    asker.caps.allows(&CommandAccess {
        service: "mon",
        module: "",
        command: args.prefix(),
        args: &args.for_caps(),
        read: true,
        write: true,
        exec: true,
        peer: asker.peer,
    })
}

/// Runs a command that was sent to one daemon (`ceph tell`): the daemon's own, or else one of the table.
pub(super) fn run_tell(
    shared: &MonShared,
    asker: &Asker,
    name: &str,
    cmd: &[String],
    input: &Bytes,
) -> Result<Reply, CommandError> {
    let args = Args::parse(cmd)?;
    if !may_tell(asker, name, &args) {
        return Err(denied(asker, &args));
    }
    if args.prefix() == "get_command_descriptions" {
        let own = DAEMON_COMMANDS.iter().map(DaemonCommand::as_command);
        let is_own = |c: &&Command| DAEMON_COMMANDS.iter().any(|own| own.prefix() == c.prefix());
        let others = COMMANDS.iter().filter(|c| !is_own(c)).copied();
        let all: Vec<Command> = own.chain(others).collect();
        return Ok(Reply::data(describe_all(&all, asker.features).to_string()));
    }
    if args.prefix() == "status" {
        return run(shared, asker, cmd, input);
    }
    let daemon = Daemon {
        cluster: shared.cluster(),
        name,
        sessions: shared.cluster().sessions(),
    };
    daemon::run(&daemon, &args).unwrap_or_else(|| {
        // Where it names no format, the answer is indented JSON, as Ceph's admin socket gives it, which such commands go
        // through.
        let format = match args.str("format") {
            None => Format::JsonPretty,
            Some(_) => args.format(),
        };
        run_parsed(shared, asker, cmd, &args, format, input)
    })
}

/// Runs a command. Blocks, as some commands store something.
pub fn run(shared: &MonShared, asker: &Asker, cmd: &[String], input: &Bytes) -> Result<Reply, CommandError> {
    let args = Args::parse(cmd)?;
    let format = args.format();
    run_parsed(shared, asker, cmd, &args, format, input)
}

fn run_parsed(
    shared: &MonShared,
    asker: &Asker,
    cmd: &[String],
    args: &Args,
    format: Format,
    input: &Bytes,
) -> Result<Reply, CommandError> {
    let command = find(args.prefix()).ok_or_else(|| einval("command not known"))?;
    if !allowed(command, args, asker) {
        return Err(denied(asker, args));
    }
    if command.perm.contains('w') {
        tracing::info!(entity = asker.entity, command = args.prefix(), "command");
        audit(shared, asker, LogLevel::INFO, cmd);
    } else {
        audit(shared, asker, LogLevel::DEBUG, cmd);
    }
    (command.handler)(&Context {
        mon: shared,
        format,
        args,
        input,
        features: asker.features,
        asker,
    })
}
