//! `osd tree`, `osd find`, `osd map` and the CRUSH commands: a root, a host, its OSDs.

use encoding::maps::{CrushMap, OsdMap, step_op};
use serde_json::{Value, json};

use super::{
    CommandResult, Context,
    osd_dump::{affinity, weight},
    pg::{group, set_text},
};
use crate::mon::{
    format::{Column, float, table},
    reply::{CommandError, Reply, einval, enoent},
    show::{addrvec, osds},
};

/// One line of the tree: an item, how deep it is, and its weight.
pub(super) struct Item {
    pub(super) id: i32,
    pub(super) depth: usize,
    pub(super) weight: f64,
}

/// The tree from its roots, depth first.
pub(super) fn items(crush: &CrushMap) -> Vec<Item> {
    let children: std::collections::BTreeSet<i32> = crush
        .buckets
        .iter()
        .flatten()
        .flat_map(|b| b.items.iter().copied())
        .collect();
    let roots = crush
        .buckets
        .iter()
        .flatten()
        .filter(|b| !children.contains(&b.id));
    let mut out = Vec::new();
    for root in roots {
        walk(crush, root.id, 0, f64::from(root.weight) / 65536.0, &mut out);
    }
    out
}

/// The deepest tree that is walked: a CRUSH map has one level for each of its types.
const MAX_DEPTH: usize = 16;

fn walk(crush: &CrushMap, id: i32, depth: usize, weight: f64, out: &mut Vec<Item>) {
    out.push(Item { id, depth, weight });
    let Some(bucket) = crush.bucket(id).filter(|_| depth < MAX_DEPTH) else {
        return;
    };
    let each = f64::from(bucket.weight) / 65536.0 / bucket.items.len().max(1) as f64;
    for child in &bucket.items {
        let weight = crush
            .bucket(*child)
            .map_or(each, |b| f64::from(b.weight) / 65536.0);
        walk(crush, *child, depth + 1, weight, out);
    }
}

/// Number and name of an item's type.
pub(super) fn type_of(crush: &CrushMap, id: i32) -> (i32, &str) {
    let kind = crush.bucket(id).map_or(0, |b| i32::from(b.kind));
    (kind, crush.type_names.get(&kind).map_or("", String::as_str))
}

pub(super) fn name_of(crush: &CrushMap, id: i32) -> &str {
    crush.names.get(&id).map_or("", String::as_str)
}

fn node(map: &OsdMap, item: &Item) -> Value {
    let crush = &map.crush;
    let (type_id, kind) = type_of(crush, item.id);
    let name = name_of(crush, item.id);
    let Some(bucket) = crush.bucket(item.id) else {
        let i = usize::try_from(item.id).unwrap_or(usize::MAX);
        return json!({
            "id": item.id, "device_class": super::crush::class_of(crush, item.id).unwrap_or_default(), "name": name, "type": kind, "type_id": type_id,
            "crush_weight": float(item.weight), "depth": item.depth, "pool_weights": {},
            "exists": u8::from(super::osd_dump::exists(map, i)),
            "status": if map.is_up(item.id) { "up" } else { "down" },
            "reweight": weight(map, i), "primary_affinity": affinity(map, i),
        });
    };
    let children: Vec<i32> = bucket.items.iter().rev().copied().collect();
    let mut out = json!({"id": item.id, "name": name, "type": kind, "type_id": type_id});
    if let Some(fields) = out.as_object_mut() {
        if item.depth > 0 {
            fields.insert("pool_weights".into(), json!({}));
        }
        fields.insert("children".into(), json!(children));
    }
    out
}

/// `osd tree`.
pub(super) fn tree(ctx: &Context<'_>) -> CommandResult {
    let map = super::osd_dump::wanted_map(ctx)?;
    let states = ctx.args.list("states");
    let mut items = items(&map.crush);
    retain_states(&map, &states, &mut items);
    let nodes: Vec<Value> = items.iter().map(|i| node(&map, i)).collect();
    Ok(Reply::either(
        ctx.format,
        "tree",
        &json!({"nodes": nodes, "stray": []}),
        || {
            use Column::{Left as L, Right as R};
            let columns = [
                R("ID"),
                R("CLASS"),
                Column::HeadLeft("WEIGHT"),
                L("TYPE NAME"),
                R("STATUS"),
                Column::HeadLeft("REWEIGHT"),
                Column::HeadLeft("PRI-AFF"),
            ];
            let rows: Vec<Vec<String>> = items.iter().map(|i| tree_row(&map, i)).collect();
            table(&columns, &rows)
        },
    ))
}

/// `osd crush tree`.
pub(super) fn crush_tree(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let items = items(&map.crush);
    let nodes: Vec<Value> = items
        .iter()
        .map(|i| {
            let mut node = node(&map, i);
            // The OSDs' state is not CRUSH's business.
            if let Some(fields) = node.as_object_mut() {
                for name in ["exists", "status", "reweight", "primary_affinity"] {
                    fields.remove(name);
                }
            }
            node
        })
        .collect();
    Ok(Reply::either(
        ctx.format,
        "crush_tree",
        &json!({"nodes": nodes, "stray": []}),
        || {
            let columns = [
                Column::Right("ID"),
                Column::Right("CLASS"),
                Column::HeadLeft("WEIGHT"),
                Column::Left("TYPE NAME"),
            ];
            let row = |i: &Item| tree_row(&map, i).into_iter().take(4).collect();
            table(&columns, &items.iter().map(row).collect::<Vec<_>>())
        },
    ))
}

/// Leaves the OSDs that are in one of the states, and what is above them.
fn retain_states(map: &OsdMap, states: &[String], items: &mut Vec<Item>) {
    if states.is_empty() {
        return;
    }
    let shown = |id: i32| {
        let index = usize::try_from(id).unwrap_or(usize::MAX);
        let is_in = map.osd_weight.get(index).is_some_and(|w| *w > 0);
        states.iter().any(|s| match s.as_str() {
            "up" => map.is_up(id),
            "down" => !map.is_up(id),
            "in" => is_in,
            "out" => !is_in,
            _ => false,
        })
    };
    // From below: a bucket stays if something under it did.
    let mut deepest_kept = 0;
    let mut kept: Vec<bool> = Vec::new();
    for item in items.iter().rev() {
        let keep = if item.id >= 0 {
            shown(item.id)
        } else {
            deepest_kept > item.depth
        };
        if keep {
            deepest_kept = item.depth;
        } else if deepest_kept > item.depth {
            deepest_kept = 0;
        }
        kept.push(keep);
    }
    let mut kept = kept.into_iter().rev();
    items.retain(|_| kept.next().unwrap_or(false));
}

fn tree_row(map: &OsdMap, item: &Item) -> Vec<String> {
    let (name, indent) = (name_of(&map.crush, item.id), "    ".repeat(item.depth));
    let weight_text = format!("{:.5}", item.weight);
    if item.id < 0 {
        let kind = type_of(&map.crush, item.id).1;
        let empty = String::new;
        let label = format!("{indent}{kind} {name}");
        return vec![
            item.id.to_string(),
            empty(),
            weight_text,
            label,
            empty(),
            empty(),
            empty(),
        ];
    }
    let i = usize::try_from(item.id).unwrap_or(usize::MAX);
    let status = if map.is_up(item.id) { "up" } else { "down" };
    let fixed = |v: Value| format!("{:.5}", v.as_f64().unwrap_or(0.0));
    vec![
        item.id.to_string(),
        String::new(),
        weight_text,
        format!("{indent}{name}"),
        status.to_owned(),
        fixed(weight(map, i)),
        fixed(affinity(map, i)),
    ]
}

/// The OSD that an argument names, by number or as `osd.N`.
pub(super) fn osd_arg(ctx: &Context<'_>, map: &OsdMap, name: &str) -> Result<(i32, usize), CommandError> {
    let id = match ctx.args.str(name) {
        Some(text) => text.strip_prefix("osd.").unwrap_or(text).parse().ok(),
        None => ctx.args.int(name)?.and_then(|n| i32::try_from(n).ok()),
    };
    let id: i32 = id.ok_or_else(|| einval(format!("invalid value for {name}: not an osd")))?;
    osds(map)
        .find(|(o, _)| *o == id)
        .ok_or_else(|| enoent(format!("osd.{id} does not exist")))
}

/// `osd find ID`.
pub(super) fn find(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let (id, i) = osd_arg(ctx, &map, "id")?;
    let addrs = map.osd_addrs.get(i).map(|a| addrvec(&a.client));
    let host = ctx.cluster().host();
    let value = json!({
        "osd": id,
        "addrs": addrs,
        "osd_fsid": map.osd_uuid.get(i).map(ToString::to_string),
        "host": host,
        "crush_location": {"host": host, "root": "default"},
    });
    Ok(Reply::value(ctx.format, "osd_location", &value))
}

/// `osd map POOL OBJECT [NAMESPACE]`, where one OSD serves everything.
pub(super) fn map_object(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let name = ctx.args.need("pool")?;
    let pool = map
        .pool_by_name(name)
        .ok_or_else(|| enoent(format!("pool {name} does not exist")))?;
    let object = ctx.args.need("object")?;
    let nspace = ctx.args.str("nspace").unwrap_or_default();
    let raw = map.object_to_pg(pool, object.as_bytes(), b"", nspace.as_bytes());
    let pg = raw.and_then(|raw| map.raw_pg_to_pg(raw));
    let (Some(raw), Some(pg)) = (raw, pg) else {
        return Err(enoent(format!("pool {name} does not exist")));
    };
    let group = group(&map, &pg.to_string())?;
    let Some(osd) = group.osd else {
        return Err(CommandError::new(
            rustix::io::Errno::OPNOTSUPP,
            "placement is computed by clients; rbdgate shows it for a single OSD only",
        ));
    };
    let set = group.acting();
    let shown = if nspace.is_empty() {
        object.to_owned()
    } else {
        format!("{nspace}/{object}")
    };
    let value = json!({
        "epoch": map.epoch, "pool": name, "pool_id": pool, "objname": shown, "raw_pgid": raw.to_string(),
        "pgid": pg.to_string(), "up": set, "up_primary": osd, "acting": set, "acting_primary": osd,
    });
    Ok(Reply::either(ctx.format, "osd_map", &value, || {
        let set = set_text(&set);
        format!(
            "osdmap e{} pool '{name}' ({pool}) object '{shown}' -> pg {raw} ({pg}) -> up ({set}, p{osd}) acting ({set}, \
             p{osd})",
            map.epoch
        )
    }))
}

/// `osd crush rule ls`.
pub(super) fn rule_ls(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let names: Vec<&String> = map.crush.rule_names.values().collect();
    Ok(Reply::either(ctx.format, "rules/name", &json!(names), || {
        names.iter().map(|n| format!("{n}\n")).collect()
    }))
}

/// `osd crush rule dump [NAME]`.
pub(super) fn rule_dump(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let wanted = ctx.args.str("name");
    let rules = rule_values(&map.crush, wanted);
    match (wanted, rules.as_slice()) {
        (Some(name), []) => Err(enoent(format!("unknown crush rule '{name}'"))),
        (Some(_), [one, ..]) => Ok(Reply::value(ctx.format, "rule", one)),
        (None, all) => Ok(Reply::value(ctx.format, "rules", &json!(all))),
    }
}

/// The rules, or the one of that name.
pub(super) fn rule_values(crush: &CrushMap, wanted: Option<&str>) -> Vec<Value> {
    (0_i32..)
        .zip(&crush.rules)
        .filter_map(|(id, rule)| Some((id, crush.rule_names.get(&id)?, rule.as_ref()?)))
        .filter(|(_, name, _)| wanted.is_none_or(|w| w == *name))
        .map(|(id, name, rule)| {
            let steps: Vec<Value> = rule
                .steps
                .iter()
                .map(|s| step(crush, s.op, s.arg1, s.arg2))
                .collect();
            json!({
                "rule_id": id, "rule_name": name, "ruleset": id, "type": rule.kind,
                "min_size": rule.min_size, "max_size": rule.max_size, "steps": steps,
            })
        })
        .collect()
}

fn step(crush: &CrushMap, op: u32, arg1: i32, arg2: i32) -> Value {
    let kind = crush.type_names.get(&arg2).map_or("", String::as_str);
    let choose = |name: &str| json!({"op": name, "num": arg1, "type": kind});
    match op {
        step_op::TAKE => json!({"op": "take", "item": arg1, "item_name": name_of(crush, arg1)}),
        step_op::EMIT => json!({"op": "emit"}),
        step_op::CHOOSE_FIRSTN => choose("choose_firstn"),
        step_op::CHOOSE_INDEP => choose("choose_indep"),
        step_op::CHOOSELEAF_FIRSTN => choose("chooseleaf_firstn"),
        step_op::CHOOSELEAF_INDEP => choose("chooseleaf_indep"),
        step_op::SET_CHOOSE_TRIES => json!({"op": "set_choose_tries", "num": arg1}),
        step_op::SET_CHOOSELEAF_TRIES => json!({"op": "set_chooseleaf_tries", "num": arg1}),
        other => json!({"opcode": other, "arg1": arg1, "arg2": arg2}),
    }
}

/// `osd crush show-tunables`.
pub(super) fn tunables(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    Ok(Reply::value(
        ctx.format,
        "crush_map_tunables",
        &tunables_value(&map),
    ))
}

/// The tunables, and which of a client's features they and the buckets ask for.
pub(super) fn tunables_value(map: &OsdMap) -> Value {
    let t = &map.crush.tunables;
    let straw2 = map.crush.buckets.iter().flatten().any(|b| b.weights.alg() == 5);
    let moved = (
        t.choose_local_tries,
        t.choose_local_fallback_tries,
        t.choose_total_tries,
    ) != (2, 5, 19);
    json!({
        "choose_local_tries": t.choose_local_tries,
        "choose_local_fallback_tries": t.choose_local_fallback_tries,
        "choose_total_tries": t.choose_total_tries,
        "chooseleaf_descend_once": t.chooseleaf_descend_once,
        "chooseleaf_vary_r": t.chooseleaf_vary_r,
        "chooseleaf_stable": t.chooseleaf_stable,
        "straw_calc_version": t.straw_calc_version,
        "allowed_bucket_algs": t.allowed_bucket_algs,
        "profile": if *t == encoding::maps::Tunables::HAMMER { "hammer" } else { "unknown" },
        "optimal_tunables": 0,
        "legacy_tunables": u8::from(*t == encoding::maps::Tunables::LEGACY),
        "minimum_required_version": super::osd_dump::min_compat_client(map),
        "require_feature_tunables": u8::from(moved),
        "require_feature_tunables2": t.chooseleaf_descend_once,
        "has_v2_rules": u8::from(map.crush.has_v2_rules()),
        "require_feature_tunables3": u8::from(t.chooseleaf_vary_r != 0),
        "has_v3_rules": 0,
        "has_v4_buckets": u8::from(straw2),
        "require_feature_tunables5": t.chooseleaf_stable,
        "has_v5_rules": 0,
    })
}

/// `osd getcrushmap`.
pub(super) fn getcrushmap(ctx: &Context<'_>) -> CommandResult {
    use encoding::codec::Encode;
    let map = super::osd_dump::wanted_map(ctx)?;
    Ok(Reply::data(map.crush.to_bytes(ctx.features)).with_status(map.crush_version.to_string()))
}
