//! The services' side: verifying authorizers (`cephx_verify_authorizer` in Ceph
//! `src/auth/cephx/CephxProtocol.cc`).

use bytes::{Bytes, BytesMut};
use encoding::{Decode, Reader, types::EntityType};

use super::{
    AuthTicket, Authorize, AuthorizeChallenge, AuthorizeReply, AuthorizerHead, CryptoKey, KeyUsage, Refusal,
    RotatingSecrets, ServiceTicketInfo, TicketBlob, open, open_blob, refusal::log_at_service, seal,
    seal_blob,
};

/// A client that proved to own a ticket.
#[derive(Debug)]
pub struct Accepted {
    /// What to send back.
    pub reply: Bytes,
    /// The ticket.
    pub ticket: AuthTicket,
    /// The key shared with the client.
    pub session_key: CryptoKey,
    /// The secret of a secure connection.
    pub connection_secret: Bytes,
}

/// What to do with an authorizer.
#[derive(Debug)]
pub enum Verdict {
    /// Send this challenge and wait for another authorizer.
    Challenge(Bytes),
    /// The client is who it says.
    Accepted(Box<Accepted>),
    /// It is not, or its ticket is too old.
    Refused,
}

/// One connection's verification at a service. Each has a challenge of its own, so that an authorizer cannot
/// be replayed.
#[derive(Debug)]
pub struct ServiceAuth {
    service: EntityType,
    must_challenge: bool,
    challenge: Option<u64>,
}

impl ServiceAuth {
    /// For a daemon of type `service`.
    #[must_use]
    pub fn new(service: EntityType) -> Self {
        Self {
            service,
            must_challenge: true,
            challenge: None,
        }
    }

    /// Whether clients are challenged. Only those without CEPHX_V2, which cannot answer, may be spared: whoever
    /// listened to one of their connections can open another with the same authorizer while the ticket lives.
    #[must_use]
    pub fn with_challenge(mut self, challenge: bool) -> Self {
        self.must_challenge = challenge;
        self
    }

    /// Verifies `payload`. `secret_len` is the length of the connection secret to make, 0 for none.
    pub fn verify(&mut self, secrets: &RotatingSecrets, payload: &Bytes, secret_len: usize) -> Verdict {
        let mut r = Reader::new(payload);
        let (info, proof) = match open_authorizer(secrets, self.service, &mut r) {
            Ok(opened) => opened,
            Err(why) => return self.refused(&why),
        };
        if self.must_challenge {
            let (Some(expected), Some(given)) = (self.challenge, proof.challenge_plus_one) else {
                return self.challenge(&info);
            };
            if expected.wrapping_add(1) != given {
                return self.refused(&Refusal::BadChallenge);
            }
        }
        let reply = AuthorizeReply {
            nonce_plus_one: proof.nonce.wrapping_add(1),
            connection_secret: random_secret(secret_len),
        };
        let mut sealed = BytesMut::new();
        if seal_blob(&info.session_key, KeyUsage::AUTHORIZE_REPLY, &reply, &mut sealed).is_err() {
            return Verdict::Refused;
        }
        Verdict::Accepted(Box::new(Accepted {
            reply: sealed.freeze(),
            ticket: info.ticket,
            session_key: info.session_key,
            connection_secret: reply.connection_secret,
        }))
    }

    fn challenge(&mut self, info: &ServiceTicketInfo) -> Verdict {
        let challenge = rand::random();
        self.challenge = Some(challenge);
        let sealed = seal(
            &info.session_key,
            KeyUsage::AUTHORIZE_CHALLENGE,
            &AuthorizeChallenge(challenge),
        );
        sealed.map_or(Verdict::Refused, Verdict::Challenge)
    }

    /// A failed proof uses up the challenge.
    fn refused(&mut self, why: &Refusal) -> Verdict {
        log_at_service(self.service, why);
        self.challenge = None;
        Verdict::Refused
    }
}

/// A connection secret of `len` random bytes.
pub(super) fn random_secret(len: usize) -> Bytes {
    let mut secret = vec![0; len];
    rand::fill(&mut secret[..]);
    secret.into()
}

/// Opens a ticket with the secret it names.
pub(super) fn open_ticket(
    secrets: &RotatingSecrets,
    service: EntityType,
    ticket: &TicketBlob,
) -> Result<ServiceTicketInfo, Refusal> {
    let secret = secrets
        .get(service, ticket.secret_id)
        .ok_or_else(|| Refusal::no_secret(secrets, service, ticket.secret_id))?;
    open(secret, KeyUsage::TICKET_INFO, &ticket.blob).map_err(|_| Refusal::BadSeal)
}

/// Reads an authorizer for `service`, leaving `r` behind it. An error if it is not a valid one.
pub(super) fn open_authorizer(
    secrets: &RotatingSecrets,
    service: EntityType,
    r: &mut Reader<'_>,
) -> Result<(ServiceTicketInfo, Authorize), Refusal> {
    let head = AuthorizerHead::decode(r).map_err(|_| Refusal::Malformed)?;
    if head.service != service {
        return Err(Refusal::WrongService(head.service));
    }
    let info = open_ticket(secrets, service, &head.ticket)?;
    if info.ticket.global_id != head.global_id {
        return Err(Refusal::GlobalIdMismatch);
    }
    let proof = open_blob(&info.session_key, KeyUsage::AUTHORIZE, r).map_err(|_| Refusal::BadProof)?;
    Ok((info, proof))
}
