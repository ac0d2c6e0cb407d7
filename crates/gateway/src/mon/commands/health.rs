//! `health`, `health mute` and `health unmute` (Ceph `src/mon/HealthMonitor.cc`).

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use encoding::types::Utime;
use serde_json::{Map, Value, json};

use super::{
    CommandResult, Context,
    status::{Check, checks},
};
use crate::{
    cluster::{Cluster, ClusterError, HealthMute},
    mon::{
        health_log::Failing,
        reply::{Reply, einval, enoent},
        time,
    },
};

/// What is not as it should be, and what of it nobody wants to hear of.
pub(super) struct Health {
    checks: Vec<Check>,
    mutes: Arc<BTreeMap<String, HealthMute>>,
    now: Utime,
}

impl Health {
    pub(super) fn of(cluster: &Cluster) -> Self {
        Self {
            checks: checks(cluster),
            mutes: cluster.health_mutes(),
            now: Utime::from_system_time(SystemTime::now()),
        }
    }

    fn told(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|c| !self.mutes.contains_key(c.code))
    }

    fn status(&self) -> &'static str {
        match self.told().map(|c| c.error).max() {
            None => "HEALTH_OK",
            Some(true) => "HEALTH_ERR",
            Some(false) => "HEALTH_WARN",
        }
    }

    /// As JSON has it.
    pub(super) fn value(&self, detail: bool) -> Value {
        let each = self.checks.iter().map(|c| {
            let muted = self.mutes.contains_key(c.code);
            (c.code.to_owned(), c.dump(detail, muted))
        });
        let mutes = self.mutes.iter().map(|(code, mute)| {
            let mut out = Map::new();
            out.insert("code".into(), code.as_str().into());
            if let Some(until) = mute.until {
                out.insert("ttl".into(), time::local(until).into());
            }
            out.insert("sticky".into(), mute.sticky.into());
            out.insert("summary".into(), mute.summary.as_str().into());
            out.insert("count".into(), mute.count.into());
            Value::Object(out)
        });
        json!({
            "status": self.status(), "checks": each.collect::<Map<_, _>>(), "mutes": mutes.collect::<Vec<_>>(),
        })
    }

    /// Status and summaries: `first` is before the first of these, `next` between them.
    pub(super) fn line(&self, first: &str, next: &str) -> String {
        let mut parts: Vec<String> = self.told().map(|c| c.summary.clone()).collect();
        if !self.mutes.is_empty() {
            let muted = self.mutes.iter().map(|(code, mute)| match mute.until {
                Some(until) => format!(" {code}({})", time::span(self.left(until))),
                None => format!(" {code}"),
            });
            parts.push(format!("(muted:{})", muted.collect::<String>()));
        }
        match parts.is_empty() {
            true => self.status().to_owned(),
            false => format!("{}{first}{}", self.status(), parts.join(next)),
        }
    }

    fn left(&self, until: Utime) -> Duration {
        until.as_duration().saturating_sub(self.now.as_duration())
    }

    /// Each check with its details, in lines.
    fn details(&self) -> String {
        let mut out = String::new();
        for check in &self.checks {
            out.push('\n');
            if let Some(mute) = self.mutes.get(check.code) {
                out += "(MUTED";
                if let Some(until) = mute.until {
                    out += &format!(" ttl {}", time::span(self.left(until)));
                }
                out += if mute.sticky { ", STICKY) " } else { ") " };
            }
            let tag = if check.error { "ERR" } else { "WRN" };
            out += &format!("[{tag}] {}: {}", check.code, check.summary);
            for line in &check.detail {
                out += &format!("\n    {line}");
            }
        }
        out
    }
}

/// Health as `health` has it in JSON, without details.
pub(super) fn short(ctx: &Context<'_>) -> Value {
    Health::of(ctx.cluster()).value(false)
}

/// The same with details.
pub(super) fn full(ctx: &Context<'_>) -> Value {
    Health::of(ctx.cluster()).value(true)
}

/// `health [detail]`.
pub(super) fn health(ctx: &Context<'_>) -> CommandResult {
    let health = Health::of(ctx.cluster());
    let detail = ctx.args.str("detail").is_some();
    let value = health.value(detail);
    Ok(Reply::either(ctx.format, "health", &value, || {
        let line = health.line(" ", "; ");
        if detail { line + &health.details() } else { line }
    }))
}

/// `health mute CODE [TTL] [--sticky]`.
pub(super) fn mute(ctx: &Context<'_>) -> CommandResult {
    let code = match ctx.args.str("code") {
        Some(code) if !code.is_empty() => code,
        _ => return Err(einval("must specify an alert code to mute")),
    };
    let sticky = ctx.args.flag("sticky");
    let mut until = None;
    if let Some(ttl) = ctx.args.str("ttl") {
        let span = timespan(ttl).map_err(|why| einval(format!("invalid duration: {ttl} ({why})")))?;
        until = Some(Utime::from_system_time(SystemTime::now() + span));
    }
    let mut mute = HealthMute {
        until,
        sticky,
        summary: String::new(),
        count: 0,
    };
    if !sticky {
        let failing = checks(ctx.cluster()).into_iter().find(|c| c.code == code);
        let failing =
            failing.ok_or_else(|| enoent(format!("health alert {code} is not currently raised")))?;
        mute.summary = failing.summary;
        mute.count = failing.count as u64;
    }
    ctx.cluster().set_health_mute(code, Some(&mute))?;
    Ok(Reply::default())
}

/// `health unmute [CODE]`.
pub(super) fn unmute(ctx: &Context<'_>) -> CommandResult {
    let all = ctx.cluster().health_mutes();
    let wanted = ctx.args.str("code");
    for code in all
        .keys()
        .filter(|code| wanted.is_none_or(|wanted| wanted == *code))
    {
        ctx.cluster().set_health_mute(code, None)?;
    }
    Ok(Reply::default())
}

/// What is not as it should be at this moment.
pub(in crate::mon) struct Reviewed {
    /// It, in short.
    pub(in crate::mon) failing: Vec<Failing>,
    /// What is to be said of mutes that have ended.
    pub(in crate::mon) unmuted: Vec<String>,
}

/// Judges health, and ends mutes whose time is over, or whose checks have passed or become worse. Blocks.
///
/// # Errors
/// If it cannot be stored that a mute has ended.
pub(in crate::mon) fn review(cluster: &Cluster) -> Result<Reviewed, ClusterError> {
    let checks = checks(cluster);
    let unmuted = review_mutes(cluster, &checks)?;
    let failing = |check: Check| Failing {
        code: check.code,
        error: check.error,
        summary: check.summary,
    };
    Ok(Reviewed {
        failing: checks.into_iter().map(failing).collect(),
        unmuted,
    })
}

fn review_mutes(cluster: &Cluster, checks: &[Check]) -> Result<Vec<String>, ClusterError> {
    let (mutes, now) = (cluster.health_mutes(), Utime::from_system_time(SystemTime::now()));
    let mut lines = Vec::new();
    for (code, mute) in &*mutes {
        let check = checks.iter().find(|c| c.code == *code);
        let count = check.map_or(0, |c| c.count as u64);
        let why = match check {
            _ if mute.until.is_some_and(|until| until <= now) => {
                format!("passed TTL {}", time::local(mute.until.unwrap_or_default()))
            }
            _ if mute.sticky => continue,
            None => "health alert cleared".to_owned(),
            Some(_) if mute.count > 0 && count > mute.count => {
                format!("count increased from {} to {count}", mute.count)
            }
            Some(_) if mute.count > 0 && count < mute.count => {
                // Less is wrong than when it was muted: as much as then would be worse now.
                let less = HealthMute {
                    count,
                    ..mute.clone()
                };
                cluster.set_health_mute(code, Some(&less))?;
                continue;
            }
            Some(check) if mute.count == 0 && check.summary != mute.summary => "summary changed".to_owned(),
            Some(_) => continue,
        };
        cluster.set_health_mute(code, None)?;
        lines.push(format!("Health alert mute {code} cleared ({why})"));
    }
    Ok(lines)
}

/// `90`, `1h30m`, `2 weeks` (`parse_timespan`).
fn timespan(text: &str) -> Result<Duration, String> {
    const DAY: u64 = 86_400;
    let mut total: u64 = 0;
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if digits == 0 {
            return Err("expected digit".to_owned());
        }
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number
            .parse()
            .map_err(|_| format!("The number {number} is too large"))?;
        let tail = tail.trim_start();
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let seconds = match unit {
            "" if !tail.is_empty() => return Err(format!("unexpected trailing '{tail}'")),
            "" | "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hr" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => DAY,
            "w" | "wk" | "week" | "weeks" => 7 * DAY,
            "mo" | "month" | "months" => 30 * DAY,
            "y" | "yr" | "year" | "years" => 365 * DAY,
            other => return Err(format!("unrecogized unit '{other}'")),
        };
        let more = number.checked_mul(seconds).and_then(|n| n.checked_add(total));
        // What a time of Ceph's can hold.
        total = more.filter(|n| *n < u64::from(u32::MAX) / 2).ok_or("too long")?;
        rest = tail.trim_start();
    }
    match total {
        0 => Err("timespan = 0".to_owned()),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::cluster;

    #[test]
    fn spans_of_time_are_read_as_ceph_reads_them() {
        let seconds = |text| timespan(text).map(|span| span.as_secs());
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("1h30m"), Ok(5400));
        assert_eq!(seconds(" 2 weeks "), Ok(1_209_600));
        for (text, why) in [
            ("", "timespan = 0"),
            ("0s", "timespan = 0"),
            ("h", "expected digit"),
            ("1 parsec", "unrecogized unit 'parsec'"),
            ("1 -", "unexpected trailing '-'"),
            ("99999999999y", "too long"),
        ] {
            assert_eq!(seconds(text), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_mute_ends_with_its_time_or_its_check_unless_it_is_sticky() {
        let cluster = cluster();
        let mute = |until, sticky| HealthMute {
            until,
            sticky,
            summary: "1 osds down".to_owned(),
            count: 1,
        };
        let past = Utime { sec: 1, nsec: 0 };
        cluster
            .set_health_mute("OSD_DOWN", Some(&mute(None, false)))
            .unwrap();
        cluster
            .set_health_mute("OSD_FULL", Some(&mute(None, true)))
            .unwrap();
        cluster
            .set_health_mute("SLOW_OPS", Some(&mute(Some(past), true)))
            .unwrap();
        assert_eq!(cluster.health_mutes()["SLOW_OPS"], mute(Some(past), true));
        let reviewed = review(&cluster).unwrap();
        assert_eq!(
            reviewed.unmuted,
            [
                "Health alert mute OSD_DOWN cleared (health alert cleared)",
                "Health alert mute SLOW_OPS cleared (passed TTL 1.000000)",
            ]
        );
        assert_eq!(cluster.health_mutes().keys().collect::<Vec<_>>(), ["OSD_FULL"]);
        let health = Health::of(&cluster);
        assert_eq!(health.line(" ", "; "), "HEALTH_OK (muted: OSD_FULL)");
        assert_eq!(health.value(false)["mutes"][0]["sticky"], true);
    }
}
