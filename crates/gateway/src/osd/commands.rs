//! Commands to one OSD (`ceph tell osd.N`): what it knows beside what every daemon does.

use encoding::{features::Features, messages::MCommandReply};
use rustix::io::Errno;
use serde_json::{Value, json};
use store::Store;

use super::bench;
use crate::{
    cluster::Cluster,
    daemon::{self, Daemon},
    mon::{Args, Command, CommandError, Format, Reply, TELL},
};

const fn command(signature: &'static str, help: &'static str) -> Command {
    Command {
        signature,
        help,
        module: "osd",
        perm: "rw",
        flags: TELL,
        handler: |_| Err(CommandError::new(Errno::INVAL, "this is an OSD's command")),
    }
}

/// Those commands.
const COMMANDS: [Command; 3] = [
    command(
        "bench name=count,type=CephInt,req=false name=size,type=CephInt,req=false",
        "write COUNT bytes in writes of SIZE and tell how fast that went",
    ),
    command(
        "compact",
        "make a checkpoint of the metadata and of what is in the journal",
    ),
    command(
        "smart name=devid,type=CephString,req=false",
        "show what the OSD's disks tell of themselves: it has none of its own",
    ),
];

/// Runs one of [`COMMANDS`]; none if it is of another name. Blocks.
fn own(
    cluster: &Cluster,
    store: &Store,
    args: &Args,
    words: &[String],
) -> Option<Result<Reply, CommandError>> {
    let format = match args.format() {
        Format::Plain => Format::JsonPretty,
        other => other,
    };
    let reply = match args.prefix() {
        "bench" => run_bench(store, words).map(|results| Reply::value(Format::JsonPretty, "bench", &results)),
        "compact" => daemon::compact(cluster)
            .map(|seconds| Reply::value(format, "compact_result", &json!({"elapsed_time": seconds}))),
        "smart" => Ok(Reply::value(format, "smart", &daemon::smart())),
        _ => return None,
    };
    Some(reply)
}

fn run_bench(store: &Store, words: &[String]) -> Result<Value, CommandError> {
    let args = words.first().and_then(|word| serde_json::from_str(word).ok());
    bench::run(store, &args.unwrap_or(Value::Null))
        .map_err(|(error, text)| CommandError::new(Errno::from_raw_os_error(error.0), text))
}

/// Runs a command sent to the OSD of that name itself. May block.
pub(super) fn run(
    cluster: &Cluster,
    store: &Store,
    name: &str,
    words: &[String],
    features: Features,
) -> MCommandReply {
    let daemon = Daemon {
        cluster,
        name,
        sessions: cluster.sessions(),
    };
    let outcome = Args::parse(words).and_then(|args| {
        if args.prefix() == "get_command_descriptions" {
            return Ok(Reply::data(daemon::descriptions(&COMMANDS, features).to_string()));
        }
        let found = own(cluster, store, &args, words).or_else(|| daemon::run(&daemon, &args));
        found.unwrap_or_else(|| {
            let text = format!("unknown command prefix {}", args.prefix());
            Err(CommandError::new(Errno::INVAL, text))
        })
    });
    match outcome {
        Ok(reply) => MCommandReply {
            result: 0,
            status: reply.status,
            data: reply.data,
        },
        Err(error) => MCommandReply {
            result: error.code(),
            status: error.text,
            ..MCommandReply::default()
        },
    }
}
