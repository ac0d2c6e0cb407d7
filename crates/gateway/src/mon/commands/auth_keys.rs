//! Key types, and keys that are replaced: `auth rotate`, `auth ...-pending`, `auth wipe-rotating-service-keys`,
//! `mon set` (Ceph 20.2 `src/mon/AuthMonitor.cc`, `MonmapMonitor.cc`).

use std::time::SystemTime;

use msgr::cephx::{EntityAuth, KeyServer, KeyType};
use rustix::io::Errno;

use super::{CommandResult, Context, auth};
use crate::{
    cluster::{CipherSetting, ClusterError, INSECURE_KEYS, new_key},
    mon::reply::{CommandError, Reply, einval, enoent},
};

/// What stands for the type that the monitor map prefers.
const PREFERRED: &str = "preferred";

/// The key type that the command asks for, if such keys may be made. As in Ceph, what may not is EINVAL too.
pub(super) fn key_type(ctx: &Context<'_>) -> Result<KeyType, CommandError> {
    let wanted = ctx.args.str("key_type").unwrap_or(PREFERRED);
    let (kind, shown) = if wanted == PREFERRED {
        let kind = ctx.cluster().preferred_cipher();
        (kind, format!("`preferred' AKA {}", kind.name()))
    } else {
        let kind = KeyType::from_name(wanted).ok_or_else(|| einval(format!("invalid key type: {wanted}")))?;
        (kind, kind.name().to_owned())
    };
    if kind != KeyType::AES256KRB5 && !ctx.cluster().option_bool(INSECURE_KEYS) {
        return Err(einval(format!(
            "creating key with insecure key type (\"{shown}\") not allowed"
        )));
    }
    if !ctx.cluster().is_cipher_allowed(kind) {
        return Err(einval(format!(
            "refusing to create key with type ({shown}) that cannot be used for auth (auth_allowed_ciphers)"
        )));
    }
    Ok(kind)
}

/// Changes an entity; what there is to say if it does not exist.
fn edit(
    ctx: &Context<'_>,
    name: &str,
    missing: String,
    edit: impl FnOnce(&mut EntityAuth) -> bool,
) -> Result<EntityAuth, CommandError> {
    match ctx.cluster().edit_entity(name, edit) {
        Err(ClusterError::NoSuchEntity(_)) => Err(enoent(missing)),
        other => Ok(other?),
    }
}

/// `auth rotate ENTITY [--key-type TYPE]`: a new key at once; who has the old one is shut out.
pub(super) fn rotate(ctx: &Context<'_>) -> CommandResult {
    let name = auth::entity_arg(ctx)?;
    let key = new_key(key_type(ctx)?)?;
    let entity = edit(ctx, &name, "entity does not exist".to_owned(), |entity| {
        entity.key = key;
        true
    })?;
    Ok(auth::one(ctx, name, entity))
}

/// `auth get-or-create-pending ENTITY`: a key beside the other, which it replaces when it is first used.
pub(super) fn get_or_create_pending(ctx: &Context<'_>) -> CommandResult {
    let name = auth::entity_arg(ctx)?;
    let key = new_key(key_type(ctx)?)?;
    let entity = edit(ctx, &name, missing(&name), |entity| {
        let make = entity.pending_key.is_none();
        entity.pending_key.get_or_insert(key);
        make
    })?;
    // Keys alone, without capabilities.
    let keys = EntityAuth {
        caps: Default::default(),
        ..entity
    };
    Ok(auth::one(ctx, name, keys))
}

/// `auth clear-pending ENTITY`.
pub(super) fn clear_pending(ctx: &Context<'_>) -> CommandResult {
    let name = auth::entity_arg(ctx)?;
    edit(ctx, &name, missing(&name), |entity| {
        entity.pending_key.take().is_some()
    })?;
    Ok(Reply::default())
}

/// `auth commit-pending ENTITY`.
pub(super) fn commit_pending(ctx: &Context<'_>) -> CommandResult {
    let name = auth::entity_arg(ctx)?;
    let mut committed = false;
    edit(ctx, &name, missing(&name), |entity| {
        if let Some(key) = entity.pending_key.take() {
            entity.key = key;
            committed = true;
        }
        committed
    })?;
    Ok(match committed {
        true => Reply::default(),
        false => Reply::status("no pending key"),
    })
}

fn missing(name: &str) -> String {
    format!("entity {name} does not exist")
}

/// `auth wipe-rotating-service-keys`.
pub(super) fn wipe_service_keys(ctx: &Context<'_>) -> CommandResult {
    ctx.cluster().wipe_service_secrets(SystemTime::now())?;
    Ok(Reply::status("wiped rotating service keys!"))
}

/// `mon set NAME VALUE`: the cipher fields of the monitor map.
pub(super) fn mon_set(ctx: &Context<'_>) -> CommandResult {
    let (name, value) = (ctx.args.need("name")?, ctx.args.need("value")?);
    let one = |name: &str| {
        KeyType::from_name(name)
            .filter(|kind| *kind != KeyType::NONE)
            .ok_or_else(|| CommandError::new(Errno::INVAL, format!("(22) Invalid argument: '{name}'")))
    };
    let setting = match name {
        "auth_service_cipher" => CipherSetting::Service(one(value)?),
        "auth_preferred_cipher" => CipherSetting::Preferred(one(value)?),
        "auth_allowed_ciphers" => {
            let names = value.split([',', ' ']).filter(|n| !n.is_empty());
            CipherSetting::Allowed(names.map(one).collect::<Result<_, _>>()?)
        }
        _ => return Err(einval(format!("unknown name {name}"))),
    };
    match ctx.cluster().set_cipher(setting)? {
        true => Ok(Reply::default()),
        false => Ok(Reply::status("already set")),
    }
}
