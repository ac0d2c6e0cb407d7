//! Counters as `perf dump` and `perf schema` show them (Ceph `src/common/perf_counters.cc`), and other small values that daemons
//! show of themselves.

use encoding::types::{EntityAddr, Utime};
use serde_json::{Map, Value, json};

use crate::{cluster::Cluster, mon};

/// The counters: one section for the cluster, one for sessions, one for each pool.
#[must_use]
pub fn dump(cluster: &Cluster, sessions: u64) -> Value {
    let (map, stats) = (cluster.osdmap(), cluster.stats());
    let space = stats.space();
    let mut out = Map::new();
    out.insert(
        "cluster".into(),
        json!({
            "num_mon": 1, "num_mon_quorum": 1, "num_osd": map.osd_state.len(), "num_pool": map.pools.len(),
            "osd_epoch": map.epoch, "osd_bytes": space.total, "osd_bytes_used": space.used,
            "osd_bytes_avail": space.avail,
        }),
    );
    out.insert(
        "sessions".into(),
        json!({"num_sessions": sessions, "mon_sessions": cluster.sessions()}),
    );
    for id in map.pools.keys() {
        let p = stats.pool(*id);
        let name = map.pool_names.get(id).cloned().unwrap_or_else(|| id.to_string());
        out.insert(
            format!("pool-{name}"),
            json!({
                "objects": p.objects, "bytes_stored": p.bytes_stored, "bytes_used": p.bytes_used, "op_r": p.read_ops,
                "op_r_out_bytes": p.read_bytes, "op_w": p.write_ops, "op_w_in_bytes": p.write_bytes,
            }),
        );
    }
    Value::Object(out)
}

/// Counters that only grow; the others are gauges.
const COUNTERS: [&str; 4] = ["op_r", "op_r_out_bytes", "op_w", "op_w_in_bytes"];
/// `perfcounter_type_d`: a number without a fraction.
const U64: u64 = 2;
/// `perfcounter_type_d`: one that only grows.
const COUNTER: u64 = 8;

/// What a counter of that name is.
fn describe(name: &str) -> Value {
    let grows = COUNTERS.contains(&name);
    let units = if name.contains("bytes") { "bytes" } else { "none" };
    json!({
        "type": if grows { U64 | COUNTER } else { U64 },
        "metric_type": if grows { "counter" } else { "gauge" },
        "value_type": "integer", "description": name.replace('_', " "), "nick": "", "priority": 5, "units": units,
    })
}

/// The schema of a dump.
#[must_use]
pub fn schema(dump: &Value) -> Value {
    let of_section = |section: &Value| -> Value {
        let names = section.as_object().into_iter().flat_map(Map::keys);
        names.map(|name| (name.clone(), describe(name))).collect()
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
