//! The handshake, of either side: banner, HELLO, authentication, signatures, identification.
//!
//! [`Connection`] takes bytes and gives bytes until the session is established; then
//! [`into_session`](Connection::into_session) hands over the session's two directions.

mod client;
mod server;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::{Instant, SystemTime},
};

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{Features, RawMessage};
use subtle::ConstantTimeEq;

use crate::{
    auth::ConMode,
    cephx::{CephxClient, CryptoKey, MonAuthSession},
    config::Protocol,
    error::{Error, Malformed, Misbehaved, Result},
    lossless::Attachment,
    session::PeerInfo,
};

use super::{
    Banner, Limits, ReadHalf, WriteHalf,
    banner::Revision,
    compression::{Algorithm, Compression},
    control::{AuthSignature, ControlFrame, decode},
    crypto::Gcm,
    frame::{Frame, FrameReader, FrameWriter, Output, Progress},
    halves::Reading,
    preamble::Tag,
};

pub use crate::{
    config::{ClientAuth, ClientConfig, ServerConfig},
    connection::HandshakeEvent,
};

use client::ClientRole;
use server::ServerRole;

/// `msgr2_required`: CEPH_FEATUREMASK_MSG_ADDR2.
const MSGR2_REQUIRED: Features = Features(1 << 59);

/// How often a client may ask for a session over one connection.
const MAX_ATTEMPTS: u32 = 8;

/// An established session.
pub type Established = crate::connection::Established<ReadHalf, WriteHalf>;

/// A connection that shakes hands.
pub struct Connection {
    wire: Wire,
    role: Role,
    deadline: Instant,
}

enum Role {
    Server(Box<ServerRole>),
    Client(Box<ClientRole>),
}

impl Connection {
    /// The server's side of a connection accepted from `peer`.
    #[must_use]
    pub fn server(config: Arc<ServerConfig>, peer: SocketAddr, now: Instant) -> Self {
        let deadline = now + config.handshake_timeout;
        let wire = Wire::new(config.limits, config.protocol, &config.compression);
        Self {
            wire,
            role: Role::Server(Box::new(ServerRole::new(config, peer))),
            deadline,
        }
    }

    /// The client's side of a connection to `peer`.
    #[must_use]
    pub fn client(config: ClientConfig, peer: SocketAddr, now: Instant) -> Self {
        let deadline = now + config.handshake_timeout;
        let wire = Wire::new(config.limits, config.protocol, &config.compression);
        Self {
            wire,
            role: Role::Client(Box::new(ClientRole::new(config, peer))),
            deadline,
        }
    }

    /// When the handshake must be over.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Fails once the handshake takes too long.
    pub fn check_deadline(&self, now: Instant) -> Result<()> {
        if now < self.deadline {
            Ok(())
        } else {
            Err(Misbehaved::HandshakeTimeout.into())
        }
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
        if self.role_is_ready() {
            return Ok(HandshakeEvent::Ready);
        }
        let Some(_) = self.wire.agree()? else {
            return Ok(HandshakeEvent::Pending);
        };
        while let Some(frame) = self.wire.next_frame()? {
            match &mut self.role {
                Role::Server(role) => role.handle(&mut self.wire, &frame, now)?,
                Role::Client(role) => role.handle(&mut self.wire, &frame)?,
            }
            if self.role_is_ready() {
                return Ok(HandshakeEvent::Ready);
            }
        }
        if let (Role::Server(_), false) = (&self.role, self.wire.authenticated())
            && self.wire.rx.len() > Limits::HANDSHAKE
        {
            return Err(Misbehaved::HandshakeTooLong(Limits::HANDSHAKE).into());
        }
        match &mut self.role {
            Role::Server(role) => role.begin(&mut self.wire),
            Role::Client(role) => role.begin(&mut self.wire),
        }
        Ok(HandshakeEvent::Pending)
    }

    fn role_is_ready(&self) -> bool {
        match &self.role {
            Role::Server(role) => role.is_ready(),
            Role::Client(role) => role.is_ready(),
        }
    }

    /// The session, once [`step`](Self::step) said that it is ready; None before.
    #[must_use]
    pub fn into_session(self) -> Option<Established> {
        let finished = match self.role {
            Role::Server(role) => role.finish()?,
            Role::Client(role) => role.finish()?,
        };
        let in_seq = Arc::new(AtomicU64::new(0));
        let wire = self.wire;
        let session = finished.session;
        let link = session.as_ref().map(|session| Arc::clone(session.link()));
        let read = ReadHalf::new(
            wire.rx,
            Reading::new(wire.reader, wire.limits, in_seq.clone(), session.clone()),
        );
        let mut write = WriteHalf::new(wire.out, wire.writer, in_seq, session);
        for message in &finished.queued {
            write.send(message);
        }
        Some(Established {
            peer: finished.peer,
            mon_auth: finished.mon_auth,
            credentials: finished.credentials,
            link,
            read,
            write,
        })
    }
}

/// What a role ends with.
struct Finished {
    peer: PeerInfo,
    mon_auth: Option<MonAuthSession>,
    credentials: Option<CephxClient>,
    /// The hold on the session, if it is lossless.
    session: Option<Attachment>,
    /// Messages for a lossy session.
    queued: Vec<RawMessage>,
}

/// What both roles share: buffers, frames and the transcripts that are signed.
struct Wire {
    rx: BytesMut,
    out: Output,
    reader: FrameReader,
    writer: FrameWriter,
    /// The session's limits; before authentication much tighter ones hold.
    limits: Limits,
    banner: Banner,
    /// What is spoken, once the peer's banner has come.
    revision: Option<Revision>,
    /// Both sides announce compression.
    negotiates_compression: bool,
    transcript: Option<Transcript>,
    /// What the peer has to sign with.
    expected_signature: [u8; 32],
}

/// All bytes of the handshake up to AUTH_DONE.
#[derive(Default)]
struct Transcript {
    received: BytesMut,
    sent: BytesMut,
}

impl Wire {
    fn new(limits: Limits, protocol: Protocol, compression: &Compression) -> Self {
        let banner = match protocol {
            Protocol::V20 => Banner::OURS_V20,
            _ if compression.is_announced() => Banner::OURS.with_compression(),
            _ => Banner::OURS,
        };
        let mut wire = Self {
            rx: BytesMut::new(),
            out: Output::default(),
            reader: FrameReader::default(),
            writer: FrameWriter::default(),
            limits,
            banner,
            revision: None,
            negotiates_compression: false,
            transcript: Some(Transcript::default()),
            expected_signature: [0; 32],
        };
        wire.put(banner.to_bytes());
        wire
    }

    fn authenticated(&self) -> bool {
        self.transcript.is_none()
    }

    fn put(&mut self, bytes: Bytes) {
        if let Some(t) = &mut self.transcript {
            t.sent.put_slice(&bytes);
        }
        self.out.put(bytes);
    }

    fn send<F: ControlFrame>(&mut self, frame: &F) {
        // Through an output of its own, to see the bytes for the transcript.
        let mut one = Output::default();
        self.writer
            .put_control(F::TAG, &frame.to_bytes(Features::ALL), &mut one);
        self.put(one.take());
    }

    /// What is spoken, once the peer's banner has come.
    fn agree(&mut self) -> Result<Option<Revision>> {
        if self.revision.is_none()
            && let Progress::Ready((banner, raw)) = Banner::take(&mut self.rx)?
        {
            let revision = self.banner.agree(banner)?;
            self.record(&raw)?;
            self.reader = FrameReader::crc(revision);
            self.writer = FrameWriter::crc(revision);
            self.revision = Some(revision);
            self.negotiates_compression = self.banner.negotiates_compression(banner);
        }
        Ok(self.revision)
    }

    /// Whether frames can be protected like that.
    fn can(&self, mode: ConMode) -> bool {
        mode == ConMode::CRC || self.revision == Some(Revision::V21)
    }

    /// Compresses frames from here on, and takes in compressed ones.
    fn compress(&mut self, algorithm: Algorithm, min_size: usize) {
        self.reader.decompress(algorithm);
        self.writer.compress(algorithm, min_size);
    }

    fn record(&mut self, received: &[u8]) -> Result<()> {
        if let Some(t) = &mut self.transcript {
            if t.received.len() + received.len() > Limits::HANDSHAKE {
                return Err(Misbehaved::HandshakeTooLong(Limits::HANDSHAKE).into());
            }
            t.received.put_slice(received);
        }
        Ok(())
    }

    fn next_frame(&mut self) -> Result<Option<Frame>> {
        // Until the session is established there are control frames only, all of them short.
        let limits = Limits::UNAUTHENTICATED;
        if self.transcript.is_none() {
            return Ok(match self.reader.next(&mut self.rx, &limits)? {
                Progress::Ready(frame) => Some(frame),
                Progress::Need(_) => None,
            });
        }
        // The transcript wants the bytes as they came: look at a whole frame before it is taken.
        let Some(len) = frame_len(&self.rx, self.revision.unwrap_or_default())? else {
            return Ok(None);
        };
        let raw = self.rx.split_to(len);
        self.record(&raw)?;
        match self.reader.next(&mut raw.clone(), &limits)? {
            Progress::Ready(frame) => Ok(Some(frame)),
            Progress::Need(_) => Ok(None),
        }
    }

    /// Ends the transcripts: from here on frames are protected in `mode`. Sends our signature and notes the
    /// one that the peer has to send.
    fn finish_auth(
        &mut self,
        key: Option<&CryptoKey>,
        secret: &[u8],
        mode: ConMode,
        client: bool,
    ) -> Result<()> {
        let Some(t) = self.transcript.take() else {
            return Ok(());
        };
        if mode == ConMode::SECURE {
            let (rx, tx) = Gcm::pair(secret, client).ok_or(Misbehaved::ConMode(mode.0))?;
            self.reader = FrameReader::secure(rx);
            self.writer = FrameWriter::secure(tx);
        }
        let sign = |bytes: &[u8]| key.map_or([0; 32], |k| k.hmac_sha256(bytes));
        self.expected_signature = sign(&t.sent);
        self.send(&AuthSignature(sign(&t.received)));
        Ok(())
    }

    fn check_signature(&self, frame: &Frame) -> Result<()> {
        let signature = decode::<AuthSignature>(frame)?.0;
        if bool::from(signature.ct_eq(&self.expected_signature)) {
            Ok(())
        } else {
            Err(Misbehaved::Signature.into())
        }
    }
}

/// The length of the crc frame that `rx` begins with, once all of it is there.
fn frame_len(rx: &BytesMut, revision: Revision) -> Result<Option<usize>> {
    use super::{
        preamble::{PREAMBLE_LEN, Preamble},
        segments::crc_rest,
    };
    let Some(head) = rx.first_chunk::<PREAMBLE_LEN>() else {
        return Ok(None);
    };
    let preamble = Preamble::parse(head)?;
    Limits::UNAUTHENTICATED.check(&preamble)?;
    if preamble.count != 1 {
        return Err(Malformed::ControlSegments(preamble.count).into());
    }
    let len = PREAMBLE_LEN + crc_rest(&preamble, revision);
    Ok((rx.len() >= len).then_some(len))
}

fn unexpected<T>(state: &'static str, tag: Tag) -> Result<T> {
    Err(Error::Unexpected {
        state,
        tag: tag.name(),
    })
}
