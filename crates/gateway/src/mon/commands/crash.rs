//! `crash ...`: reports of crashes that `ceph-crash` and others post. They are kept where Ceph's module keeps them, in the
//! `config-key` store.

use std::time::SystemTime;

use bytes::Bytes;
use encoding::types::Utime;
use rustix::io::Errno;
use serde_json::{Value, json};

use super::{CommandResult, Context};
use crate::mon::{
    format::{Column, table},
    reply::{CommandError, Reply, einval},
    time,
};

const PREFIX: &str = "mgr/crash/crash/";

/// All reports by id, which begins with the time.
fn reports(ctx: &Context<'_>) -> Result<Vec<(String, Value)>, CommandError> {
    let mut out = Vec::new();
    for (key, raw) in ctx.cluster().config_keys(PREFIX)? {
        let id = key.strip_prefix(PREFIX).unwrap_or(&key).to_owned();
        match serde_json::from_slice(&raw) {
            Ok(report) => out.push((id, report)),
            Err(error) => tracing::warn!(key, %error, "not a crash report"),
        }
    }
    Ok(out)
}

fn text<'a>(report: &'a Value, field: &str) -> &'a str {
    report.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn is_new(report: &Value) -> bool {
    report.get("archived").is_none()
}

fn list(ctx: &Context<'_>, only_new: bool) -> CommandResult {
    let mut all = reports(ctx)?;
    all.retain(|(_, report)| !only_new || is_new(report));
    let value: Vec<&Value> = all.iter().map(|(_, report)| report).collect();
    Ok(Reply::either(ctx.format, "crashes", &json!(value), || {
        if all.is_empty() {
            return String::new();
        }
        let row = |(id, report): &(String, Value)| {
            let new = if is_new(report) { " * " } else { "" };
            vec![id.clone(), text(report, "entity_name").to_owned(), new.to_owned()]
        };
        let rows: Vec<_> = all.iter().map(row).collect();
        table(
            &[Column::Left("ID"), Column::Left("ENTITY"), Column::Left("NEW")],
            &rows,
        )
    }))
}

/// `crash ls`.
pub(super) fn ls(ctx: &Context<'_>) -> CommandResult {
    list(ctx, false)
}

/// `crash ls-new`.
pub(super) fn ls_new(ctx: &Context<'_>) -> CommandResult {
    list(ctx, true)
}

/// `crash post`, with the report as input.
pub(super) fn post(ctx: &Context<'_>) -> CommandResult {
    let report: Value =
        serde_json::from_slice(ctx.input).map_err(|e| einval(format!("malformed crash metadata: {e}")))?;
    let id = text(&report, "crash_id");
    if id.is_empty() || id.contains('/') {
        return Err(einval("malformed crash metadata: no crash_id"));
    }
    let key = format!("{PREFIX}{id}");
    if ctx.cluster().config_key(&key)?.is_none() {
        ctx.cluster()
            .set_config_key(&key, Some(Bytes::from(report.to_string())))?;
    }
    Ok(Reply::default())
}

fn find(ctx: &Context<'_>) -> Result<(String, Value), CommandError> {
    let id = ctx.args.need("id")?;
    let found = reports(ctx)?.into_iter().find(|(name, _)| name == id);
    found.ok_or_else(|| einval(format!("crash info: {id} not found")))
}

/// `crash info ID`.
pub(super) fn info(ctx: &Context<'_>) -> CommandResult {
    let (_, report) = find(ctx)?;
    Ok(Reply::value(ctx.format, "crash", &report))
}

/// `crash rm ID`; one that is not there is as good as removed.
pub(super) fn rm(ctx: &Context<'_>) -> CommandResult {
    let key = format!("{PREFIX}{}", ctx.args.need("id")?);
    ctx.cluster().set_config_key(&key, None)?;
    Ok(Reply::default())
}

fn mark(ctx: &Context<'_>, id: &str, mut report: Value) -> Result<(), CommandError> {
    let now = time::local(Utime::from_system_time(SystemTime::now()));
    if let (true, Some(fields)) = (is_new(&report), report.as_object_mut()) {
        fields.insert("archived".into(), now.into());
        let key = format!("{PREFIX}{id}");
        ctx.cluster()
            .set_config_key(&key, Some(Bytes::from(report.to_string())))?;
    }
    Ok(())
}

/// `crash archive ID`.
pub(super) fn archive(ctx: &Context<'_>) -> CommandResult {
    let (id, report) = find(ctx)?;
    mark(ctx, &id, report)?;
    Ok(Reply::default())
}

/// `crash archive-all`.
pub(super) fn archive_all(ctx: &Context<'_>) -> CommandResult {
    for (id, report) in reports(ctx)? {
        mark(ctx, &id, report)?;
    }
    Ok(Reply::default())
}

/// Seconds since 1970 of a report's id, `2026-11-25T20:54:29.518741Z_...`.
fn stamp(id: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| id.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // Days from 1970-01-01, by years that begin in March.
    let (y, m) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    u64::try_from(((days * 24 + hour) * 60 + minute) * 60 + second).ok()
}

/// `crash prune DAYS`.
pub(super) fn prune(ctx: &Context<'_>) -> CommandResult {
    let keep = ctx.args.int("keep")?.and_then(|n| u64::try_from(n).ok());
    let keep =
        keep.ok_or_else(|| CommandError::new(Errno::INVAL, "keep argument must be a positive integer"))?;
    let now = Utime::from_system_time(SystemTime::now()).as_duration().as_secs();
    let oldest = now.saturating_sub(keep.saturating_mul(86_400));
    for (id, _) in reports(ctx)? {
        if stamp(&id).is_some_and(|t| t < oldest) {
            ctx.cluster().set_config_key(&format!("{PREFIX}{id}"), None)?;
        }
    }
    Ok(Reply::default())
}

/// `crash stat`.
pub(super) fn stat(ctx: &Context<'_>) -> CommandResult {
    let all = reports(ctx)?;
    let mut out = format!("{} crashes recorded\n", all.len());
    let now = Utime::from_system_time(SystemTime::now()).as_duration().as_secs();
    for days in [1_u64, 3, 7] {
        let older: Vec<&String> = all
            .iter()
            .map(|(id, _)| id)
            .filter(|id| stamp(id).is_some_and(|t| t < now.saturating_sub(days * 86_400)))
            .collect();
        if !older.is_empty() {
            out += &format!("{} older than {days} days old:\n", older.len());
            out.extend(older.iter().map(|id| format!("{id}\n")));
        }
    }
    Ok(Reply::data(out))
}

/// `crash json_report HOURS`: how many of each entity there were in that time.
pub(super) fn json_report(ctx: &Context<'_>) -> CommandResult {
    let hours = ctx.args.int("hours")?.and_then(|n| u64::try_from(n).ok());
    let hours = hours.ok_or_else(|| einval("<hours> argument must be integer"))?;
    let now = Utime::from_system_time(SystemTime::now()).as_duration().as_secs();
    let oldest = now.saturating_sub(hours.saturating_mul(3600));
    let mut counts = std::collections::BTreeMap::<String, u64>::new();
    for (id, report) in reports(ctx)? {
        if stamp(&id).is_some_and(|t| t >= oldest) {
            let kind = text(&report, "entity_name")
                .split('.')
                .next()
                .unwrap_or_default()
                .to_owned();
            *counts.entry(kind).or_default() += 1;
        }
    }
    Ok(Reply::status(json!(counts).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_crash_is_read_from_its_id() {
        assert_eq!(stamp("1970-01-01T00:00:00.0Z_x"), Some(0));
        assert_eq!(stamp("2026-11-25T20:54:29.518741Z_4f1a"), Some(1_795_640_069));
        assert_eq!(stamp("2024-02-29T12:00:00.000000Z_x"), Some(1_709_208_000));
        assert_eq!(stamp("nonsense"), None);
    }
}
