//! The client's role: for tests, tools and load generators.

use std::{net::SocketAddr, sync::MutexGuard};

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{
    Encode, Feature, Features, Message, MessageType, Put, RawMessage,
    messages::{MAuth, MAuthReply},
    types::{EntityAddr, EntityAddrVec, EntityName, EntityType},
};

use crate::{
    auth::{AuthMethod, ConMode, claim},
    cephx::{AuthCapsInfo, AuthEntityName, CryptoKey, errno},
    config::{ClientAuth, ClientConfig},
    error::{Error, Incompatible, Misbehaved, Result},
    lossless::{self, Attachment, Phase, next_global_seq},
    session::PeerInfo,
    v1::{
        BANNER, Connect, ConnectReply, FLAG_LOSSY, Signer, Tag,
        banner::{ADDR_LEN, addr_bytes, is_blank_ip, take_addr, take_banner},
        protocol_version,
        stream::{StreamReader, StreamWriter, Terms},
    },
};

use super::{Finished, Go, Stream, Wire, check_authorizer_len, unexpected};

/// Replies that may ask for another attempt.
const MAX_ATTEMPTS: u32 = 8;

enum State {
    Banner,
    Addresses,
    Reply,
    Authorizer(ConnectReply),
    Seq(ConnectReply),
    /// `MAuthReply` is awaited.
    Mon(Box<Stream>, Features),
    Ready(Box<Stream>, Features),
}

pub(super) struct ClientRole {
    config: ClientConfig,
    socket: SocketAddr,
    state: State,
    /// Of the authorizer.
    nonce: u64,
    global_id: u64,
    global_seq: u64,
    connect_seq: u32,
    attempts: u32,
    /// The service's challenge, to be answered in each attempt.
    challenge: Option<Bytes>,
    /// The hold on the session, if it is lossless.
    session: Option<Attachment>,
    /// What was queued for a session that turns out to be lossy.
    queued: Vec<RawMessage>,
    /// The monitor's challenge was answered.
    challenged: bool,
    server_addr: EntityAddr,
}

impl ClientRole {
    /// Greets at once.
    pub(super) fn new(config: ClientConfig, socket: SocketAddr, wire: &mut Wire) -> Self {
        wire.out.put(Bytes::from_static(BANNER));
        let global_id = match &config.auth {
            ClientAuth::None { global_id, .. } => *global_id,
            ClientAuth::Mon(client, _) | ClientAuth::Service(client) => client.global_id,
        };
        Self {
            config,
            socket,
            state: State::Banner,
            nonce: rand::random(),
            global_id,
            global_seq: next_global_seq(0),
            connect_seq: 0,
            attempts: 0,
            challenge: None,
            session: None,
            queued: Vec::new(),
            challenged: false,
            server_addr: EntityAddr::default(),
        }
    }

    pub(super) fn finish(self) -> Option<Finished> {
        let State::Ready(_, features) = &self.state else {
            return None;
        };
        let peer = self.peer_info(*features);
        let State::Ready(stream, _) = self.state else {
            return None;
        };
        let credentials = match self.config.auth {
            ClientAuth::None { .. } => None,
            ClientAuth::Mon(client, _) | ClientAuth::Service(client) => Some(*client),
        };
        Some(Finished {
            peer,
            mon_auth: None,
            credentials,
            stream: *stream,
            session: self.session,
            queued: self.queued,
        })
    }

    pub(super) fn step(&mut self, wire: &mut Wire) -> Result<Go> {
        match std::mem::replace(&mut self.state, State::Banner) {
            State::Banner => {
                let taken = take_banner(&mut wire.rx)?;
                Ok(self.go(if taken { State::Addresses } else { State::Banner }, taken))
            }
            State::Addresses if wire.rx.len() < 2 * ADDR_LEN => Ok(self.go(State::Addresses, false)),
            State::Addresses => {
                self.addresses(wire)?;
                Ok(Go::On)
            }
            State::Reply => match wire.take_value::<ConnectReply>(ConnectReply::LEN)? {
                Some(reply) => {
                    check_authorizer_len(reply.authorizer_len)?;
                    Ok(self.go(State::Authorizer(reply), true))
                }
                None => Ok(self.go(State::Reply, false)),
            },
            State::Authorizer(reply) => match wire.take(reply.authorizer_len as usize) {
                Some(authorizer) => {
                    self.reply(wire, reply, &authorizer)?;
                    Ok(Go::On)
                }
                None => Ok(self.go(State::Authorizer(reply), false)),
            },
            State::Seq(reply) => match wire.take_value::<u64>(8)? {
                Some(received) => {
                    let known = match &self.session {
                        Some(session) => {
                            let mut session = session.owned()?;
                            session.all_told();
                            session.in_seq
                        }
                        None => 0,
                    };
                    wire.put(&known);
                    self.open(wire, &reply, received)?;
                    Ok(Go::On)
                }
                None => Ok(self.go(State::Seq(reply), false)),
            },
            State::Mon(mut stream, features) => {
                let limits = self.config.limits;
                match stream.next_message(wire, &limits)? {
                    Some(message) => {
                        self.mon_message(wire, stream, features, &message)?;
                        Ok(Go::On)
                    }
                    None => Ok(self.go(State::Mon(stream, features), false)),
                }
            }
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

    fn addresses(&mut self, wire: &mut Wire) -> Result<()> {
        let (Some(server), Some(_ours)) = (take_addr(&mut wire.rx)?, take_addr(&mut wire.rx)?) else {
            return Ok(());
        };
        let target = self.config.target;
        let port = |a: &EntityAddr| a.socket.map_or(0, |s| s.port());
        let blank = is_blank_ip(&server) && port(&server) == port(&target) && server.nonce == target.nonce;
        if !blank && !server.same_entity(&target) {
            return Err(Misbehaved::WrongAddress(server.to_string()).into());
        }
        self.server_addr = server;
        wire.out.put(addr_bytes(self.config.addrs.as_legacy()));
        if self.config.server != EntityType::MON
            && let Some(link) = self.config.take_link()
        {
            let link = if link.is_closed() { link.successor() } else { link };
            self.session = Some(link.dial());
            let mut session = self.owned()?;
            if session.connect_seq > 0 {
                session.connect_seq += 1;
            }
            let connect_seq = session.connect_seq;
            drop(session);
            self.connect_seq = connect_seq as u32;
        }
        self.connect(wire)
    }

    /// The lossless session's state.
    fn owned(&self) -> Result<MutexGuard<'_, lossless::State>> {
        self.session.as_ref().ok_or(Error::Superseded)?.owned()
    }

    /// Sends what we want, with the answer to a challenge if there was one.
    fn connect(&mut self, wire: &mut Wire) -> Result<()> {
        self.attempts += 1;
        if self.attempts > MAX_ATTEMPTS {
            return Err(Misbehaved::TooManyConnects.into());
        }
        let server = self.config.server;
        let (method, authorizer) = match &self.config.auth {
            _ if server == EntityType::MON => (AuthMethod(0), Bytes::new()),
            ClientAuth::None { name, global_id } => (AuthMethod::NONE, claim(1, name, *global_id)),
            ClientAuth::Mon(client, _) | ClientAuth::Service(client) => {
                let authorizer = client.authorizer(server, self.nonce, self.challenge.as_ref())?;
                (AuthMethod::CEPHX, authorizer)
            }
        };
        wire.put(&Connect {
            features: self.config.supported,
            host_type: EntityType::CLIENT,
            // 32 bits on this wire.
            global_seq: self.global_seq as u32,
            connect_seq: self.connect_seq,
            protocol_version: protocol_version(server),
            authorizer_protocol: method.0,
            authorizer_len: encoding::codec::wire_len(authorizer.len()),
            flags: if self.session.is_some() { 0 } else { FLAG_LOSSY },
        });
        wire.out.put(authorizer);
        self.state = State::Reply;
        Ok(())
    }

    fn reply(&mut self, wire: &mut Wire, reply: ConnectReply, authorizer: &Bytes) -> Result<()> {
        match reply.tag {
            Tag::CHALLENGE_AUTHORIZER => {
                self.challenge = Some(authorizer.clone());
                self.connect(wire)
            }
            Tag::READY | Tag::SEQ => {
                self.check_proof(authorizer)?;
                if reply.tag == Tag::READY {
                    return self.open(wire, &reply, 0);
                }
                self.state = State::Seq(reply);
                Ok(())
            }
            Tag::RETRY_GLOBAL => {
                self.global_seq = next_global_seq(reply.global_seq.into());
                self.connect(wire)
            }
            Tag::RETRY_SESSION => {
                self.connect_seq = reply.connect_seq;
                self.connect(wire)
            }
            Tag::RESETSESSION => {
                self.connect_seq = 0;
                if let Some(session) = &self.session {
                    drop(session.owned()?);
                    self.session = Some(session.link().successor().dial());
                }
                self.connect(wire)
            }
            Tag::WAIT => Err(Error::TryLater),
            Tag::FEATURES => {
                let missing = reply.features.0 & !self.config.supported.0;
                Err(Incompatible::FeaturesRefused(missing).into())
            }
            Tag::BADPROTOVER => {
                let why = Incompatible::ProtocolVersion {
                    ours: protocol_version(self.config.server),
                    theirs: reply.protocol_version,
                };
                Err(why.into())
            }
            Tag::BADAUTHORIZER => Err(refused(errno::EACCES)),
            tag => unexpected("awaiting a connect reply", tag),
        }
    }

    /// A service proves that it could open the authorizer.
    fn check_proof(&self, authorizer: &Bytes) -> Result<()> {
        match &self.config.auth {
            ClientAuth::Service(client) if self.config.server != EntityType::MON => {
                let proof = client.check_service_reply(self.config.server, self.nonce, authorizer)?;
                proof.ok_or(Misbehaved::ServerProof)?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, wire: &mut Wire, reply: &ConnectReply, received: u64) -> Result<()> {
        let features = reply.features.common(self.config.supported).sanitised();
        let sign = self.config.sign_messages && features.has(Feature::MSG_AUTH);
        let key = if sign { self.session_key()? } else { None };
        let terms = Terms {
            features,
            crc: self.config.crc,
            signer: key.map(|key| Signer::new(key, features.has(Feature::CEPHX_V2))),
        };
        let mut stream = Box::new(Stream {
            reader: StreamReader::new(terms.clone()),
            writer: StreamWriter::new(terms, self.name()),
        });
        if reply.flags & FLAG_LOSSY == 0 {
            self.opened(received)?;
        } else if let Some(session) = self.session.take() {
            // The server decides.
            drop(session.owned()?);
            self.queued = session.link().into_queue();
        }
        stream.writer.set_out_seq(received);
        if self.config.server == EntityType::MON {
            self.send_auth(wire, &mut stream, features, 0, self.offer());
            self.state = State::Mon(stream, features);
        } else {
            self.state = State::Ready(stream, features);
        }
        Ok(())
    }

    /// A lossless session stands, and the server has our messages up to `received`.
    fn opened(&mut self, received: u64) -> Result<()> {
        let Some(attachment) = &self.session else {
            return Ok(());
        };
        let mut session = attachment.owned()?;
        attachment.link().forget(&mut session, received);
        session.connect_seq = u64::from(self.connect_seq) + 1;
        session.phase = Phase::Open;
        Ok(())
    }

    fn name(&self) -> EntityName {
        match self.global_id {
            0 => EntityName::client(-1),
            id => EntityName::client(i64::try_from(id).unwrap_or(-1)),
        }
    }

    /// What messages are signed with: nothing at a monitor.
    fn session_key(&self) -> Result<Option<CryptoKey>> {
        match &self.config.auth {
            ClientAuth::Service(client) if self.config.server != EntityType::MON => {
                Ok(Some(client.session_key(self.config.server)?.clone()))
            }
            _ => Ok(None),
        }
    }

    /// The first payload: what we can do, and who we are.
    fn offer(&self) -> Bytes {
        let (method, name): (_, &AuthEntityName) = match &self.config.auth {
            ClientAuth::None { name, .. } => (AuthMethod::NONE, name),
            ClientAuth::Mon(client, _) | ClientAuth::Service(client) => (AuthMethod::CEPHX, &client.name),
        };
        let mut out = BytesMut::new();
        out.put_u8(1);
        out.put_vec([method.0].iter(), Features::NONE);
        name.encode(&mut out, Features::NONE);
        out.put_u64_le(self.global_id);
        out.freeze()
    }

    fn send_auth(
        &self,
        wire: &mut Wire,
        stream: &mut Stream,
        features: Features,
        protocol: u32,
        payload: Bytes,
    ) {
        let message = MAuth {
            protocol,
            payload,
            ..MAuth::default()
        };
        stream.writer.put(&message.encode(features), &mut wire.out);
    }

    fn mon_message(
        &mut self,
        wire: &mut Wire,
        mut stream: Box<Stream>,
        features: Features,
        raw: &RawMessage,
    ) -> Result<()> {
        if raw.header.kind != MessageType::AUTH_REPLY {
            // A monitor may send its map at any time.
            self.state = State::Mon(stream, features);
            return Ok(());
        }
        let reply = MAuthReply::decode(raw)?;
        if reply.result < 0 {
            return Err(refused(reply.result));
        }
        self.global_id = reply.global_id;
        match self.answer(&reply.payload)? {
            Some(payload) => {
                self.send_auth(wire, &mut stream, features, AuthMethod::CEPHX.0, payload);
                self.state = State::Mon(stream, features);
            }
            None => {
                stream.writer.set_src(self.name());
                self.state = State::Ready(stream, features);
            }
        }
        Ok(())
    }

    /// What to say to the challenge; None after what follows it, the tickets.
    fn answer(&mut self, payload: &Bytes) -> Result<Option<Bytes>> {
        let (client, services) = match &mut self.config.auth {
            ClientAuth::None { .. } => return Ok(None),
            ClientAuth::Mon(client, services) => (client, services.as_slice()),
            ClientAuth::Service(client) => (client, &[][..]),
        };
        if self.challenged {
            client.take_mon_reply(payload)?;
            client.global_id = self.global_id;
            return Ok(None);
        }
        self.challenged = true;
        Ok(Some(client.answer_mon_challenge(payload, services)?))
    }

    fn peer_info(&self, features: Features) -> PeerInfo {
        let method = match self.config.auth {
            ClientAuth::None { .. } => AuthMethod::NONE,
            _ => AuthMethod::CEPHX,
        };
        // A server does not tell its number before its first message.
        let name = EntityName {
            kind: self.config.server,
            num: -1,
        };
        PeerInfo {
            name,
            entity: name.to_string(),
            global_id: self.global_id,
            addrs: EntityAddrVec(vec![self.server_addr]),
            socket: self.socket,
            features,
            caps: AuthCapsInfo::default(),
            method,
            mode: ConMode::CRC,
            compression: None,
            supported: features,
            key_type: None,
        }
    }
}

fn refused(result: i32) -> Error {
    Incompatible::AuthRefused {
        result,
        methods: Vec::new(),
        modes: Vec::new(),
    }
    .into()
}
