//! The handshake, of either side: banner and addresses, connect and its replies, sequence numbers and, with a
//! monitor, authentication.

mod client;
mod server;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{Decode, Encode, Features, RawMessage};

use crate::{
    cephx::{CephxClient, MonAuthSession},
    config::{ClientConfig, ServerConfig},
    connection::{Event, HandshakeEvent},
    error::{Error, Misbehaved, Result},
    lossless::Attachment,
    session::PeerInfo,
    v2::{Limits, Output, Progress},
};

use super::{
    ReadHalf, Tag, WriteHalf,
    halves::Reading,
    stream::{StreamReader, StreamWriter},
};

use client::ClientRole;
use server::ServerRole;

/// An established session.
pub type Established = crate::connection::Established<ReadHalf, WriteHalf>;

/// A connection that shakes hands.
pub struct Connection {
    wire: Wire,
    role: Role,
    limits: Limits,
    deadline: Instant,
}

enum Role {
    Server(Box<ServerRole>),
    Client(Box<ClientRole>),
}

/// Whether a role can do more with what has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Go {
    /// A step was done.
    On,
    /// More bytes are needed.
    Wait,
    /// The session is established.
    Ready,
}

impl Connection {
    /// The server's side of a connection accepted from `peer`.
    #[must_use]
    pub fn server(config: Arc<ServerConfig>, peer: SocketAddr, now: Instant) -> Self {
        let mut wire = Wire::new(Limits::HANDSHAKE);
        Self {
            limits: config.limits,
            deadline: now + config.handshake_timeout,
            role: Role::Server(Box::new(ServerRole::new(config, peer, &mut wire))),
            wire,
        }
    }

    /// The client's side of a connection to `peer`.
    #[must_use]
    pub fn client(config: ClientConfig, peer: SocketAddr, now: Instant) -> Self {
        // What a server sends may be any size: a monitor map, or tickets with long capabilities.
        let mut wire = Wire::new(usize::MAX);
        Self {
            limits: config.limits,
            deadline: now + config.handshake_timeout,
            role: Role::Client(Box::new(ClientRole::new(config, peer, &mut wire))),
            wire,
        }
    }

    /// When the handshake must be over.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How often the peer was refused as it tried to authenticate; 0 in the client role.
    #[must_use]
    pub fn refusals(&self) -> u32 {
        match &self.role {
            Role::Server(role) => role.refusals(),
            Role::Client(_) => 0,
        }
    }

    /// Where to put received bytes, with little room: an unauthenticated peer costs next to nothing.
    pub fn read_buf(&mut self) -> &mut BytesMut {
        let rx = &mut self.wire.rx;
        if rx.capacity() - rx.len() < 512 {
            rx.reserve(4096);
        }
        rx
    }

    /// Appends received bytes.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.wire.rx.put_slice(bytes);
    }

    /// What is to be written to the transport.
    pub fn output(&mut self) -> &mut Output {
        &mut self.wire.out
    }

    /// Handles what was received. After an error the connection is of no use, but its output, if any, may
    /// still tell the peer why.
    pub fn step(&mut self, now: SystemTime) -> Result<HandshakeEvent> {
        loop {
            let before = self.wire.rx.len();
            let go = match &mut self.role {
                Role::Server(role) => role.step(&mut self.wire, now)?,
                Role::Client(role) => role.step(&mut self.wire)?,
            };
            self.wire.taken += before - self.wire.rx.len();
            match go {
                Go::On => self.wire.check_budget(0)?,
                Go::Wait => {
                    self.wire.check_budget(self.wire.rx.len())?;
                    return Ok(HandshakeEvent::Pending);
                }
                Go::Ready => return Ok(HandshakeEvent::Ready),
            }
        }
    }

    /// The session, once [`step`](Self::step) said that it is ready; None before.
    #[must_use]
    pub fn into_session(self) -> Option<Established> {
        let finished = match self.role {
            Role::Server(role) => role.finish()?,
            Role::Client(role) => role.finish()?,
        };
        let Stream { mut reader, writer } = finished.stream;
        let session = finished.session;
        let link = session.as_ref().map(|session| Arc::clone(session.link()));
        reader.set_lossless(session.clone());
        let mut write = WriteHalf::new(self.wire.out, writer, session);
        for message in &finished.queued {
            write.send(message);
        }
        Some(Established {
            peer: finished.peer,
            mon_auth: finished.mon_auth,
            credentials: finished.credentials,
            link,
            read: ReadHalf::new(self.wire.rx, Reading::new(reader, self.limits)),
            write,
        })
    }
}

/// What a role ends with.
struct Finished {
    peer: PeerInfo,
    mon_auth: Option<MonAuthSession>,
    credentials: Option<CephxClient>,
    stream: Stream,
    /// The hold on the session, if it is lossless.
    session: Option<Attachment>,
    /// Messages for a lossy session.
    queued: Vec<RawMessage>,
}

/// The session's stream, which a monitor and its client use while they still shake hands.
struct Stream {
    reader: StreamReader,
    writer: StreamWriter,
}

impl Stream {
    /// The next message before the session is established, with keepalives answered.
    fn next_message(&mut self, wire: &mut Wire, limits: &Limits) -> Result<Option<RawMessage>> {
        loop {
            match self.reader.next(&mut wire.rx, limits)? {
                Progress::Need(_) => return Ok(None),
                Progress::Ready(Event::Message(message)) => return Ok(Some(message)),
                Progress::Ready(Event::Keepalive(stamp)) => self.writer.keepalive_ack(stamp, &mut wire.out),
                Progress::Ready(Event::KeepaliveAck(_) | Event::Ack(_)) => {}
                Progress::Ready(Event::Close) => return unexpected("authenticating", Tag::CLOSE),
            }
        }
    }
}

/// What both roles share: buffers, and how much the peer may send.
struct Wire {
    rx: BytesMut,
    out: Output,
    /// Bytes handled so far.
    taken: usize,
    budget: usize,
}

impl Wire {
    fn new(budget: usize) -> Self {
        Self {
            rx: BytesMut::new(),
            out: Output::default(),
            taken: 0,
            budget,
        }
    }

    fn check_budget(&self, waiting: usize) -> Result<()> {
        if self.taken.saturating_add(waiting) > self.budget {
            return Err(Misbehaved::HandshakeTooLong(self.budget).into());
        }
        Ok(())
    }

    fn put(&mut self, value: &impl Encode) {
        self.out.put(value.to_bytes(Features::NONE));
    }

    /// The next `len` bytes. None if they have not come.
    fn take(&mut self, len: usize) -> Option<Bytes> {
        (self.rx.len() >= len).then(|| self.rx.split_to(len).freeze())
    }

    /// A value of `len` bytes.
    fn take_value<T: Decode>(&mut self, len: usize) -> Result<Option<T>> {
        match self.take(len) {
            Some(raw) => Ok(Some(T::from_bytes(&raw)?)),
            None => Ok(None),
        }
    }
}

/// `authorizer_len` that a peer may announce, in bytes.
const MAX_AUTHORIZER: u32 = 32 << 10;

fn check_authorizer_len(len: u32) -> Result<usize> {
    if len > MAX_AUTHORIZER {
        return Err(Misbehaved::AuthorizerTooLong {
            len,
            max: MAX_AUTHORIZER,
        }
        .into());
    }
    Ok(len as usize)
}

fn unexpected<T>(state: &'static str, tag: Tag) -> Result<T> {
    Err(Error::Unexpected {
        state,
        tag: tag.name(),
    })
}
