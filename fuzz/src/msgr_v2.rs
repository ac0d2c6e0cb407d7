//! The server's side of a msgr v2 connection, from the banner to the messages of a session.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use encoding::types::{EntityAddr, EntityAddrVec, EntityName, EntityType, Utime};
use msgr::auth::{AuthConfig, AuthMethod};
use msgr::cephx::{Keyring, KeyringServer};
use msgr::v2::{Connection, Established, Event, HandshakeEvent, ServerConfig};

use crate::{ANNOUNCED, bounded_beside, take};

/// Settings of a connection: bits of an input's first byte.
pub mod flag {
    /// No authentication is needed.
    pub const AUTH_NONE: u8 = 1;
    /// The server is an OSD, not a monitor.
    pub const OSD: u8 = 2;
}

/// The address of the server.
#[must_use]
pub fn server_address() -> EntityAddr {
    EntityAddr::v2(SocketAddr::from((Ipv4Addr::LOCALHOST, 3300)), 0)
}

/// The server's configuration for `flags`.
#[must_use]
pub fn config(flags: u8) -> ServerConfig {
    let keyring =
        "[client.admin]\n\tkey = AQByZwBrN4GwFRAA9rR2yzc7eQXNAmnHnFxtpw==\n\tcaps mon = \"allow *\"\n";
    let keyring = Keyring::parse(keyring).unwrap_or_default();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let mut auth = AuthConfig::cephx(Arc::new(KeyringServer::new(keyring, 4100, now)));
    if flags & flag::AUTH_NONE != 0 {
        auth.methods.push(AuthMethod::NONE);
    }
    let kind = if flags & flag::OSD != 0 {
        EntityType::OSD
    } else {
        EntityType::MON
    };
    ServerConfig::new(
        EntityName { kind, num: 0 },
        EntityAddrVec(vec![server_address()]),
        auth,
    )
}

/// Runs one input: the flags, the size of the pieces in which the bytes arrive (0: all at once), the bytes.
pub fn run(data: &[u8]) {
    bounded_beside(ANNOUNCED, data.len(), || run_unbounded(data));
}

fn run_unbounded(data: &[u8]) {
    let mut data = data;
    let Some([flags, piece]) = take(&mut data) else {
        return;
    };
    let size = if piece == 0 {
        data.len().max(1)
    } else {
        usize::from(piece)
    };
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000));
    let mut connection = Connection::server(Arc::new(config(flags)), peer, Instant::now());
    let mut pieces = data.chunks(size);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    loop {
        match connection.step(now) {
            Err(_) => return,
            Ok(HandshakeEvent::Ready) => break,
            Ok(HandshakeEvent::Pending) => {}
        }
        let _ = connection.output().take();
        match pieces.next() {
            Some(piece) => connection.receive(piece),
            None => return,
        }
    }
    if let Some(session) = connection.into_session() {
        talk(session, pieces);
    }
}

fn talk<'a>(mut session: Established, mut pieces: impl Iterator<Item = &'a [u8]>) {
    loop {
        loop {
            match session.read.poll_event() {
                Err(_) => return,
                Ok(None) => break,
                Ok(Some(Event::Message(message))) => session.write.send(&message),
                Ok(Some(Event::Keepalive(stamp))) => session.write.keepalive_ack(stamp),
                Ok(Some(_)) => session.write.keepalive(Utime { sec: 1, nsec: 2 }),
            }
        }
        let _ = session.write.output().take();
        match pieces.next() {
            Some(piece) => session.read.receive(piece),
            None => return,
        }
    }
}
