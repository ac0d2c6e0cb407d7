//! What a client shows to a service: the ticket, and a proof that it knows the session key
//! (`CephXAuthorize` and relatives in Ceph `src/auth/cephx/CephxProtocol.h`).

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{Decode, Encode, Features, Put, Reader, codec, types::EntityType};

use super::{TicketBlob, ticket::entity_type};

/// The clear part of an authorizer; a sealed [`Authorize`] follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizerHead {
    /// The client instance that the ticket is for.
    pub global_id: u64,
    /// The service whose secret sealed the ticket.
    pub service: EntityType,
    /// The ticket.
    pub ticket: TicketBlob,
}

impl Encode for AuthorizerHead {
    fn encode(&self, out: &mut BytesMut, f: Features) {
        out.put_u8(1);
        out.put_u64_le(self.global_id);
        out.put_u32_le(self.service.0.into());
        self.ticket.encode(out, f);
    }
}

impl Decode for AuthorizerHead {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        r.u8()?;
        Ok(Self {
            global_id: r.u64()?,
            service: entity_type(r.u32()?)?,
            ticket: TicketBlob::decode(r)?,
        })
    }
}

/// The sealed proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Authorize {
    /// Random; the reply proves the service by adding one.
    pub nonce: u64,
    /// The service's challenge plus one, once it has been asked (version 2).
    pub challenge_plus_one: Option<u64>,
}

impl Encode for Authorize {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u8(2);
        out.put_u64_le(self.nonce);
        out.put_bool(self.challenge_plus_one.is_some());
        out.put_u64_le(self.challenge_plus_one.unwrap_or(0));
    }
}

impl Decode for Authorize {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        let version = r.u8()?;
        let nonce = r.u64()?;
        let challenge_plus_one = if version >= 2 {
            let have = r.bool()?;
            let value = r.u64()?;
            have.then_some(value)
        } else {
            None
        };
        Ok(Self {
            nonce,
            challenge_plus_one,
        })
    }
}

/// The service's challenge, sealed with the session key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthorizeChallenge(pub u64);

impl Encode for AuthorizeChallenge {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u8(1);
        out.put_u64_le(self.0);
    }
}

impl Decode for AuthorizeChallenge {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        r.u8()?;
        Ok(Self(r.u64()?))
    }
}

/// The service's answer, sealed with the session key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizeReply {
    /// Proves that the service opened the authorizer.
    pub nonce_plus_one: u64,
    /// Secret of a secure connection; empty otherwise.
    pub connection_secret: Bytes,
}

impl Encode for AuthorizeReply {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        let with_secret = !self.connection_secret.is_empty();
        out.put_u8(if with_secret { 2 } else { 1 });
        out.put_u64_le(self.nonce_plus_one);
        if with_secret {
            out.put_blob(&self.connection_secret);
        }
    }
}

impl Decode for AuthorizeReply {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        let version = r.u8()?;
        Ok(Self {
            nonce_plus_one: r.u64()?,
            connection_secret: if version >= 2 { r.blob()? } else { Bytes::new() },
        })
    }
}
