//! The client's side of the admin socket, for our own command line.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};

/// Largest answer that is taken, in bytes.
const MAX_ANSWER: u32 = 256 << 20;
/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Asks the server behind the socket at `path`.
///
/// # Errors
/// If nobody listens there, or the command fails.
pub fn ask(path: &Path, command: &str) -> io::Result<Value> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    let mut request = json!({"prefix": command, "format": "json"})
        .to_string()
        .into_bytes();
    request.push(0);
    stream.write_all(&request)?;
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let len = u32::from_be_bytes(len);
    if len > MAX_ANSWER {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the answer is too long",
        ));
    }
    let mut answer = Vec::new();
    stream.take(len.into()).read_to_end(&mut answer)?;
    serde_json::from_slice(&answer).map_err(|_| {
        let text = String::from_utf8_lossy(&answer).trim().to_owned();
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}

/// The answer of `sessions` as people read it: a paragraph for each.
#[must_use]
pub fn sessions_text(sessions: &Value) -> String {
    let Some(list) = sessions.as_array() else {
        return String::new();
    };
    if list.is_empty() {
        return "no sessions\n".to_owned();
    }
    list.iter().map(one).collect()
}

fn one(session: &Value) -> String {
    let text = |key: &str| match session.get(key) {
        Some(Value::String(s)) => s.clone(),
        Some(other) => other.to_string(),
        None => "-".to_owned(),
    };
    let features: Vec<&str> = session
        .get("feature_names")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    format!(
        "{} at {}: {} from {}\n  release {}, msgr {}, auth {}, mode {}, compression {}, session key {}\n  bit 59: {}\n  supports {}, used {}: {}\n",
        text("entity"),
        text("daemon"),
        text("name"),
        text("socket_addr"),
        text("release"),
        text("protocol"),
        text("auth"),
        text("con_mode"),
        text("compression"),
        text("key_type"),
        text("bit_59"),
        text("features_supported"),
        text("features_used"),
        features.join(" "),
    )
}
