//! The `rbdgate` binary: its command line.

use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

use clap::{Arg, ArgAction, ArgMatches, Command, builder::NonEmptyStringValueParser};
use rbdgate::{
    VERSION, admin, backend,
    config::{ConfigError, SETTINGS, Settings, Sources, commented_defaults},
    decode, fsck, serve,
};

const ABOUT: &str =
    "A server that stock Ceph clients take for a Ceph cluster, and that keeps their RBD images.";
const EXAMPLES: &str = "\
Getting started:
  rbdgate serve                                   makes a cluster in ./rbdgate-data and serves it
  ceph -c rbdgate-data/ceph.conf -s               looks at it
  rbd -c rbdgate-data/ceph.conf create --size 10G disk

Copy rbdgate-data/ceph.conf and rbdgate-data/ceph.client.admin.keyring to /etc/ceph of a host, and its qemu,
libvirt, OpenStack or Proxmox use rbdgate as they use Ceph.";

fn main() -> ExitCode {
    let matches = command().get_matches();
    let done = match matches.subcommand() {
        Some(("serve", args)) => run_serve(args),
        Some(("check", args)) => run_check(args),
        Some(("sessions", args)) => run_sessions(args),
        Some(("decode", args)) => decode::run(args),
        Some(("meta", args)) => match args.subcommand() {
            Some(("backup", args)) => run_on_backend("meta-backup", args),
            Some((_, args)) => run_on_backend("meta-restore", args),
            None => Ok(ExitCode::FAILURE),
        },
        Some((name @ ("map" | "adopt" | "release"), args)) => run_on_backend(name, args),
        Some(("fsck", args)) => run_fsck(args),
        Some(("config", _)) => {
            print!("{}", commented_defaults());
            Ok(ExitCode::SUCCESS)
        }
        // Clap has refused anything else.
        _ => Ok(ExitCode::FAILURE),
    };
    done.unwrap_or_else(|error| {
        eprintln!("rbdgate: {error}");
        ExitCode::FAILURE
    })
}

fn command() -> Command {
    let serve = Command::new("serve")
        .about("Serve the cluster in the data folder; make a new one there if there is none")
        .after_help("Ends on SIGTERM or SIGINT, when everything acknowledged is on disk.");
    let check = Command::new("check").about("Tell whether serve would work here, and if not what to do");
    Command::new("rbdgate")
        .version(VERSION)
        .about(ABOUT)
        .after_help(EXAMPLES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(with_settings(serve))
        .subcommand(with_settings(check))
        .subcommand(sessions_command())
        .subcommand(with_some_settings(fsck::command(), |key| {
            key == "data" || key == "log"
        }))
        .subcommand(decode::command())
        .subcommands(backend_commands())
        .subcommand(
            Command::new("config").about("Print a configuration file with every setting and its default"),
        )
}

fn sessions_command() -> Command {
    let json = Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print JSON");
    let about = "List the clients of the running server: release, features, mode, key type";
    with_some_settings(Command::new("sessions").about(about), |key| key == "data").arg(json)
}

fn with_settings(command: Command) -> Command {
    with_some_settings(command, |_| true)
}

fn with_some_settings(command: Command, wanted: impl Fn(&str) -> bool) -> Command {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .env("RBDGATE_CONFIG")
        .value_parser(clap::value_parser!(PathBuf))
        .help("A TOML file with settings; `rbdgate config` prints one");
    let settings = SETTINGS.iter().filter(|s| wanted(s.key)).map(|s| {
        Arg::new(s.key)
            .long(s.key)
            .value_name(s.value)
            .action(if s.key == "listen" {
                ArgAction::Append
            } else {
                ArgAction::Set
            })
            .value_parser(NonEmptyStringValueParser::new())
            .help(format!(
                "{} [{}; default: {}; env: {}]",
                s.help,
                s.allowed,
                s.default,
                s.variable()
            ))
    });
    command.arg(file).args(settings)
}

fn settings(args: &ArgMatches) -> Result<Settings, ConfigError> {
    let file = args.get_one::<PathBuf>("config");
    // Not every command has a flag for each setting.
    let flag = |key: &str| {
        let values = args.try_get_many::<String>(key).ok().flatten()?;
        Some(values.cloned().collect::<Vec<_>>().join(";"))
    };
    Sources::gather(file.map(PathBuf::as_path), |name| std::env::var(name).ok(), flag)?.settings()
}

/// Those of the backend; `meta` has commands of its own.
fn backend_commands() -> Vec<Command> {
    let mut meta = Command::new("meta")
        .about("Back up and restore the metadata")
        .subcommand_required(true)
        .arg_required_else_help(true);
    let mut commands = Vec::new();
    for command in backend::commands::commands() {
        let command = with_some_settings(command, |key| key == "data" || key == "log");
        let of_meta = match command.get_name() {
            "meta-backup" => Some("backup"),
            "meta-restore" => Some("restore"),
            _ => None,
        };
        match of_meta {
            Some(name) => meta = meta.subcommand(command.name(name)),
            None => commands.push(command),
        }
    }
    commands.push(meta);
    commands
}

fn run_on_backend(name: &str, args: &ArgMatches) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let settings = settings(args)?;
    // What is asked for goes to standard output; only what is wrong is worth a line beside it.
    start_log(if settings.log == "info" {
        "warn"
    } else {
        &settings.log
    })?;
    backend::commands::run(name, args, &settings)
}

fn run_fsck(args: &ArgMatches) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let settings = settings(args)?;
    // What is found goes to standard output.
    start_log(if settings.log == "info" {
        "error"
    } else {
        &settings.log
    })?;
    Ok(fsck::run(args, &settings))
}

fn run_serve(args: &ArgMatches) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let settings = settings(args)?;
    start_log(&settings.log)?;
    serve::run(&settings)?;
    Ok(ExitCode::SUCCESS)
}

fn run_sessions(args: &ArgMatches) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let at = admin::socket::path(&settings(args)?.data);
    let sessions = admin::ask::ask(&at, "sessions")
        .map_err(|error| format!("{}: {error}; is the server running?", at.display()))?;
    if args.get_flag("json") {
        println!("{sessions:#}");
    } else {
        print!("{}", admin::ask::sessions_text(&sessions));
    }
    Ok(ExitCode::SUCCESS)
}

fn start_log(filter: &str) -> Result<(), Box<dyn std::error::Error>> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)?;
    // Colours are for people, not for log files.
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}

fn run_check(args: &ArgMatches) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let settings = match settings(args) {
        Ok(settings) => settings,
        Err(error) => {
            println!("FAIL  configuration: {error}");
            return Ok(ExitCode::FAILURE);
        }
    };
    println!("ok    configuration");
    let findings = admin::check::run(&settings);
    for finding in &findings {
        println!("{finding}");
    }
    let failed = findings.iter().any(|f| f.problem.is_some());
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
