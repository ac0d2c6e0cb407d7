//! Statistics of placement groups, pools and OSDs as `pg dump` shows them (Ceph `src/osd/osd_types.cc`, `src/mon/PGMap.cc`).

use std::time::SystemTime;

use encoding::types::Utime;
use serde_json::{Map, Value, json};

use super::{Context, pg::Group, status::totals};
use crate::{
    cluster::{Cluster, Latency, PoolUsage, Space},
    mon::{reply::CommandError, show::osds, time},
};

/// Since when groups are in the state that they are in.
pub(super) fn since(ctx: &Context<'_>) -> Utime {
    ctx.cluster().osdmap().last_up_change
}

/// Names of what is counted of objects and of work on them; all but those that [`stat_sum`] fills are always zero here.
const COUNTERS: [&str; 40] = [
    "num_bytes",
    "num_objects",
    "num_object_clones",
    "num_object_copies",
    "num_objects_missing_on_primary",
    "num_objects_missing",
    "num_objects_degraded",
    "num_objects_misplaced",
    "num_objects_unfound",
    "num_objects_dirty",
    "num_whiteouts",
    "num_read",
    "num_read_kb",
    "num_write",
    "num_write_kb",
    "num_scrub_errors",
    "num_shallow_scrub_errors",
    "num_deep_scrub_errors",
    "num_objects_recovered",
    "num_bytes_recovered",
    "num_keys_recovered",
    "num_objects_omap",
    "num_objects_hit_set_archive",
    "num_bytes_hit_set_archive",
    "num_flush",
    "num_flush_kb",
    "num_evict",
    "num_evict_kb",
    "num_promote",
    "num_flush_mode_high",
    "num_flush_mode_low",
    "num_evict_mode_some",
    "num_evict_mode_full",
    "num_objects_pinned",
    "num_legacy_snapsets",
    "num_large_omap_objects",
    "num_objects_manifest",
    "num_omap_bytes",
    "num_omap_keys",
    "num_objects_repaired",
];

fn stat_sum(usage: PoolUsage) -> Value {
    let mut out: Map<String, Value> = COUNTERS
        .iter()
        .map(|name| ((*name).to_owned(), 0.into()))
        .collect();
    for (name, value) in [
        ("num_bytes", usage.bytes_stored),
        ("num_objects", usage.objects),
        ("num_object_clones", usage.clones),
        ("num_object_copies", usage.objects + usage.clones),
        ("num_read", usage.read_ops),
        ("num_read_kb", usage.read_bytes >> 10),
        ("num_write", usage.write_ops),
        ("num_write_kb", usage.write_bytes >> 10),
    ] {
        out.insert(name.to_owned(), value.into());
    }
    Value::Object(out)
}

/// What data take: of a pool, without a capacity of its own, or of everything.
fn store_stats(space: Space, usage: PoolUsage) -> Value {
    json!({
        "total": space.total, "available": space.avail, "internally_reserved": 0, "allocated": usage.bytes_used,
        "data_stored": usage.bytes_stored, "data_compressed": 0, "data_compressed_allocated": 0,
        "data_compressed_original": 0, "omap_allocated": 0, "internal_metadata": 0,
    })
}

/// What pools and their sum have in common.
fn pool_part(usage: PoolUsage, groups: u64) -> Map<String, Value> {
    let value = json!({
        "stat_sum": stat_sum(usage),
        "store_stats": store_stats(Space::default(), usage),
        "log_size": 0, "ondisk_log_size": 0, "up": groups, "acting": groups, "num_store_stats": 1,
    });
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Each pool.
pub(super) fn pools(ctx: &Context<'_>) -> Value {
    let stats = ctx.cluster().stats();
    let map = ctx.cluster().osdmap();
    let each = map.pools.iter().map(|(id, pool)| {
        let mut out = json!({"poolid": id, "num_pg": pool.pg_num});
        if let Some(fields) = out.as_object_mut() {
            fields.extend(pool_part(stats.pool(*id), u64::from(pool.pg_num)));
        }
        out
    });
    Value::Array(each.collect())
}

/// What each pool takes on each OSD: all OSDs share one backend, so the first stands for all.
pub(super) fn pool_statfs(ctx: &Context<'_>) -> Value {
    let stats = ctx.cluster().stats();
    let map = ctx.cluster().osdmap();
    let osd = osds(&map).next().map_or(0, |(id, _)| id);
    let each = map.pools.keys().map(|id| {
        let mut out = json!({"poolid": id, "osd": osd});
        let part = store_stats(Space::default(), stats.pool(*id));
        if let (Some(fields), Value::Object(part)) = (out.as_object_mut(), part) {
            fields.extend(part);
        }
        out
    });
    Value::Array(each.collect())
}

fn osd_stat(ctx: &Context<'_>, groups: usize, latency: Latency, osds: usize) -> Map<String, Value> {
    let space = ctx.cluster().stats().space();
    let usage = totals(ctx).0;
    let value = json!({
        "up_from": 0, "seq": 0, "num_pgs": groups, "num_osds": osds, "num_per_pool_osds": osds,
        "num_per_pool_omap_osds": osds, "kb": space.total >> 10, "kb_used": space.used >> 10,
        "kb_used_data": usage.bytes_used >> 10, "kb_used_omap": 0, "kb_used_meta": 0, "kb_avail": space.avail >> 10,
        "statfs": store_stats(space, usage),
        "hb_peers": [], "snap_trim_queue_len": 0, "num_snap_trimming": 0, "num_shards_repaired": 0,
        "op_queue_age_hist": {"histogram": [], "upper_bound": 1},
        "perf_stat": {
            "commit_latency_ms": latency.commit_ms, "apply_latency_ms": latency.apply_ms,
            "commit_latency_ns": latency.commit_ms * 1_000_000, "apply_latency_ns": latency.apply_ms * 1_000_000,
        },
        "alerts": [], "network_ping_times": [],
    });
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Each OSD.
pub(super) fn osds_of(ctx: &Context<'_>, groups: usize) -> Value {
    let map = ctx.cluster().osdmap();
    let stats = ctx.cluster().stats();
    let each = osds(&map).map(|(id, i)| {
        let mut out = json!({"osd": id});
        if let Some(fields) = out.as_object_mut() {
            fields.extend(osd_stat(ctx, groups, stats.latency(id), 1));
            let up_from = map.osd_info.get(i).map_or(0, |info| info.up_from);
            fields.insert("up_from".into(), up_from.into());
        }
        out
    });
    Value::Array(each.collect())
}

/// A group in short.
pub(super) fn brief(group: &Group) -> Value {
    json!({
        "pgid": group.pg.to_string(), "state": group.state(), "up": group.acting(), "acting": group.acting(),
        "up_primary": group.primary(), "acting_primary": group.primary(),
    })
}

/// Each group in full.
pub(super) fn each(ctx: &Context<'_>, groups: &[Group]) -> Value {
    let fresh = time::local(Utime::from_system_time(SystemTime::now()));
    let epoch = ctx.cluster().osdmap().epoch;
    groups.iter().map(|g| one(epoch, g, &fresh, since(ctx))).collect()
}

/// A group as its OSD tells of it: what there would be of logs and peers is not, as nothing is copied between OSDs.
pub(crate) fn query(cluster: &Cluster, pgid: &str) -> Result<Value, CommandError> {
    let map = cluster.osdmap();
    let group = super::pg::counted_group(cluster, pgid)?;
    let fresh = time::local(Utime::from_system_time(SystemTime::now()));
    let stats = one(map.epoch, &group, &fresh, map.last_up_change);
    let [scrub, deep] = group.scrub_stamps(map.last_up_change).map(time::local);
    let history = json!({
        "epoch_created": group.created, "epoch_pool_created": group.created, "last_epoch_started": map.epoch,
        "last_interval_started": map.epoch, "last_epoch_clean": map.epoch, "last_interval_clean": map.epoch,
        "last_epoch_split": 0, "last_epoch_marked_full": 0, "same_up_since": group.created,
        "same_interval_since": group.created, "same_primary_since": group.created, "last_scrub": "0'0",
        "last_scrub_stamp": scrub, "last_deep_scrub": "0'0", "last_deep_scrub_stamp": deep,
        "last_clean_scrub_stamp": scrub, "prior_readable_until_ub": 0,
    });
    let info = json!({
        "pgid": group.pg.to_string(), "last_update": "0'0", "last_complete": "0'0", "log_tail": "0'0",
        "last_user_version": 0, "last_backfill": "MAX", "purged_snaps": [], "history": history, "stats": stats,
        "empty": 0, "dne": 0, "incomplete": 0, "last_epoch_started": map.epoch,
        "hit_set_history": {"current_last_update": "0'0", "history": []},
    });
    let acting: Vec<String> = group.acting().iter().map(ToString::to_string).collect();
    Ok(json!({
        "snap_trimq": "[]", "snap_trimq_len": 0, "state": group.state(), "epoch": map.epoch, "up": group.acting(),
        "acting": group.acting(), "acting_recovery_backfill": acting, "info": info, "peer_info": [],
        "recovery_state": [], "agent_state": {},
    }))
}

fn one(epoch: u32, group: &Group, fresh: &str, since: Utime) -> Value {
    let [scrub, deep] = group.scrub_stamps(since).map(time::local);
    let since = time::local(since);
    let active = if group.active { fresh } else { &since };
    let history = json!({
        "pgid": group.pg.to_string(), "version": "0'0", "reported_seq": 0, "reported_epoch": epoch,
        "state": group.state(), "last_fresh": fresh, "last_change": since, "last_active": active,
        "last_peered": active, "last_clean": active, "last_became_active": since, "last_became_peered": since,
        "last_unstale": fresh, "last_undegraded": fresh, "last_fullsized": fresh, "mapping_epoch": group.created,
        "log_start": "0'0", "ondisk_log_start": "0'0", "created": group.created, "last_epoch_clean": epoch,
        "parent": "0.0", "parent_split_bits": 0, "last_scrub": "0'0", "last_scrub_stamp": scrub,
    });
    let mut sum = stat_sum(group.usage);
    sum["num_scrub_errors"] = group.scrub.errors.into();
    let rest = json!({
        "last_deep_scrub": "0'0", "last_deep_scrub_stamp": deep, "last_clean_scrub_stamp": scrub,
        "log_size": 0, "ondisk_log_size": 0, "stats_invalid": false, "dirty_stats_invalid": false,
        "omap_stats_invalid": false, "hitset_stats_invalid": false, "hitset_bytes_stats_invalid": false,
        "pin_stats_invalid": false, "manifest_stats_invalid": false, "snaptrimq_len": 0,
        "stat_sum": sum,
        "up": group.acting(), "acting": group.acting(), "avail_no_missing": [], "object_location_counts": [],
        "blocked_by": [], "up_primary": group.primary(), "acting_primary": group.primary(), "purged_snaps": [],
    });
    let parts = [history, rest].into_iter().filter_map(|part| match part {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    Value::Object(parts.flatten().collect())
}

/// The whole map: in full, or without its groups and pools.
pub(super) fn pg_map(ctx: &Context<'_>, groups: &[Group], all: bool) -> Value {
    let epoch = ctx.cluster().osdmap().epoch;
    let osd_count = osds(&ctx.cluster().osdmap()).count();
    let count = groups.len() as u64;
    let usage = totals(ctx).0;
    let mut delta = pool_part(PoolUsage::default(), 0);
    delta.insert("num_store_stats".into(), 0.into());
    delta.insert("stamp_delta".into(), "0.000000".into());
    let mut out = json!({
        "version": epoch,
        "stamp": time::local(Utime::from_system_time(SystemTime::now())),
        "last_osdmap_epoch": epoch,
        "last_pg_scan": epoch,
        "pg_stats_sum": pool_part(usage, count),
        "osd_stats_sum": osd_stat(ctx, groups.len(), Latency::default(), osd_count),
        "pg_stats_delta": delta,
    });
    if let (true, Some(fields)) = (all, out.as_object_mut()) {
        fields.insert("pg_stats".into(), each(ctx, groups));
        fields.insert("pool_stats".into(), pools(ctx));
        fields.insert("osd_stats".into(), osds_of(ctx, groups.len()));
        fields.insert("pool_statfs".into(), pool_statfs(ctx));
    }
    out
}
