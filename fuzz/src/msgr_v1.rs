//! The server's side of a msgr v1 connection, from the banner to the messages of a session.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use encoding::types::{EntityAddr, EntityAddrVec, Utime};
use msgr::connection::{Event, HandshakeEvent};
use msgr::v1::{Connection, Established};
use msgr::{Protocol, ServerConfig};

use crate::{ANNOUNCED, bounded_beside, msgr_v2, take};

/// The address of the server.
#[must_use]
pub fn server_address() -> EntityAddr {
    EntityAddr::v1(SocketAddr::from((Ipv4Addr::LOCALHOST, 6789)), 0)
}

/// The server's configuration for the flags of [`msgr_v2::flag`].
#[must_use]
pub fn config(flags: u8) -> ServerConfig {
    let mut config = msgr_v2::config(flags);
    config.protocol = Protocol::V1;
    config.addrs = EntityAddrVec(vec![server_address()]);
    config
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
                Err(_) | Ok(Some(Event::Close)) => return,
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
