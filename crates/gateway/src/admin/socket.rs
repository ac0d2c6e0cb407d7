//! The admin socket: commands for who is on this host and may open it, as `ceph daemon PATH COMMAND` sends them.
//!
//! Protocol (Ceph `src/common/admin_socket.cc`): the request is a JSON object ended by a zero byte or a newline; the
//! answer a big-endian 32-bit length and that many bytes. Failures are told in the text, after `ERROR: `.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use encoding::features::Features;
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, watch},
};

use super::sessions::Sessions;
use crate::{
    VERSION,
    cluster::{Cluster, MON_NAME},
    daemon::{self, DAEMON_COMMANDS, Daemon},
    mon::{Args, Format},
};

/// The socket's name in the data folder.
const NAME: &str = "rbdgate.asok";
/// Largest request, as in Ceph.
const MAX_REQUEST: usize = 1024;
/// How long a request and its answer may take on their way.
const DEADLINE: Duration = Duration::from_secs(10);
/// Connections served at a time.
const CONNECTIONS: usize = 16;

/// Where the socket of a data folder is.
#[must_use]
pub fn path(data: &Path) -> PathBuf {
    data.join(NAME)
}

/// What commands are answered from.
pub struct AdminSocket {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// Its sessions.
    pub sessions: Arc<Sessions>,
    /// The settings that this process runs with, by key.
    pub settings: Vec<(&'static str, String)>,
    /// Commands with arguments.
    pub more: Arc<dyn MoreCommands>,
}

/// Commands that know more than the monitor's side does.
pub trait MoreCommands: Send + Sync {
    /// The answer, or why there is none; `None` if there is no such command.
    fn run(&self, prefix: &str, arguments: &Map<String, Value>) -> Option<Result<Value, String>>;
}

type Answer = fn(&AdminSocket) -> Value;

/// The socket's own commands: words, what they do, what answers them. Those of the daemon's are in
/// [`DAEMON_COMMANDS`], under the monitor's name.
const COMMANDS: &[(&str, &str, Answer)] = &[
    (
        "compact",
        "make a checkpoint of the metadata and of what is in the journal",
        AdminSocket::compact,
    ),
    (
        "config show",
        "show the settings and options that are in force",
        AdminSocket::config,
    ),
    ("get_command_descriptions", "list available commands", |_| {
        descriptions()
    }),
    ("help", "list available commands", |_| help()),
    (
        "sessions",
        "list clients' sessions and what was decided about each",
        |s| s.sessions.list(),
    ),
    (
        "version",
        "get version",
        |_| json!({"version": VERSION, "release": "rbdgate", "release_type": "stable"}),
    ),
];

/// Whether the socket answers a daemon's command itself.
fn is_own(prefix: &str) -> bool {
    COMMANDS.iter().any(|(words, ..)| *words == prefix)
}

fn help() -> Value {
    let own = COMMANDS
        .iter()
        .map(|(words, help, _)| ((*words).to_owned(), (*help).into()));
    let daemon = DAEMON_COMMANDS
        .iter()
        .filter(|c| !is_own(&c.prefix()))
        .map(|c| (c.prefix(), c.help.into()));
    let all: std::collections::BTreeMap<String, Value> = own.chain(daemon).collect();
    json!(all)
}

fn descriptions() -> Value {
    let own = COMMANDS.iter().map(|(words, help, _)| {
        let signature: Vec<&str> = words.split(' ').collect();
        json!({"sig": signature, "help": help, "flags": 0})
    });
    let daemon = DAEMON_COMMANDS
        .iter()
        .filter(|c| !is_own(&c.prefix()))
        .map(|c| c.as_command().describe(Features::OURS));
    let rows = own.chain(daemon).enumerate();
    Value::Object(rows.map(|(i, row)| (format!("cmd{i:03}"), row)).collect())
}

impl AdminSocket {
    fn compact(&self) -> Value {
        match tokio::task::block_in_place(|| daemon::compact(&self.cluster)) {
            Ok(seconds) => json!({"elapsed_time": seconds}),
            Err(error) => json!({"error": error.text}),
        }
    }

    fn config(&self) -> Value {
        let mut out: Map<String, Value> = Map::new();
        for (key, value) in &self.settings {
            out.insert((*key).to_owned(), value.as_str().into());
        }
        for (name, value) in self.cluster.cipher_names() {
            out.insert(name.to_owned(), value.into());
        }
        for (section, options) in self.cluster.config() {
            out.insert(section, json!(options));
        }
        Value::Object(out)
    }

    /// The answer to a request.
    fn answer(&self, request: &[u8]) -> String {
        let fields: Option<Map<String, Value>> = serde_json::from_slice(request).ok();
        let text = |name: &str| fields.as_ref().and_then(|f| f.get(name)).and_then(Value::as_str);
        let Some(prefix) = text("prefix") else {
            return error("(22) Invalid argument", "invalid json");
        };
        let no_arguments = Map::new();
        match self.more.run(prefix, fields.as_ref().unwrap_or(&no_arguments)) {
            Some(Ok(answer)) => return answer.to_string(),
            Some(Err(why)) => return error("(22) Invalid argument", &why),
            None => {}
        }
        let Some((_, _, answer)) = COMMANDS.iter().find(|(words, ..)| *words == prefix) else {
            return self.of_daemon(request, prefix);
        };
        let format = match Format::from_name(text("format").unwrap_or_default()) {
            Format::Plain => Format::JsonPretty,
            other => other,
        };
        let mut out = format.render(&answer(self), "admin_socket");
        if format == Format::JsonPretty {
            out.push('\n');
        }
        out
    }
}

impl AdminSocket {
    /// The answer of the daemon that the socket stands for.
    fn of_daemon(&self, request: &[u8], prefix: &str) -> String {
        let name = format!("mon.{MON_NAME}");
        let daemon = Daemon {
            cluster: &self.cluster,
            name: &name,
            sessions: self.sessions.count().values().sum(),
        };
        let text = String::from_utf8_lossy(request).into_owned();
        let answer = Args::parse(&[text]).map(|args| daemon::run(&daemon, &args));
        match answer {
            Ok(Some(Ok(reply))) => String::from_utf8_lossy(&reply.data).into_owned(),
            Ok(Some(Err(e))) | Err(e) => error(&format!("({}) {}", -e.code(), e.errno), &e.text),
            Ok(None) => error(
                "(22) Invalid argument",
                &format!("unknown command prefix {prefix}"),
            ),
        }
    }
}

fn error(number: &str, text: &str) -> String {
    format!("ERROR: {number}\n{text}\n")
}

impl std::fmt::Debug for AdminSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminSocket").finish_non_exhaustive()
    }
}

/// Binds the socket, in place of one that an earlier process left. Nobody but the owner may open it.
///
/// # Errors
/// If the path cannot be used.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves until `shutdown` says true; then the socket is removed.
///
/// # Errors
/// None: a failing connection is its own client's business.
pub async fn serve(
    listener: UnixListener,
    path: PathBuf,
    socket: Arc<AdminSocket>,
    mut shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut shutdown) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the admin socket cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            break;
        };
        let socket = Arc::clone(&socket);
        tokio::spawn(async move {
            let served = tokio::time::timeout(DEADLINE, serve_one(stream, &socket)).await;
            if let Ok(Err(error)) = served {
                tracing::debug!(%error, "admin socket");
            }
            drop(place);
        });
    }
    let _ = std::fs::remove_file(path);
    Ok(())
}

/// Returns when the process is to stop. A dropped sender means that it ends as well.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

async fn serve_one(mut stream: UnixStream, socket: &AdminSocket) -> io::Result<()> {
    let request = read_request(&mut stream).await?;
    let answer = socket.answer(&request);
    let len = u32::try_from(answer.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&len.to_be_bytes()).await?;
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Reads up to the end of a request; what comes behind it is not looked at.
async fn read_request(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut piece = [0; 256];
    loop {
        let n = stream.read(&mut piece).await?;
        let new = piece.get(..n).unwrap_or_default();
        if new.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = new.iter().position(|b| matches!(b, 0 | b'\n')) {
            request.extend_from_slice(new.get(..end).unwrap_or_default());
            return Ok(request);
        }
        request.extend_from_slice(new);
        if request.len() > MAX_REQUEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "request too long"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixStream as Blocking};

    use super::*;
    use crate::{admin::ask::ask, cluster::tests::cluster};

    struct NoMore;

    impl MoreCommands for NoMore {
        fn run(&self, _: &str, _: &Map<String, Value>) -> Option<Result<Value, String>> {
            None
        }
    }

    struct Server {
        dir: tempfile::TempDir,
        stop: watch::Sender<bool>,
        task: tokio::task::JoinHandle<io::Result<()>>,
    }

    fn start() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let at = path(dir.path());
        // What a killed process leaves.
        drop(bind(&at).unwrap());
        let socket = AdminSocket {
            cluster: cluster(),
            sessions: Arc::default(),
            settings: vec![("auth", "cephx".to_owned())],
            more: Arc::new(NoMore),
        };
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(serve(bind(&at).unwrap(), at, Arc::new(socket), stopping));
        Server { dir, stop, task }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_command_answers_in_json_with_its_length_in_front() {
        let server = start();
        let at = path(server.dir.path());
        for (words, ..) in COMMANDS {
            let answer = ask(&at, words).unwrap();
            assert!(answer.is_object() || answer.is_array(), "{words}: {answer}");
        }
        let parameterless = DAEMON_COMMANDS
            .iter()
            .filter(|c| !c.signature.contains("req") && !c.signature.contains('='));
        for command in parameterless {
            let answer = ask(&at, &command.prefix()).unwrap();
            assert!(
                answer.is_object() || answer.is_array(),
                "{}: {answer}",
                command.prefix()
            );
        }
        assert!(ask(&at, "help").unwrap()["perf schema"].is_string());
        assert!(ask(&at, "config get").is_err());
        assert_eq!(ask(&at, "version").unwrap()["version"], VERSION);
        let config = ask(&at, "config show").unwrap();
        assert_eq!(config["auth"], "cephx");
        assert_eq!(config["auth_allowed_ciphers"], "aes,aes256k");
        assert_eq!(ask(&at, "sessions").unwrap(), json!([]));
        let mode = std::fs::metadata(&at).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        server.stop.send_replace(true);
        server.task.await.unwrap().unwrap();
        assert!(!at.exists());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn bad_requests_are_told_so_and_harm_nobody() {
        let server = start();
        let at = path(server.dir.path());
        let raw = |request: &[u8]| {
            use std::io::Write;
            let mut stream = Blocking::connect(&at).unwrap();
            stream.write_all(request).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            answer
        };
        assert!(raw(b"{\"prefix\": \"nothing\"}\0").contains("ERROR: (22) Invalid argument"));
        assert!(raw(b"nonsense\n").contains("invalid json"));
        assert_eq!(raw(b"{\"prefix\": \"vers"), "");
        assert_eq!(raw(&[b'x'; 5000]), "");
        assert!(ask(&at, "nothing").is_err());
        assert!(ask(&at, "help").is_ok());
    }
}
