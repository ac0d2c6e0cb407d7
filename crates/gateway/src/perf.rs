//! Counters as `perf dump` and `perf schema` show them (Ceph `src/common/perf_counters.cc`), and other small values that daemons
//! show of themselves.

use std::sync::Arc;

use encoding::{
    maps::OsdMap,
    types::{EntityAddr, Utime},
};
use serde_json::{Map, Value, json};

use crate::{
    cluster::Cluster,
    mon,
    op_tracker::{Counter, Counters, OpTracker, Part},
};

/// The counters under Ceph's names where it has the same: of the monitor, of what it knows of the cluster, of OSDs (`ops`); and a
/// section for each pool.
#[must_use]
pub fn dump(cluster: &Cluster, sessions: u64, ops: &[Arc<OpTracker>]) -> Value {
    let (map, stats) = (cluster.osdmap(), cluster.stats());
    let mut out = Map::new();
    out.insert("cluster".into(), of_cluster(cluster));
    out.insert("mon".into(), json!({"num_sessions": cluster.sessions()}));
    let done: Vec<Counters> = ops.iter().map(|t| t.counters()).collect();
    out.insert("osd".into(), of_osds(cluster, &done));
    let commits = done.iter().map(|c| c.commits);
    let commits = commits.fold((0, 0), |sum, c| (sum.0 + c.0, sum.1 + c.1));
    out.insert(
        "store".into(),
        json!({"commit_lat": average(commits.0, commits.1)}),
    );
    let slow: u64 = done.iter().map(|c| c.slow).sum();
    out.insert("trackedop".into(), json!({"slow_ops_count": slow}));
    out.insert(
        "sessions".into(),
        json!({"num_sessions": sessions, "mon_sessions": cluster.sessions()}),
    );
    for id in map.pools.keys() {
        let p = stats.pool_counters(*id);
        out.insert(
            pool_logger(&map, *id),
            json!({
                "objects": p.objects, "bytes_stored": p.bytes_stored, "bytes_used": p.bytes_used, "op_r": p.read_ops,
                "op_r_out_bytes": p.read_bytes, "op_w": p.write_ops, "op_w_in_bytes": p.write_bytes,
            }),
        );
    }
    Value::Object(out)
}

/// The logger of a pool.
fn pool_logger(map: &OsdMap, id: i64) -> String {
    match map.pool_names.get(&id) {
        Some(name) => format!("pool-{name}"),
        None => format!("pool-{id}"),
    }
}

/// Begins to count anew what only grows, and what is timed, of one logger or `all` (`PerfCounters::reset`). Returns whether there is such a
/// logger.
pub fn reset(cluster: &Cluster, ops: &[Arc<OpTracker>], logger: &str) -> bool {
    let (map, stats) = (cluster.osdmap(), cluster.stats());
    let is = |name: &str| logger == "all" || logger == name;
    let mut found = ["cluster", "mon", "sessions"].into_iter().any(is);
    for (name, part) in [
        ("osd", Part::Ops),
        ("store", Part::Commits),
        ("trackedop", Part::Slow),
    ] {
        if is(name) {
            ops.iter().for_each(|tracker| tracker.reset(part));
            found = true;
        }
    }
    for id in map.pools.keys().filter(|id| is(&pool_logger(&map, **id))) {
        stats.reset_pool_counters(*id);
        found = true;
    }
    found
}

/// What the monitor knows of the cluster (`l_cluster_*` in Ceph `src/mon/Monitor.h`).
fn of_cluster(cluster: &Cluster) -> Value {
    let (map, stats) = (cluster.osdmap(), cluster.stats());
    let space = stats.space();
    let (osds, up, is_in) = mon::osd_counts(&map);
    let groups: u64 = map.pools.values().map(|p| u64::from(p.pg_num)).sum();
    let active = if up > 0 { groups } else { 0 };
    let pools: Vec<_> = map.pools.keys().map(|id| stats.pool(*id)).collect();
    let objects: u64 = pools.iter().map(|p| p.objects).sum();
    let bytes: u64 = pools.iter().map(|p| p.bytes_stored).sum();
    json!({
        "num_mon": 1, "num_mon_quorum": 1, "num_osd": osds, "num_osd_up": up, "num_osd_in": is_in,
        "osd_epoch": map.epoch, "osd_bytes": space.total, "osd_bytes_used": space.used,
        "osd_bytes_avail": space.avail, "num_pool": map.pools.len(), "num_pg": groups, "num_pg_active_clean": active,
        "num_pg_active": active, "num_pg_peering": 0, "num_object": objects, "num_object_degraded": 0,
        "num_object_misplaced": 0, "num_object_unfound": 0, "num_bytes": bytes,
    })
}

/// What OSDs did (`l_osd_*` in Ceph `src/osd/osd_perf_counters.h`).
fn of_osds(cluster: &Cluster, done: &[Counters]) -> Value {
    let sum = |part: fn(&Counters) -> Counter| {
        done.iter().map(part).fold(Counter::default(), |a, b| Counter {
            ops: a.ops + b.ops,
            in_bytes: a.in_bytes + b.in_bytes,
            out_bytes: a.out_bytes + b.out_bytes,
            nanos: a.nanos + b.nanos,
        })
    };
    let (r, w, rw) = (sum(|c| c.read), sum(|c| c.write), sum(|c| c.both));
    let in_flight: u64 = done.iter().map(|c| c.in_flight).sum();
    let space = cluster.stats().space();
    let (ops, nanos) = (r.ops + w.ops + rw.ops, r.nanos + w.nanos + rw.nanos);
    json!({
        "op_wip": in_flight, "op": ops, "op_in_bytes": r.in_bytes + w.in_bytes + rw.in_bytes,
        "op_out_bytes": r.out_bytes + w.out_bytes + rw.out_bytes, "op_latency": average(ops, nanos),
        "op_r": r.ops, "op_r_out_bytes": r.out_bytes, "op_r_latency": average(r.ops, r.nanos),
        "op_w": w.ops, "op_w_in_bytes": w.in_bytes, "op_w_latency": average(w.ops, w.nanos),
        "op_rw": rw.ops, "op_rw_in_bytes": rw.in_bytes, "op_rw_out_bytes": rw.out_bytes,
        "op_rw_latency": average(rw.ops, rw.nanos),
        "stat_bytes": space.total, "stat_bytes_used": space.used, "stat_bytes_avail": space.avail,
    })
}

/// How often something was timed, how long it took in all and on average, in seconds.
fn average(count: u64, nanos: u64) -> Value {
    let sum = nanos as f64 / 1e9;
    let each = if count == 0 { 0.0 } else { sum / count as f64 };
    json!({"avgcount": count, "sum": sum, "avgtime": each})
}

/// `perfcounter_type_d`: a time.
const TIME: u64 = 1;
/// `perfcounter_type_d`: a number without a fraction.
const U64: u64 = 2;
/// `perfcounter_type_d`: with a count, for an average.
const AVERAGE: u64 = 4;
/// `perfcounter_type_d`: one that only grows.
const COUNTER: u64 = 8;

/// Whether a counter of that name only grows; the others are gauges.
fn grows(name: &str) -> bool {
    (name == "op" || name.starts_with("op_") || name == "slow_ops_count") && name != "op_wip"
}

/// What a counter of that name is.
fn describe(name: &str, value: &Value) -> Value {
    let units = if name.contains("bytes") { "bytes" } else { "none" };
    let (kind, metric, of) = match (value.is_object(), grows(name)) {
        (true, _) => (TIME | AVERAGE, "gauge", "real-integer-pair"),
        (false, true) => (U64 | COUNTER, "counter", "integer"),
        (false, false) => (U64, "gauge", "integer"),
    };
    json!({
        "type": kind, "metric_type": metric, "value_type": of, "description": name.replace('_', " "), "nick": "",
        "priority": 5, "units": units,
    })
}

/// The schema of a dump.
#[must_use]
pub fn schema(dump: &Value) -> Value {
    let of_section = |section: &Value| -> Value {
        let counters = section.as_object().into_iter().flatten();
        counters
            .map(|(name, value)| (name.clone(), describe(name, value)))
            .collect()
    };
    let sections = dump.as_object().into_iter().flatten();
    sections
        .map(|(name, section)| (name.clone(), of_section(section)))
        .collect()
}

/// The version that a daemon tells of itself.
#[must_use]
pub fn version() -> Value {
    json!({"version": mon::VERSION_NUMBER, "release": mon::RELEASE, "release_type": "stable"})
}

/// An address in full.
pub(crate) fn address(addr: &EntityAddr) -> Value {
    mon::address_value(addr)
}

/// A time in the server's time zone.
pub(crate) fn time(t: Utime) -> Value {
    mon::local_time(t).into()
}
