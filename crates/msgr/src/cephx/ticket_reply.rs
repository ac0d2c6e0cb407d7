//! How the monitor hands out tickets (`cephx_build_service_ticket_reply` in Ceph
//! `src/auth/cephx/CephxProtocol.cc`), and what it is asked for.

use std::time::{Duration, SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{
    Decode, Encode, Features, Put, Reader, codec,
    types::{EntityType, Utime},
};

use super::{
    AuthTicket, CryptoKey, KeyError, KeyServer, KeyType, KeyUsage, SealError, ServiceTicketInfo, TicketBlob,
    open_blob, seal, seal_blob, ticket::entity_type,
};

/// A ticket for a service before it is sealed (`CephXSessionAuthInfo`).
pub(super) struct NewTicket {
    service: EntityType,
    secret_id: u64,
    service_secret: CryptoKey,
    info: ServiceTicketInfo,
    validity: Duration,
}

impl NewTicket {
    /// A ticket for `service` with a new session key, and what `ticket` says. Its owner has a key of type
    /// `owners`; the session key is one that the service's side knows too. None if the service has no secret, or
    /// keys of that type cannot be made.
    pub(super) fn new(
        keys: &dyn KeyServer,
        service: EntityType,
        ticket: AuthTicket,
        owners: KeyType,
        now: SystemTime,
    ) -> Option<Self> {
        let secrets = keys.secrets();
        let (secret_id, secret, validity) = secrets.current(service, now, &keys.ticket_ttl())?;
        // The monitor itself knows every type: the ticket that buys others is as good as its owner's key.
        let kind = match service {
            EntityType::AUTH => owners,
            _ => owners.min(secret.kind()),
        };
        Some(Self {
            service,
            secret_id,
            service_secret: secret.clone(),
            info: ServiceTicketInfo {
                ticket: ticket.valid_for(now, validity),
                session_key: CryptoKey::generate_of(kind, now).ok()?,
            },
            validity,
        })
    }

    pub(super) fn session_key(&self) -> &CryptoKey {
        &self.info.session_key
    }
}

/// `CephXServiceTicket`: what the owner learns of its ticket.
struct OwnersPart {
    session_key: CryptoKey,
    validity: Utime,
}

impl Encode for OwnersPart {
    fn encode(&self, out: &mut BytesMut, f: Features) {
        out.put_u8(1);
        self.session_key.encode(out, f);
        self.validity.encode(out, f);
    }
}

impl Decode for OwnersPart {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        r.u8()?;
        Ok(Self {
            session_key: CryptoKey::decode(r)?,
            validity: Utime::decode(r)?,
        })
    }
}

/// A `bufferlist` as a value.
pub(super) struct Blob(pub(super) Bytes);

impl Encode for Blob {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_blob(&self.0);
    }
}

impl Decode for Blob {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        Ok(Self(r.blob()?))
    }
}

/// Appends tickets for the owner of `owners_key`. With `blob_key` the blobs are sealed with it, so that only
/// who held an earlier ticket can use them.
pub(super) fn put_tickets(
    out: &mut BytesMut,
    tickets: &[NewTicket],
    owners_key: &CryptoKey,
    blob_key: Option<&CryptoKey>,
) -> Result<(), KeyError> {
    out.put_u8(1);
    out.put_u32_le(codec::wire_len(tickets.len()));
    for t in tickets {
        out.put_u32_le(t.service.0.into());
        out.put_u8(1);
        let owners = OwnersPart {
            session_key: t.info.session_key.clone(),
            validity: Utime::from_duration(t.validity),
        };
        seal_blob(owners_key, KeyUsage::TICKET_SESSION_KEY, &owners, out)?;
        let blob = TicketBlob {
            secret_id: t.secret_id,
            blob: seal(&t.service_secret, KeyUsage::TICKET_INFO, &t.info)?,
        };
        let blob = Blob(blob.to_bytes(Features::ALL));
        out.put_bool(blob_key.is_some());
        match blob_key {
            Some(key) => seal_blob(key, KeyUsage::TICKET_BLOB, &blob, out)?,
            None => blob.encode(out, Features::ALL),
        }
    }
    Ok(())
}

/// A ticket as its owner holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceTicket {
    /// The service it is for.
    pub service: EntityType,
    /// The key shared with the service.
    pub session_key: CryptoKey,
    /// How long it is valid from when it was received.
    pub validity: Duration,
    /// What is shown to the service.
    pub blob: TicketBlob,
}

/// Reads tickets; `old` is the session key of the earlier ticket, should blobs be sealed with it.
pub(super) fn read_tickets(
    r: &mut Reader<'_>,
    owners_key: &CryptoKey,
    old: Option<&CryptoKey>,
) -> Result<Vec<ServiceTicket>, SealError> {
    r.u8()?;
    let mut tickets = Vec::new();
    for _ in 0..r.count(4, "tickets")? {
        let service = entity_type(r.u32()?)?;
        r.u8()?;
        let owners: OwnersPart = open_blob(owners_key, KeyUsage::TICKET_SESSION_KEY, r)?;
        let Blob(blob) = if r.bool()? {
            open_blob(old.ok_or(KeyError::Decrypt)?, KeyUsage::TICKET_BLOB, r)?
        } else {
            Blob::decode(r)?
        };
        tickets.push(ServiceTicket {
            service,
            session_key: owners.session_key,
            validity: owners.validity.as_duration(),
            blob: TicketBlob::from_bytes(&blob)?,
        });
    }
    Ok(tickets)
}

/// `CephXAuthenticate`: the answer to the monitor's challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authenticate {
    pub(super) client_challenge: u64,
    /// See [`CryptoKey::challenge_proof`].
    pub(super) proof: u64,
    /// The ticket held before; empty for none.
    pub(super) old_ticket: TicketBlob,
    /// Services to give tickets for at once, as a mask of entity types (version 2).
    pub(super) other_keys: u32,
    /// Below 3, a client may not know that it has to show its old ticket.
    pub(super) version: u8,
}

impl Encode for Authenticate {
    fn encode(&self, out: &mut BytesMut, f: Features) {
        out.put_u8(self.version);
        out.put_u64_le(self.client_challenge);
        out.put_u64_le(self.proof);
        self.old_ticket.encode(out, f);
        if self.version >= 2 {
            out.put_u32_le(self.other_keys);
        }
    }
}

impl Decode for Authenticate {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        let version = r.u8()?;
        Ok(Self {
            client_challenge: r.u64()?,
            proof: r.u64()?,
            old_ticket: TicketBlob::decode(r)?,
            other_keys: if version >= 2 { r.u32()? } else { 0 },
            version,
        })
    }
}
