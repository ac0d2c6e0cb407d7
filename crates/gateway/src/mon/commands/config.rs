//! `config ...` and `config-key ...`.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{CommandResult, Context};
use crate::{
    cluster::{
        CONFIG_KEY_MAX, Config, KnownOption, MGR_NAME, MON_NAME, OptionKind, known_option, known_options,
        normalized,
    },
    mon::{
        client_options,
        format::{Column, Format, table},
        reply::{CommandError, Reply, einval, enoent},
    },
};

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

/// The value in the form in which it is kept.
pub(super) fn checked(name: &str, value: &str) -> Result<String, CommandError> {
    match known_option(name) {
        Some(option) => {
            let checked = option.kind.check(value);
            checked.map_err(|why| einval(format!("error parsing value: {why}")))
        }
        // An option of clients, whose types are known of librbd's.
        None => match client_options::refusal(name, value) {
            Some(refusal) => Err(einval(refusal)),
            None => Ok(value.to_owned()),
        },
    }
}

/// `config set WHO NAME VALUE`.
pub(super) fn set(ctx: &Context<'_>) -> CommandResult {
    let (who, name) = (section(ctx)?, normalized(ctx.args.need("name")?));
    let value = ctx
        .args
        .text("value")
        .ok_or_else(|| einval("missing required parameter value"))?;
    let value = checked(&name, &value)?;
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
    let config = ctx.cluster().config();
    let Some(key) = ctx.args.str("key") else {
        let value: Map<String, Value> = options
            .iter()
            .map(|(k, v)| {
                (
                    k.clone(),
                    json!({
                        "value": v, "section": section_of(&config, who, k), "mask": {}, "can_update_at_runtime": true,
                    }),
                )
            })
            .collect();
        return Ok(Reply::either(ctx.format, "config", &Value::Object(value), || {
            let rows = options
                .iter()
                .map(|(k, v)| row(section_of(&config, who, k), k, v))
                .collect::<Vec<_>>();
            table(&COLUMNS, &rows)
        }));
    };
    let key = normalized(key);
    let default = || known_option(&key).map(|o| o.default.to_owned());
    let of_clients = || client_options::default_of(&key).map(str::to_owned);
    let fixed = || ctx.cluster().fixed_option(&key);
    let found = options.get(&key).cloned();
    match found.or_else(default).or_else(of_clients).or_else(fixed) {
        Some(value) => {
            // As Ceph does, whose XML of a single value is no element.
            let format = match ctx.format {
                Format::Xml | Format::XmlPretty => Format::Plain,
                other => other,
            };
            let shown = typed(&key, &value);
            Ok(Reply::either(format, "config", &shown, || format!("{value}\n")))
        }
        None => Err(enoent(format!("unrecognized key '{key}'"))),
    }
}

/// The section that an entity has an option from: the most special one.
fn section_of<'a>(config: &'a Config, who: &'a str, name: &str) -> &'a str {
    let has = |section: &str| {
        config
            .get(section)
            .is_some_and(|options| options.contains_key(name))
    };
    let kind = who.split('.').next().unwrap_or_default();
    [who, kind].into_iter().find(|s| has(s)).unwrap_or("global")
}

/// An option's value as JSON has it.
fn typed(name: &str, text: &str) -> Value {
    let kind = known_option(name).map(|o| o.kind);
    let number = || serde_json::from_str::<Value>(text).ok().filter(Value::is_number);
    let parsed = match kind {
        Some(OptionKind::Bool) => text.parse::<bool>().ok().map(Value::from),
        Some(_) => number(),
        None => text.parse::<bool>().ok().map(Value::from).or_else(number),
    };
    parsed.unwrap_or_else(|| text.into())
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
    Ok(Reply::either(ctx.format, "config/option", &json!(value), || {
        let rows: Vec<_> = all().map(|(section, k, v)| row(section, k, v)).collect();
        table(&COLUMNS, &rows)
    }))
}

/// `config ls`: what this server itself heeds.
pub(super) fn ls(ctx: &Context<'_>) -> CommandResult {
    let names: Vec<&str> = known_options().iter().map(|o| o.name).collect();
    Ok(Reply::either(ctx.format, "options", &json!(names), || {
        names.iter().map(|n| format!("{n}\n")).collect()
    }))
}

/// `config help KEY`.
pub(super) fn help(ctx: &Context<'_>) -> CommandResult {
    let key = normalized(ctx.args.need("key")?);
    let unknown = || enoent(format!("configuration option '{key}' not recognized"));
    let option = known_option(&key).ok_or_else(unknown)?;
    let value = option_value(option);
    Ok(Reply::either(ctx.format, "option", &value, || {
        format!(
            "{} - {}\n  ({}, advanced)\n  Default: {}\n  Can update at runtime: true\n  Services: [mon]\n",
            option.name,
            option.help,
            option.kind.name(),
            option.default
        )
    }))
}

/// An option as Ceph describes it (`Option::dump`).
pub(crate) fn option_value(option: KnownOption) -> Value {
    json!({
        "name": option.name, "type": option.kind.name(), "level": "advanced", "desc": option.help, "long_desc": "",
        "default": typed(option.name, option.default), "daemon_default": "", "tags": [], "services": ["mon"],
        "see_also": [], "min": "", "max": "", "can_update_at_runtime": true, "flags": ["runtime"],
    })
}

/// The daemon that a command's `who` names.
fn daemon<'a>(ctx: &'a Context<'_>) -> Result<&'a str, CommandError> {
    let who = ctx.args.need("who")?;
    let map = ctx.cluster().osdmap();
    let is_osd = |id: &str| {
        id.parse()
            .is_ok_and(|id: i32| crate::mon::show::osds(&map).any(|(o, _)| o == id))
    };
    let known = match who.split_once('.') {
        Some(("mon", id)) => id == MON_NAME,
        Some(("mgr", id)) => id == MGR_NAME,
        Some(("osd", id)) => is_osd(id),
        _ => false,
    };
    if known {
        Ok(who)
    } else {
        Err(enoent(format!("no config state for daemon {who}")))
    }
}

/// Name, value and source of each option of a daemon; with those that are not set, if asked.
fn in_force(ctx: &Context<'_>, who: &str, defaults: bool) -> Vec<[String; 3]> {
    let set = ctx.cluster().config_of(who);
    let config = ctx.cluster().config();
    let is_stored = |name: &str| {
        let kind = who.split('.').next().unwrap_or_default();
        ["global", kind, who]
            .iter()
            .any(|s| config.get(*s).is_some_and(|o| o.contains_key(name)))
    };
    let mut out: Vec<[String; 3]> = set
        .iter()
        .map(|(name, value)| {
            let source = if is_stored(name) {
                section_of(&config, who, name)
            } else {
                "override"
            };
            [name.clone(), value.clone(), source.to_owned()]
        })
        .collect();
    if defaults {
        let unset = known_options().iter().filter(|o| !set.contains_key(o.name));
        out.extend(unset.map(|o| [o.name.to_owned(), o.default.to_owned(), "default".to_owned()]));
        out.sort();
    }
    out
}

fn show_of(ctx: &Context<'_>, defaults: bool) -> CommandResult {
    let who = daemon(ctx)?;
    if let Some(key) = ctx.args.str("key").map(normalized) {
        let found = in_force(ctx, who, true)
            .into_iter()
            .find(|[name, ..]| *name == key);
        let [_, value, _] = found.ok_or_else(|| enoent(format!("unrecognized key '{key}'")))?;
        return Ok(Reply::data(format!("{value}\n")));
    }
    let rows = in_force(ctx, who, defaults);
    let value: Vec<Value> = rows
        .iter()
        .map(|[name, value, source]| json!({"name": name, "value": value, "source": source}))
        .collect();
    Ok(Reply::either(ctx.format, "config", &json!(value), || {
        let heads = ["NAME", "VALUE", "SOURCE", "OVERRIDES", "IGNORES"].map(Column::Left);
        let blank = String::new;
        let rows: Vec<Vec<String>> = rows
            .into_iter()
            .map(|[name, value, source]| vec![name, value, source, blank(), blank()])
            .collect();
        table(&heads, &rows)
    }))
}

/// `config show WHO [KEY]`: what is set for a daemon.
pub(super) fn show(ctx: &Context<'_>) -> CommandResult {
    show_of(ctx, false)
}

/// `config show-with-defaults WHO`.
pub(super) fn show_with_defaults(ctx: &Context<'_>) -> CommandResult {
    show_of(ctx, true)
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
    let value = value.ok_or_else(|| enoent(""))?;
    Ok(Reply::data(value))
}

/// `config-key set KEY [VALUE]`; without a value, what came with the command.
pub(super) fn key_set(ctx: &Context<'_>) -> CommandResult {
    let key = ctx.args.need("key")?;
    let value = match ctx.args.text("val") {
        Some(text) => Bytes::from(text),
        None => ctx.input.clone(),
    };
    let max = ctx.cluster().option_number(CONFIG_KEY_MAX) as usize;
    if value.len() > max {
        let text = format!("error: entry size limited to {max} bytes");
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
