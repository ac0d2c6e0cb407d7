//! `config ...` and `config-key ...`.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{CommandResult, Context, pool::ALLOW_DELETE};
use crate::{
    cluster::{AUTH_OPTIONS, normalized},
    mon::{
        client_options,
        format::{Column, table},
        reply::{CommandError, Reply, einval, enoent},
    },
};

/// Largest value of `config-key`, in bytes (`mon_config_key_max_entry_size`).
const MAX_CONFIG_KEY: usize = 64 << 10;

/// Options that this server itself heeds, with their defaults.
fn ours() -> impl Iterator<Item = (&'static str, &'static str)> {
    [(ALLOW_DELETE, "true")].into_iter().chain(AUTH_OPTIONS)
}

/// A section's name: `global`, a kind of daemon, or an entity. Masks are not supported.
fn section(ctx: &Context<'_>) -> Result<String, CommandError> {
    let who = ctx.args.need("who")?;
    if who.contains('/') {
        return Err(einval(format!("masks are not supported: '{who}'")));
    }
    let kind = who.split('.').next().unwrap_or_default();
    let known = KINDS.contains(&kind);
    match known {
        true => Ok(who.to_owned()),
        false => Err(einval(format!("unrecognized config target '{who}'"))),
    }
}

/// `config set WHO NAME VALUE`.
pub(super) fn set(ctx: &Context<'_>) -> CommandResult {
    let (who, name) = (section(ctx)?, normalized(ctx.args.need("name")?));
    let value = ctx
        .args
        .text("value")
        .ok_or_else(|| einval("missing required parameter value"))?;
    if let Some(refusal) = client_options::refusal(&name, &value) {
        return Err(einval(refusal));
    }
    ctx.cluster().set_config(&who, &name, Some(&value))?;
    Ok(Reply::default())
}

/// `config rm WHO NAME`.
pub(super) fn rm(ctx: &Context<'_>) -> CommandResult {
    let (who, name) = (section(ctx)?, normalized(ctx.args.need("name")?));
    ctx.cluster().set_config(&who, &name, None)?;
    Ok(Reply::default())
}

/// `config get WHO [KEY]`.
pub(super) fn get(ctx: &Context<'_>) -> CommandResult {
    let who = ctx.args.need("who")?;
    let options = ctx.cluster().config_of(who);
    let Some(key) = ctx.args.str("key") else {
        let value: Map<String, Value> = options
            .iter()
            .map(|(k, v)| {
                (
                    k.clone(),
                    json!({"value": v, "section": who, "level": "advanced"}),
                )
            })
            .collect();
        return Ok(Reply::either(ctx.format, "config", &Value::Object(value), || {
            let rows = options.iter().map(|(k, v)| row(who, k, v)).collect::<Vec<_>>();
            table(&COLUMNS, &rows)
        }));
    };
    let key = normalized(key);
    let default = || ours().find(|(n, _)| *n == key).map(|(_, v)| v.to_owned());
    match options.get(&key).cloned().or_else(default) {
        Some(value) => Ok(Reply::either(ctx.format, "config", &json!(value), || {
            format!("{value}\n")
        })),
        None if key == "fsid" => Ok(Reply::data(format!("{}\n", ctx.cluster().fsid()))),
        None => Err(enoent(format!("'{key}' is not set: its default is the client's"))),
    }
}

const COLUMNS: [Column; 6] = [
    Column::Left("WHO"),
    Column::Left("MASK"),
    Column::Left("LEVEL"),
    Column::Left("OPTION"),
    Column::Left("VALUE"),
    Column::Left("RO"),
];

fn row(who: &str, name: &str, value: &str) -> Vec<String> {
    [who, "", "advanced", name, value, " "].map(str::to_owned).into()
}

/// Kinds of sections in the order in which `config dump` lists them: from general to special, which `rbd config global`
/// relies on.
const KINDS: [&str; 6] = ["global", "mon", "mgr", "osd", "mds", "client"];

/// Where a section stands in that order.
fn rank(section: &str) -> usize {
    let kind = section.split('.').next().unwrap_or_default();
    KINDS.iter().position(|k| *k == kind).unwrap_or(KINDS.len())
}

/// `config dump`.
pub(super) fn dump(ctx: &Context<'_>) -> CommandResult {
    let config = ctx.cluster().config();
    let mut sections: Vec<_> = config.iter().collect();
    // Stable: a kind stays before its entities.
    sections.sort_by_key(|(section, _)| rank(section));
    let all = || {
        sections
            .iter()
            .flat_map(|(section, options)| options.iter().map(move |(k, v)| (*section, k, v)))
    };
    let value: Vec<Value> = all()
        .map(|(section, name, value)| {
            json!({
                "section": section, "name": name, "value": value, "level": "advanced",
                "can_update_at_runtime": true, "mask": "",
            })
        })
        .collect();
    Ok(Reply::either(ctx.format, "config", &json!(value), || {
        let rows: Vec<_> = all().map(|(section, k, v)| row(section, k, v)).collect();
        table(&COLUMNS, &rows)
    }))
}

/// `config ls`: what this server itself heeds.
pub(super) fn ls(ctx: &Context<'_>) -> CommandResult {
    let names: Vec<&str> = ours().map(|(n, _)| n).collect();
    Ok(Reply::either(ctx.format, "options", &json!(names), || {
        names.iter().map(|n| format!("{n}\n")).collect()
    }))
}

/// `config generate-minimal-conf`.
pub(super) fn minimal_conf(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().monmap();
    let hosts: Vec<String> = map.mons.values().map(|m| m.public_addrs.to_string()).collect();
    let fsid = map.fsid;
    Ok(Reply::data(format!(
        "# minimal ceph.conf for {fsid}\n[global]\n\tfsid = {fsid}\n\tmon_host = {}\n",
        hosts.join(" ")
    )))
}

/// `config-key get KEY`.
pub(super) fn key_get(ctx: &Context<'_>) -> CommandResult {
    let key = ctx.args.need("key")?;
    let value = ctx.cluster().config_key(key)?;
    let value = value.ok_or_else(|| enoent(format!("key '{key}' doesn't exist")))?;
    Ok(Reply::data(value).with_status(format!("obtained '{key}'")))
}

/// `config-key set KEY [VALUE]`; without a value, what came with the command.
pub(super) fn key_set(ctx: &Context<'_>) -> CommandResult {
    let key = ctx.args.need("key")?;
    let value = match ctx.args.text("val") {
        Some(text) => Bytes::from(text),
        None => ctx.input.clone(),
    };
    if value.len() > MAX_CONFIG_KEY {
        let text = format!("error: entry size limited to {MAX_CONFIG_KEY} bytes");
        return Err(CommandError::new(rustix::io::Errno::FBIG, text));
    }
    ctx.cluster().set_config_key(key, Some(value))?;
    Ok(Reply::status(format!("set {key}")))
}

/// `config-key rm KEY`.
pub(super) fn key_rm(ctx: &Context<'_>) -> CommandResult {
    let key = ctx.args.need("key")?;
    if ctx.cluster().config_key(key)?.is_none() {
        return Ok(Reply::status(format!("no such key '{key}'")));
    }
    ctx.cluster().set_config_key(key, None)?;
    Ok(Reply::status("key deleted"))
}

/// `config-key exists KEY`.
pub(super) fn key_exists(ctx: &Context<'_>) -> CommandResult {
    let key = ctx.args.need("key")?;
    match ctx.cluster().config_key(key)? {
        Some(_) => Ok(Reply::status(format!("key '{key}' exists"))),
        None => Err(enoent(format!("key '{key}' doesn't exist"))),
    }
}

/// `config-key ls`.
pub(super) fn key_ls(ctx: &Context<'_>) -> CommandResult {
    let keys: Vec<String> = ctx.cluster().config_keys("")?.into_keys().collect();
    Ok(Reply::value(ctx.format, "keys", &json!(keys)))
}

/// `config-key dump [PREFIX]`.
pub(super) fn key_dump(ctx: &Context<'_>) -> CommandResult {
    let entries = ctx
        .cluster()
        .config_keys(ctx.args.str("key").unwrap_or_default())?;
    let shown = |raw: &Bytes| match std::str::from_utf8(raw) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("<<< binary blob of length {} >>>", raw.len()),
    };
    let value = entries
        .iter()
        .map(|(k, v)| (k.clone(), Value::from(shown(v))))
        .collect();
    Ok(Reply::value(ctx.format, "keys", &Value::Object(value)))
}
