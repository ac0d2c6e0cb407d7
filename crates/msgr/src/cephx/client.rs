//! The client's side (Ceph `src/auth/cephx/CephxClientHandler.cc`): for tests, tools and load generators.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{Decode, Encode, Features, Reader, types::EntityType};

use super::{
    AuthEntityName, Authorize, AuthorizeChallenge, AuthorizeReply, AuthorizerHead, CryptoKey,
    GET_AUTH_SESSION_KEY, GET_PRINCIPAL_SESSION_KEY, KeyError, KeyUsage, SealError, TicketBlob, open,
    open_blob, seal_blob,
    ticket_reply::{Authenticate, Blob, read_tickets},
};

pub use super::ticket_reply::ServiceTicket;

/// A client's credentials: its key and the tickets it holds.
#[derive(Debug, Clone)]
pub struct CephxClient {
    /// Who it is.
    pub name: AuthEntityName,
    /// Its key.
    pub key: CryptoKey,
    /// The instance number that the monitor gave it; 0 before.
    pub global_id: u64,
    /// The tickets by service, that for AUTH included.
    pub tickets: BTreeMap<EntityType, ServiceTicket>,
}

impl CephxClient {
    /// Without tickets.
    #[must_use]
    pub fn new(name: AuthEntityName, key: CryptoKey) -> Self {
        Self {
            name,
            key,
            global_id: 0,
            tickets: BTreeMap::new(),
        }
    }

    /// The answer to the monitor's challenge, asking for tickets to `services` too.
    pub fn answer_mon_challenge(
        &self,
        challenge: &Bytes,
        services: &[EntityType],
    ) -> Result<Bytes, SealError> {
        let mut r = Reader::new(challenge);
        r.u8()?;
        let server_challenge = r.u64()?;
        let client_challenge = rand::random();
        let held = self
            .tickets
            .get(&EntityType::AUTH)
            .filter(|_| self.global_id != 0);
        let request = Authenticate {
            client_challenge,
            proof: self.key.challenge_proof(server_challenge, client_challenge)?,
            old_ticket: held.map_or_else(TicketBlob::default, |t| t.blob.clone()),
            other_keys: mask(services) | u32::from(EntityType::AUTH.0),
            version: 3,
        };
        let mut out = BytesMut::new();
        out.put_u16_le(GET_AUTH_SESSION_KEY);
        request.encode(&mut out, Features::ALL);
        Ok(out.freeze())
    }

    /// Takes the monitor's reply; returns the connection secret (empty in crc mode).
    pub fn take_mon_reply(&mut self, reply: &Bytes) -> Result<Bytes, SealError> {
        let mut r = Reader::new(reply);
        r.skip(6, "CephXResponseHeader")?;
        let old = self.tickets.get(&EntityType::AUTH).map(|t| t.session_key.clone());
        let tickets = read_tickets(&mut r, &self.key, old.as_ref())?;
        self.keep(tickets);
        if r.is_empty() {
            return Ok(Bytes::new());
        }
        let session_key = self.session_key(EntityType::AUTH)?.clone();
        let (sealed, extra) = (r.blob()?, r.blob()?);
        let mut secret = Bytes::new();
        if !sealed.is_empty() {
            let sealed = Blob::from_bytes(&sealed)?.0;
            Blob(secret) = open(&session_key, KeyUsage::AUTH_CONNECTION_SECRET, &sealed)?;
        }
        if !extra.is_empty() {
            let tickets = read_tickets(&mut Reader::new(&extra), &session_key, None)?;
            self.keep(tickets);
        }
        Ok(secret)
    }

    /// A request for tickets, for the payload of `MAuth`.
    pub fn ticket_request(&self, services: &[EntityType]) -> Result<Bytes, SealError> {
        let mut out = BytesMut::new();
        out.put_u16_le(GET_PRINCIPAL_SESSION_KEY);
        let nonce = rand::random();
        out.extend_from_slice(&self.authorizer(EntityType::AUTH, nonce, None)?);
        out.put_u8(1);
        out.put_u32_le(mask(services));
        Ok(out.freeze())
    }

    /// Takes the reply to [`ticket_request`](Self::ticket_request).
    pub fn take_ticket_reply(&mut self, reply: &Bytes) -> Result<(), SealError> {
        let mut r = Reader::new(reply);
        r.skip(6, "CephXResponseHeader")?;
        let tickets = read_tickets(&mut r, self.session_key(EntityType::AUTH)?, None)?;
        self.keep(tickets);
        Ok(())
    }

    /// The authorizer for a service: the first one, or with the service's `challenge` the second.
    pub fn authorizer(
        &self,
        service: EntityType,
        nonce: u64,
        challenge: Option<&Bytes>,
    ) -> Result<Bytes, SealError> {
        let ticket = self.tickets.get(&service).ok_or(KeyError::Malformed)?;
        let challenge = match challenge {
            None => None,
            Some(sealed) => Some(open::<AuthorizeChallenge>(
                &ticket.session_key,
                KeyUsage::AUTHORIZE_CHALLENGE,
                sealed,
            )?),
        };
        let head = AuthorizerHead {
            global_id: self.global_id,
            service,
            ticket: ticket.blob.clone(),
        };
        let proof = Authorize {
            nonce,
            challenge_plus_one: challenge.map(|c| c.0.wrapping_add(1)),
        };
        let mut out = BytesMut::new();
        head.encode(&mut out, Features::ALL);
        seal_blob(&ticket.session_key, KeyUsage::AUTHORIZE, &proof, &mut out)?;
        Ok(out.freeze())
    }

    /// Checks a service's reply to the authorizer made with `nonce`; returns the connection secret. None if
    /// the service did not prove to know its key.
    pub fn check_service_reply(
        &self,
        service: EntityType,
        nonce: u64,
        reply: &Bytes,
    ) -> Result<Option<Bytes>, SealError> {
        let key = self.session_key(service)?;
        let reply: AuthorizeReply = open_blob(key, KeyUsage::AUTHORIZE_REPLY, &mut Reader::new(reply))?;
        Ok((reply.nonce_plus_one == nonce.wrapping_add(1)).then_some(reply.connection_secret))
    }

    /// The key shared with a service.
    pub fn session_key(&self, service: EntityType) -> Result<&CryptoKey, KeyError> {
        self.tickets
            .get(&service)
            .map(|t| &t.session_key)
            .ok_or(KeyError::Malformed)
    }

    fn keep(&mut self, tickets: Vec<ServiceTicket>) {
        self.tickets.extend(tickets.into_iter().map(|t| (t.service, t)));
    }
}

fn mask(services: &[EntityType]) -> u32 {
    services.iter().fold(0, |mask, s| mask | u32::from(s.0))
}
