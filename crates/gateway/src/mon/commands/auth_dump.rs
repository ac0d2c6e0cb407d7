//! `auth dump-keys` (Ceph 20.2 `src/auth/cephx/CephxKeyServer.cc`): which keys there are, of which type and age. The keys
//! themselves are not told, nor are they by Ceph.

use encoding::types::EntityType;
use msgr::cephx::{AuthEntityName, CryptoKey, EntityAuth, KeyServer, ServiceSecrets};
use serde_json::{Value, json};

use super::{CommandResult, Context};
use crate::mon::{
    format::Format,
    reply::{Reply, einval},
    time,
};

/// `CryptoKey::dump`.
fn key(key: &CryptoKey) -> Value {
    json!({
        "type": key.kind().0, "type_str": key.kind().name(), "created": time::local(key.created()),
    })
}

/// `EntityName::dump`.
fn name(kind: EntityType, id: &str) -> Value {
    json!({"type": kind.0, "type_str": kind.name(), "id": id})
}

/// `EntityAuth::dump`.
fn auth(entity: &EntityAuth) -> Value {
    let caps = entity.caps.keys().map(|service| {
        json!({"service_name": service, "access_spec": entity.caps_text(service).unwrap_or_default()})
    });
    json!({
        "key": key(&entity.key),
        "pending_key": key(&entity.pending_key.clone().unwrap_or_default()),
        "caps": caps.collect::<Vec<_>>(),
    })
}

/// `RotatingSecrets::dump`.
fn rotating(secrets: &ServiceSecrets) -> Value {
    let keys = secrets.secrets.iter().map(|(id, secret)| {
        let expiring = json!({"key": key(&secret.key), "expiration": time::local(secret.expiration)});
        json!({"id": id, "expiring_key": expiring})
    });
    json!({"max_ver": secrets.max_id, "keys": keys.collect::<Vec<_>>()})
}

/// `auth dump-keys`.
pub(super) fn dump_keys(ctx: &Context<'_>) -> CommandResult {
    if ctx.format == Format::Plain {
        return Err(einval(
            "format type \"plain\" not supported by this command; try json",
        ));
    }
    let secrets = ctx.cluster().secrets();
    let entities = ctx.cluster().entities().entities;
    let of_entity = |(full, entity): (&String, &EntityAuth)| {
        let parsed = AuthEntityName::parse(full)?;
        Some(json!({"entity": name(parsed.kind, &parsed.id), "auth": auth(entity)}))
    };
    let of_service = |(kind, secrets): (&EntityType, &ServiceSecrets)| json!({"entity": name(*kind, "*"), "secrets": rotating(secrets)});
    // Entities have no version of their own here; `report` has the same one.
    let value = json!({"data": {
        "version": ctx.cluster().osdmap().epoch, "rotating_version": secrets.version,
        "secrets": entities.iter().filter_map(of_entity).collect::<Vec<_>>(),
        "rotating_secrets": secrets.services.iter().map(of_service).collect::<Vec<_>>(),
    }});
    Ok(Reply::value(ctx.format, "keys", &value))
}
