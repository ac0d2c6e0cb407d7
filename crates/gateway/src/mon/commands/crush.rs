//! `osd crush ...` but for the tree and rules: what there is to see, all of it read-only.

use encoding::maps::{BucketWeights, CrushBucket, CrushMap, bucket_alg};
use rustix::io::Errno;
use serde_json::{Map, Value, json};

use super::{
    CommandResult, Context,
    osd_tree::{name_of, osd_arg, rule_values, tunables_value},
};
use crate::mon::{
    format::{Column, table},
    reply::{CommandError, Reply, enoent},
};

const fn alg_name(alg: u8) -> &'static str {
    match alg {
        bucket_alg::UNIFORM => "uniform",
        bucket_alg::LIST => "list",
        bucket_alg::TREE => "tree",
        bucket_alg::STRAW => "straw",
        bucket_alg::STRAW2 => "straw2",
        _ => "unknown",
    }
}

/// The weight of the item at `i` of a bucket, 16.16 fixed point.
fn item_weight(bucket: &CrushBucket, i: usize) -> u32 {
    let weight = match &bucket.weights {
        BucketWeights::Uniform(w) => Some(*w),
        BucketWeights::List(all) | BucketWeights::Straw(all) => all.get(i).map(|(w, _)| *w),
        // Leaves of the tree stand at odd places.
        BucketWeights::Tree(all) => all.get(2 * i + 1).copied(),
        BucketWeights::Straw2(all) => all.get(i).copied(),
    };
    weight.unwrap_or(0)
}

fn bucket_value(crush: &CrushMap, bucket: &CrushBucket) -> Value {
    let kind = i32::from(bucket.kind);
    let items: Vec<Value> = bucket
        .items
        .iter()
        .enumerate()
        .map(|(i, id)| json!({"id": id, "weight": item_weight(bucket, i), "pos": i}))
        .collect();
    json!({
        "id": bucket.id, "name": name_of(crush, bucket.id), "type_id": kind, "type_name": crush.type_names.get(&kind),
        "weight": bucket.weight, "alg": alg_name(bucket.weights.alg()),
        "hash": if bucket.hash == 0 { "rjenkins1" } else { "unknown" }, "items": items,
    })
}

/// The class of a device.
pub(super) fn class_of(crush: &CrushMap, id: i32) -> Option<&str> {
    let class = crush.device_classes.get(&id)?;
    crush.class_names.get(class).map(String::as_str)
}

/// `osd crush dump`.
pub(super) fn dump(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let crush = &map.crush;
    let devices: Vec<Value> = (0..crush.max_devices)
        .filter(|id| crush.names.contains_key(id))
        .map(|id| {
            let mut device = json!({"id": id, "name": name_of(crush, id)});
            if let Some(class) = class_of(crush, id) {
                device["class"] = class.into();
            }
            device
        })
        .collect();
    let types: Vec<Value> = crush
        .type_names
        .iter()
        .map(|(id, name)| json!({"type_id": id, "name": name}))
        .collect();
    let buckets: Vec<Value> = crush
        .buckets
        .iter()
        .flatten()
        .map(|b| bucket_value(crush, b))
        .collect();
    let value = json!({
        "devices": devices, "types": types, "buckets": buckets, "rules": rule_values(crush, None),
        "tunables": tunables_value(&map), "choose_args": {},
    });
    Ok(Reply::value(ctx.format, "crush_map", &value))
}

/// `osd crush class ls`.
pub(super) fn class_ls(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let names: Vec<&String> = map.crush.class_names.values().collect();
    Ok(Reply::value(ctx.format, "crush_classes", &json!(names)))
}

/// `osd crush class ls-osd CLASS`.
pub(super) fn class_ls_osd(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let class = ctx.args.need("class")?;
    let crush = &map.crush;
    let ids: Vec<&i32> = crush
        .device_classes
        .keys()
        .filter(|id| class_of(crush, **id) == Some(class))
        .collect();
    Ok(Reply::either(ctx.format, "osds", &json!(ids), || {
        ids.iter().map(|id| format!("{id}\n")).collect()
    }))
}

/// `osd crush get-device-class OSD...`.
pub(super) fn get_device_class(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let mut rows = Vec::new();
    for text in ctx.args.list("ids") {
        let id: Option<i32> = text.strip_prefix("osd.").unwrap_or(&text).parse().ok();
        let id = id.ok_or_else(|| crate::mon::reply::einval(format!("failed to parse '{text}'")))?;
        let class = class_of(&map.crush, id);
        rows.push((id, class.unwrap_or_default()));
    }
    let value: Vec<Value> = rows
        .iter()
        .map(|(id, class)| json!({"osd": id, "device_class": class}))
        .collect();
    Ok(Reply::either(
        ctx.format,
        "osd_device_classes/osd_device_class",
        &json!(value),
        || rows.iter().map(|(_, class)| format!("{class}\n")).collect(),
    ))
}

/// `osd crush get-tunable straw_calc_version`.
pub(super) fn get_tunable(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let version = map.crush.tunables.straw_calc_version;
    Ok(Reply::either(
        ctx.format,
        "tunable",
        &json!({"straw_calc_version": version}),
        || format!("{version}\n"),
    ))
}

/// `osd crush ls NODE`.
pub(super) fn ls(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let crush = &map.crush;
    let node = ctx.args.need("node")?;
    let id = crush
        .names
        .iter()
        .find(|(_, name)| *name == node)
        .map(|(id, _)| *id);
    let id = id.ok_or_else(|| enoent(format!("node '{node}' does not exist")))?;
    let names: Vec<&str> = match crush.bucket(id) {
        Some(bucket) => bucket.items.iter().map(|i| name_of(crush, *i)).collect(),
        None => vec![name_of(crush, id)],
    };
    Ok(Reply::either(ctx.format, "items", &json!(names), || {
        names.iter().map(|n| format!("{n}\n")).collect()
    }))
}

/// `osd crush rule ls-by-class CLASS`: rules take whole trees, never those of a class.
pub(super) fn rule_ls_by_class(ctx: &Context<'_>) -> CommandResult {
    let class = ctx.args.need("class")?;
    let map = ctx.cluster().osdmap();
    if !map.crush.class_names.values().any(|c| c == class) {
        return Err(enoent(format!("failed to get rules by class '{class}'")));
    }
    Ok(Reply::either(ctx.format, "rules", &json!([]), String::new))
}

/// `osd crush weight-set ls`: there are none.
pub(super) fn weight_set_ls(ctx: &Context<'_>) -> CommandResult {
    Ok(Reply::either(ctx.format, "weight_sets", &json!([]), String::new))
}

/// `osd info [ID]`.
pub(super) fn osd_info(ctx: &Context<'_>) -> CommandResult {
    use super::osd_dump::{osd_line, osd_value};
    let map = ctx.cluster().osdmap();
    if ctx.args.text("id").is_some_and(|t| !t.is_empty()) {
        let (id, i) = osd_arg(ctx, &map, "id")?;
        let value = osd_value(&map, id, i).ok_or_else(|| enoent(format!("osd.{id} does not exist")))?;
        return Ok(Reply::either(ctx.format, "osd_info", &value, || {
            osd_line(&map, id, i).unwrap_or_default()
        }));
    }
    let all = || crate::mon::show::osds(&map);
    let value: Vec<Value> = all().filter_map(|(id, i)| osd_value(&map, id, i)).collect();
    Ok(Reply::either(ctx.format, "osds/osd_info", &json!(value), || {
        all().filter_map(|(id, i)| osd_line(&map, id, i)).collect()
    }))
}

/// `osd numa-status`: nothing is pinned to NUMA nodes.
pub(super) fn numa_status(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let host = ctx.cluster().host();
    let ids: Vec<i32> = crate::mon::show::osds(&map).map(|(id, _)| id).collect();
    let value: Vec<Value> = ids.iter().map(|id| json!({"osd": id, "host": host})).collect();
    Ok(Reply::either(ctx.format, "osds", &json!(value), || {
        use Column::{Left as L, Right as R};
        let columns = [
            R("OSD"),
            L("HOST"),
            R("NETWORK"),
            R("STORAGE"),
            R("AFFINITY"),
            L("CPUS"),
        ];
        let row = |id: &i32| {
            [id.to_string().as_str(), host, "-", "-", "-", "-"]
                .map(str::to_owned)
                .to_vec()
        };
        table(&columns, &ids.iter().map(row).collect::<Vec<_>>())
    }))
}

/// The OSDs that a command's `ids` name.
fn ids(ctx: &Context<'_>) -> Result<Vec<i32>, CommandError> {
    let map = ctx.cluster().osdmap();
    let mut out = Vec::new();
    for text in ctx.args.list("ids") {
        if matches!(text.as_str(), "all" | "any" | "*") {
            return Ok(crate::mon::show::osds(&map).map(|(id, _)| id).collect());
        }
        let id: Option<i32> = text.strip_prefix("osd.").unwrap_or(&text).parse().ok();
        out.push(id.ok_or_else(|| crate::mon::reply::einval(format!("invalid osd id '{text}'")))?);
    }
    Ok(out)
}

/// `osd ok-to-stop ID...`: every OSD serves all objects, so one may stop if another stays up.
pub(super) fn ok_to_stop(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let stopping = ids(ctx)?;
    let left = crate::mon::show::osds(&map).any(|(id, _)| map.is_up(id) && !stopping.contains(&id));
    let groups = crate::mon::show::pg_count(&map);
    if !left {
        let text = format!("unsafe to stop osd(s) at this time ({groups} PGs are or would become offline)");
        return Err(CommandError::new(Errno::BUSY, text));
    }
    let value = json!({"ok_to_stop": true, "osds": stopping, "num_ok_pgs": groups, "num_not_ok_pgs": 0});
    Ok(Reply::data(value.to_string() + "\n"))
}

/// `osd safe-to-destroy ID...`: the OSDs share their data, but the process has one port pair for each; none is spare.
pub(super) fn safe_to_destroy(ctx: &Context<'_>) -> CommandResult {
    let active = ids(ctx)?;
    let groups = crate::mon::show::pg_count(&ctx.cluster().osdmap());
    let shown: Vec<String> = active.iter().map(ToString::to_string).collect();
    if ctx.format == crate::mon::Format::Plain {
        let text = format!(
            "OSD(s) {} have {groups} pgs currently mapped to them. ",
            shown.join(",")
        );
        return Err(CommandError::new(Errno::BUSY, text));
    }
    let value = json!({"safe_to_destroy": [], "active": active, "missing_stats": [], "stored_pgs": []});
    Ok(Reply::value(ctx.format, "osd_status", &value))
}

/// `osd blocked-by`: no OSD waits for another.
pub(super) fn blocked_by(ctx: &Context<'_>) -> CommandResult {
    let value = json!({"pg_ready": true, "osd_blocked_by": {"osd_blocked_by_infos": []}});
    Ok(Reply::either(ctx.format, "pg_info", &value, || {
        table(&[Column::Right("osd"), Column::Right("num_blocked")], &[])
    }))
}

/// The value of a metadata field in a list of daemons' metadata, counted (`count-metadata`).
pub(super) fn count(values: &[Value], property: &str) -> Value {
    let mut out = Map::new();
    for value in values {
        let key = value
            .get(property)
            .and_then(Value::as_str)
            .unwrap_or("unknown")
            .to_owned();
        let n = out.get(&key).and_then(Value::as_u64).unwrap_or(0);
        out.insert(key, (n + 1).into());
    }
    Value::Object(out)
}
