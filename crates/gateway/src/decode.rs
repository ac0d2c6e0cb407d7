//! `rbdgate decode`: a packet capture of Ceph clients and servers as a readable transcript, or as JSON.
//!
//! Damage in the file never is an error: the transcript says where it is and goes on behind it.

use std::{
    error::Error,
    fmt::Write as _,
    fs::File,
    io::{self, BufWriter, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use bytes::Bytes;
use capture::{
    ConnectionInfo, KeyBook, Record, Transcript,
    describe::{Value, describe},
    tcp::Direction,
};
use clap::{Arg, ArgAction, ArgMatches, Command};
use flate2::read::MultiGzDecoder;
use msgr::cephx::Keyring;
use serde_json::json;

const ABOUT: &str = "Show what Ceph clients and servers say to each other in a packet capture";
const HELP: &str = "\
FILE is what `tcpdump -w FILE` writes, plain or compressed with gzip. Connections of msgr v1 and v2.1 are found by
themselves, on whatever port. Encrypted connections (ms_mode secure) are shown in clear if the capture also has the
client's login at the monitor, and a keyring with the client's key is given.

  tcpdump -i any -s 0 -w ceph.pcap 'tcp port 3300 or portrange 6789-7568'
  rbdgate decode ceph.pcap --keyring /etc/ceph/ceph.client.admin.keyring";

/// Larger files are read up to here: everything is in memory.
const MAX_FILE: u64 = 16 << 30;

/// The subcommand.
#[must_use]
pub fn command() -> Command {
    let path = || clap::value_parser!(PathBuf);
    Command::new("decode")
        .about(ABOUT)
        .after_help(HELP)
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(path())
                .help("A pcap file; - is stdin"),
        )
        .arg(
            Arg::new("keyring")
                .long("keyring")
                .value_name("FILE")
                .action(ArgAction::Append)
                .value_parser(path())
                .help("Keys to decrypt with; may be given several times"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("One JSON object a line"),
        )
}

/// Runs it.
///
/// # Errors
/// If a file cannot be read, or is no capture or keyring at all.
pub fn run(args: &ArgMatches) -> Result<ExitCode, Box<dyn Error>> {
    let mut keys = KeyBook::default();
    for path in args.get_many::<PathBuf>("keyring").into_iter().flatten() {
        let at = |e: &dyn Error| format!("{}: {e}", path.display());
        let text = std::fs::read_to_string(path).map_err(|e| at(&e))?;
        keys.add(&Keyring::parse(&text).map_err(|e| at(&e))?);
    }
    let Some(path) = args.get_one::<PathBuf>("file") else {
        return Ok(ExitCode::FAILURE); // clap has demanded it
    };
    let (file, trouble) = load(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let transcript = Transcript::new(file, keys).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut out = BufWriter::new(io::stdout().lock());
    match write(transcript, args.get_flag("json"), &mut out).and_then(|()| out.flush()) {
        // Who reads has seen enough.
        Err(e) if e.kind() == ErrorKind::BrokenPipe => {}
        other => other?,
    }
    if let Some(trouble) = trouble {
        eprintln!("rbdgate: {}: {trouble}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The file, uncompressed; also what kept us from reading on, if it is damaged.
fn load(path: &Path) -> io::Result<(Bytes, Option<String>)> {
    let mut raw = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().take(MAX_FILE).read_to_end(&mut raw)?;
    } else {
        File::open(path)?.take(MAX_FILE).read_to_end(&mut raw)?;
    }
    if !raw.starts_with(&[0x1f, 0x8b]) {
        return Ok((raw.into(), None));
    }
    let mut file = Vec::new();
    let done = MultiGzDecoder::new(&raw[..])
        .take(MAX_FILE)
        .read_to_end(&mut file);
    let trouble = done
        .err()
        .map(|e| format!("the compressed file is damaged ({e}); read {} bytes", file.len()));
    Ok((file.into(), trouble))
}

/// Writes all of a transcript.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write(mut transcript: Transcript, as_json: bool, out: &mut impl Write) -> io::Result<()> {
    while let Some(record) = transcript.next() {
        let connection = record.connection.and_then(|id| transcript.connection(id));
        if as_json {
            serde_json::to_writer(&mut *out, &json_of(&record, connection))?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", line(&record, connection))?;
        }
    }
    Ok(())
}

/// Names of the client and of the server, as well as they are known.
fn ends(c: &ConnectionInfo) -> (String, String) {
    let client = match (&c.client, &c.client_entity) {
        (Some(name), _) if name.num >= 0 => name.to_string(),
        (_, Some(entity)) => entity.clone(),
        (Some(name), None) => name.to_string(),
        (None, None) => c.client_addr.to_string(),
    };
    let server = c
        .server
        .map_or_else(|| c.server_addr.to_string(), |name| name.to_string());
    (client, server)
}

fn from_to(record: &Record, c: &ConnectionInfo) -> (String, String) {
    let (client, server) = ends(c);
    match record.direction {
        Some(Direction::ToClient) => (server, client),
        _ => (client, server),
    }
}

/// `TIME #CONNECTION FROM -> TO PROTOCOL NAME field=value ...`
fn line(record: &Record, connection: Option<&ConnectionInfo>) -> String {
    let mut out = record.time.to_string();
    // Writing to a string cannot fail.
    if let Some(id) = record.connection {
        let _ = write!(out, " #{id}");
    }
    if let Some(c) = connection {
        let (from, to) = from_to(record, c);
        let _ = write!(out, " {from} -> {to} {}", c.protocol.name());
    }
    let _ = write!(out, " {}", describe(&record.item, connection));
    out
}

fn json_of(record: &Record, connection: Option<&ConnectionInfo>) -> serde_json::Value {
    let description = describe(&record.item, connection);
    let mut object = serde_json::Map::new();
    let mut put = |key: &str, value: serde_json::Value| {
        object.insert(key.to_owned(), value);
    };
    let (sec, nanos) = (record.time.0 / 1_000_000_000, record.time.0 % 1_000_000_000);
    put("time", json!(format!("{sec}.{nanos:09}")));
    if let Some(id) = record.connection {
        put("connection", json!(id));
    }
    if let Some(c) = connection {
        let (from, to) = from_to(record, c);
        put("from", json!(from));
        put("to", json!(to));
        put("protocol", json!(c.protocol.name()));
    }
    match record.direction {
        Some(Direction::ToServer) => put("direction", json!("to_server")),
        Some(Direction::ToClient) => put("direction", json!("to_client")),
        None => {}
    }
    if record.wire_len > 0 {
        put("wire_len", json!(record.wire_len));
    }
    put("name", json!(description.name));
    put("fields", json_value(&Value::Map(description.fields)));
    serde_json::Value::Object(object)
}

fn json_value(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(v) => json!(v),
        Value::Int(v) => json!(v),
        Value::Uint(v) => json!(v),
        Value::Hex(v) => json!(format!("{v:#x}")),
        Value::Both(_, parts) => json_value(parts),
        Value::List(items) => items.iter().map(json_value).collect(),
        Value::Map(fields) => {
            let entries = fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json_value(value)));
            serde_json::Value::Object(entries.collect())
        }
        Value::Text(text) => json!(text),
        other => json!(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(as_json: bool) -> String {
        let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../captures");
        let (file, trouble) = load(&captures.join("pacific/krbd6.1-secure.pcap.gz")).unwrap();
        assert_eq!(trouble, None);
        let ring = std::fs::read_to_string(captures.join("keyring.aes")).unwrap();
        let mut keys = KeyBook::default();
        keys.add(&Keyring::parse(&ring).unwrap());
        let mut out = Vec::new();
        write(Transcript::new(file, keys).unwrap(), as_json, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_transcript_names_peers_messages_objects_ops_and_results() {
        let text = transcript(false);
        for expected in [
            " v2 HELLO entity=mon",
            " method=cephx modes=[secure] entity=client.admin",
            " -> osd.0 v2-secure MOSDOp seq=",
            " ops=[call rbd.get_id (0 bytes)]",
            " what=[monmap from 0, osdmap from 0 once]",
            " flags=ondisk+write",
            "write 0~8192",
            " result=0 ",
            " ops=[call rbd.get_id -> ",
            " MWatchNotify ",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        assert!(!text.contains("DAMAGE"), "{text}");
    }

    #[test]
    fn as_json_every_line_is_an_object_with_the_same_names() {
        let (text, lines) = (transcript(false), transcript(true));
        assert_eq!(text.lines().count(), lines.lines().count());
        for (line, json) in text.lines().zip(lines.lines()) {
            let json: serde_json::Value = serde_json::from_str(json).unwrap();
            let name = json["name"].as_str().unwrap();
            assert!(line.contains(&format!(" {name}")), "{line}");
            assert!(json["fields"].is_object() && json["time"].is_string());
        }
    }
}
