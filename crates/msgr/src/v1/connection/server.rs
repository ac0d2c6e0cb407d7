//! The server's role.

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use bytes::Bytes;
use encoding::{
    Feature, Features,
    types::{AddrType, EntityAddr, EntityAddrVec, EntityName, EntityType},
};

use crate::{
    auth::{AuthDone, AuthMethod, AuthStep, ConMode, ServerAuth},
    config::ServerConfig,
    error::{Error, Incompatible, Misbehaved, Result},
    lossless::{Answer, Attachment, Claim, PeerKey},
    session::PeerInfo,
    v1::{
        BANNER, Connect, ConnectReply, FLAG_LOSSY, MonHandshake, Signer, Tag,
        banner::{addr_bytes, real_addr, take_addr, take_banner},
        protocol_version,
        stream::{StreamReader, StreamWriter, Terms},
    },
    v2::Limits,
};

use super::{Finished, Go, Stream, Wire, check_authorizer_len};

/// Connect messages that are answered with anything but readiness: a challenge, and a few refusals.
const MAX_ATTEMPTS: u32 = 8;
/// Bounds on a monitor's clients before they are authenticated.
const UNAUTHENTICATED: Limits = Limits {
    control: 0,
    front: 48 << 10,
    middle: 0,
    data: 0,
};

enum State {
    Banner,
    Address,
    Connect,
    /// The authorizer is awaited.
    Authorizer(Connect),
    /// The session stands; the number of the last message that the peer received is awaited.
    Seq(Box<Opened>),
    /// At a monitor.
    Mon(Box<Opened>, Box<MonHandshake>),
    Ready(Box<PeerInfo>, Box<Opened>),
}

/// A session without an authenticated peer, at a monitor, or with one.
struct Opened {
    connect: Connect,
    features: Features,
    stream: Stream,
    method: AuthMethod,
    /// The hold on the session, if it is lossless.
    session: Option<Attachment>,
    /// None at a monitor, where authentication comes last.
    done: Option<Box<AuthDone>>,
}

pub(super) struct ServerRole {
    config: Arc<ServerConfig>,
    socket: SocketAddr,
    state: State,
    peer_addr: EntityAddr,
    auth: ServerAuth,
    /// The authorizer was answered with a challenge.
    challenged: bool,
    attempts: u32,
    /// Refused attempts to authenticate.
    refusals: u32,
}

impl ServerRole {
    /// Greets at once.
    pub(super) fn new(config: Arc<ServerConfig>, socket: SocketAddr, wire: &mut Wire) -> Self {
        wire.out.put(Bytes::from_static(BANNER));
        wire.out.put(addr_bytes(config.addrs.as_legacy()));
        wire.out.put(addr_bytes(EntityAddr::v1(socket, 0)));
        let auth = ServerAuth::new(config.auth.clone(), config.name.kind);
        Self {
            config,
            socket,
            state: State::Banner,
            peer_addr: EntityAddr::default(),
            auth,
            challenged: false,
            attempts: 0,
            refusals: 0,
        }
    }

    /// How often the client was refused.
    pub(super) const fn refusals(&self) -> u32 {
        self.refusals
    }

    pub(super) fn finish(self) -> Option<Finished> {
        let State::Ready(peer, opened) = self.state else {
            return None;
        };
        Some(Finished {
            peer: *peer,
            mon_auth: opened.done.and_then(|done| done.mon),
            credentials: None,
            stream: opened.stream,
            session: opened.session,
            queued: Vec::new(),
        })
    }

    pub(super) fn step(&mut self, wire: &mut Wire, now: SystemTime) -> Result<Go> {
        match std::mem::replace(&mut self.state, State::Banner) {
            State::Banner => {
                let taken = take_banner(&mut wire.rx)?;
                Ok(self.go(if taken { State::Address } else { State::Banner }, taken))
            }
            State::Address => match take_addr(&mut wire.rx)? {
                Some(addr) => {
                    self.peer_addr = real_addr(addr, self.socket);
                    Ok(self.go(State::Connect, true))
                }
                None => Ok(self.go(State::Address, false)),
            },
            State::Connect => match wire.take_value::<Connect>(Connect::LEN)? {
                Some(connect) => {
                    check_authorizer_len(connect.authorizer_len)?;
                    Ok(self.go(State::Authorizer(connect), true))
                }
                None => Ok(self.go(State::Connect, false)),
            },
            State::Authorizer(connect) => match wire.take(connect.authorizer_len as usize) {
                Some(authorizer) => {
                    self.connect(wire, connect, &authorizer, now)?;
                    Ok(Go::On)
                }
                None => Ok(self.go(State::Authorizer(connect), false)),
            },
            State::Seq(mut opened) => match wire.take_value::<u64>(8)? {
                Some(received) => {
                    match &opened.session {
                        Some(session) => session.acknowledged(received)?,
                        None => opened.stream.writer.set_out_seq(received),
                    }
                    self.opened(opened);
                    Ok(Go::On)
                }
                None => Ok(self.go(State::Seq(opened), false)),
            },
            State::Mon(opened, mon) => self.authenticate(wire, opened, mon, now),
            ready @ State::Ready(..) => {
                self.state = ready;
                Ok(Go::Ready)
            }
        }
    }

    fn go(&mut self, state: State, on: bool) -> Go {
        self.state = state;
        if on { Go::On } else { Go::Wait }
    }

    /// What is offered to that peer.
    fn offered(&self, connect: &Connect) -> Features {
        self.config.supported.shown_to(connect.features)
    }

    fn connect(
        &mut self,
        wire: &mut Wire,
        connect: Connect,
        authorizer: &Bytes,
        now: SystemTime,
    ) -> Result<()> {
        if !self.config.auth.modes.contains(&ConMode::CRC) {
            // Encryption is demanded here, and there is none in this protocol.
            return Err(Incompatible::MsgrV1.into());
        }
        let ours = protocol_version(self.config.name.kind);
        if connect.protocol_version != ours {
            let theirs = connect.protocol_version;
            let why = Incompatible::ProtocolVersion { ours, theirs };
            return self.refuse(wire, &connect, Tag::BADPROTOVER.into(), Bytes::new(), why.into());
        }
        let missing = self.config.required.0 & !connect.features.sanitised().0;
        if missing != 0 {
            let why = Incompatible::FeaturesMissing(missing);
            return self.refuse(wire, &connect, Tag::FEATURES.into(), Bytes::new(), why.into());
        }
        let method = AuthMethod(connect.authorizer_protocol);
        if self.config.name.kind == EntityType::MON {
            // A monitor's clients show no authorizer; they authenticate once the session stands.
            self.open(wire, connect, method, None, None);
            return Ok(());
        }
        match self.verify(&connect, authorizer, now) {
            AuthStep::Done(done) if self.config.policies.get(connect.host_type).lossy => {
                self.open(wire, connect, method, Some(done), None);
                Ok(())
            }
            AuthStep::Done(done) => self.resume(wire, connect, method, done),
            AuthStep::More(challenge) => {
                self.challenged = true;
                let (tag, why) = (Tag::CHALLENGE_AUTHORIZER, Misbehaved::TooManyAuthAttempts);
                self.refuse(wire, &connect, tag.into(), challenge, why.into())
            }
            AuthStep::Refused(_) => {
                self.refusals += 1;
                self.challenged = false;
                let why = Misbehaved::TooManyAuthAttempts;
                self.refuse(
                    wire,
                    &connect,
                    Tag::BADAUTHORIZER.into(),
                    Bytes::new(),
                    why.into(),
                )
            }
            AuthStep::Busy => Err(Error::TryLater),
        }
    }

    fn verify(&mut self, connect: &Connect, authorizer: &Bytes, now: SystemTime) -> AuthStep {
        if self.challenged {
            return self.auth.more(authorizer, now);
        }
        self.auth.set_challenge(connect.features.has(Feature::CEPHX_V2));
        let method = AuthMethod(connect.authorizer_protocol);
        self.auth.start(method, ConMode::CRC, authorizer)
    }

    /// Tells the peer why it is not connected (yet); it may try again on the same connection, but not for ever.
    fn refuse(
        &mut self,
        wire: &mut Wire,
        connect: &Connect,
        no: No,
        authorizer: Bytes,
        why: Error,
    ) -> Result<()> {
        let No {
            tag,
            global_seq,
            connect_seq,
        } = no;
        let features = self.offered(connect).common(connect.features).0 | self.config.required.0;
        wire.put(&ConnectReply {
            tag,
            features: Features(features),
            global_seq,
            connect_seq,
            protocol_version: protocol_version(self.config.name.kind),
            authorizer_len: encoding::codec::wire_len(authorizer.len()),
            flags: 0,
        });
        wire.out.put(authorizer);
        self.state = State::Connect;
        self.attempts += 1;
        tracing::debug!(peer = %self.socket, daemon = %self.config.name, ?tag, "not connected yet");
        if self.attempts > MAX_ATTEMPTS {
            return Err(why);
        }
        Ok(())
    }

    /// Begins or resumes a lossless session.
    fn resume(
        &mut self,
        wire: &mut Wire,
        connect: Connect,
        method: AuthMethod,
        done: Box<AuthDone>,
    ) -> Result<()> {
        let features = connect.features.common(self.offered(&connect)).sanitised();
        let peer = self.peer_info(&connect, features, method, &done);
        let claim = Claim {
            key: PeerKey {
                kind: connect.host_type,
                entity: peer.entity.clone(),
                addrs: peer.addrs.clone(),
            },
            policy: self.config.policies.get(connect.host_type),
            addrs: (self.peer_addr, self.config.addrs.as_legacy()),
            global_seq: connect.global_seq.into(),
            peer: &peer,
        };
        let no = match self.config.sessions.connect(claim, connect.connect_seq.into()) {
            Answer::Open { attachment, reset } => {
                self.open(wire, connect, method, Some(done), Some((attachment, reset)));
                return Ok(());
            }
            Answer::Reset { .. } => Tag::RESETSESSION.into(),
            // 32 bits on this wire.
            Answer::RetrySession(seq) => No {
                connect_seq: seq as u32,
                ..Tag::RETRY_SESSION.into()
            },
            Answer::RetryGlobal(seq) => No {
                global_seq: seq as u32,
                ..Tag::RETRY_GLOBAL.into()
            },
            Answer::Wait => Tag::WAIT.into(),
            Answer::Stale => return Err(Misbehaved::StaleConnection.into()),
            Answer::Full => return Err(Error::TryLater),
        };
        self.refuse(
            wire,
            &connect,
            no,
            done.reply.clone(),
            Misbehaved::TooManyConnects.into(),
        )
    }

    /// The session stands. A lossless one comes with the hold on it, and whether it begins anew.
    fn open(
        &mut self,
        wire: &mut Wire,
        connect: Connect,
        method: AuthMethod,
        done: Option<Box<AuthDone>>,
        lossless: Option<(Attachment, bool)>,
    ) {
        let offered = self.offered(&connect);
        let features = connect.features.common(offered).sanitised();
        // A peer that begins a lossless session anew has nothing to tell.
        let anew = matches!(lossless, Some((_, true)));
        let with_seq = features.has(Feature::RECONNECT_SEQ) && !anew;
        let authorizer = done.as_ref().map_or_else(Bytes::new, |d| d.reply.clone());
        wire.put(&ConnectReply {
            tag: if with_seq { Tag::SEQ } else { Tag::READY },
            features: offered,
            // 32 bits on this wire.
            global_seq: self.config.next_global_seq() as u32,
            connect_seq: connect.connect_seq.wrapping_add(1),
            protocol_version: connect.protocol_version,
            authorizer_len: encoding::codec::wire_len(authorizer.len()),
            flags: if lossless.is_some() { 0 } else { FLAG_LOSSY },
        });
        wire.out.put(authorizer);
        let session = lossless.map(|(session, _)| session);
        let key = done.as_ref().and_then(|d| d.session_key.clone());
        let sign = self.config.sign_messages && features.has(Feature::MSG_AUTH);
        let terms = Terms {
            features,
            crc: self.config.crc,
            signer: key
                .filter(|_| sign)
                .map(|key| Signer::new(key, features.has(Feature::CEPHX_V2))),
        };
        let opened = Box::new(Opened {
            connect,
            features,
            stream: Stream {
                reader: StreamReader::new(terms.clone()),
                writer: StreamWriter::new(terms, self.config.name),
            },
            method,
            session,
            done,
        });
        if with_seq {
            // Of a lossy session nothing is known from before.
            let session = opened.session.as_ref();
            wire.put(&session.and_then(|s| s.owned().ok()).map_or(0, |s| s.in_seq));
            self.state = State::Seq(opened);
        } else {
            self.opened(opened);
        }
    }

    fn opened(&mut self, opened: Box<Opened>) {
        self.state = match &opened.done {
            Some(done) => {
                let peer = self.peer_of(&opened, done);
                State::Ready(Box::new(peer), opened)
            }
            None => {
                let mon = MonHandshake::new(self.config.clone(), opened.features);
                State::Mon(opened, Box::new(mon))
            }
        };
    }

    fn authenticate(
        &mut self,
        wire: &mut Wire,
        mut opened: Box<Opened>,
        mut mon: Box<MonHandshake>,
        now: SystemTime,
    ) -> Result<Go> {
        let Some(message) = opened.stream.next_message(wire, &UNAUTHENTICATED)? else {
            return Ok(self.go(State::Mon(opened, mon), false));
        };
        let step = mon.handle(&message, now);
        self.refusals = mon.refusals();
        let step = step?;
        for reply in &step.replies {
            opened.stream.writer.put(reply, &mut wire.out);
        }
        let Some(done) = step.done else {
            return Ok(self.go(State::Mon(opened, mon), true));
        };
        opened.method = mon.method();
        let peer = self.peer_of(&opened, &done);
        opened.done = Some(done);
        self.state = State::Ready(Box::new(peer), opened);
        Ok(Go::On)
    }

    fn peer_of(&self, opened: &Opened, done: &AuthDone) -> PeerInfo {
        let resumed = opened.session.as_ref().and_then(|s| s.owned().ok()?.peer.clone());
        resumed.unwrap_or_else(|| self.peer_info(&opened.connect, opened.features, opened.method, done))
    }

    fn peer_info(
        &self,
        connect: &Connect,
        features: Features,
        method: AuthMethod,
        done: &AuthDone,
    ) -> PeerInfo {
        let mut addr = self.peer_addr;
        addr.kind = AddrType::LEGACY;
        PeerInfo {
            name: EntityName {
                kind: connect.host_type,
                num: i64::try_from(done.global_id).unwrap_or(-1),
            },
            entity: done.entity.to_string(),
            global_id: done.global_id,
            addrs: EntityAddrVec(vec![addr]),
            socket: self.socket,
            features,
            caps: done.caps.clone(),
            method,
            mode: ConMode::CRC,
            compression: None,
            supported: connect.features,
            key_type: done.key_type(),
        }
    }
}

/// Why a peer is not connected (yet), with what it needs to try again.
#[derive(Debug, Clone, Copy)]
struct No {
    tag: Tag,
    global_seq: u32,
    connect_seq: u32,
}

impl From<Tag> for No {
    fn from(tag: Tag) -> Self {
        Self {
            tag,
            global_seq: 0,
            connect_seq: 0,
        }
    }
}
