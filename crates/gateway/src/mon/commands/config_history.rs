//! `config log`, `config reset` and `config assimilate-conf` (Ceph `src/mon/ConfigMonitor.cc`).

use serde_json::{Map, Value, json};

use super::{CommandResult, Context, config::checked};
use crate::cluster::known_option;
use crate::{
    cluster::{ConfigChange, ConfigChangeSet, normalized},
    mon::{
        client_options,
        reply::{Reply, einval},
        time,
    },
};

fn dump(change_set: &ConfigChangeSet) -> Value {
    let changes = change_set.changes.iter().map(|(name, (before, after))| {
        let mut out = Map::new();
        out.insert("name".into(), name.as_str().into());
        for (key, value) in [("previous_value", before), ("new_value", after)] {
            if let Some(value) = value {
                out.insert(key.into(), value.as_str().into());
            }
        }
        Value::Object(out)
    });
    json!({
        "version": change_set.version, "timestamp": time::local(change_set.stamp), "name": change_set.name,
        "changes": changes.collect::<Vec<_>>(),
    })
}

fn text(change_set: &ConfigChangeSet) -> String {
    let mut out = format!("--- {} --- {}", change_set.version, time::local(change_set.stamp));
    if !change_set.name.is_empty() {
        out += &format!(" --- {}", change_set.name);
    }
    out += " ---\n";
    for (name, (before, after)) in &change_set.changes {
        for (sign, value) in [('-', before), ('+', after)] {
            if let Some(value) = value {
                out += &format!("{sign} {name} = {value}\n");
            }
        }
    }
    out
}

/// `config log [NUM]`: the last changes, the newest first.
pub(super) fn log(ctx: &Context<'_>) -> CommandResult {
    let num = ctx
        .args
        .int("num")?
        .map_or(10, |n| usize::try_from(n).unwrap_or(0));
    let history = ctx.cluster().config_history()?;
    let last: Vec<_> = history.iter().rev().take(num).collect();
    let value = last.iter().map(|c| dump(c)).collect();
    Ok(Reply::either(
        ctx.format,
        "changesets",
        &Value::Array(value),
        || last.iter().map(|c| text(c)).collect(),
    ))
}

/// `config reset NUM`.
pub(super) fn reset(ctx: &Context<'_>) -> CommandResult {
    let num = ctx
        .args
        .int("num")?
        .ok_or_else(|| einval("missing required parameter num"))?;
    // What is below zero is no version, as what is too large is none.
    ctx.cluster()
        .reset_config(u64::try_from(num).unwrap_or(u64::MAX))?;
    Ok(Reply::default())
}

/// A line of a ceph.conf.
enum Line<'a> {
    Section(&'a str),
    Option(String, &'a str),
    Nothing,
}

/// Reads a line without its comment; none if it is neither.
fn parse_line(line: &str) -> Option<Line<'_>> {
    let line = line.split(['#', ';']).next().unwrap_or_default().trim();
    if line.is_empty() {
        return Some(Line::Nothing);
    }
    if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Some(Line::Section(name.trim()));
    }
    let (key, value) = line.split_once('=')?;
    let value = value.trim();
    let unquoted = value
        .strip_prefix('"')
        .and_then(|v| v.strip_suffix('"'))
        .unwrap_or(value);
    Some(Line::Option(normalized(key), unquoted))
}

/// Sections of a ceph.conf with their options; of an option that stands twice the last value counts.
type Sections<'a> = std::collections::BTreeMap<&'a str, std::collections::BTreeMap<String, &'a str>>;

/// The error says which line is none.
fn parse_conf(text: &str) -> Result<Sections<'_>, String> {
    let (mut sections, mut section) = (Sections::new(), None);
    for line in text.lines() {
        match (parse_line(line), section) {
            (Some(Line::Nothing), _) => {}
            (Some(Line::Section(name)), _) => section = Some(name),
            (Some(Line::Option(key, value)), Some(section)) => {
                sections.entry(section).or_default().insert(key, value);
            }
            _ => return Err(format!("parse error: {line}")),
        }
    }
    Ok(sections)
}

/// Whether the cluster takes an option from a file: not those that say where the cluster is, and not what it knows nothing of.
fn is_worthy(name: &str, value: &str) -> bool {
    let known = known_option(name).is_some() || client_options::is_known(name);
    known && checked(name, value).is_ok()
}

/// `config assimilate-conf`: takes options from a ceph.conf, and gives back those that it did not take.
pub(super) fn assimilate(ctx: &Context<'_>) -> CommandResult {
    let text = std::str::from_utf8(ctx.input).map_err(|_| einval("parse error: not UTF-8"))?;
    let sections = parse_conf(text).map_err(einval)?;
    let config = ctx.cluster().config();
    let (mut changes, mut rest) = (Vec::new(), String::new());
    for (section, options) in &sections {
        let mut left = String::new();
        for (name, value) in options {
            let set = config.get(*section).and_then(|o| o.get(name));
            match (is_worthy(name, value), checked(name, value), set) {
                (true, Ok(value), Some(set)) if *set == value => {}
                (true, Ok(value), None) => changes.push(ConfigChange {
                    section: (*section).to_owned(),
                    name: name.clone(),
                    value: Some(value),
                }),
                _ => left += &format!("\t{name} = {value}\n"),
            }
        }
        if !left.is_empty() {
            rest += &format!("\n[{section}]\n{left}");
        }
    }
    if !changes.is_empty() {
        ctx.cluster().change_config("assimilate-conf", &changes)?;
    }
    Ok(Reply::data(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceph_conf_is_read_by_sections() {
        let text = "# comment\n[global]\n  mon host = a ; where\nrbd-cache=true\nrbd_cache = false\n\n[client]\nx = \"y z\"\n";
        let sections = parse_conf(text).unwrap();
        assert_eq!(sections["global"]["mon_host"], "a");
        assert_eq!(sections["global"]["rbd_cache"], "false");
        assert_eq!(sections["client"]["x"], "y z");
        assert!(parse_conf("nonsense\n").is_err());
        assert!(parse_conf("a = b\n").is_err());
    }
}
