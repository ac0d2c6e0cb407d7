//! Commands to one daemon: what `ceph tell mon.a|mgr.x|osd.0 ...` and the admin socket answer (Ceph
//! `src/common/ceph_context.cc`). All daemons are this process, so counters are the same for each; options are each one's own.

mod counters;
mod mempools;
mod options;
#[cfg(test)]
mod tests;
mod upkeep;

use std::sync::Arc;

use encoding::features::Features;
use rustix::io::Errno;
use serde_json::{Value, json};

pub use upkeep::{compact, smart};

use crate::{
    cluster::Cluster,
    mon::{self, Args, Command, CommandError, Format, Reply, TELL, describe_all},
    op_tracker::{OpTracker, dump},
    perf,
};

/// A daemon that is asked.
#[derive(Debug, Clone, Copy)]
pub struct Daemon<'a> {
    /// The cluster's state.
    pub cluster: &'a Cluster,
    /// Its name: `mon.a`, `mgr.x`, `osd.0`.
    pub name: &'a str,
    /// Connected clients.
    pub sessions: u64,
}

type Run = fn(&Daemon<'_>, &Args) -> Result<Value, CommandError>;

/// A command: its signature in the syntax of `src/mon/MonCommands.h`, what it does, what runs it.
pub struct DaemonCommand {
    /// Words, then parameters.
    pub signature: &'static str,
    /// For `help`.
    pub help: &'static str,
    run: Run,
}

const fn row(signature: &'static str, help: &'static str, run: Run) -> DaemonCommand {
    DaemonCommand { signature, help, run }
}

/// The commands that every daemon knows.
pub const DAEMON_COMMANDS: &[DaemonCommand] = &[
    row(
        "config diff",
        "dump options that differ from their defaults",
        options::diff,
    ),
    row(
        "config diff get name=var,type=CephString",
        "dump an option if it differs from its default",
        options::diff_get,
    ),
    row(
        "config get name=var,type=CephString",
        "get the value of an option",
        options::get,
    ),
    row(
        "config help name=var,type=CephString,req=false",
        "describe the options that can be set",
        options::help,
    ),
    row(
        "config set name=var,type=CephString name=val,type=CephString,n=N",
        "set an option of the running daemon",
        options::set,
    ),
    row("config show", "dump the options in force", options::show),
    row(
        "config unset name=var,type=CephString",
        "take back what config set did",
        options::unset,
    ),
    row(
        "dump_blocked_ops",
        "show the ops that have been in flight for too long",
        |d, _| Ok(dump::blocked(&d.ops(), false)),
    ),
    row(
        "dump_blocked_ops_count",
        "count the ops that have been in flight for too long",
        |d, _| Ok(dump::blocked(&d.ops(), true)),
    ),
    row(
        "dump_blocklist",
        "list the clients that are shut out",
        dump_blocklist,
    ),
    row(
        "dump_historic_ops",
        "show the ops that took longest, by arrival",
        |d, _| Ok(dump::historic(&d.ops(), false)),
    ),
    row(
        "dump_historic_ops_by_duration",
        "show the ops that took longest, the longest first",
        |d, _| Ok(dump::historic(&d.ops(), true)),
    ),
    row("dump_historic_slow_ops", "show the last slow ops", |d, _| {
        Ok(dump::slow(&d.ops()))
    }),
    row("dump_mempools", "show what is held in memory, by kind", |d, _| {
        Ok(mempools::dump(d.cluster))
    }),
    row("dump_ops_in_flight", "show the ops in flight", |d, _| {
        Ok(dump::in_flight(&d.ops()))
    }),
    row(
        "dump_watchers",
        "show clients that watch objects, and which",
        dump_watchers,
    ),
    row("git_version", "get git sha1", |_, _| {
        Ok(json!({"git_version": crate::VERSION}))
    }),
    row(
        "injectargs name=injected_args,type=CephString,n=N",
        "set options of the running daemon",
        options::inject,
    ),
    row("log dump", "write out the log: it is never held back", |_, _| {
        Ok(json!({}))
    }),
    row(
        "log reopen",
        "open the log anew: it goes to standard error",
        |_, _| Ok(json!({})),
    ),
    row("log flush", "write out the log: it is never held back", |_, _| {
        Ok(json!({}))
    }),
    row("ops", "show the ops in flight", |d, _| {
        Ok(dump::in_flight(&d.ops()))
    }),
    row(
        "perf dump name=logger,type=CephString,req=false name=counter,type=CephString,req=false",
        "dump counters",
        counters::dump,
    ),
    row(
        "perf histogram dump name=logger,type=CephString,req=false name=counter,type=CephString,req=false",
        "dump histograms: no counter has one",
        |d, _| Ok(counters::no_histograms(d)),
    ),
    row(
        "perf histogram schema",
        "describe the histograms: no counter has one",
        |d, _| Ok(counters::no_histograms(d)),
    ),
    row(
        "perf reset name=var,type=CephString",
        "begin to count anew: all, or one logger",
        counters::reset,
    ),
    row("perf schema", "describe the counters", |d, _| {
        Ok(perf::schema(&d.counters()))
    }),
    row("status", "show the state of the daemon", status),
    row("query name=pgid,type=CephPgid", "show a placement group", query),
    // The same as clients write it without `tell`: `ceph pg PGID query`.
    row(
        "pg name=pgid,type=CephPgid name=cmd,type=CephChoices,strings=query",
        "show a placement group",
        query,
    ),
    row("uptime", "seconds since the start", uptime),
    row("version", "get version", |_, _| Ok(perf::version())),
];

impl Daemon<'_> {
    /// The number of the OSD that this is.
    fn osd(&self) -> Option<i32> {
        self.name.strip_prefix("osd.")?.parse().ok()
    }

    /// The ops of the OSD; of all of them where another daemon is asked.
    fn ops(&self) -> Vec<Arc<OpTracker>> {
        self.cluster.stats().ops(self.osd())
    }

    /// Its counters.
    fn counters(&self) -> Value {
        perf::dump(self.cluster, self.sessions, &self.ops())
    }
}

impl DaemonCommand {
    /// The command as clients are told of it: it asks for all permissions, as Ceph's daemons do of whoever tells them something.
    #[must_use]
    pub fn as_command(&self) -> Command {
        Command {
            signature: self.signature,
            help: self.help,
            module: "mon",
            perm: "rwx",
            flags: TELL,
            handler: |_| Err(CommandError::new(Errno::INVAL, "this is a daemon's command")),
        }
    }

    /// The words before the parameters.
    #[must_use]
    pub fn prefix(&self) -> String {
        let words: Vec<_> = self
            .signature
            .split(' ')
            .take_while(|w| !w.contains('='))
            .collect();
        words.join(" ")
    }
}

/// The commands as clients are told of them, with those that a daemon has beside them.
#[must_use]
pub fn descriptions(more: &[Command], features: Features) -> Value {
    let every = DAEMON_COMMANDS.iter().map(DaemonCommand::as_command);
    let all: Vec<Command> = every.chain(more.iter().copied()).collect();
    describe_all(&all, features)
}

/// Runs a command of that daemon; nothing if there is none of that name.
///
/// # Errors
/// If the command fails.
#[must_use]
pub fn run(daemon: &Daemon<'_>, args: &Args) -> Option<Result<Reply, CommandError>> {
    let command = DAEMON_COMMANDS.iter().find(|c| c.prefix() == args.prefix())?;
    let format = match args.format() {
        Format::Plain => Format::JsonPretty,
        other => other,
    };
    let root = root_of(args.prefix());
    Some((command.run)(daemon, args).map(|value| Reply::value(format, &root, &value)))
}

/// XML's outermost element in the answer to a command.
fn root_of(prefix: &str) -> String {
    match prefix {
        "dump_blocked_ops" | "dump_blocked_ops_count" | "dump_ops_in_flight" | "ops" => {
            "ops_in_flight".to_owned()
        }
        "dump_historic_ops" | "dump_historic_ops_by_duration" => "op_history".to_owned(),
        "dump_historic_slow_ops" => "OpHistory_slow_ops".to_owned(),
        "dump_watchers" => "watchers/watch".to_owned(),
        "pg" | "query" => "pg".to_owned(),
        other => other.replace(' ', "_"),
    }
}

fn einval(text: impl Into<String>) -> CommandError {
    CommandError::new(Errno::INVAL, text)
}

fn dump_blocklist(daemon: &Daemon<'_>, _: &Args) -> Result<Value, CommandError> {
    let map = daemon.cluster.osdmap();
    let entries = map.blocklist.iter().chain(&map.range_blocklist).map(
        |(addr, until)| json!({"entity_addr_t": perf::address(addr), "expire_time": perf::time(*until)}),
    );
    Ok(Value::Array(entries.collect()))
}

/// All OSDs of this process share objects, and so their watches.
fn dump_watchers(daemon: &Daemon<'_>, _: &Args) -> Result<Value, CommandError> {
    let all = daemon.cluster.stats().watchers().into_iter().map(|w| {
        json!({
            "namespace": w.namespace, "object": w.object,
            "entity_name": {"type": w.item.name.kind.name(), "num": w.item.name.num},
            "cookie": w.item.cookie, "timeout": w.item.timeout_seconds,
            "entity_addr_t": perf::address(&w.item.addr),
        })
    });
    Ok(Value::Array(all.collect()))
}

fn status(daemon: &Daemon<'_>, _: &Args) -> Result<Value, CommandError> {
    let map = daemon.cluster.osdmap();
    let fsid = daemon.cluster.fsid().to_string();
    let Some(id) = daemon.osd().and_then(|id| usize::try_from(id).ok()) else {
        return Ok(json!({"cluster_fsid": fsid, "name": daemon.name, "state": "active"}));
    };
    let oldest = daemon.cluster.oldest_osdmap();
    let groups: u64 = map.pools.values().map(|p| u64::from(p.pg_num)).sum();
    Ok(json!({
        "cluster_fsid": fsid, "osd_fsid": map.osd_uuid.get(id).map(ToString::to_string), "whoami": id, "state": "active",
        "oldest_map": oldest, "cluster_osdmap_trim_lower_bound": oldest, "newest_map": map.epoch, "num_pgs": groups,
    }))
}

/// A placement group as the OSD that has it shows it (`PG::query`).
fn query(daemon: &Daemon<'_>, args: &Args) -> Result<Value, CommandError> {
    mon::group_query(daemon.cluster, args.need("pgid")?)
}

fn uptime(daemon: &Daemon<'_>, _: &Args) -> Result<Value, CommandError> {
    let up = daemon.cluster.started().elapsed().unwrap_or_default();
    Ok(json!({"seconds": up.as_secs()}))
}
