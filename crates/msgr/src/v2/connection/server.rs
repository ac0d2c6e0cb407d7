//! The server's role.

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use encoding::types::{AddrType, EntityAddr, EntityAddrVec, EntityName, EntityType};

use crate::{
    auth::{AuthDone, AuthMethod, AuthStep, ConMode, ServerAuth},
    cephx::errno,
    error::{Error, Misbehaved, Result},
    lossless::{Answer, Attachment, Claim, PeerKey, Policy},
    session::PeerInfo,
    v2::{
        Revision,
        compression::Algorithm,
        control::{
            AuthBadMethod, AuthDoneFrame, AuthReplyMore, AuthRequest, AuthRequestMore, ClientIdent,
            CompressionDone, CompressionRequest, FLAG_LOSSY, Hello, IdentMissingFeatures, ServerIdent,
            SessionReconnect, SessionReconnectOk, SessionReset, SessionRetry, SessionRetryGlobal, Wait,
            decode,
        },
        frame::Frame,
        preamble::Tag,
    },
};

use super::{Finished, MAX_ATTEMPTS, MSGR2_REQUIRED, ServerConfig, Wire, unexpected};

/// Refusals that a connection may collect: a client tries its methods in turn.
const MAX_REFUSALS: u32 = 8;

enum State {
    /// Our HELLO goes out when the banner has come.
    Banner,
    Hello,
    Auth,
    AuthMore,
    Signature,
    /// Waiting for COMPRESSION_REQUEST.
    Compression,
    /// Waiting for CLIENT_IDENT.
    Session,
    Ready(Box<PeerInfo>),
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            Self::Banner => "awaiting the banner",
            Self::Hello => "awaiting HELLO",
            Self::Auth => "awaiting AUTH_REQUEST",
            Self::AuthMore => "awaiting AUTH_REQUEST_MORE",
            Self::Signature => "awaiting AUTH_SIGNATURE",
            Self::Compression => "awaiting COMPRESSION_REQUEST",
            Self::Session => "awaiting CLIENT_IDENT",
            Self::Ready(_) => "established",
        }
    }
}

pub(super) struct ServerRole {
    config: Arc<ServerConfig>,
    socket: SocketAddr,
    state: State,
    peer_kind: EntityType,
    auth: ServerAuth,
    method: AuthMethod,
    mode: ConMode,
    compression: Option<Algorithm>,
    refusals: u32,
    /// Attempts to get a session.
    attempts: u32,
    done: Option<Box<AuthDone>>,
    /// The hold on the session, if it is lossless.
    session: Option<Attachment>,
}

impl ServerRole {
    pub(super) fn new(config: Arc<ServerConfig>, socket: SocketAddr) -> Self {
        let auth = ServerAuth::new(config.auth.clone(), config.name.kind);
        Self {
            config,
            socket,
            state: State::Banner,
            peer_kind: EntityType::default(),
            auth,
            method: AuthMethod::NONE,
            mode: ConMode::CRC,
            compression: None,
            refusals: 0,
            attempts: 0,
            done: None,
            session: None,
        }
    }

    /// How often the client was refused.
    pub(super) const fn refusals(&self) -> u32 {
        self.refusals
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    pub(super) fn finish(self) -> Option<Finished> {
        let State::Ready(peer) = self.state else {
            return None;
        };
        Some(Finished {
            peer: *peer,
            mon_auth: self.done.and_then(|d| d.mon),
            credentials: None,
            session: self.session,
            queued: Vec::new(),
        })
    }

    /// Says HELLO once the peer's banner is known to be good.
    pub(super) fn begin(&mut self, wire: &mut Wire) {
        if let State::Banner = self.state {
            wire.send(&Hello {
                kind: self.config.name.kind,
                peer_addr: EntityAddr::v2(self.socket, 0),
            });
            self.state = State::Hello;
        }
    }

    pub(super) fn handle(&mut self, wire: &mut Wire, frame: &Frame, now: SystemTime) -> Result<()> {
        self.begin(wire);
        match (&self.state, frame.tag) {
            (State::Hello, Tag::HELLO) => {
                self.peer_kind = decode::<Hello>(frame)?.kind;
                self.state = State::Auth;
                Ok(())
            }
            (State::Auth | State::AuthMore, Tag::AUTH_REQUEST) => {
                let request = decode::<AuthRequest>(frame)?;
                self.auth_request(wire, &request)
            }
            (State::AuthMore, Tag::AUTH_REQUEST_MORE) => {
                let step = self.auth.more(&decode::<AuthRequestMore>(frame)?.payload, now);
                self.auth_step(wire, step)
            }
            (State::Signature, Tag::AUTH_SIGNATURE) => {
                wire.check_signature(frame)?;
                self.state = match wire.negotiates_compression {
                    true => State::Compression,
                    false => State::Session,
                };
                Ok(())
            }
            (State::Compression, Tag::COMPRESSION_REQUEST) => {
                self.compression_request(wire, &decode(frame)?);
                Ok(())
            }
            (State::Session, Tag::SESSION_RECONNECT) => {
                let reconnect = decode::<SessionReconnect>(frame)?;
                self.reconnect(wire, &reconnect)
            }
            (State::Session, Tag::CLIENT_IDENT) => {
                let ident = decode::<ClientIdent>(frame)?;
                self.client_ident(wire, ident)
            }
            (state, tag) => unexpected(state.name(), tag),
        }
    }

    fn auth_request(&mut self, wire: &mut Wire, request: &AuthRequest) -> Result<()> {
        self.method = AuthMethod(request.method);
        let allowed = &self.config.auth.modes;
        // Without authentication there is no key to derive a secure mode from.
        let possible = |m: &ConMode| wire.can(*m) && (self.method != AuthMethod::NONE || *m == ConMode::CRC);
        let mut offered = request.modes.iter().map(|m| ConMode(*m));
        let Some(mode) = offered.find(|m| allowed.contains(m) && possible(m)) else {
            return self.refuse(wire, errno::EOPNOTSUPP);
        };
        self.mode = mode;
        let step = self.auth.start(self.method, mode, &request.payload);
        self.auth_step(wire, step)
    }

    fn auth_step(&mut self, wire: &mut Wire, step: AuthStep) -> Result<()> {
        match step {
            AuthStep::More(payload) => {
                wire.send(&AuthReplyMore { payload });
                self.state = State::AuthMore;
                Ok(())
            }
            AuthStep::Refused(error) => self.refuse(wire, error),
            AuthStep::Busy => Err(Error::TryLater),
            AuthStep::Done(done) => {
                wire.send(&AuthDoneFrame {
                    global_id: done.global_id,
                    mode: self.mode.0,
                    payload: done.reply.clone(),
                });
                wire.finish_auth(
                    done.session_key.as_ref(),
                    &done.connection_secret,
                    self.mode,
                    false,
                )?;
                self.done = Some(done);
                self.state = State::Signature;
                Ok(())
            }
        }
    }

    fn refuse(&mut self, wire: &mut Wire, error: i32) -> Result<()> {
        self.refusals += 1;
        if self.refusals > MAX_REFUSALS {
            return Err(Misbehaved::TooManyAuthAttempts.into());
        }
        let config = self.auth.config();
        wire.send(&AuthBadMethod {
            method: self.method.0,
            result: error,
            methods: config.methods.iter().map(|m| m.0).collect(),
            modes: config
                .modes
                .iter()
                .filter(|m| wire.can(**m))
                .map(|m| m.0)
                .collect(),
        });
        self.state = State::Auth;
        Ok(())
    }

    fn compression_request(&mut self, wire: &mut Wire, request: &CompressionRequest) {
        let ours = &self.config.compression;
        let wanted = request.is_compress && ours.allows(self.mode) && wire.revision == Some(Revision::V21);
        let picked = ours.pick(&request.methods).filter(|_| wanted);
        wire.send(&CompressionDone {
            is_compress: picked.is_some(),
            method: picked.unwrap_or(Algorithm::NONE).0,
        });
        if let Some(algorithm) = picked {
            wire.compress(algorithm, ours.min_size);
        }
        self.compression = picked;
        self.state = State::Session;
    }

    fn client_ident(&mut self, wire: &mut Wire, ident: ClientIdent) -> Result<()> {
        self.attempts += 1;
        if self.attempts > MAX_ATTEMPTS {
            return Err(Misbehaved::TooManyConnects.into());
        }
        if ident.addrs.0.first().is_none_or(|a| a.kind == AddrType::NONE) {
            return Err(Misbehaved::NoAddress.into());
        }
        if self.config.verify_target && !self.config.addrs.0.contains(&ident.target) {
            return Err(Misbehaved::WrongTarget(ident.target.to_string()).into());
        }
        let required = self.config.required.0 | MSGR2_REQUIRED.0;
        let missing = required & !ident.supported.sanitised().0;
        if missing != 0 {
            wire.send(&IdentMissingFeatures {
                features: encoding::Features(missing),
            });
            return Ok(());
        }
        let Some(done) = &self.done else {
            return unexpected(self.state.name(), Tag::CLIENT_IDENT);
        };
        let peer = self.peer_info(done, &ident);
        if self.policy().lossy {
            self.introduce(wire, FLAG_LOSSY, 0);
            self.state = State::Ready(Box::new(peer));
            return Ok(());
        }
        let claim = self.claim(&peer, &ident.addrs, ident.global_seq);
        let answer = self.config.sessions.identify(claim, ident.cookie);
        self.answer(wire, answer)
    }

    fn reconnect(&mut self, wire: &mut Wire, ask: &SessionReconnect) -> Result<()> {
        self.attempts += 1;
        if self.attempts > MAX_ATTEMPTS {
            return Err(Misbehaved::TooManyConnects.into());
        }
        let Some(done) = self.done.as_ref().filter(|_| !self.policy().lossy) else {
            // Lossy sessions are never resumed.
            wire.send(&SessionReset { full: true });
            return Ok(());
        };
        // Its features are those that it began the session with.
        let ident = ClientIdent {
            addrs: ask.addrs.clone(),
            ..ClientIdent::default()
        };
        let peer = self.peer_info(done, &ident);
        let claim = self.claim(&peer, &ask.addrs, ask.global_seq);
        let cookies = (ask.client_cookie, ask.server_cookie);
        let answer = self
            .config
            .sessions
            .reconnect(&claim, cookies, ask.connect_seq, ask.msg_seq);
        self.answer(wire, answer)
    }

    fn policy(&self) -> Policy {
        self.config.policies.get(self.peer_kind)
    }

    fn claim<'p>(&self, peer: &'p PeerInfo, addrs: &EntityAddrVec, global_seq: u64) -> Claim<'p> {
        let v2 = |addrs: &EntityAddrVec| addrs.first(AddrType::MSGR2).unwrap_or_default();
        Claim {
            key: PeerKey {
                kind: self.peer_kind,
                entity: peer.entity.clone(),
                addrs: addrs.clone(),
            },
            policy: self.policy(),
            addrs: (v2(addrs), v2(&self.config.addrs)),
            global_seq,
            peer,
        }
    }

    fn answer(&mut self, wire: &mut Wire, answer: Answer) -> Result<()> {
        match answer {
            Answer::Open { attachment, reset } => {
                let session = attachment.owned()?;
                let (cookie, in_seq) = (session.server_cookie, session.in_seq);
                let peer = session.peer.clone().ok_or(Error::Superseded)?;
                drop(session);
                if reset {
                    self.introduce(wire, 0, cookie);
                } else {
                    wire.send(&SessionReconnectOk { msg_seq: in_seq });
                }
                self.session = Some(attachment);
                self.state = State::Ready(Box::new(peer));
            }
            Answer::Reset { full } => wire.send(&SessionReset { full }),
            Answer::RetrySession(connect_seq) => wire.send(&SessionRetry { connect_seq }),
            Answer::RetryGlobal(global_seq) => wire.send(&SessionRetryGlobal { global_seq }),
            Answer::Wait => wire.send(&Wait {}),
            Answer::Stale => return Err(Misbehaved::StaleConnection.into()),
            Answer::Full => return Err(Error::TryLater),
        }
        Ok(())
    }

    fn introduce(&self, wire: &mut Wire, flags: u64, cookie: u64) {
        wire.send(&ServerIdent {
            addrs: self.config.addrs.clone(),
            gid: self.config.name.num,
            global_seq: self.config.next_global_seq(),
            supported: self.config.supported,
            required: encoding::Features(self.config.required.0 | MSGR2_REQUIRED.0),
            flags,
            cookie,
        });
    }

    fn peer_info(&self, done: &AuthDone, ident: &ClientIdent) -> PeerInfo {
        // A client's number is what authentication says, not what it says itself: on its first connection to
        // a monitor it does not know its number yet.
        let num = match self.peer_kind {
            EntityType::CLIENT => i64::try_from(done.global_id).unwrap_or(-1),
            _ => ident.gid,
        };
        PeerInfo {
            name: EntityName {
                kind: self.peer_kind,
                num,
            },
            entity: done.entity.to_string(),
            global_id: done.global_id,
            addrs: ident.addrs.clone(),
            socket: self.socket,
            features: ident.supported.common(self.config.supported).sanitised(),
            caps: done.caps.clone(),
            method: self.method,
            mode: self.mode,
            compression: self.compression,
            supported: ident.supported,
            key_type: done.key_type(),
        }
    }
}
