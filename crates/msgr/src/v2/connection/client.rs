//! The client's role: for tests, tools and load generators.

use std::net::SocketAddr;

use bytes::Bytes;
use encoding::types::{EntityAddr, EntityName, EntityType};

use crate::{
    auth::{AuthMethod, ConMode, claim},
    cephx::{AuthCapsInfo, CephxClient, CryptoKey},
    error::{Incompatible, Misbehaved, Result},
    session::PeerInfo,
    v2::{
        compression::Algorithm,
        control::{
            AuthBadMethod, AuthDoneFrame, AuthReplyMore, AuthRequest, AuthRequestMore, ClientIdent,
            CompressionDone, CompressionRequest, FLAG_LOSSY, Hello, IdentMissingFeatures, ServerIdent,
            decode,
        },
        frame::Frame,
        preamble::Tag,
    },
};

use super::{ClientAuth, ClientConfig, MSGR2_REQUIRED, Wire, unexpected};

enum State {
    Banner,
    Hello,
    Auth,
    Signature,
    Compression,
    Ident,
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
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    pub(super) fn finish(self) -> Option<(PeerInfo, Option<CephxClient>)> {
        let State::Ready(peer) = self.state else {
            return None;
        };
        let credentials = match self.config.auth {
            ClientAuth::None { .. } => None,
            ClientAuth::Mon(client, _) | ClientAuth::Service(client) => Some(*client),
        };
        Some((*peer, credentials))
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
                    self.identify(wire);
                }
                Ok(())
            }
            (State::Compression, Tag::COMPRESSION_DONE) => {
                self.compression_done(wire, &decode(frame)?)?;
                self.identify(wire);
                Ok(())
            }
            (State::Ident, Tag::IDENT_MISSING_FEATURES) => {
                let missing = decode::<IdentMissingFeatures>(frame)?;
                Err(Incompatible::FeaturesRefused(missing.features.0).into())
            }
            (State::Ident, Tag::SERVER_IDENT) => {
                self.server_ident(decode(frame)?);
                Ok(())
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

    fn identify(&mut self, wire: &mut Wire) {
        wire.send(&ClientIdent {
            addrs: self.config.addrs.clone(),
            target: self.config.target,
            gid: i64::try_from(self.global_id).unwrap_or(-1),
            global_seq: 1,
            supported: self.config.supported,
            required: MSGR2_REQUIRED,
            flags: FLAG_LOSSY,
            cookie: rand::random(),
        });
        self.state = State::Ident;
    }

    fn server_ident(&mut self, ident: ServerIdent) {
        let method = match self.config.auth {
            ClientAuth::None { .. } => AuthMethod::NONE,
            _ => AuthMethod::CEPHX,
        };
        let name = EntityName {
            kind: self.config.server,
            num: ident.gid,
        };
        self.state = State::Ready(Box::new(PeerInfo {
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
        }));
    }
}
