//! Following an authentication: who it is about, and which secret comes of it.

use bytes::Bytes;
use encoding::{
    Decode, Message, MessageType, RawMessage, Reader,
    messages::{MAuth, MAuthReply},
    types::EntityType,
};
use msgr::{
    auth::AuthMethod,
    cephx::{AuthEntityName, CryptoKey},
};

use crate::keys::{KeyBook, KeyTrouble};

use super::{ConnectionInfo, unnumbered};

/// The first of the modes in which a ticket is asked for, not shown (`AUTH_MODE_MON`).
const MODE_MON: u8 = 10;

/// The exchange on one connection.
#[derive(Default)]
pub(super) struct Auth {
    method: u32,
    /// Asked of a monitor; a service is shown a ticket.
    at_monitor: bool,
    entity: Option<String>,
    /// The last one shown.
    authorizer: Bytes,
}

impl Auth {
    /// The client begins: `AUTH_REQUEST`.
    pub(super) fn request(&mut self, method: u32, payload: &Bytes, info: &mut ConnectionInfo) {
        self.method = method;
        let mode = payload.first().copied().unwrap_or_default();
        self.at_monitor = mode >= MODE_MON;
        if self.at_monitor || method == AuthMethod::NONE.0 {
            let mut r = Reader::new(payload);
            let entity = r.u8().and_then(|_| AuthEntityName::decode(&mut r));
            self.entity = entity.ok().map(|e| e.to_string());
            info.client_entity.clone_from(&self.entity);
        } else {
            self.authorizer = payload.clone();
        }
    }

    /// The client goes on: `AUTH_REQUEST_MORE`.
    pub(super) fn request_more(&mut self, payload: &Bytes) {
        if !self.at_monitor {
            self.authorizer = payload.clone();
        }
    }

    /// The server accepts: `AUTH_DONE`. Returns the connection secret, empty if there is none.
    pub(super) fn done(
        &mut self,
        client: u64,
        payload: &Bytes,
        keys: &mut KeyBook,
        info: &mut ConnectionInfo,
    ) -> Result<Bytes, KeyTrouble> {
        is_numbered(client, info);
        match &self.entity {
            Some(entity) => keys.name(client, entity),
            None => info.client_entity = keys.name_of(client).cloned(),
        }
        if self.method != AuthMethod::CEPHX.0 {
            return Ok(Bytes::new());
        }
        if self.at_monitor {
            let entity = self.entity.as_deref().unwrap_or("?");
            return keys.take_mon_reply(entity, client, payload);
        }
        let key: CryptoKey = keys.key_of_authorizer(&self.authorizer)?;
        KeyBook::service_secret(&key, payload)
    }

    /// A message of the older way to authenticate, and to renew tickets.
    pub(super) fn message(&mut self, raw: &RawMessage, keys: &mut KeyBook, info: &mut ConnectionInfo) {
        match raw.header.kind {
            MessageType::AUTH => {
                if let Ok(m) = MAuth::decode(raw)
                    && m.protocol == 0
                {
                    self.first_message(&m.payload, info);
                }
            }
            MessageType::AUTH_REPLY => {
                if let Ok(m) = MAuthReply::decode(raw) {
                    self.reply_message(&m, keys, info);
                }
            }
            _ => {}
        }
    }

    /// Version, methods, name, number.
    fn first_message(&mut self, payload: &Bytes, info: &mut ConnectionInfo) {
        let mut r = Reader::new(payload);
        let entity = r
            .u8()
            .and_then(|_| r.vec::<u32>())
            .and_then(|_| AuthEntityName::decode(&mut r));
        self.entity = entity.ok().map(|e| e.to_string());
        info.client_entity.clone_from(&self.entity);
    }

    fn reply_message(&mut self, m: &MAuthReply, keys: &mut KeyBook, info: &mut ConnectionInfo) {
        let entity = self.entity.clone().or_else(|| info.client_entity.clone());
        let Some(entity) = entity.filter(|_| m.global_id != 0) else {
            return;
        };
        keys.name(m.global_id, &entity);
        is_numbered(m.global_id, info);
        if m.protocol == AuthMethod::CEPHX.0 && m.result == 0 {
            // The first reply is a challenge, which is no reply of this form. What is learned is for secure
            // connections, and those say so if it is not known.
            let _ = keys.take_mon_reply(&entity, m.global_id, &m.payload);
        }
    }
}

/// A client's number is its global id; daemons have numbers of their own.
fn is_numbered(global_id: u64, info: &mut ConnectionInfo) {
    let client = info.client.get_or_insert(unnumbered(EntityType::CLIENT));
    if client.kind == EntityType::CLIENT
        && let Ok(num) = i64::try_from(global_id)
    {
        client.num = num;
    }
}
