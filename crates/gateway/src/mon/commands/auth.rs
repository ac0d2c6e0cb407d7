//! `auth ...`.

use encoding::codec::Reader;
use msgr::cephx::{EntityAuth, KeyServer, Keyring};
use serde_json::{Map, Value, json};

use super::{CommandResult, Context, auth_keys::key_type};
use crate::{
    cluster::{ClusterError, entity_name, new_key},
    mon::{
        format::Format,
        reply::{CommandError, Reply, einval, enoent},
    },
};

/// The entity that the command names, in its full form.
pub(super) fn entity_arg(ctx: &Context<'_>) -> Result<String, CommandError> {
    let text = ctx.args.need("entity")?;
    entity_name(text).ok_or_else(|| einval(format!("invalid entity_auth {text}")))
}

fn key_text(auth: &EntityAuth) -> String {
    auth.key.to_base64().to_string()
}

/// A key alone; as text it has no newline, so that it can be used as it is.
fn key_reply(ctx: &Context<'_>, auth: &EntityAuth) -> Reply {
    let key = key_text(auth);
    match ctx.format {
        Format::Plain => Reply::data(key),
        format => Reply::value(format, "auth", &json!({ "key": key })),
    }
}

fn caps_value(auth: &EntityAuth) -> Map<String, Value> {
    let texts = auth.caps.iter().map(|(service, raw)| {
        let text = Reader::new(raw).string().unwrap_or_default();
        (service.clone(), Value::from(text))
    });
    texts.collect()
}

fn entity_value(name: &str, auth: &EntityAuth) -> Value {
    let mut value = Map::new();
    value.insert("entity".into(), name.into());
    value.insert("key".into(), key_text(auth).into());
    if let Some(pending) = &auth.pending_key {
        value.insert("pending_key".into(), pending.to_base64().as_str().into());
    }
    value.insert("caps".into(), caps_value(auth).into());
    Value::Object(value)
}

/// A keyring with one entity, as file or in the format asked for.
pub(super) fn one(ctx: &Context<'_>, name: String, auth: EntityAuth) -> Reply {
    let value = json!([entity_value(&name, &auth)]);
    Reply::either(ctx.format, "auth/auth_entities", &value, || {
        Keyring {
            entities: [(name, auth)].into(),
        }
        .format()
    })
}

/// `auth get ENTITY`.
pub(super) fn get(ctx: &Context<'_>) -> CommandResult {
    let name = entity_arg(ctx)?;
    let auth = ctx
        .cluster()
        .entity(&name)
        .ok_or_else(|| enoent(format!("failed to find {name} in keyring")))?;
    let status = format!("exported keyring for {name}");
    Ok(one(ctx, name, auth).with_status(status))
}

/// `auth get-key ENTITY`, `auth print-key ENTITY`.
pub(super) fn get_key(ctx: &Context<'_>) -> CommandResult {
    let name = entity_arg(ctx)?;
    let auth = ctx
        .cluster()
        .entity(&name)
        .ok_or_else(|| enoent(format!("don't have {name}")))?;
    Ok(key_reply(ctx, &auth))
}

/// `auth export [ENTITY]`.
pub(super) fn export(ctx: &Context<'_>) -> CommandResult {
    if ctx.args.str("entity").is_some() {
        let name = entity_arg(ctx)?;
        let auth = ctx
            .cluster()
            .entity(&name)
            .ok_or_else(|| enoent(format!("no key for {name}")))?;
        let status = format!("export {name}");
        return Ok(one(ctx, name, auth).with_status(status));
    }
    let ring = ctx.cluster().entities();
    let all: Vec<Value> = ring.entities.iter().map(|(n, a)| entity_value(n, a)).collect();
    Ok(Reply::either(
        ctx.format,
        "auth/auth_entities",
        &json!(all),
        || ring.format(),
    ))
}

/// `auth ls`.
pub(super) fn ls(ctx: &Context<'_>) -> CommandResult {
    let ring = ctx.cluster().entities();
    let all: Vec<Value> = ring.entities.iter().map(|(n, a)| entity_value(n, a)).collect();
    let reply = Reply::either(ctx.format, "auth", &json!({ "auth_dump": all }), || {
        let mut out = String::new();
        for (name, auth) in &ring.entities {
            out += &format!("{name}\n\tkey: {}\n", key_text(auth));
            for (service, caps) in caps_value(auth) {
                out += &format!("\tcaps: [{service}] {}\n", caps.as_str().unwrap_or_default());
            }
        }
        out
    });
    // The text form announces its list to people only.
    Ok(if ctx.format == Format::Plain {
        reply.with_status("installed auth entries:\n")
    } else {
        reply
    })
}

/// The entity of that name, made if it does not exist. One that exists must have the capabilities asked for.
fn get_or_make(ctx: &Context<'_>) -> Result<(String, EntityAuth), CommandError> {
    let name = entity_arg(ctx)?;
    let wanted = ctx.args.caps()?;
    let kind = key_type(ctx)?;
    if let Some(auth) = ctx.cluster().entity(&name) {
        for (service, text) in &wanted {
            if auth.caps_text(service).as_deref() != Some(text) {
                return Err(einval(format!(
                    "key for {name} exists but cap {service} does not match"
                )));
            }
        }
        return Ok((name, auth));
    }
    let auth = ctx.cluster().add_entity(&name, Some(new_key(kind)?), &wanted)?;
    Ok((name, auth))
}

/// `auth get-or-create ENTITY [SERVICE CAPS]...`.
pub(super) fn get_or_create(ctx: &Context<'_>) -> CommandResult {
    let (name, auth) = get_or_make(ctx)?;
    let value = json!([entity_value(&name, &auth)]);
    // The text form has the key alone.
    Ok(Reply::either(ctx.format, "auth/auth_entities", &value, || {
        format!("[{name}]\n\tkey = {}\n", key_text(&auth))
    }))
}

/// `auth get-or-create-key ENTITY [SERVICE CAPS]...`.
pub(super) fn get_or_create_key(ctx: &Context<'_>) -> CommandResult {
    let (_, auth) = get_or_make(ctx)?;
    Ok(key_reply(ctx, &auth))
}

/// The keyring that came with the command.
fn input_keyring(ctx: &Context<'_>) -> Result<Keyring, CommandError> {
    let text = std::str::from_utf8(ctx.input).map_err(|_| einval("error decoding keyring"))?;
    Keyring::parse(text).map_err(|e| einval(format!("error decoding keyring: {e}")))
}

/// `auth add ENTITY [SERVICE CAPS]... [-i KEYRING]`.
pub(super) fn add(ctx: &Context<'_>) -> CommandResult {
    let name = entity_arg(ctx)?;
    let mut caps = ctx.args.caps()?;
    let kind = key_type(ctx)?;
    let mut key = None;
    if !ctx.input.is_empty() {
        let given = input_keyring(ctx)?
            .entities
            .remove(&name)
            .ok_or_else(|| einval(format!("key for {name} not found in provided keyring")))?;
        if !caps.is_empty() && !given.caps.is_empty() {
            return Err(einval("caps cannot be specified both in keyring and in command"));
        }
        let given_caps = given
            .caps
            .keys()
            .map(|s| (s.clone(), given.caps_text(s).unwrap_or_default()));
        caps.extend(given_caps);
        key = Some(given.key);
    }
    if let Some(auth) = ctx.cluster().entity(&name) {
        if key.is_some_and(|k| k != auth.key) {
            return Err(einval(format!("entity {name} exists but key does not match")));
        }
        let same = caps.len() == auth.caps.len()
            && caps.iter().all(|(s, t)| auth.caps_text(s).as_deref() == Some(t));
        return match same {
            true => Ok(Reply::default()),
            false => Err(einval(format!("entity {name} exists but caps do not match"))),
        };
    }
    let key = match key {
        Some(key) => key,
        None => new_key(kind)?,
    };
    ctx.cluster().add_entity(&name, Some(key), &caps)?;
    Ok(Reply::status(format!("added key for {name}")))
}

/// `auth import -i KEYRING`.
pub(super) fn import(ctx: &Context<'_>) -> CommandResult {
    if ctx.input.is_empty() {
        return Err(einval("auth import: no data supplied"));
    }
    for (name, auth) in input_keyring(ctx)?.entities {
        ctx.cluster().import_entity(&name, auth)?;
    }
    Ok(Reply::status("imported keyring"))
}

/// `auth caps ENTITY SERVICE CAPS...`.
pub(super) fn caps(ctx: &Context<'_>) -> CommandResult {
    let name = entity_arg(ctx)?;
    match ctx.cluster().set_caps(&name, &ctx.args.caps()?) {
        Ok(()) => Ok(Reply::status(format!("updated caps for {name}"))),
        Err(ClusterError::NoSuchEntity(_)) => Err(enoent(format!("couldn't find entry {name}"))),
        Err(other) => Err(other.into()),
    }
}

/// `auth rm ENTITY`.
pub(super) fn rm(ctx: &Context<'_>) -> CommandResult {
    let name = entity_arg(ctx)?;
    match ctx.cluster().remove_entity(&name)? {
        true => Ok(Reply::status("updated")),
        false => Ok(Reply::status(format!("entity {name} does not exist"))),
    }
}
