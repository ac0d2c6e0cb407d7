//! The client's role: for tests, tools and load generators.

use std::{
    net::SocketAddr,
    sync::{Arc, MutexGuard},
};

use bytes::Bytes;
use encoding::{
    RawMessage,
    types::{EntityAddr, EntityName, EntityType},
};

use crate::{
    auth::{AuthMethod, ConMode, claim},
    cephx::{AuthCapsInfo, CryptoKey},
    error::{Error, Incompatible, Misbehaved, Result},
    lossless::{self, Attachment, Phase, next_global_seq},
    session::PeerInfo,
    v2::{
        compression::Algorithm,
        control::{
            AuthBadMethod, AuthDoneFrame, AuthReplyMore, AuthRequest, AuthRequestMore, ClientIdent,
            CompressionDone, CompressionRequest, FLAG_LOSSY, Hello, IdentMissingFeatures, ServerIdent,
            SessionReconnect, SessionReconnectOk, SessionReset, SessionRetry, SessionRetryGlobal, decode,
        },
        frame::Frame,
        preamble::Tag,
    },
};

use super::{ClientAuth, ClientConfig, Finished, MAX_ATTEMPTS, MSGR2_REQUIRED, Wire, unexpected};

enum State {
    Banner,
    Hello,
    Auth,
    Signature,
    Compression,
    Ident,
    Reconnect,
    Ready(Box<PeerInfo>),
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            Self::Banner => "awaiting the banner",
            Self::Hello => "awaiting HELLO",
            Self::Auth => "authenticating",
            Self::Signature => "awaiting AUTH_SIGNATURE",
            Self::Compression => "awaiting COMPRESSION_DONE",
            Self::Ident => "awaiting SERVER_IDENT",
            Self::Reconnect => "awaiting SESSION_RECONNECT_OK",
            Self::Ready(_) => "established",
        }
    }
}

pub(super) struct ClientRole {
    config: ClientConfig,
    socket: SocketAddr,
    state: State,
    /// Of the authorizer.
    nonce: u64,
    global_id: u64,
    mode: ConMode,
    compression: Option<Algorithm>,
    global_seq: u64,
    /// Attempts to get a session.
    attempts: u32,
    /// The hold on the session, if it is lossless.
    session: Option<Attachment>,
    /// What was queued for a session that turns out to be lossy.
    queued: Vec<RawMessage>,
}

impl ClientRole {
    pub(super) fn new(config: ClientConfig, socket: SocketAddr) -> Self {
        Self {
            config,
            socket,
            state: State::Banner,
            nonce: rand::random(),
            global_id: 0,
            mode: ConMode::CRC,
            compression: None,
            global_seq: next_global_seq(0),
            attempts: 0,
            session: None,
            queued: Vec::new(),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    pub(super) fn finish(self) -> Option<Finished> {
        let State::Ready(peer) = self.state else {
            return None;
        };
        let credentials = match self.config.auth {
            ClientAuth::None { .. } => None,
            ClientAuth::Mon(client, _) | ClientAuth::Service(client) => Some(*client),
        };
        Some(Finished {
            peer: *peer,
            mon_auth: None,
            credentials,
            session: self.session,
            queued: self.queued,
        })
    }

    pub(super) fn begin(&mut self, wire: &mut Wire) {
        if let State::Banner = self.state {
            wire.send(&Hello {
                kind: EntityType::CLIENT,
                peer_addr: EntityAddr::v2(self.socket, 0),
            });
            self.state = State::Hello;
        }
    }

    pub(super) fn handle(&mut self, wire: &mut Wire, frame: &Frame) -> Result<()> {
        self.begin(wire);
        match (&self.state, frame.tag) {
            (State::Hello, Tag::HELLO) => self.hello(wire, &decode(frame)?),
            (State::Auth, Tag::AUTH_BAD_METHOD) => {
                let refusal = decode::<AuthBadMethod>(frame)?;
                Err(Incompatible::AuthRefused {
                    result: refusal.result,
                    methods: refusal.methods,
                    modes: refusal.modes,
                }
                .into())
            }
            (State::Auth, Tag::AUTH_REPLY_MORE) => {
                let payload = self.auth_more(&decode::<AuthReplyMore>(frame)?.payload)?;
                wire.send(&AuthRequestMore { payload });
                Ok(())
            }
            (State::Auth, Tag::AUTH_DONE) => self.auth_done(wire, &decode(frame)?),
            (State::Signature, Tag::AUTH_SIGNATURE) => {
                wire.check_signature(frame)?;
                if wire.negotiates_compression {
                    self.request_compression(wire);
                } else {
                    self.begin_session(wire)?;
                }
                Ok(())
            }
            (State::Compression, Tag::COMPRESSION_DONE) => {
                self.compression_done(wire, &decode(frame)?)?;
                self.begin_session(wire)
            }
            (State::Ident, Tag::IDENT_MISSING_FEATURES) => {
                let missing = decode::<IdentMissingFeatures>(frame)?;
                Err(Incompatible::FeaturesRefused(missing.features.0).into())
            }
            (State::Ident, Tag::SERVER_IDENT) => self.server_ident(decode(frame)?),
            (State::Ident | State::Reconnect, Tag::WAIT) => Err(Error::TryLater),
            (State::Reconnect, Tag::SESSION_RESET) => self.reset(wire, decode::<SessionReset>(frame)?.full),
            (State::Reconnect, Tag::SESSION_RETRY) => {
                let connect_seq = decode::<SessionRetry>(frame)?.connect_seq;
                self.owned()?.connect_seq = connect_seq.wrapping_add(1);
                self.reconnect(wire)
            }
            (State::Reconnect, Tag::SESSION_RETRY_GLOBAL) => {
                let seen = decode::<SessionRetryGlobal>(frame)?.global_seq;
                self.global_seq = next_global_seq(seen);
                self.reconnect(wire)
            }
            (State::Reconnect, Tag::SESSION_RECONNECT_OK) => {
                self.reconnected(decode::<SessionReconnectOk>(frame)?.msg_seq)
            }
            (state, tag) => unexpected(state.name(), tag),
        }
    }

    fn hello(&mut self, wire: &mut Wire, hello: &Hello) -> Result<()> {
        if hello.kind != self.config.server {
            return Err(Misbehaved::WrongPeerType(hello.kind.0).into());
        }
        let (method, payload) = match &self.config.auth {
            ClientAuth::None { name, global_id } => {
                let auth_mode = if self.config.server == EntityType::MON {
                    10
                } else {
                    1
                };
                (AuthMethod::NONE, claim(auth_mode, name, *global_id))
            }
            ClientAuth::Mon(client, _) => (AuthMethod::CEPHX, claim(10, &client.name, client.global_id)),
            ClientAuth::Service(client) => (
                AuthMethod::CEPHX,
                client.authorizer(self.config.server, self.nonce, None)?,
            ),
        };
        let modes = self.config.modes.iter();
        wire.send(&AuthRequest {
            method: method.0,
            modes: modes.filter(|m| wire.can(**m)).map(|m| m.0).collect(),
            payload,
        });
        self.state = State::Auth;
        Ok(())
    }

    fn auth_more(&self, challenge: &Bytes) -> Result<Bytes> {
        match &self.config.auth {
            ClientAuth::None { .. } => unexpected(self.state.name(), Tag::AUTH_REPLY_MORE),
            ClientAuth::Mon(client, services) => Ok(client.answer_mon_challenge(challenge, services)?),
            ClientAuth::Service(client) => {
                Ok(client.authorizer(self.config.server, self.nonce, Some(challenge))?)
            }
        }
    }

    fn auth_done(&mut self, wire: &mut Wire, done: &AuthDoneFrame) -> Result<()> {
        self.mode = ConMode(done.mode);
        if !self.config.modes.contains(&self.mode) || !wire.can(self.mode) {
            return Err(Misbehaved::ConMode(done.mode).into());
        }
        self.global_id = done.global_id;
        let (key, secret) = self.take_proof(&done.payload)?;
        wire.finish_auth(key.as_ref(), &secret, self.mode, true)?;
        self.state = State::Signature;
        Ok(())
    }

    /// The session key and the connection secret.
    fn take_proof(&mut self, payload: &Bytes) -> Result<(Option<CryptoKey>, Bytes)> {
        match &mut self.config.auth {
            ClientAuth::None { .. } => Ok((None, Bytes::new())),
            ClientAuth::Mon(client, _) => {
                let secret = client.take_mon_reply(payload)?;
                client.global_id = self.global_id;
                Ok((Some(client.session_key(EntityType::AUTH)?.clone()), secret))
            }
            ClientAuth::Service(client) => {
                let service = self.config.server;
                let secret = client
                    .check_service_reply(service, self.nonce, payload)?
                    .ok_or(Misbehaved::ServerProof)?;
                Ok((Some(client.session_key(service)?.clone()), secret))
            }
        }
    }

    fn request_compression(&mut self, wire: &mut Wire) {
        let ours = &self.config.compression;
        wire.send(&CompressionRequest {
            is_compress: ours.allows(self.mode),
            methods: ours.algorithms.iter().map(|a| a.0).collect(),
        });
        self.state = State::Compression;
    }

    fn compression_done(&mut self, wire: &mut Wire, done: &CompressionDone) -> Result<()> {
        if !done.is_compress {
            return Ok(());
        }
        let ours = &self.config.compression;
        let picked = ours.pick(&[done.method]).filter(|_| ours.allows(self.mode));
        let algorithm = picked.ok_or(Misbehaved::Compression(done.method))?;
        wire.compress(algorithm, ours.min_size);
        self.compression = Some(algorithm);
        Ok(())
    }

    /// Begins a session, or resumes one.
    fn begin_session(&mut self, wire: &mut Wire) -> Result<()> {
        let Some(link) = self.config.take_link() else {
            return self.identify(wire);
        };
        let link = if link.is_closed() { link.successor() } else { link };
        self.session = Some(link.dial());
        let mut session = self.owned()?;
        if session.server_cookie == 0 {
            drop(session);
            return self.identify(wire);
        }
        session.connect_seq += 1;
        drop(session);
        self.reconnect(wire)
    }

    /// The lossless session's state.
    fn owned(&self) -> Result<MutexGuard<'_, lossless::State>> {
        self.session.as_ref().ok_or(Error::Superseded)?.owned()
    }

    fn attempt(&mut self) -> Result<()> {
        self.attempts += 1;
        if self.attempts > MAX_ATTEMPTS {
            return Err(Misbehaved::TooManyConnects.into());
        }
        Ok(())
    }

    fn identify(&mut self, wire: &mut Wire) -> Result<()> {
        self.attempt()?;
        let (flags, cookie) = match &self.session {
            None => (FLAG_LOSSY, 0),
            Some(session) => {
                let mut session = session.owned()?;
                if session.client_cookie == 0 {
                    session.client_cookie = rand::random_range(1..=u64::MAX);
                }
                session.in_seq = 0;
                session.all_told();
                (0, session.client_cookie)
            }
        };
        wire.send(&ClientIdent {
            addrs: self.config.addrs.clone(),
            target: self.config.target,
            gid: i64::try_from(self.global_id).unwrap_or(-1),
            global_seq: self.global_seq,
            supported: self.config.supported,
            required: MSGR2_REQUIRED,
            flags,
            cookie,
        });
        self.state = State::Ident;
        Ok(())
    }

    fn reconnect(&mut self, wire: &mut Wire) -> Result<()> {
        self.attempt()?;
        let mut session = self.owned()?;
        session.all_told();
        wire.send(&SessionReconnect {
            addrs: self.config.addrs.clone(),
            client_cookie: session.client_cookie,
            server_cookie: session.server_cookie,
            global_seq: self.global_seq,
            connect_seq: session.connect_seq,
            msg_seq: session.in_seq,
        });
        drop(session);
        self.state = State::Reconnect;
        Ok(())
    }

    /// The server does not know the session (any more).
    fn reset(&mut self, wire: &mut Wire, full: bool) -> Result<()> {
        let link = Arc::clone(self.session.as_ref().ok_or(Error::Superseded)?.link());
        if full {
            self.session = Some(link.successor().dial());
        } else {
            let mut session = self.owned()?;
            session.server_cookie = 0;
            session.connect_seq = 0;
        }
        self.identify(wire)
    }

    fn reconnected(&mut self, received: u64) -> Result<()> {
        let attachment = self.session.as_ref().ok_or(Error::Superseded)?;
        let mut session = attachment.owned()?;
        attachment.link().forget(&mut session, received);
        session.phase = Phase::Open;
        let known = session.peer.clone().ok_or(Error::Superseded)?;
        drop(session);
        self.state = State::Ready(Box::new(PeerInfo {
            socket: self.socket,
            mode: self.mode,
            compression: self.compression,
            ..known
        }));
        Ok(())
    }

    fn server_ident(&mut self, ident: ServerIdent) -> Result<()> {
        let method = match self.config.auth {
            ClientAuth::None { .. } => AuthMethod::NONE,
            _ => AuthMethod::CEPHX,
        };
        let name = EntityName {
            kind: self.config.server,
            num: ident.gid,
        };
        let peer = PeerInfo {
            name,
            entity: name.to_string(),
            global_id: self.global_id,
            addrs: ident.addrs,
            socket: self.socket,
            features: ident.supported.common(self.config.supported).sanitised(),
            caps: AuthCapsInfo::default(),
            method,
            mode: self.mode,
            compression: self.compression,
            supported: ident.supported,
            key_type: None,
        };
        if ident.flags & FLAG_LOSSY != 0 {
            // The server decides.
            if let Some(session) = self.session.take() {
                drop(session.owned()?);
                self.queued = session.link().into_queue();
            }
        } else if let Some(attachment) = &self.session {
            let mut session = attachment.owned()?;
            session.server_cookie = ident.cookie;
            session.peer_global_seq = ident.global_seq;
            session.phase = Phase::Open;
            session.peer = Some(peer.clone());
        }
        self.state = State::Ready(Box::new(peer));
        Ok(())
    }
}
