//! `df` and `osd status`.

use encoding::maps::{OsdMap, PgPool};
use serde_json::{Value, json};

use super::{CommandResult, Context};
use crate::{
    cluster::{PoolUsage, Space},
    mon::{
        format::{Column, Format, bytes, count, float, table},
        reply::Reply,
        show::osds,
    },
};

/// What a pool could still take: its share of what is available before the map's full ratio is reached.
/// A pool's `size` does not divide it: the backend keeps what copies it keeps.
fn max_avail(map: &OsdMap, space: Space) -> u64 {
    let keep = (1.0 - f64::from(map.full_ratio)).max(0.0) * space.total as f64;
    (space.avail as f64 - keep).max(0.0) as u64
}

fn percent_used(used: u64, avail: u64) -> f64 {
    match used.checked_add(avail) {
        None | Some(0) => 0.0,
        Some(sum) => used as f64 / sum as f64,
    }
}

/// A part of a whole.
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

fn quota(v: u64, show: fn(u64) -> String) -> String {
    if v == 0 { "N/A".to_owned() } else { show(v) }
}

/// Percentages as Ceph prints them: no decimals where there are none.
fn percent(v: f64) -> String {
    let text = format!("{:.2}", v * 100.0);
    if text == "0.00" { "0".to_owned() } else { text }
}

/// `df [detail]`.
pub(super) fn df(ctx: &Context<'_>) -> CommandResult {
    let detail = ctx.args.str("detail").is_some();
    if ctx.format == Format::Plain {
        return Ok(Reply::data(df_text(ctx, detail)));
    }
    let map = ctx.cluster().osdmap();
    let stats = ctx.cluster().stats();
    let space = stats.space();
    let pools: Vec<Value> = map
        .pools
        .iter()
        .map(|(id, pool)| {
            let avail = max_avail(&map, space);
            json!({
                "name": map.pool_names.get(id),
                "id": id,
                "stats": pool_stats(pool, stats.pool(*id), avail, detail),
            })
        })
        .collect();
    let class = json!({
        "total_bytes": space.total,
        "total_avail_bytes": space.avail,
        "total_used_bytes": space.used,
        "total_used_raw_bytes": space.used,
        "total_used_raw_ratio": float(ratio(space.used, space.total)),
    });
    let mut all = class.clone();
    if let Some(fields) = all.as_object_mut() {
        fields.insert("num_osds".into(), osds(&map).count().into());
        fields.insert("num_per_pool_osds".into(), 0.into());
        fields.insert("num_per_pool_omap_osds".into(), 0.into());
    }
    let value = json!({"stats": all, "stats_by_class": {"rbdgate": class}, "pools": pools});
    Ok(Reply::value(ctx.format, "stats", &value))
}

fn pool_stats(pool: &PgPool, u: PoolUsage, avail: u64, detail: bool) -> Value {
    let percent = float(percent_used(u.bytes_used, avail));
    if !detail {
        return json!({
            "stored": u.bytes_stored,
            "objects": u.objects,
            "kb_used": u.bytes_used.div_ceil(1024),
            "bytes_used": u.bytes_used,
            "percent_used": percent,
            "max_avail": avail,
        });
    }
    json!({
        "stored": u.bytes_stored,
        "stored_data": u.bytes_stored,
        "stored_omap": 0,
        "objects": u.objects,
        "kb_used": u.bytes_used.div_ceil(1024),
        "bytes_used": u.bytes_used,
        "data_bytes_used": u.bytes_used,
        "omap_bytes_used": 0,
        "percent_used": percent,
        "max_avail": avail,
        "quota_objects": pool.quota_max_objects,
        "quota_bytes": pool.quota_max_bytes,
        "dirty": 0,
        "rd": u.read_ops,
        "rd_bytes": u.read_bytes,
        "wr": u.write_ops,
        "wr_bytes": u.write_bytes,
        "compress_bytes_used": 0,
        "compress_under_bytes": 0,
        "stored_raw": u.bytes_stored,
        "avail_raw": avail,
    })
}

fn df_text(ctx: &Context<'_>, detail: bool) -> String {
    use Column::{Left, Right as R};
    let map = ctx.cluster().osdmap();
    let stats = ctx.cluster().stats();
    let space = stats.space();
    let raw = |name: &str| {
        let used = bytes(space.used);
        let share = percent(ratio(space.used, space.total));
        vec![
            name.to_owned(),
            bytes(space.total),
            bytes(space.avail),
            used.clone(),
            used,
            share,
        ]
    };
    let columns = [
        Left("CLASS"),
        R("SIZE"),
        R("AVAIL"),
        R("USED"),
        R("RAW USED"),
        R("%RAW USED"),
    ];
    let mut out = "--- RAW STORAGE ---\n".to_owned();
    out += &table(&columns, &[raw("rbdgate"), raw("TOTAL")]);
    out += " \n--- POOLS ---\n";
    let mut columns = vec![Left("POOL"), R("ID"), R("PGS"), R("STORED")];
    if detail {
        columns.extend([R("(DATA)"), R("(OMAP)")]);
    }
    columns.extend([R("OBJECTS"), R("USED")]);
    if detail {
        columns.extend([R("(DATA)"), R("(OMAP)")]);
    }
    columns.extend([R("%USED"), R("MAX AVAIL")]);
    if detail {
        let more = [
            "QUOTA OBJECTS",
            "QUOTA BYTES",
            "DIRTY",
            "USED COMPR",
            "UNDER COMPR",
        ];
        columns.extend(more.map(R));
    }
    let rows: Vec<Vec<String>> = map
        .pools
        .iter()
        .map(|(id, pool)| {
            let (u, avail) = (stats.pool(*id), max_avail(&map, space));
            let name = map.pool_names.get(id).cloned().unwrap_or_default();
            let mut row = vec![
                name,
                id.to_string(),
                pool.pg_num.to_string(),
                bytes(u.bytes_stored),
            ];
            if detail {
                row.extend([bytes(u.bytes_stored), bytes(0)]);
            }
            row.extend([count(u.objects), bytes(u.bytes_used)]);
            if detail {
                row.extend([bytes(u.bytes_used), bytes(0)]);
            }
            row.extend([percent(percent_used(u.bytes_used, avail)), bytes(avail)]);
            if detail {
                row.extend([
                    quota(pool.quota_max_objects, count),
                    quota(pool.quota_max_bytes, bytes),
                ]);
                row.extend(["N/A".to_owned(), bytes(0), bytes(0)]);
            }
            row
        })
        .collect();
    out + &table(&columns, &rows)
}

/// `osd status`: the same text in every format, as Ceph's module has no other.
pub(super) fn osd_status(ctx: &Context<'_>) -> CommandResult {
    use Column::{Left as L, Right as R};
    let map = ctx.cluster().osdmap();
    let space = ctx.cluster().stats().space();
    let rates = super::status::totals(ctx).1;
    let n = osds(&map).count().max(1) as u64;
    let host = ctx.cluster().host();
    let columns = [
        R("ID"),
        L("HOST"),
        R("USED"),
        R("AVAIL"),
        R("WR OPS"),
        R("WR DATA"),
        R("RD OPS"),
        R("RD DATA"),
        L("STATE"),
    ];
    let row = |id: i32| {
        let state = if map.is_up(id) { "exists,up" } else { "exists" };
        let figures = [
            bytes(space.used / n),
            bytes(space.avail / n),
            count(rates.write_ops / n),
            bytes(rates.write_bytes / n),
        ];
        let mut row = vec![id.to_string(), host.to_owned()];
        row.extend(figures);
        row.extend([
            count(rates.read_ops / n),
            bytes(rates.read_bytes / n),
            state.to_owned(),
        ]);
        row
    };
    let rows: Vec<_> = osds(&map).map(|(id, _)| row(id)).collect();
    Ok(Reply::data(table(&columns, &rows)))
}
