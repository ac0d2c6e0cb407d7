//! Clients' sessions: each is logged once with what was decided about it, and can be listed while it lasts.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::{SystemTime, UNIX_EPOCH},
};

use encoding::{Bit59, Features, RawMessage, types::EntityType};
use msgr::{
    Dispatcher, PeerInfo, Protocol, Session,
    auth::{AuthMethod, ConMode},
};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// The sessions of all daemons.
#[derive(Debug, Default)]
pub struct Sessions {
    open: Mutex<BTreeMap<u64, Entry>>,
}

/// Where clients come in.
#[derive(Debug)]
pub struct Door {
    /// The daemon there (`osd.0`).
    pub daemon: String,
    /// What is spoken there.
    pub protocol: Protocol,
    /// The address.
    pub at: SocketAddr,
}

#[derive(Debug, Clone)]
struct Entry {
    door: Arc<Door>,
    since: SystemTime,
    session: Weak<Session>,
}

impl Sessions {
    /// What serves at a door, such that its sessions are logged and listed here.
    #[must_use]
    pub fn tracked(self: &Arc<Self>, door: Door, inner: Arc<dyn Dispatcher>) -> Arc<dyn Dispatcher> {
        Arc::new(Tracked {
            sessions: Arc::clone(self),
            door: Arc::new(door),
            inner,
        })
    }

    /// How many there are, by daemon.
    #[must_use]
    pub fn count(&self) -> BTreeMap<String, u64> {
        let mut out = BTreeMap::new();
        for entry in self.open.lock().values() {
            *out.entry(entry.door.daemon.clone()).or_default() += 1;
        }
        out
    }

    /// All of them, the oldest first.
    #[must_use]
    pub fn list(&self) -> Value {
        let entries: Vec<Entry> = self.open.lock().values().cloned().collect();
        let shown = entries.iter().filter_map(|entry| {
            let session = entry.session.upgrade()?;
            Some(describe(entry, &session))
        });
        Value::Array(shown.collect())
    }
}

/// The messenger protocol of a session.
fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::V1 => "v1",
        Protocol::V20 => "v2.0",
        Protocol::V2 => "v2",
    }
}

/// The name of an authentication method.
fn method_name(method: AuthMethod) -> &'static str {
    match method {
        AuthMethod::NONE => "none",
        AuthMethod::CEPHX => "cephx",
        _ => "unknown",
    }
}

/// The name of a connection mode.
fn mode_name(mode: ConMode) -> &'static str {
    match mode {
        ConMode::CRC => "crc",
        ConMode::SECURE => "secure",
        _ => "unknown",
    }
}

fn key_type_name(peer: &PeerInfo) -> &'static str {
    peer.key_type.map_or("none", |kind| kind.name())
}

fn compression_name(peer: &PeerInfo) -> &'static str {
    peer.compression.map_or("none", |algorithm| algorithm.name())
}

fn names(features: Features) -> Vec<&'static str> {
    features.names().collect()
}

fn describe(entry: &Entry, session: &Session) -> Value {
    let peer = session.peer();
    let since = entry.since.duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({
        "id": session.id(),
        "daemon": entry.door.daemon,
        "listener": entry.door.at.to_string(),
        "name": peer.name.to_string(),
        "entity": peer.entity,
        "global_id": peer.global_id,
        "addrs": peer.addrs.to_string(),
        "socket_addr": peer.socket.to_string(),
        "open_since": since.as_secs(),
        "release": peer.supported.peer_release().to_string(),
        "protocol": protocol_name(entry.door.protocol),
        "auth": method_name(peer.method),
        "con_mode": mode_name(peer.mode),
        "compression": compression_name(peer),
        "key_type": key_type_name(peer),
        "features_supported": peer.supported.to_string(),
        "features_used": peer.features.to_string(),
        "feature_names": names(peer.features),
        "bit_59": peer.supported.bit_59().to_string(),
        "bytes_to_send": session.pending(),
    })
}

/// A daemon's dispatcher whose sessions are tracked.
struct Tracked {
    sessions: Arc<Sessions>,
    door: Arc<Door>,
    inner: Arc<dyn Dispatcher>,
}

impl Tracked {
    /// The one place where a session's decisions are logged: in a line for the operator at a client's way in, the
    /// monitor, or where a client is served unlike others; the rest for who looks closer.
    fn log(&self, session: &Session) {
        let peer = session.peer();
        let (release, bit_59) = (peer.supported.peer_release(), peer.supported.bit_59());
        let (mode, key_type) = (mode_name(peer.mode), key_type_name(peer));
        let (daemon, protocol) = (self.door.daemon.as_str(), protocol_name(self.door.protocol));
        if daemon.starts_with("mon.") && peer.name.kind == EntityType::CLIENT || bit_59 == Bit59::Private {
            tracing::info!(
                session = session.id(), daemon, entity = peer.entity, from = %peer.socket, %release, protocol, mode,
                key_type, %bit_59, "session"
            );
        }
        tracing::debug!(
            session = session.id(), daemon, entity = peer.entity, from = %peer.socket, %release, protocol,
            auth = method_name(peer.method), mode, compression = compression_name(peer), key_type, %bit_59, supported = %peer.supported,
            used = %peer.features, features = names(peer.features).join(","), "session in detail"
        );
    }
}

impl Dispatcher for Tracked {
    fn on_ready(&self, session: &Arc<Session>) {
        self.log(session);
        let entry = Entry {
            door: Arc::clone(&self.door),
            since: SystemTime::now(),
            session: Arc::downgrade(session),
        };
        self.sessions.open.lock().insert(session.id(), entry);
        self.inner.on_ready(session);
    }

    fn on_message(&self, session: &Arc<Session>, message: RawMessage) {
        self.inner.on_message(session, message);
    }

    fn on_batch(&self, hand_on: &mut dyn FnMut()) {
        self.inner.on_batch(hand_on);
    }

    fn on_closed(&self, session: &Arc<Session>) {
        self.sessions.open.lock().remove(&session.id());
        self.inner.on_closed(session);
    }
}
