//! Options of one daemon: `config ...` and `injectargs`.

use rustix::io::Errno;
use serde_json::{Map, Value, json};

use super::{Daemon, einval};
use crate::{
    cluster::{KnownOption, known_option, known_options, normalized},
    mon::{self, Args, CommandError},
};

fn value_of(daemon: &Daemon<'_>, option: KnownOption) -> String {
    let set = daemon.cluster.config_of(daemon.name).remove(option.name);
    set.unwrap_or_else(|| option.default.to_owned())
}

fn wanted(args: &Args) -> Result<KnownOption, CommandError> {
    let name = normalized(args.need("var")?);
    known_option(&name)
        .ok_or_else(|| CommandError::new(Errno::NOENT, format!("'{name}' is no option that rbdgate heeds")))
}

pub(super) fn show(daemon: &Daemon<'_>, _: &Args) -> Result<Value, CommandError> {
    let mut out = Map::new();
    out.insert("name".into(), daemon.name.into());
    out.insert("cluster".into(), "ceph".into());
    for &option in known_options() {
        out.insert(option.name.into(), value_of(daemon, option).into());
    }
    Ok(Value::Object(out))
}

pub(super) fn get(daemon: &Daemon<'_>, args: &Args) -> Result<Value, CommandError> {
    let option = wanted(args)?;
    Ok(json!({option.name: value_of(daemon, option)}))
}

pub(super) fn set(daemon: &Daemon<'_>, args: &Args) -> Result<Value, CommandError> {
    let option = wanted(args)?;
    let text = args.list("val").join(" ");
    let value = option
        .kind
        .check(&text)
        .map_err(|why| einval(format!("error setting '{}' to '{text}': {why}", option.name)))?;
    daemon
        .cluster
        .override_option(daemon.name, option.name, Some(&value));
    Ok(json!({"success": format!("{} = '{value}' ", option.name)}))
}

pub(super) fn unset(daemon: &Daemon<'_>, args: &Args) -> Result<Value, CommandError> {
    let option = wanted(args)?;
    daemon.cluster.override_option(daemon.name, option.name, None);
    Ok(json!({"success": format!("{} = '' ", option.name)}))
}

pub(super) fn diff(daemon: &Daemon<'_>, _: &Args) -> Result<Value, CommandError> {
    let mut out = Map::new();
    for &option in known_options() {
        let value = value_of(daemon, option);
        if value != option.default {
            out.insert(
                option.name.into(),
                json!({"default": option.default, "mon": value, "final": value}),
            );
        }
    }
    Ok(json!({"diff": out}))
}

pub(super) fn diff_get(daemon: &Daemon<'_>, args: &Args) -> Result<Value, CommandError> {
    let option = wanted(args)?;
    let mut all = diff(daemon, args)?;
    if let Some(differing) = all["diff"].as_object_mut() {
        differing.retain(|name, _| name == option.name);
    }
    Ok(all)
}

pub(super) fn help(_: &Daemon<'_>, args: &Args) -> Result<Value, CommandError> {
    match args.str("var") {
        Some(_) => Ok(json!({"option": mon::option_value(wanted(args)?)})),
        None => {
            Ok(json!({"options": known_options().iter().copied().map(mon::option_value).collect::<Vec<_>>()}))
        }
    }
}

/// `--name=value`, or `--name value`, several of them in one or more words.
fn parse_injected(words: &[String]) -> Result<Vec<(String, String)>, CommandError> {
    let mut out = Vec::new();
    let text = words.join(" ");
    let mut rest = text.split_whitespace().peekable();
    while let Some(word) = rest.next() {
        let name = word
            .strip_prefix("--")
            .ok_or_else(|| einval(format!("failed to parse arguments: {word}")))?;
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => match rest.next_if(|next| !next.starts_with("--")) {
                Some(value) => (name, value.to_owned()),
                None => (name, "true".to_owned()),
            },
        };
        out.push((normalized(name), value));
    }
    Ok(out)
}

pub(super) fn inject(daemon: &Daemon<'_>, args: &Args) -> Result<Value, CommandError> {
    let pairs = parse_injected(&args.list("injected_args"))?;
    let mut checked = Vec::new();
    for (name, value) in pairs {
        let option =
            known_option(&name).ok_or_else(|| einval(format!("failed to parse arguments: --{name}")))?;
        let value = option
            .kind
            .check(&value)
            .map_err(|why| einval(format!("{name}: {why}")))?;
        checked.push((option.name, value));
    }
    for (name, value) in checked {
        daemon.cluster.override_option(daemon.name, name, Some(&value));
    }
    Ok(json!({}))
}
