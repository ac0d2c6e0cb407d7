//! The servers' side of authentication in the handshake, whatever the method
//! (`handle_auth_request` in Ceph `src/mon/Monitor.cc` and `src/mon/MonClient.cc`).

use std::{fmt, sync::Arc, time::SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{Decode, Encode, Features, Reader, types::EntityType};

use crate::cephx::{
    Accepted, AuthCapsInfo, AuthEntityName, Authenticated, CryptoKey, KeyServer, KeyType, MonAuthSession,
    ServiceAuth, Verdict, errno,
};

/// `CEPH_AUTH_*`: how peers authenticate. Open: unknown values survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuthMethod(pub u32);

impl AuthMethod {
    /// Not at all.
    pub const NONE: Self = Self(1);
    /// cephx.
    pub const CEPHX: Self = Self(2);
}

/// `CEPH_CON_MODE_*`: how frames are protected. Open: unknown values survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConMode(pub u32);

impl ConMode {
    /// Checksums.
    pub const CRC: Self = Self(1);
    /// AES-128-GCM.
    pub const SECURE: Self = Self(2);

    /// Length of the connection secret, in bytes.
    #[must_use]
    pub const fn secret_len(self) -> usize {
        match self {
            Self::SECURE => 64,
            _ => 0,
        }
    }
}

/// `AUTH_MODE_AUTHORIZER` to `AUTH_MODE_AUTHORIZER_MAX`: a ticket is shown.
const MODE_AUTHORIZER: std::ops::RangeInclusive<u8> = 1..=9;
/// `AUTH_MODE_MON` to `AUTH_MODE_MON_MAX`: a ticket is asked for.
const MODE_MON: std::ops::RangeInclusive<u8> = 10..=19;

/// What a server accepts.
#[derive(Clone)]
pub struct AuthConfig {
    /// The authentication database.
    pub keys: Arc<dyn KeyServer>,
    /// Methods accepted.
    pub methods: Vec<AuthMethod>,
    /// Modes accepted; the client's order of preference decides.
    pub modes: Vec<ConMode>,
}

impl AuthConfig {
    /// cephx, in both modes.
    #[must_use]
    pub fn cephx(keys: Arc<dyn KeyServer>) -> Self {
        Self {
            keys,
            methods: vec![AuthMethod::CEPHX],
            modes: vec![ConMode::SECURE, ConMode::CRC],
        }
    }
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthConfig")
            .field("methods", &self.methods)
            .field("modes", &self.modes)
            .finish_non_exhaustive()
    }
}

/// An authenticated peer.
#[derive(Debug)]
pub(crate) struct AuthDone {
    pub(crate) reply: Bytes,
    pub(crate) entity: AuthEntityName,
    pub(crate) global_id: u64,
    pub(crate) caps: AuthCapsInfo,
    /// None without authentication.
    pub(crate) session_key: Option<CryptoKey>,
    pub(crate) connection_secret: Bytes,
    /// At a monitor: what renews the peer's tickets.
    pub(crate) mon: Option<MonAuthSession>,
}

impl AuthDone {
    /// The type of the key that peer and server share; none without cephx.
    pub(crate) fn key_type(&self) -> Option<KeyType> {
        let shared = self.session_key.as_ref().map(CryptoKey::kind);
        shared.or_else(|| self.mon.as_ref()?.key_type())
    }
}

/// What to answer.
#[derive(Debug)]
pub(crate) enum AuthStep {
    /// AUTH_REPLY_MORE.
    More(Bytes),
    /// AUTH_DONE.
    Done(Box<AuthDone>),
    /// AUTH_BAD_METHOD with a negative errno.
    Refused(i32),
    /// Close; the client comes back later.
    Busy,
}

impl From<i32> for AuthStep {
    fn from(error: i32) -> Self {
        if error == errno::EBUSY {
            Self::Busy
        } else {
            Self::Refused(error)
        }
    }
}

#[derive(Debug)]
enum Exchange {
    Mon(MonAuthSession),
    Service(ServiceAuth),
}

/// One connection's authentication.
#[derive(Debug)]
pub(crate) struct ServerAuth {
    config: AuthConfig,
    kind: EntityType,
    mode: ConMode,
    exchange: Option<Exchange>,
    /// Whether tickets are accepted only with the answer to a challenge of ours.
    challenge: bool,
}

impl ServerAuth {
    /// For a daemon of type `kind`.
    pub(crate) fn new(config: AuthConfig, kind: EntityType) -> Self {
        Self {
            config,
            kind,
            mode: ConMode::CRC,
            exchange: None,
            challenge: true,
        }
    }

    /// Whether clients are challenged: those without CEPHX_V2 cannot answer.
    pub(crate) fn set_challenge(&mut self, challenge: bool) {
        self.challenge = challenge;
    }

    pub(crate) fn config(&self) -> &AuthConfig {
        &self.config
    }

    /// AUTH_REQUEST, in the mode that was agreed on.
    pub(crate) fn start(&mut self, method: AuthMethod, mode: ConMode, payload: &Bytes) -> AuthStep {
        self.exchange = None;
        self.mode = mode;
        if !self.config.methods.contains(&method) {
            return AuthStep::Refused(errno::EOPNOTSUPP);
        }
        let Some(&auth_mode) = payload.first() else {
            return AuthStep::Refused(errno::EACCES);
        };
        let at_mon = self.kind == EntityType::MON && MODE_MON.contains(&auth_mode);
        if !at_mon && !MODE_AUTHORIZER.contains(&auth_mode) {
            return AuthStep::Refused(errno::EACCES);
        }
        match method {
            AuthMethod::NONE => self.start_none(at_mon, parse_claim(payload)),
            AuthMethod::CEPHX if at_mon => self.start_mon(parse_claim(payload)),
            AuthMethod::CEPHX => {
                let service = ServiceAuth::new(self.kind).with_challenge(self.challenge);
                self.exchange = Some(Exchange::Service(service));
                self.verify(payload)
            }
            _ => AuthStep::Refused(errno::EOPNOTSUPP),
        }
    }

    /// The first `MAuth` of msgr v1: the client can do `offered`, says who it is, and which global id it has.
    pub(crate) fn start_v1(
        &mut self,
        offered: &[u32],
        claim: (AuthEntityName, u64),
    ) -> (AuthMethod, AuthStep) {
        self.exchange = None;
        let chosen = self.config.methods.iter().find(|m| offered.contains(&m.0));
        let Some(&method) = chosen else {
            return (AuthMethod(0), AuthStep::Refused(errno::EOPNOTSUPP));
        };
        let step = match method {
            AuthMethod::NONE => self.start_none(true, Some(claim)),
            AuthMethod::CEPHX => self.start_mon(Some(claim)),
            _ => AuthStep::Refused(errno::EOPNOTSUPP),
        };
        (method, step)
    }

    /// Another `MAuth` of msgr v1. A failure may be followed by another attempt.
    pub(crate) fn more_v1(&mut self, payload: Bytes, now: SystemTime) -> AuthStep {
        let Some(Exchange::Mon(mut mon)) = self.exchange.take() else {
            return AuthStep::Refused(errno::EINVAL);
        };
        let outcome = mon.handle_request(payload, now);
        match (outcome, mon.caps().cloned()) {
            (Ok(reply), Some(caps)) => AuthStep::Done(Box::new(AuthDone {
                reply,
                entity: mon.name().clone(),
                global_id: mon.global_id(),
                caps,
                // Sessions with monitors are not signed.
                session_key: None,
                connection_secret: Bytes::new(),
                mon: Some(mon),
            })),
            (outcome, _) => {
                self.exchange = Some(Exchange::Mon(mon));
                outcome.map_or_else(AuthStep::from, AuthStep::More)
            }
        }
    }

    /// The client's number, while it authenticates with a monitor; 0 before.
    pub(crate) fn global_id(&self) -> u64 {
        match &self.exchange {
            Some(Exchange::Mon(mon)) => mon.global_id(),
            _ => 0,
        }
    }

    /// AUTH_REQUEST_MORE.
    pub(crate) fn more(&mut self, payload: &Bytes, now: SystemTime) -> AuthStep {
        match self.exchange.take() {
            None => AuthStep::Refused(errno::EACCES),
            Some(Exchange::Mon(mut mon)) => match mon.authenticate(payload, self.mode.secret_len(), now) {
                Ok(done) => AuthStep::Done(Box::new(mon_done(mon, done))),
                Err(error) => error.into(),
            },
            Some(service) => {
                self.exchange = Some(service);
                match self.verify(payload) {
                    // One challenge is enough.
                    AuthStep::More(_) => AuthStep::Refused(errno::EACCES),
                    step => step,
                }
            }
        }
    }

    fn start_none(&self, at_mon: bool, claim: Option<(AuthEntityName, u64)>) -> AuthStep {
        let Some((entity, claimed)) = claim else {
            return AuthStep::Refused(errno::EACCES);
        };
        let global_id = match claimed {
            0 if at_mon => match self.config.keys.next_global_id() {
                Some(id) => id,
                None => return AuthStep::Busy,
            },
            claimed => claimed,
        };
        AuthStep::Done(Box::new(AuthDone {
            reply: Bytes::new(),
            entity,
            global_id,
            caps: AuthCapsInfo {
                allow_all: true,
                caps: Bytes::new(),
            },
            session_key: None,
            connection_secret: Bytes::new(),
            mon: None,
        }))
    }

    fn start_mon(&mut self, claim: Option<(AuthEntityName, u64)>) -> AuthStep {
        let Some((entity, claimed)) = claim else {
            return AuthStep::Refused(errno::EACCES);
        };
        match MonAuthSession::start(self.config.keys.clone(), entity, claimed) {
            Ok((mon, challenge)) => {
                self.exchange = Some(Exchange::Mon(mon));
                AuthStep::More(challenge)
            }
            Err(error) => error.into(),
        }
    }

    fn verify(&mut self, payload: &Bytes) -> AuthStep {
        let Some(Exchange::Service(service)) = &mut self.exchange else {
            return AuthStep::Refused(errno::EACCES);
        };
        match service.verify(&self.config.keys.secrets(), payload, self.mode.secret_len()) {
            Verdict::Challenge(challenge) => AuthStep::More(challenge),
            Verdict::Accepted(accepted) => AuthStep::Done(Box::new(service_done(*accepted))),
            Verdict::Refused => AuthStep::Refused(errno::EACCES),
        }
    }
}

/// Mode, entity name and global id, as both methods begin.
fn parse_claim(payload: &Bytes) -> Option<(AuthEntityName, u64)> {
    let mut r = Reader::new(payload);
    r.u8().ok()?;
    Some((AuthEntityName::decode(&mut r).ok()?, r.u64().ok()?))
}

/// What [`parse_claim`] reads, in the client role.
pub(crate) fn claim(auth_mode: u8, name: &AuthEntityName, global_id: u64) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(auth_mode);
    name.encode(&mut out, Features::ALL);
    out.put_u64_le(global_id);
    out.freeze()
}

fn mon_done(mon: MonAuthSession, done: Authenticated) -> AuthDone {
    AuthDone {
        reply: done.reply,
        entity: mon.name().clone(),
        global_id: mon.global_id(),
        caps: done.caps,
        session_key: Some(done.session_key),
        connection_secret: done.connection_secret,
        mon: Some(mon),
    }
}

fn service_done(accepted: Accepted) -> AuthDone {
    AuthDone {
        reply: accepted.reply,
        entity: accepted.ticket.name,
        global_id: accepted.ticket.global_id,
        caps: accepted.ticket.caps,
        session_key: Some(accepted.session_key),
        connection_secret: accepted.connection_secret,
        mon: None,
    }
}
