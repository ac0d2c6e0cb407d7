//! `osd dump`, and how pools are shown (`pg_pool_t::dump`, Ceph `src/osd/osd_types.cc`).

use std::collections::BTreeMap;

use encoding::{
    features::{Feature, Features},
    maps::{OsdMap, PgPool, PoolOpt, SnapIntervals, osd_state, pool_flags, pool_opt},
};
use serde_json::{Map, Value, json};

use super::{CommandResult, Context};
use crate::{
    cluster::{CacheMode, Entrance},
    mon::{
        format::float,
        reply::{Reply, enoent},
        show::{addrvec, flag_names, legacy_addr, osds, plain_addr, pool_flag_names},
        time,
    },
};

/// The names of options, as far as pools here have them.
const OPTIONS: [(i32, &str); 4] = [
    (pool_opt::PG_NUM_MIN, "pg_num_min"),
    (pool_opt::TARGET_SIZE_BYTES, "target_size_bytes"),
    (pool_opt::TARGET_SIZE_RATIO, "target_size_ratio"),
    (pool_opt::PG_NUM_MAX, "pg_num_max"),
];

fn options(pool: &PgPool) -> Map<String, Value> {
    let known = OPTIONS.iter().filter_map(|(key, name)| {
        let value = match pool.opts.get(key)? {
            PoolOpt::Str(s) => s.as_str().into(),
            PoolOpt::Int(n) => Value::from(*n),
            PoolOpt::Double(v) => float(*v),
        };
        Some(((*name).to_owned(), value))
    });
    known.collect()
}

pub(super) const fn autoscale_mode(pool: &PgPool) -> &'static str {
    match pool.pg_autoscale_mode {
        0 => "off",
        1 => "warn",
        _ => "on",
    }
}

const fn snap_mode(pool: &PgPool) -> &'static str {
    if pool.flags & pool_flags::POOL_SNAPS != 0 {
        "pool"
    } else {
        "selfmanaged"
    }
}

fn type_name(pool: &PgPool) -> String {
    match pool.is_erasure() {
        true => format!("erasure profile {}", pool.erasure_code_profile),
        false => "replicated".to_owned(),
    }
}

/// A pool's fields, in the order in which Pacific shows them. `id_key` and `name_key` differ by command.
pub(super) fn pool_value(id: i64, name: &str, p: &PgPool, id_key: &str, name_key: &str) -> Value {
    let snaps = p
        .snaps
        .values()
        .map(|s| json!({"snapid": s.snapid, "stamp": time::local(s.stamp), "name": s.name}));
    let merge = &p.last_pg_merge_meta;
    let version = |v: encoding::types::Eversion| format!("{}'{}", v.epoch, v.version);
    let first = json!({
        id_key: id,
        name_key: name,
        "create_time": time::local(p.create_time),
        "flags": p.flags,
        "flags_names": pool_flag_names(p.flags),
        "type": p.kind,
        "size": p.size,
        "min_size": p.min_size,
        "crush_rule": p.crush_rule,
        "peering_crush_bucket_count": 0,
        "peering_crush_bucket_target": 0,
        "peering_crush_bucket_barrier": 0,
        "peering_crush_bucket_mandatory_member": i32::MAX,
        "object_hash": p.object_hash,
        "pg_autoscale_mode": autoscale_mode(p),
        "pg_num": p.pg_num,
        "pg_placement_num": p.pgp_num,
        "pg_placement_num_target": p.pgp_num_target,
        "pg_num_target": p.pg_num_target,
        "pg_num_pending": p.pg_num_pending,
        "last_pg_merge_meta": {
            "source_pgid": merge.source_pgid.to_string(),
            "ready_epoch": merge.ready_epoch,
            "last_epoch_started": merge.last_epoch_started,
            "last_epoch_clean": merge.last_epoch_clean,
            "source_version": version(merge.source_version),
            "target_version": version(merge.target_version),
        },
        "last_change": p.last_change.to_string(),
        "last_force_op_resend": p.last_force_op_resend.to_string(),
        "last_force_op_resend_prenautilus": p.last_force_op_resend_prenautilus.to_string(),
        "last_force_op_resend_preluminous": p.last_force_op_resend_preluminous.to_string(),
        "auid": p.auid,
        "snap_mode": snap_mode(p),
        "snap_seq": p.snap_seq,
        "snap_epoch": p.snap_epoch,
        "pool_snaps": snaps.collect::<Vec<_>>(),
        "removed_snaps": "[]",
        "quota_max_bytes": p.quota_max_bytes,
        "quota_max_objects": p.quota_max_objects,
    });
    let second = json!({
        "tiers": p.tiers,
        "tier_of": p.tier_of,
        "read_tier": p.read_tier,
        "write_tier": p.write_tier,
        "cache_mode": CacheMode::name_of(p.cache_mode),
        "target_max_bytes": p.target_max_bytes,
        "target_max_objects": p.target_max_objects,
        "cache_target_dirty_ratio_micro": p.cache_target_dirty_ratio_micro,
        "cache_target_dirty_high_ratio_micro": p.cache_target_dirty_high_ratio_micro,
        "cache_target_full_ratio_micro": p.cache_target_full_ratio_micro,
        "cache_min_flush_age": p.cache_min_flush_age,
        "cache_min_evict_age": p.cache_min_evict_age,
        "erasure_code_profile": p.erasure_code_profile,
        "hit_set_params": {"type": "none"},
        "hit_set_period": p.hit_set_period,
        "hit_set_count": p.hit_set_count,
        "use_gmt_hitset": p.use_gmt_hitset,
        "min_read_recency_for_promote": p.min_read_recency_for_promote,
        "min_write_recency_for_promote": p.min_write_recency_for_promote,
        "hit_set_grade_decay_rate": p.hit_set_grade_decay_rate,
        "hit_set_search_last_n": p.hit_set_search_last_n,
        "grade_table": [],
        "stripe_width": p.stripe_width,
        "expected_num_objects": p.expected_num_objects,
        "fast_read": p.fast_read,
        "options": options(p),
        "application_metadata": p.application_metadata,
    });
    let mut all = Map::new();
    for part in [first, second] {
        if let Value::Object(fields) = part {
            all.extend(fields);
        }
    }
    Value::Object(all)
}

/// `pool 1 'rbd' replicated size 1 ...`, with a line for each pool snapshot.
pub(super) fn pool_line(id: i64, name: &str, p: &PgPool) -> String {
    let mut out = format!(
        "pool {id} '{name}' {} size {} min_size {} crush_rule {} object_hash rjenkins pg_num {} pgp_num {} \
         autoscale_mode {} last_change {}",
        type_name(p),
        p.size,
        p.min_size,
        p.crush_rule,
        p.pg_num,
        p.pgp_num,
        autoscale_mode(p),
        p.last_change
    );
    if p.flags != 0 {
        out += &format!(" flags {}", pool_flag_names(p.flags));
    }
    if p.quota_max_bytes != 0 {
        out += &format!(" max_bytes {}", p.quota_max_bytes);
    }
    if p.quota_max_objects != 0 {
        out += &format!(" max_objects {}", p.quota_max_objects);
    }
    out += &tiers_text(p);
    out += &format!(" stripe_width {}", p.stripe_width);
    if p.fast_read {
        out += " fast_read 1";
    }
    for (name, value) in options(p) {
        out += &format!(" {name} {value}");
    }
    if !p.application_metadata.is_empty() {
        let names: Vec<_> = p.application_metadata.keys().map(String::as_str).collect();
        out += &format!(" application {}", names.join(","));
    }
    out.push('\n');
    for s in p.snaps.values() {
        out += &format!("\tsnap {} '{}' {}\n", s.snapid, s.name, time::local(s.stamp));
    }
    out
}

/// What a pool's line says of tiers.
fn tiers_text(p: &PgPool) -> String {
    let mut out = String::new();
    if !p.tiers.is_empty() {
        let tiers: Vec<String> = p.tiers.iter().map(ToString::to_string).collect();
        out += &format!(" tiers {}", tiers.join(","));
    }
    if p.tier_of >= 0 {
        out += &format!(" tier_of {}", p.tier_of);
    }
    if p.cache_mode != 0 {
        out += &format!(" cache_mode {}", CacheMode::name_of(p.cache_mode));
    }
    out
}

pub(super) fn osd_value(map: &OsdMap, id: i32, i: usize) -> Option<Value> {
    let (addrs, info) = (map.osd_addrs.get(i)?, map.osd_info.get(i)?);
    let mut state = vec!["exists"];
    if map.is_up(id) {
        state.push("up");
    }
    Some(json!({
        "osd": id,
        "uuid": map.osd_uuid.get(i)?.to_string(),
        "up": u8::from(map.is_up(id)),
        "in": u8::from(*map.osd_weight.get(i)? > 0),
        "weight": weight(map, i),
        "primary_affinity": affinity(map, i),
        "last_clean_begin": info.last_clean_begin,
        "last_clean_end": info.last_clean_end,
        "up_from": info.up_from,
        "up_thru": info.up_thru,
        "down_at": info.down_at,
        "lost_at": info.lost_at,
        "public_addrs": addrvec(&addrs.client),
        "cluster_addrs": addrvec(&addrs.cluster),
        "heartbeat_back_addrs": addrvec(&addrs.hb_back),
        "heartbeat_front_addrs": addrvec(&addrs.hb_front),
        "public_addr": legacy_addr(&addrs.client),
        "cluster_addr": legacy_addr(&addrs.cluster),
        "heartbeat_back_addr": legacy_addr(&addrs.hb_back),
        "heartbeat_front_addr": legacy_addr(&addrs.hb_front),
        "state": state,
    }))
}

/// A 16.16 fixed point number.
fn fixed(v: u32) -> Value {
    float(f64::from(v) / 65536.0)
}

pub(super) fn weight(map: &OsdMap, i: usize) -> Value {
    fixed(map.osd_weight.get(i).copied().unwrap_or_default())
}

pub(super) fn affinity(map: &OsdMap, i: usize) -> Value {
    fixed(map.osd_primary_affinity.get(i).copied().unwrap_or(0x1_0000))
}

fn xinfo_value(map: &OsdMap, id: i32, i: usize) -> Option<Value> {
    let x = map.osd_xinfo.get(i)?;
    Some(json!({
        "osd": id,
        "down_stamp": time::local(x.down_stamp),
        "laggy_probability": x.laggy_probability,
        "laggy_interval": x.laggy_interval,
        "features": x.features,
        "old_weight": x.old_weight,
        "last_purged_snaps_scrub": time::local(x.last_purged_snaps_scrub),
        "dead_epoch": x.dead_epoch,
    }))
}

fn snaps(sets: &BTreeMap<i64, SnapIntervals>) -> Value {
    let each = sets.iter().map(|(pool, set)| {
        let intervals = set
            .iter()
            .map(|(begin, length)| json!({"begin": begin, "length": length}));
        json!({"pool": pool, "snaps": intervals.collect::<Vec<_>>()})
    });
    Value::Array(each.collect())
}

/// The oldest release whose clients can read the map: what its CRUSH map asks for.
pub(super) fn min_compat_client(map: &OsdMap) -> &'static str {
    let straw2 = map.crush.buckets.iter().flatten().any(|b| b.weights.alg() == 5);
    if map.crush.tunables.chooseleaf_stable != 0 {
        "jewel"
    } else if straw2 {
        "hammer"
    } else {
        "firefly"
    }
}

fn map_value(map: &OsdMap) -> Value {
    let mut flags_set = flag_names(map.flags);
    flags_set.sort_unstable();
    let pools = map.pools.iter().map(|(id, p)| {
        let name = map.pool_names.get(id).map_or("", String::as_str);
        pool_value(*id, name, p, "pool", "pool_name")
    });
    let until = |list: &BTreeMap<encoding::types::EntityAddr, encoding::types::Utime>| {
        let each = list
            .iter()
            .map(|(a, t)| (plain_addr(a), Value::from(time::local(*t))));
        each.collect::<Map<_, _>>()
    };
    json!({
        "epoch": map.epoch,
        "fsid": map.fsid.to_string(),
        "created": time::local(map.created),
        "modified": time::local(map.modified),
        "last_up_change": time::local(map.last_up_change),
        "last_in_change": time::local(map.last_in_change),
        "flags": flag_names(map.flags).join(","),
        "flags_num": map.flags,
        "flags_set": flags_set,
        "crush_version": map.crush_version,
        "full_ratio": f64::from(map.full_ratio),
        "backfillfull_ratio": f64::from(map.backfillfull_ratio),
        "nearfull_ratio": f64::from(map.nearfull_ratio),
        "cluster_snapshot": map.cluster_snapshot,
        "pool_max": map.pool_max,
        "max_osd": map.max_osd,
        "require_min_compat_client": map.require_min_compat_client.name(),
        "min_compat_client": min_compat_client(map),
        "require_osd_release": map.require_osd_release.name(),
        "pools": pools.collect::<Vec<_>>(),
        "osds": osds(map).filter_map(|(id, i)| osd_value(map, id, i)).collect::<Vec<_>>(),
        "osd_xinfo": osds(map).filter_map(|(id, i)| xinfo_value(map, id, i)).collect::<Vec<_>>(),
        "pg_upmap": [],
        "pg_upmap_items": [],
        "pg_temp": [],
        "primary_temp": [],
        "blocklist": until(&map.blocklist),
        "range_blocklist": until(&map.range_blocklist),
        "erasure_code_profiles": map.erasure_code_profiles,
        "removed_snaps_queue": snaps(&map.removed_snaps_queue),
        "new_removed_snaps": snaps(&map.new_removed_snaps),
        "new_purged_snaps": snaps(&map.new_purged_snaps),
        "crush_node_flags": {},
        "device_class_flags": {},
        "stretch_mode": {
            "stretch_mode_enabled": map.stretch_mode.enabled,
            "stretch_bucket_count": map.stretch_mode.bucket_count,
            "degraded_stretch_mode": map.stretch_mode.degraded,
            "recovering_stretch_mode": map.stretch_mode.recovering,
            "stretch_mode_bucket": map.stretch_mode.bucket,
        },
    })
}

pub(super) fn osd_line(map: &OsdMap, id: i32, i: usize) -> Option<String> {
    let (addrs, info) = (map.osd_addrs.get(i)?, map.osd_info.get(i)?);
    let up = map.is_up(id);
    let is_in = map.osd_weight.get(i).is_some_and(|w| *w > 0);
    let mut out = format!(
        "osd.{id} {} {}",
        if up { "up  " } else { "down" },
        if is_in { "in " } else { "out" }
    );
    out += &format!(" weight {}", weight(map, i));
    if affinity(map, i) != json!(1) {
        out += &format!(" primary_affinity {}", affinity(map, i));
    }
    out += &format!(
        " up_from {} up_thru {} down_at {} last_clean_interval [{},{}) {} {} {} {}\n",
        info.up_from,
        info.up_thru,
        info.down_at,
        info.last_clean_begin,
        info.last_clean_end,
        addrs.client,
        addrs.cluster,
        if up { "exists,up" } else { "exists" },
        map.osd_uuid.get(i)?
    );
    Some(out)
}

fn map_text(map: &OsdMap) -> String {
    let mut out = format!(
        "epoch {}\nfsid {}\ncreated {}\nmodified {}\nflags {}\ncrush_version {}\nfull_ratio {}\n\
         backfillfull_ratio {}\nnearfull_ratio {}\n",
        map.epoch,
        map.fsid,
        time::local(map.created),
        time::local(map.modified),
        flag_names(map.flags).join(","),
        map.crush_version,
        map.full_ratio,
        map.backfillfull_ratio,
        map.nearfull_ratio
    );
    out += &format!(
        "require_min_compat_client {}\nmin_compat_client {}\nrequire_osd_release {}\nstretch_mode_enabled {}\n",
        map.require_min_compat_client,
        min_compat_client(map),
        map.require_osd_release,
        map.stretch_mode.enabled
    );
    for (id, p) in &map.pools {
        out += &pool_line(*id, map.pool_names.get(id).map_or("", String::as_str), p);
    }
    out += &format!("max_osd {}\n", map.max_osd);
    out.extend(osds(map).filter_map(|(id, i)| osd_line(map, id, i)));
    for (addr, until) in &map.blocklist {
        out += &format!("blocklist {} expires {}\n", plain_addr(addr), time::local(*until));
    }
    for (addr, until) in &map.range_blocklist {
        out += &format!(
            "range blocklist {} expires {}\n",
            plain_addr(addr),
            time::local(*until)
        );
    }
    out
}

/// The newest map, if the command asks for it or names no other.
pub(super) fn wanted_map(
    ctx: &Context<'_>,
) -> Result<std::sync::Arc<OsdMap>, crate::mon::reply::CommandError> {
    let map = ctx.cluster().osdmap();
    match ctx.args.int("epoch")? {
        None | Some(0) => Ok(map),
        Some(epoch) if epoch == i64::from(map.epoch) => Ok(map),
        Some(epoch) => Err(enoent(format!("there is no map for epoch {epoch}"))),
    }
}

/// `osd dump`.
pub(super) fn dump(ctx: &Context<'_>) -> CommandResult {
    let map = wanted_map(ctx)?;
    Ok(Reply::either(ctx.format, "osdmap", &map_value(&map), || {
        map_text(&map)
    }))
}

/// `osd getmap`: encoded for whoever asks, or for anybody if the client is that old.
pub(super) fn getmap(ctx: &Context<'_>) -> CommandResult {
    let map = wanted_map(ctx)?;
    let features = if ctx.features.has(Feature::SERVER_LUMINOUS) {
        ctx.features
    } else {
        Features::OURS
    };
    let bytes = ctx.cluster().full_map(&map, features, &Entrance::USUAL);
    Ok(Reply::data(bytes).with_status(format!("got osdmap epoch {}", map.epoch)))
}

/// Whether the OSD exists.
pub(super) fn exists(map: &OsdMap, i: usize) -> bool {
    map.osd_state.get(i).is_some_and(|s| s & osd_state::EXISTS != 0)
}
