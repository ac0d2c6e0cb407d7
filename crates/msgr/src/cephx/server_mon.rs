//! The monitor's side: checking that a client knows its key, and handing out tickets
//! (Ceph `src/auth/cephx/CephxServiceHandler.cc`).

use std::{fmt, sync::Arc, time::SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{Decode, Encode, Features, Put, Reader, types::EntityType};

use super::{
    AuthCapsInfo, AuthEntityName, AuthTicket, CryptoKey, EntityAuth, GET_AUTH_SESSION_KEY,
    GET_PRINCIPAL_SESSION_KEY, GET_ROTATING_KEY, KeyServer, KeyType, KeyUsage, Refusal, errno,
    refusal::log_at_mon,
    seal_blob,
    server_service::{open_authorizer, open_ticket, random_secret},
    ticket_reply::{Authenticate, Blob, NewTicket, put_tickets},
};

/// How a client came by its global id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GlobalId {
    /// We gave it out; not yet authenticated.
    NewPending,
    /// The client says that it has had it before.
    ReclaimPending,
    /// The client may use it; to authenticate again it has to show its ticket.
    Confirmed,
}

/// A client that proved to know its key.
#[derive(Debug)]
pub struct Authenticated {
    /// What to send back.
    pub reply: Bytes,
    /// What it may do at the monitor.
    pub caps: AuthCapsInfo,
    /// The key shared with the monitor.
    pub session_key: CryptoKey,
    /// The secret of a secure connection.
    pub connection_secret: Bytes,
}

/// One client's authentication with the monitor. It begins in the handshake and lives as long as the session,
/// because tickets are renewed in it (`MAuth`).
pub struct MonAuthSession {
    keys: Arc<dyn KeyServer>,
    name: AuthEntityName,
    global_id: u64,
    status: GlobalId,
    server_challenge: u64,
    caps: Option<AuthCapsInfo>,
    key_type: Option<KeyType>,
}

impl fmt::Debug for MonAuthSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonAuthSession")
            .field("name", &self.name)
            .field("global_id", &self.global_id)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl MonAuthSession {
    /// Begins, for a client that asks for `global_id`, or for a new one if that is 0. Returns the challenge to
    /// send (`CephXServerChallenge`), or a negative errno.
    pub fn start(
        keys: Arc<dyn KeyServer>,
        name: AuthEntityName,
        global_id: u64,
    ) -> Result<(Self, Bytes), i32> {
        let (global_id, status) = match global_id {
            0 => (keys.next_global_id().ok_or(errno::EBUSY)?, GlobalId::NewPending),
            claimed => (claimed, GlobalId::ReclaimPending),
        };
        let server_challenge = rand::random::<u64>().max(1);
        let mut challenge = BytesMut::with_capacity(9);
        challenge.put_u8(1);
        challenge.put_u64_le(server_challenge);
        let session = Self {
            keys,
            name,
            global_id,
            status,
            server_challenge,
            caps: None,
            key_type: None,
        };
        Ok((session, challenge.freeze()))
    }

    /// The entity that authenticates.
    #[must_use]
    pub fn name(&self) -> &AuthEntityName {
        &self.name
    }

    /// The client instance.
    #[must_use]
    pub fn global_id(&self) -> u64 {
        self.global_id
    }

    /// What the client may do at the monitor, once it has authenticated.
    #[must_use]
    pub fn caps(&self) -> Option<&AuthCapsInfo> {
        self.caps.as_ref()
    }

    /// The type of the client's key, once it has authenticated.
    #[must_use]
    pub fn key_type(&self) -> Option<KeyType> {
        self.key_type
    }

    /// The answer to the challenge, in the handshake. `secret_len` is the length of the connection secret to
    /// make. Errors are negative errnos, to be sent in AUTH_BAD_METHOD.
    pub fn authenticate(
        &mut self,
        payload: &Bytes,
        secret_len: usize,
        now: SystemTime,
    ) -> Result<Authenticated, i32> {
        let mut r = Reader::new(payload);
        match r.u16() {
            Ok(GET_AUTH_SESSION_KEY) => self.get_auth_session_key(&mut r, Some(secret_len), now),
            Ok(_) => Err(errno::EACCES),
            Err(_) => Err(errno::EPERM),
        }
    }

    /// A request in the payload of an `MAuth` message of the established session. Returns the payload of the
    /// `MAuthReply`, or the negative errno for its result.
    pub fn handle_request(&mut self, payload: Bytes, now: SystemTime) -> Result<Bytes, i32> {
        let mut r = Reader::new(&payload);
        match r.u16() {
            Ok(GET_AUTH_SESSION_KEY) => self.get_auth_session_key(&mut r, None, now).map(|a| a.reply),
            Ok(GET_PRINCIPAL_SESSION_KEY) => self.get_principal_session_key(&mut r, now),
            // Rotating secrets are for Ceph's own daemons, which never connect to us.
            Ok(GET_ROTATING_KEY) => Err(errno::EACCES),
            Ok(_) => Err(errno::EINVAL),
            Err(_) => Err(errno::EPERM),
        }
    }

    fn get_auth_session_key(
        &mut self,
        r: &mut Reader<'_>,
        secret_len: Option<usize>,
        now: SystemTime,
    ) -> Result<Authenticated, i32> {
        let request = Authenticate::decode(r).map_err(|_| errno::EPERM)?;
        let name = self.name.to_string();
        let entity = self
            .keys
            .entity(&name)
            .ok_or_else(|| self.refused(&Refusal::UnknownEntity))?;
        let key = self
            .proven_key(&entity, &request)
            .map_err(|why| self.refused(&why))?;
        if entity.pending_key.as_ref() == Some(key) {
            self.keys.note_used_pending_key(&name, key);
        }
        let old_session_key = match self.check_old_ticket(&request) {
            Ok(old) => old,
            Err(why) => return Err(self.refused(&why)),
        };
        let ticket = AuthTicket {
            name: self.name.clone(),
            global_id: self.global_id,
            ..AuthTicket::default()
        };
        let kind = key.kind();
        let auth =
            NewTicket::new(&*self.keys, EntityType::AUTH, ticket.clone(), kind, now).ok_or(errno::EIO)?;
        let session_key = auth.session_key().clone();
        let mut reply = response(GET_AUTH_SESSION_KEY);
        put_tickets(&mut reply, &[auth], key, old_session_key.as_ref()).map_err(|_| errno::EIO)?;
        let caps = mon_caps(&entity).ok_or_else(|| self.refused(&Refusal::NoMonCaps))?;
        let connection_secret = random_secret(secret_len.unwrap_or(0));
        if request.other_keys != 0 {
            let mut sealed = BytesMut::new();
            if secret_len.is_some() {
                let secret = Blob(connection_secret.clone());
                seal_blob(
                    &session_key,
                    KeyUsage::AUTH_CONNECTION_SECRET,
                    &secret,
                    &mut sealed,
                )
                .map_err(|_| errno::EACCES)?;
            }
            reply.put_blob(&sealed);
            let tickets = self.service_tickets(request.other_keys, &ticket, &entity, kind, now);
            let mut extra = BytesMut::new();
            if !tickets.is_empty() {
                put_tickets(&mut extra, &tickets, &session_key, None).map_err(|_| errno::EIO)?;
            }
            reply.put_blob(&extra);
        }
        self.caps = Some(caps.clone());
        self.key_type = Some(kind);
        Ok(Authenticated {
            reply: reply.freeze(),
            caps,
            session_key,
            connection_secret,
        })
    }

    /// Logs why the client is refused, and returns what it is told.
    fn refused(&self, why: &Refusal) -> i32 {
        log_at_mon(&self.name, why);
        match why {
            Refusal::SuperfluousTicket => errno::EINVAL,
            _ => errno::EACCES,
        }
    }

    /// The key of the entity that the client proved to know.
    fn proven_key<'e>(
        &self,
        entity: &'e EntityAuth,
        request: &Authenticate,
    ) -> Result<&'e CryptoKey, Refusal> {
        let kind = entity.key.kind();
        if !self.keys.is_cipher_allowed(kind) {
            return Err(Refusal::CipherNotAllowed(kind));
        }
        std::iter::once(&entity.key)
            .chain(&entity.pending_key)
            .filter(|key| !key.is_empty())
            .find(|key| {
                let proof = key.challenge_proof(self.server_challenge, request.client_challenge);
                proof.is_ok_and(|p| bool::from(subtle::ConstantTimeEq::ct_eq(&p, &request.proof)))
            })
            .ok_or(Refusal::WrongKey)
    }

    /// Only who holds a ticket for a global id may claim it. Returns the old ticket's session key.
    fn check_old_ticket(&mut self, request: &Authenticate) -> Result<Option<CryptoKey>, Refusal> {
        let shown = !request.old_ticket.blob.is_empty();
        if self.status == GlobalId::NewPending {
            if shown {
                return Err(Refusal::SuperfluousTicket);
            }
            self.status = GlobalId::Confirmed;
            return Ok(None);
        }
        let old = match self.open_old_ticket(request) {
            Ok(key) => Some(key),
            Err(why) if request.version < 3 && self.keys.allow_insecure_global_id_reclaim() => {
                tracing::info!(entity = %self.name, "cephx: allowed by auth_allow_insecure_global_id_reclaim: {why}");
                None
            }
            Err(why) => return Err(why),
        };
        self.status = GlobalId::Confirmed;
        Ok(old)
    }

    /// The session key of the ticket that was shown, which must be for the global id that is claimed.
    fn open_old_ticket(&self, request: &Authenticate) -> Result<CryptoKey, Refusal> {
        let claimed = self.global_id;
        if request.old_ticket.blob.is_empty() {
            return Err(Refusal::ReclaimWithoutTicket(claimed));
        }
        let info = open_ticket(&self.keys.secrets(), EntityType::AUTH, &request.old_ticket)
            .map_err(|why| Refusal::ReclaimWithBadTicket(claimed, Box::new(why)))?;
        let ticket = info.ticket.global_id;
        if ticket != claimed {
            return Err(Refusal::ReclaimWithForeignTicket { claimed, ticket });
        }
        Ok(info.session_key)
    }

    fn get_principal_session_key(&mut self, r: &mut Reader<'_>, now: SystemTime) -> Result<Bytes, i32> {
        let secrets = self.keys.secrets();
        let (info, _) = open_authorizer(&secrets, EntityType::AUTH, r).map_err(|why| self.refused(&why))?;
        // CephXServiceTicketRequest
        let wanted = r.u8().and_then(|_| r.u32()).map_err(|_| errno::EPERM)?;
        let entity = self
            .keys
            .entity(&info.ticket.name.to_string())
            .ok_or(errno::EINVAL)?;
        let kind = info.session_key.kind();
        let tickets = self.service_tickets(wanted, &info.ticket, &entity, kind, now);
        let mut reply = response(GET_PRINCIPAL_SESSION_KEY);
        put_tickets(&mut reply, &tickets, &info.session_key, None).map_err(|_| errno::EIO)?;
        Ok(reply.freeze())
    }

    /// Tickets for the services in the mask, with the entity's capabilities at each, for an owner whose key is of
    /// type `kind`.
    fn service_tickets(
        &self,
        mask: u32,
        parent: &AuthTicket,
        entity: &EntityAuth,
        kind: KeyType,
        now: SystemTime,
    ) -> Vec<NewTicket> {
        let services = [EntityType::MON, EntityType::MDS, EntityType::OSD, EntityType::MGR];
        let wanted = services.into_iter().filter(|s| mask & u32::from(s.0) != 0);
        wanted
            .filter_map(|service| {
                let mut ticket = parent.clone();
                if service != EntityType::MON {
                    ticket.caps = AuthCapsInfo {
                        allow_all: false,
                        caps: entity.caps.get(service.name()).cloned().unwrap_or_default(),
                    };
                }
                NewTicket::new(&*self.keys, service, ticket, kind, now)
            })
            .collect()
    }
}

/// `CephXResponseHeader` of a successful request.
fn response(request: u16) -> BytesMut {
    let mut out = BytesMut::new();
    request.encode(&mut out, Features::ALL);
    0_i32.encode(&mut out, Features::ALL);
    out
}

/// An entity without capabilities at the monitor cannot log in.
fn mon_caps(entity: &EntityAuth) -> Option<AuthCapsInfo> {
    let caps = entity.caps.get(EntityType::MON.name())?;
    let text = Reader::new(caps).string().ok()?;
    (!text.is_empty()).then(|| AuthCapsInfo {
        allow_all: false,
        caps: caps.clone(),
    })
}
