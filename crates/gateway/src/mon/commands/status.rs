//! `status`, and what health is judged by.

use std::time::{Duration, SystemTime};

use encoding::maps::pool_flags;
use serde_json::{Map, Value, json};

use super::{
    CommandResult, Context,
    health::{self, Health},
    mgr::created,
    pg,
};
use crate::{
    cluster::{Cluster, MGR_NAME, MON_NAME, PoolUsage, Rates},
    mon::{
        format::{Format, bytes, count},
        pgmap,
        reply::Reply,
        show::{operator_flags, osd_counts, osds, pg_count},
        time,
    },
};

/// Damaged blocks that are told one by one.
const DETAILS: usize = 20;

/// Something that is not as it should be.
pub(super) struct Check {
    pub(super) code: &'static str,
    pub(super) error: bool,
    pub(super) summary: String,
    pub(super) count: usize,
    pub(super) detail: Vec<String>,
}

impl Check {
    const fn severity(&self) -> &'static str {
        if self.error { "HEALTH_ERR" } else { "HEALTH_WARN" }
    }

    pub(super) fn dump(&self, detail: bool, muted: bool) -> Value {
        let mut out = Map::new();
        out.insert("severity".into(), self.severity().into());
        out.insert(
            "summary".into(),
            json!({"message": self.summary, "count": self.count}),
        );
        if detail {
            let lines = self.detail.iter().map(|m| json!({ "message": m })).collect();
            out.insert("detail".into(), Value::Array(lines));
        }
        out.insert("muted".into(), muted.into());
        Value::Object(out)
    }
}

/// All that is not as it should be at this moment.
pub(super) fn checks(cluster: &Cluster) -> Vec<Check> {
    let map = cluster.osdmap();
    let mut out = Vec::new();
    let (exists, up, _) = osd_counts(&map);
    if up < exists {
        let n = exists - up;
        out.push(Check {
            code: "OSD_DOWN",
            error: false,
            summary: format!("{n} osds down"),
            count: n,
            detail: Vec::new(),
        });
    }
    let flags = operator_flags(map.flags);
    if !flags.is_empty() {
        out.push(Check {
            code: "OSDMAP_FLAGS",
            error: false,
            summary: format!("{} flag(s) set", flags.join(",")),
            count: flags.len(),
            detail: Vec::new(),
        });
    }
    out.extend(space_check(cluster, &map));
    out.extend(slow_ops_check(cluster, &map));
    out.extend(scrub_checks(cluster));
    out.extend(cluster.stats().checks().into_iter().map(|check| Check {
        code: check.code,
        error: check.error,
        summary: check.summary,
        count: check.detail.len().max(1),
        detail: check.detail,
    }));
    let full: Vec<String> = map
        .pools
        .iter()
        .filter(|(_, p)| p.flags & pool_flags::FULL != 0)
        .filter_map(|(id, p)| {
            let why = if p.flags & pool_flags::FULL_QUOTA != 0 {
                " (running out of quota)"
            } else {
                ""
            };
            map.pool_names.get(id).map(|n| format!("pool '{n}' is full{why}"))
        })
        .collect();
    if !full.is_empty() {
        out.push(Check {
            code: "POOL_FULL",
            error: true,
            summary: format!("{} pool(s) full", full.len()),
            count: full.len(),
            detail: full,
        });
    }
    let stats = cluster.stats();
    let unused = |id: &i64| stats.pool(*id).objects == 0;
    let untagged: Vec<String> = map
        .pools
        .iter()
        .filter(|(id, p)| p.application_metadata.is_empty() && !unused(id))
        .filter_map(|(id, _)| map.pool_names.get(id))
        .map(|name| format!("application not enabled on pool '{name}'"))
        .collect();
    if !untagged.is_empty() {
        out.push(Check {
            code: "POOL_APP_NOT_ENABLED",
            error: false,
            summary: format!("{} pool(s) do not have an application enabled", untagged.len()),
            count: untagged.len(),
            detail: untagged,
        });
    }
    out
}

/// Whether the backend is nearly full, or full, by the ratios of the map.
fn space_check(cluster: &Cluster, map: &encoding::maps::OsdMap) -> Option<Check> {
    let space = cluster.stats().space();
    if space.total == 0 {
        return None;
    }
    let ratio = (space.total - space.avail.min(space.total)) as f64 / space.total as f64;
    let (code, error, word) = if ratio >= f64::from(map.full_ratio) {
        ("OSD_FULL", true, "full")
    } else if ratio >= f64::from(map.nearfull_ratio) {
        ("OSD_NEARFULL", false, "nearfull")
    } else {
        return None;
    };
    let n = osd_counts(map).0;
    Some(Check {
        code,
        error,
        summary: format!("{n} {word} osd(s)"),
        count: n,
        detail: Vec::new(),
    })
}

/// Whether ops have been in flight for too long (`SlowOps` in Ceph `src/mgr/DaemonHealthMetricCollector.cc`).
fn slow_ops_check(cluster: &Cluster, map: &encoding::maps::OsdMap) -> Option<Check> {
    let stats = cluster.stats();
    let slow: Vec<_> = osds(map)
        .filter_map(|(id, _)| Some((id, stats.ops(Some(id)).first()?.slow_ops()?)))
        .collect();
    let count: u64 = slow.iter().map(|(_, ops)| ops.count).sum();
    let oldest = slow.iter().map(|(_, ops)| ops.oldest.as_secs()).max()?;
    let names: Vec<String> = slow.iter().take(10).map(|(id, _)| format!("osd.{id}")).collect();
    let who = match slow.len() {
        1 => format!("{} has slow ops", names.concat()),
        2..=10 => format!("daemons [{}] have slow ops.", names.join(",")),
        _ => format!("daemons [{}]... have slow ops.", names.join(",")),
    };
    Some(Check {
        code: "SLOW_OPS",
        error: false,
        summary: format!("{count} slow ops, oldest one blocked for {oldest} sec, {who}"),
        count: slow.len(),
        detail: Vec::new(),
    })
}

/// Whether scrubs found what cannot be read (`PGMap::get_health_checks`).
fn scrub_checks(cluster: &Cluster) -> Vec<Check> {
    let scrubs = cluster.stats().scrubs();
    let damage = cluster.stats().damage();
    let bad: Vec<_> = scrubs.iter().filter(|(_, state)| state.errors > 0).collect();
    let errors = bad.iter().map(|(_, state)| state.errors).sum::<u64>() + damage.of_no_group;
    if errors == 0 {
        return Vec::new();
    }
    let check = |code, count, summary, detail: Vec<String>| Check {
        code,
        error: true,
        summary,
        count,
        detail,
    };
    let blocks = damage
        .blocks
        .iter()
        .take(DETAILS)
        .map(|(of, offset)| format!("{of}: the 4 KiB at {offset} are not what was written"));
    let mut checks = vec![check(
        "OSD_SCRUB_ERRORS",
        bad.len().max(1),
        format!("{errors} scrub errors"),
        blocks.collect(),
    )];
    if !bad.is_empty() {
        let plural = if bad.len() == 1 { "pg" } else { "pgs" };
        let groups = bad
            .iter()
            .map(|(pg, _)| format!("pg {pg} is active+clean+inconsistent"));
        checks.push(check(
            "PG_DAMAGED",
            bad.len(),
            format!("Possible data damage: {} {plural} inconsistent", bad.len()),
            groups.collect(),
        ));
    }
    checks
}

/// What the pools hold in sum, and how busy they are.
pub(super) fn totals(ctx: &Context<'_>) -> (PoolUsage, Rates) {
    pgmap::totals(ctx.cluster())
}

/// How long this process has been serving.
pub(super) fn age(ctx: &Context<'_>) -> Duration {
    SystemTime::now()
        .duration_since(ctx.cluster().started())
        .unwrap_or_default()
}

/// `osd stat` and the part of it in `status`.
pub(super) fn osd_stat_value(ctx: &Context<'_>) -> Value {
    let map = ctx.cluster().osdmap();
    let (exists, up, is_in) = osd_counts(&map);
    json!({
        "epoch": map.epoch,
        "num_osds": exists,
        "num_up_osds": up,
        "osd_up_since": map.last_up_change.sec,
        "num_in_osds": is_in,
        "osd_in_since": map.last_in_change.sec,
        "num_remapped_pgs": 0,
    })
}

/// `1 osds: 1 up (since 52s), 1 in (since 55s)`.
pub(super) fn osd_stat_line(ctx: &Context<'_>) -> String {
    let map = ctx.cluster().osdmap();
    let (exists, up, is_in) = osd_counts(&map);
    let now = encoding::types::Utime::from_system_time(SystemTime::now());
    let since = |t: encoding::types::Utime| time::span(now.as_duration().saturating_sub(t.as_duration()));
    format!(
        "{exists} osds: {up} up (since {}), {is_in} in (since {})",
        since(map.last_up_change),
        since(map.last_in_change)
    )
}

fn pgmap_value(ctx: &Context<'_>) -> Value {
    let map = ctx.cluster().osdmap();
    let space = ctx.cluster().stats().space();
    let (usage, rates) = totals(ctx);
    let pgs = pg_count(&map);
    let states: Vec<Value> = pg::states(ctx.cluster())
        .into_iter()
        .map(|(state, count)| json!({"state_name": state, "count": count}))
        .collect();
    let mut out = json!({
        "pgs_by_state": states,
        "num_pgs": pgs,
        "num_pools": map.pools.len(),
        "num_objects": usage.objects,
        "data_bytes": usage.bytes_stored,
        "bytes_used": space.used,
        "bytes_avail": space.avail,
        "bytes_total": space.total,
    });
    if let (true, Some(fields)) = (rates != Rates::default(), out.as_object_mut()) {
        fields.insert("read_bytes_sec".into(), rates.read_bytes.into());
        fields.insert("write_bytes_sec".into(), rates.write_bytes.into());
        fields.insert("read_op_per_sec".into(), rates.read_ops.into());
        fields.insert("write_op_per_sec".into(), rates.write_ops.into());
    }
    out
}

/// What is in progress: by id, and in lines.
fn progress_events(ctx: &Context<'_>) -> (Value, Vec<String>) {
    match ctx.mon.rbd_support() {
        Some(module) => module.progress().in_status(),
        None => (json!({}), Vec::new()),
    }
}

/// `status`.
pub(super) fn status(ctx: &Context<'_>) -> CommandResult {
    if ctx.format == Format::Plain {
        return Ok(Reply::data(status_text(ctx)));
    }
    let monmap = ctx.cluster().monmap();
    let mgrmap = ctx.cluster().mgrmap();
    let value = json!({
        "fsid": ctx.cluster().fsid().to_string(),
        "health": health::short(ctx),
        "election_epoch": 1,
        "quorum": [0],
        "quorum_names": [MON_NAME],
        "quorum_age": age(ctx).as_secs(),
        "monmap": {
            "epoch": monmap.epoch,
            "min_mon_release_name": monmap.min_mon_release.name(),
            "num_mons": monmap.mons.len(),
        },
        "osdmap": osd_stat_value(ctx),
        "pgmap": pgmap_value(ctx),
        "fsmap": {"epoch": 1, "by_rank": [], "up:standby": 0},
        "mgrmap": {
            "available": true, "num_standbys": 0, "modules": mgrmap.modules, "services": mgrmap.services,
        },
        "servicemap": ctx.mon.services().map_value(created(ctx)),
        "progress_events": progress_events(ctx).0,
    });
    Ok(Reply::value(ctx.format, "status", &value))
}

/// Where `status` goes on with health: below its beginning.
const BELOW: &str = "\n            ";

fn status_text(ctx: &Context<'_>) -> String {
    let map = ctx.cluster().osdmap();
    let space = ctx.cluster().stats().space();
    let (usage, rates) = totals(ctx);
    let pgs = pg_count(&map);
    let up = time::span(age(ctx));
    let mut out = format!(
        "  cluster:\n    id:     {}\n    health: {}\n",
        ctx.cluster().fsid(),
        Health::of(ctx.cluster()).line(BELOW, BELOW)
    );
    out += &format!(" \n  services:\n    mon: 1 daemons, quorum {MON_NAME} (age {up})\n");
    out += &format!(
        "    mgr: {MGR_NAME}(active, since {up})\n    osd: {}\n",
        osd_stat_line(ctx)
    );
    let flags = operator_flags(map.flags);
    if !flags.is_empty() {
        out += &format!("         flags {}\n", flags.join(","));
    }
    for (service, summary) in ctx.mon.services().summaries() {
        out += &format!("    {service}: {summary}\n");
    }
    out += &format!(
        " \n  data:\n    pools:   {} pools, {pgs} pgs\n    objects: {} objects, {}\n",
        map.pools.len(),
        count(usage.objects),
        bytes(usage.bytes_stored)
    );
    out += &format!(
        "    usage:   {} used, {} / {} avail\n    pgs:     ",
        bytes(space.used),
        bytes(space.avail),
        bytes(space.total)
    );
    out += &states_text(ctx);
    out += " \n";
    if rates != Rates::default() {
        out += &format!("  io:\n    client:   {}\n \n", io_line(rates));
    }
    let (_, events) = progress_events(ctx);
    if !events.is_empty() {
        out += "  progress:\n";
        for event in events {
            out += &format!("    {event}\n");
        }
        out += " \n";
    }
    out
}

/// How many groups are in each state, a line for each, the most frequent first.
fn states_text(ctx: &Context<'_>) -> String {
    let mut states: Vec<_> = pg::states(ctx.cluster()).into_iter().collect();
    states.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let width = states.first().map_or(0, |(_, count)| count.to_string().len());
    let lines: Vec<String> = states
        .iter()
        .map(|(state, n)| format!("{n:<width$} {state}\n"))
        .collect();
    lines.join("             ")
}

/// `14 KiB/s rd, 1.9 KiB/s wr, 16 op/s rd, 2 op/s wr`; what is zero is left out.
pub(in crate::mon) fn io_line(rates: Rates) -> String {
    let mut parts = Vec::new();
    for (v, word) in [(rates.read_bytes, "rd"), (rates.write_bytes, "wr")] {
        if v > 0 {
            parts.push(format!("{}/s {word}", bytes(v)));
        }
    }
    for (v, word) in [(rates.read_ops, "rd"), (rates.write_ops, "wr")] {
        if v > 0 || rates.read_ops + rates.write_ops > 0 {
            parts.push(format!("{} op/s {word}", count(v)));
        }
    }
    parts.join(", ")
}

/// `pg stat`.
pub(super) fn pg_stat(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let space = ctx.cluster().stats().space();
    let (usage, _) = totals(ctx);
    let pgs = pg_count(&map);
    let by_state = pg::states(ctx.cluster());
    let states: Vec<Value> = by_state
        .iter()
        .map(|(state, count)| json!({"name": state, "num": count}))
        .collect();
    let value = json!({
        "pg_ready": true,
        "pg_summary": {
            "num_pg_by_state": states,
            "num_pgs": pgs,
            "num_bytes": usage.bytes_stored,
            "total_bytes": space.total,
            "total_avail_bytes": space.avail,
            "total_used_bytes": space.used,
            "total_used_raw_bytes": space.used,
        },
    });
    Ok(Reply::either(ctx.format, "pg_info", &value, || {
        pgmap::summary(ctx.cluster())
    }))
}
