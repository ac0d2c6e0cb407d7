//! What both protocols have in common: a handshake that yields a session's two directions.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};

use bytes::BytesMut;
use encoding::{RawMessage, types::Utime};

use crate::{
    cephx::{CephxClient, MonAuthSession},
    config::{ClientConfig, Protocol, ServerConfig},
    error::{Misbehaved, Result},
    lossless::{Attachment, Link},
    session::PeerInfo,
    v1,
    v2::{self, Output},
};

/// What a step of the handshake came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeEvent {
    /// More bytes are needed.
    Pending,
    /// The session is established.
    Ready,
}

/// An established session.
pub struct Established<R = ReadHalf, W = WriteHalf> {
    /// Who the peer is.
    pub peer: PeerInfo,
    /// At a monitor, with cephx: what renews the peer's tickets.
    pub mon_auth: Option<MonAuthSession>,
    /// In the client role, with cephx: the credentials with what was received.
    pub credentials: Option<CephxClient>,
    /// What is kept of a session that outlives this connection; none if it is lossy. Whether the session was resumed, its
    /// number tells.
    pub link: Option<Arc<Link>>,
    /// Receives.
    pub read: R,
    /// Sends.
    pub write: W,
}

impl<R: Into<ReadHalf>, W: Into<WriteHalf>> Established<R, W> {
    /// The same, whatever the protocol.
    pub fn generic(self) -> Established {
        Established {
            peer: self.peer,
            mon_auth: self.mon_auth,
            credentials: self.credentials,
            link: self.link,
            read: self.read.into(),
            write: self.write.into(),
        }
    }
}

/// Something the peer sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message.
    Message(RawMessage),
    /// To be answered with `keepalive_ack`.
    Keepalive(Utime),
    /// The answer to a keepalive of ours.
    KeepaliveAck(Utime),
    /// Our messages up to this number arrived.
    Ack(u64),
    /// The peer ends the session (msgr v1).
    Close,
}

/// A connection that shakes hands, in either protocol.
pub enum Connection {
    /// In msgr v1.
    V1(Box<v1::Connection>),
    /// In msgr v2.
    V2(Box<v2::Connection>),
}

macro_rules! either {
    ($self:expr, $kind:ident, $it:ident => $e:expr) => {
        match $self {
            $kind::V1($it) => $e,
            $kind::V2($it) => $e,
        }
    };
}

impl Connection {
    /// The server's side of a connection accepted from `peer`.
    #[must_use]
    pub fn server(config: Arc<ServerConfig>, peer: SocketAddr, now: Instant) -> Self {
        match config.protocol {
            Protocol::V1 => Self::V1(Box::new(v1::Connection::server(config, peer, now))),
            Protocol::V20 | Protocol::V2 => Self::V2(Box::new(v2::Connection::server(config, peer, now))),
        }
    }

    /// The client's side of a connection to `peer`.
    #[must_use]
    pub fn client(config: ClientConfig, peer: SocketAddr, now: Instant) -> Self {
        match config.protocol {
            Protocol::V1 => Self::V1(Box::new(v1::Connection::client(config, peer, now))),
            Protocol::V20 | Protocol::V2 => Self::V2(Box::new(v2::Connection::client(config, peer, now))),
        }
    }

    /// When the handshake must be over.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        either!(self, Self, c => c.deadline())
    }

    /// Fails once the handshake takes too long.
    pub fn check_deadline(&self, now: Instant) -> Result<()> {
        if now < self.deadline() {
            Ok(())
        } else {
            Err(Misbehaved::HandshakeTimeout.into())
        }
    }

    /// How often the peer was refused as it tried to authenticate; 0 in the client role.
    #[must_use]
    pub fn refusals(&self) -> u32 {
        either!(self, Self, c => c.refusals())
    }

    /// Where to put received bytes.
    pub fn read_buf(&mut self) -> &mut BytesMut {
        either!(self, Self, c => c.read_buf())
    }

    /// Appends received bytes.
    pub fn receive(&mut self, bytes: &[u8]) {
        either!(self, Self, c => c.receive(bytes));
    }

    /// What is to be written to the transport.
    pub fn output(&mut self) -> &mut Output {
        either!(self, Self, c => c.output())
    }

    /// Handles what was received. After an error the connection is of no use, but its output, if any, may
    /// still tell the peer why.
    pub fn step(&mut self, now: SystemTime) -> Result<HandshakeEvent> {
        either!(self, Self, c => c.step(now))
    }

    /// The session, once [`step`](Self::step) said that it is ready; None before.
    #[must_use]
    pub fn into_session(self) -> Option<Established> {
        either!(self, Self, c => c.into_session().map(Established::generic))
    }
}

/// An established session's receiving side, in either protocol.
pub enum ReadHalf {
    /// In msgr v1.
    V1(Box<v1::ReadHalf>),
    /// In msgr v2.
    V2(Box<v2::ReadHalf>),
}

impl ReadHalf {
    /// Where to put received bytes: room for the rest of the current message.
    pub fn read_buf(&mut self) -> &mut BytesMut {
        either!(self, Self, h => h.read_buf())
    }

    /// How many bytes were received and are not part of an event yet.
    pub fn buffered(&self) -> usize {
        either!(self, Self, h => h.buffered())
    }

    /// Whether memory is held for a large message of which nothing has come yet: the last one was large.
    pub fn holds_room(&self) -> bool {
        either!(self, Self, h => h.holds_room())
    }

    /// Lets go of it, where the peer has nothing to say for now.
    pub fn give_room_back(&mut self) {
        either!(self, Self, h => h.give_room_back());
    }

    /// The next event of what was received. None if more bytes are needed.
    pub fn poll_event(&mut self) -> Result<Option<Event>> {
        either!(self, Self, h => h.poll_event())
    }
}

/// An established session's sending side, in either protocol.
pub enum WriteHalf {
    /// In msgr v1.
    V1(Box<v1::WriteHalf>),
    /// In msgr v2.
    V2(Box<v2::WriteHalf>),
}

impl WriteHalf {
    /// What is to be written to the transport.
    pub fn output(&mut self) -> &mut Output {
        either!(self, Self, h => h.output())
    }

    /// Queues a message.
    pub fn send(&mut self, message: &RawMessage) {
        either!(self, Self, h => h.send(message));
    }

    /// In a lossless session: puts out what was queued elsewhere since, and acknowledges what was received.
    pub fn pump(&mut self) {
        either!(self, Self, h => h.pump());
    }

    /// In a lossless session: nothing more goes over this connection. What is sent waits for another one.
    pub fn end(&mut self) {
        either!(self, Self, h => h.end());
    }

    /// The hold on the session, if it is lossless.
    pub(crate) fn attachment(&self) -> Option<&Attachment> {
        either!(self, Self, h => h.attachment())
    }

    /// Queues the answer to a keepalive.
    pub fn keepalive_ack(&mut self, stamp: Utime) {
        either!(self, Self, h => h.keepalive_ack(stamp));
    }
}

macro_rules! into_either {
    ($($either:ident :: $version:ident($half:ty);)*) => {$(
        impl From<$half> for $either {
            fn from(half: $half) -> Self {
                Self::$version(Box::new(half))
            }
        }
    )*};
}

into_either! {
    ReadHalf::V1(v1::ReadHalf);
    ReadHalf::V2(v2::ReadHalf);
    WriteHalf::V1(v1::WriteHalf);
    WriteHalf::V2(v2::WriteHalf);
}
