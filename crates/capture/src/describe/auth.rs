//! Steps of authentication (Ceph `src/auth/cephx/CephxProtocol.h`), as far as they are in clear.

use bytes::Bytes;
use encoding::{Decode, Reader, codec};
use msgr::cephx::{
    AuthEntityName, AuthorizerHead, GET_AUTH_SESSION_KEY, GET_PRINCIPAL_SESSION_KEY, GET_ROTATING_KEY,
};

use super::value::{Fields, Value, result, text};

const NONE: u32 = 1;
const CEPHX: u32 = 2;

/// `CEPH_AUTH_*`.
pub(super) fn method(method: u32) -> Value {
    match method {
        NONE => "none".into(),
        CEPHX => "cephx".into(),
        other => other.into(),
    }
}

/// `CEPH_CON_MODE_*`.
pub(super) fn mode(mode: u32) -> Value {
    match mode {
        1 => "crc".into(),
        2 => "secure".into(),
        other => other.into(),
    }
}

fn cephx_request(kind: u16) -> Value {
    match kind {
        GET_AUTH_SESSION_KEY => "get_auth_session_key".into(),
        GET_PRINCIPAL_SESSION_KEY => "get_principal_session_key".into(),
        GET_ROTATING_KEY => "get_rotating_key".into(),
        other => Value::Hex(other.into()),
    }
}

/// Behind the method: mode, name and number, or an authorizer.
fn try_first(method: u32, payload: &Bytes) -> codec::Result<Fields> {
    if method == CEPHX && payload.first().is_some_and(|mode| *mode < 10) {
        return try_authorizer(payload);
    }
    let mut r = Reader::new(payload);
    r.u8()?;
    let entity = AuthEntityName::decode(&mut r)?;
    Ok(vec![("entity", text(entity)), ("global_id", r.u64()?.into())])
}

fn try_authorizer(payload: &Bytes) -> codec::Result<Fields> {
    let mut r = Reader::new(payload);
    let head = AuthorizerHead::decode(&mut r)?;
    Ok(vec![
        ("step", "authorizer".into()),
        ("global_id", head.global_id.into()),
        ("service", text(head.service)),
        ("secret_id", head.ticket.secret_id.into()),
    ])
}

fn or_length(fields: codec::Result<Fields>, payload: &Bytes) -> Fields {
    fields.unwrap_or_else(|_| vec![("payload", payload.len().into())])
}

/// The client's first payload.
pub(super) fn first(method: u32, payload: &Bytes) -> Fields {
    or_length(try_first(method, payload), payload)
}

/// An authorizer as v1 has it in CONNECT.
pub(super) fn authorizer(payload: &Bytes) -> Fields {
    if payload.is_empty() {
        return Fields::new();
    }
    or_length(try_authorizer(payload), payload)
}

/// The client's further payloads: an authorizer, or a request to the monitor.
pub(super) fn more(payload: &Bytes) -> Fields {
    let request = |payload| {
        let kind = Reader::new(payload).u16()?;
        Ok(vec![("step", cephx_request(kind))])
    };
    let fields = match payload.first() {
        Some(1) => try_authorizer(payload),
        _ => request(payload),
    };
    or_length(fields, payload)
}

/// The server's payload before the end.
pub(super) fn challenge(payload: &Bytes) -> Fields {
    vec![("step", "challenge".into()), ("payload", payload.len().into())]
}

/// The server's last payload.
pub(super) fn done(payload: &Bytes) -> Fields {
    let tickets = |payload| -> codec::Result<Fields> {
        let mut r = Reader::new(payload);
        let (kind, status) = (r.u16()?, r.i32()?);
        let mut fields = vec![("step", cephx_request(kind)), ("status", result(status))];
        if status == 0 && kind != GET_ROTATING_KEY {
            r.u8()?;
            fields.push(("tickets", r.u32()?.into()));
        }
        Ok(fields)
    };
    match payload.first() {
        None => Fields::new(),
        Some(0) => or_length(tickets(payload), payload),
        Some(_) => vec![("step", "proof".into()), ("payload", payload.len().into())],
    }
}

/// The payload of MAuth.
pub(super) fn of_mauth(protocol: u32, payload: &Bytes) -> Fields {
    if protocol != 0 {
        return more(payload);
    }
    let first = |payload| -> codec::Result<Fields> {
        let mut r = Reader::new(payload);
        r.u8()?;
        let methods: Vec<u32> = r.vec()?;
        let entity = AuthEntityName::decode(&mut r)?;
        Ok(vec![
            ("methods", Value::List(methods.into_iter().map(method).collect())),
            ("entity", text(entity)),
            ("global_id", r.u64()?.into()),
        ])
    };
    or_length(first(payload), payload)
}

/// The payload of MAuthReply.
pub(super) fn of_mauth_reply(payload: &Bytes) -> Fields {
    match payload.first() {
        Some(1) => challenge(payload),
        _ => done(payload),
    }
}
