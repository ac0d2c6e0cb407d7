//! `osd pool ...` and `osd lspools`, but for a pool's variables.

use std::sync::Arc;

use encoding::maps::{OsdMap, pool_flags};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::{
    CommandResult, Context,
    osd_dump::{autoscale_mode, pool_line, pool_value},
    status::io_line,
};
use crate::{
    cluster::{
        ALLOW_DELETE, ClusterError, POOL_PG_NUM, POOL_SIZE, PoolLayout, PoolQuota, PoolRequest, Rates,
        erasure_code::DEFAULT_PROFILE,
    },
    mon::{
        format::{Column, bytes, count, table},
        reply::{CommandError, Reply, einval, enoent},
    },
};

/// The map and the id of the pool that argument `arg` names.
pub(super) fn pool_arg(ctx: &Context<'_>, arg: &str) -> Result<(Arc<OsdMap>, i64, String), CommandError> {
    let map = ctx.cluster().osdmap();
    let name = ctx.args.need(arg)?;
    let id = map
        .pool_by_name(name)
        .ok_or_else(|| enoent(format!("unrecognized pool '{name}'")))?;
    Ok((map, id, name.to_owned()))
}

/// Pools in order of their ids: id and name.
fn pools(map: &OsdMap) -> impl Iterator<Item = (i64, &str)> {
    map.pools
        .keys()
        .map(|id| (*id, map.pool_names.get(id).map_or("", String::as_str)))
}

/// `osd lspools`.
pub(super) fn lspools(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let value: Vec<Value> = pools(&map)
        .map(|(id, n)| json!({"poolnum": id, "poolname": n}))
        .collect();
    Ok(Reply::either(ctx.format, "pools", &json!(value), || {
        pools(&map).map(|(id, n)| format!("{id} {n}\n")).collect()
    }))
}

/// `osd pool ls [detail]`.
pub(super) fn ls(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let with = |show: &dyn Fn(i64, &str) -> Option<String>| {
        pools(&map).filter_map(|(id, n)| show(id, n)).collect::<String>()
    };
    if ctx.args.str("detail").is_none() {
        let names: Vec<&str> = pools(&map).map(|(_, n)| n).collect();
        return Ok(Reply::either(
            ctx.format,
            "pools/pool_name",
            &json!(names),
            || with(&|_, n| Some(format!("{n}\n"))),
        ));
    }
    let detail = |(id, n)| Some(pool_value(id, n, map.pools.get(&id)?, "pool_id", "pool_name"));
    let value: Vec<Value> = pools(&map).filter_map(detail).collect();
    Ok(Reply::either(ctx.format, "pools", &json!(value), || {
        with(&|id, n| Some(pool_line(id, n, map.pools.get(&id)?))) + "\n"
    }))
}

/// A number argument that must fit its field.
fn number<T: TryFrom<i64>>(ctx: &Context<'_>, name: &str) -> Result<Option<T>, CommandError> {
    let fit = |n: i64| T::try_from(n).map_err(|_| einval(format!("invalid value for {name}: {n}")));
    ctx.args.int(name)?.filter(|n| *n != 0).map(fit).transpose()
}

/// How a pool that is to be made keeps its objects.
fn layout(ctx: &Context<'_>, erasure: bool) -> Result<PoolLayout, CommandError> {
    let rule = ctx.args.str("rule");
    let fifth = ctx.args.str("erasure_code_profile");
    if erasure {
        let profile = fifth.unwrap_or(DEFAULT_PROFILE).to_owned();
        let rule = rule.map(str::to_owned);
        return Ok(PoolLayout::Erasure { profile, rule });
    }
    // The command line's fifth word is the rule of a replicated pool, whatever the parameter is called.
    let rule = fifth.or(rule).map(str::to_owned);
    let size = number(ctx, "size")?.unwrap_or(ctx.cluster().option_number(POOL_SIZE) as u8);
    Ok(PoolLayout::Replicated { size, rule })
}

/// `osd pool create POOL [PG_NUM] [PGP_NUM] [replicated|erasure] [PROFILE] [RULE] ...`.
pub(super) fn create(ctx: &Context<'_>) -> CommandResult {
    let name = ctx.args.need("pool")?;
    let kind = ctx.args.str("pool_type").unwrap_or("replicated");
    let erasure = match kind {
        "replicated" => false,
        "erasure" => true,
        other => return Err(einval(format!("unknown pool type '{other}'"))),
    };
    let map = ctx.cluster().osdmap();
    if let Some(existing) = map.pool_by_name(name).and_then(|id| map.pools.get(&id)) {
        if existing.is_erasure() != erasure {
            return Err(einval(format!("pool '{name}' cannot change to type {kind}")));
        }
        return Ok(Reply::status(format!("pool '{name}' already exists")));
    }
    let request = PoolRequest {
        name: name.to_owned(),
        pg_num: number(ctx, "pg_num")?.unwrap_or(ctx.cluster().option_number(POOL_PG_NUM) as u32),
        layout: layout(ctx, erasure)?,
    };
    match ctx.cluster().create_pool(&request) {
        Ok(_) => Ok(Reply::status(format!("pool '{name}' created"))),
        Err(ClusterError::Exists(_)) => Ok(Reply::status(format!("pool '{name}' already exists"))),
        Err(other) => Err(other.into()),
    }
}

/// `osd pool delete POOL POOL --yes-i-really-really-mean-it`.
pub(super) fn delete(ctx: &Context<'_>) -> CommandResult {
    let name = ctx.args.need("pool")?;
    let Some(id) = ctx.cluster().osdmap().pool_by_name(name) else {
        return Ok(Reply::status(format!("pool '{name}' does not exist")));
    };
    // Clients before Nautilus call the option `sure`.
    let sure = ctx.args.flag("yes_i_really_really_mean_it")
        || ctx.args.flag("yes_i_really_really_mean_it_not_faking")
        || ctx.args.str("sure") == Some("--yes-i-really-really-mean-it");
    if ctx.args.str("pool2") != Some(name) || !sure {
        let text = format!(
            "WARNING: this will *PERMANENTLY DESTROY* all data stored in pool {name}.  If you are *ABSOLUTELY \
             CERTAIN* that is what you want, pass the pool name *twice*, followed by \
             --yes-i-really-really-mean-it."
        );
        return Err(CommandError::new(Errno::PERM, text));
    }
    check_deletable(ctx, id)?;
    ctx.cluster().delete_pool(id)?;
    Ok(Reply::status(format!("pool '{name}' removed")))
}

/// Whether pools, and that one, may be deleted.
fn check_deletable(ctx: &Context<'_>, id: i64) -> Result<(), CommandError> {
    let refused = |what: &str| {
        let text = format!("pool deletion is disabled; you must {what}");
        Err(CommandError::new(Errno::PERM, text))
    };
    if !ctx.mon.pools_deletable() {
        return refused(&format!(
            "first set the {ALLOW_DELETE} config option to true before you can destroy a pool"
        ));
    }
    let map = ctx.cluster().osdmap();
    let nodelete = encoding::maps::pool_flags::NODELETE;
    if map.pools.get(&id).is_some_and(|p| p.flags & nodelete != 0) {
        return refused("unset nodelete flag for the pool first");
    }
    Ok(())
}

/// `osd pool rename OLD NEW`.
pub(super) fn rename(ctx: &Context<'_>) -> CommandResult {
    let (old, new) = (ctx.args.need("srcpool")?, ctx.args.need("destpool")?);
    let map = ctx.cluster().osdmap();
    match (map.pool_by_name(old), map.pool_by_name(new)) {
        (None, Some(_)) => Ok(Reply::status(format!(
            "pool '{old}' does not exist; pool '{new}' does -- assuming successful rename"
        ))),
        (None, None) => Err(enoent(format!("unrecognized pool '{old}'"))),
        (Some(_), Some(_)) => {
            let text = format!("pool '{new}' already exists");
            Err(CommandError::new(Errno::EXIST, text))
        }
        (Some(id), None) => {
            ctx.cluster().rename_pool(id, new)?;
            Ok(Reply::status(format!("pool '{old}' renamed to '{new}'")))
        }
    }
}

/// `osd pool stats [POOL]`.
pub(super) fn stats(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let only = match ctx.args.str("pool_name") {
        Some(name) => Some(
            map.pool_by_name(name)
                .ok_or_else(|| enoent(format!("unrecognized pool '{name}'")))?,
        ),
        None => None,
    };
    let stats = ctx.cluster().stats();
    let rows: Vec<(i64, &str, Rates)> = pools(&map)
        .filter(|(id, _)| only.is_none_or(|o| o == *id))
        .map(|(id, name)| (id, name, stats.rates(id)))
        .collect();
    let value: Vec<Value> = rows
        .iter()
        .map(|(id, name, r)| {
            let io = if *r == Rates::default() {
                json!({})
            } else {
                json!({
                    "read_bytes_sec": r.read_bytes, "write_bytes_sec": r.write_bytes,
                    "read_op_per_sec": r.read_ops, "write_op_per_sec": r.write_ops,
                })
            };
            json!({"pool_name": name, "pool_id": id, "recovery": {}, "recovery_rate": {}, "client_io_rate": io})
        })
        .collect();
    Ok(Reply::either(
        ctx.format,
        "pool_stats/pool",
        &json!(value),
        || {
            let line = |(id, name, r): &(i64, &str, Rates)| {
                let io = match *r == Rates::default() {
                    true => "  nothing is going on".to_owned(),
                    false => format!("  client io {}", io_line(*r)),
                };
                format!("pool {name} id {id}\n{io}\n\n")
            };
            rows.iter().map(line).collect()
        },
    ))
}

/// `osd pool set-quota POOL max_objects|max_bytes VALUE`.
pub(super) fn set_quota(ctx: &Context<'_>) -> CommandResult {
    let (_, id, name) = pool_arg(ctx, "pool")?;
    let (field, text) = (ctx.args.need("field")?, ctx.args.need("val")?);
    let value = parse_size(text).ok_or_else(|| einval(format!("error parsing value '{text}'")))?;
    let quota = match field {
        "max_objects" => PoolQuota::Objects(value),
        "max_bytes" => PoolQuota::Bytes(value),
        other => return Err(einval(format!("unrecognized field '{other}'"))),
    };
    ctx.cluster().set_quota(id, quota)?;
    Ok(Reply::status(format!(
        "set-quota {field} = {value} for pool {name}"
    )))
}

/// A number, perhaps with a unit: `10M`, `1GiB`.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().trim_end_matches(['B', 'b']).trim_end_matches('i');
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        "P" => 50,
        "E" => 60,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// `osd pool get-quota POOL`.
pub(super) fn get_quota(ctx: &Context<'_>) -> CommandResult {
    let (map, id, name) = pool_arg(ctx, "pool")?;
    let pool = map.pools.get(&id).ok_or_else(|| enoent("unrecognized pool"))?;
    let usage = ctx.cluster().stats().pool(id);
    let (objects, max_bytes) = (pool.quota_max_objects, pool.quota_max_bytes);
    let value = json!({
        "pool_name": name, "pool_id": id, "quota_max_objects": objects,
        "current_num_objects": usage.objects, "quota_max_bytes": max_bytes,
        "current_num_bytes": usage.bytes_stored,
    });
    Ok(Reply::either(ctx.format, "pool_quotas", &value, || {
        let show = |limit: u64, now: u64, unit: &str, f: fn(u64) -> String| match limit {
            0 => "N/A".to_owned(),
            n => format!("{}{unit}  (current num{unit}: {}{unit})", f(n), f(now)),
        };
        let o = show(objects, usage.objects, " objects", count);
        let b = show(max_bytes, usage.bytes_stored, "", bytes);
        format!("quotas for pool '{name}':\n  max objects: {o}\n  max bytes  : {b}")
    }))
}

/// `osd pool application enable POOL APPLICATION`.
pub(super) fn application_enable(ctx: &Context<'_>) -> CommandResult {
    let (map, id, name) = pool_arg(ctx, "pool")?;
    let app = ctx.args.need("app")?;
    let others = map
        .pools
        .get(&id)
        .is_some_and(|p| !p.application_metadata.is_empty() && !p.application_metadata.contains_key(app));
    if others && !ctx.args.flag("yes_i_really_mean_it") {
        let text = format!(
            "Are you SURE? Pool '{name}' already has an enabled application; pass --yes-i-really-mean-it to \
             proceed anyway"
        );
        return Err(CommandError::new(Errno::PERM, text));
    }
    ctx.cluster().set_application(id, app, None)?;
    Ok(Reply::status(format!(
        "enabled application '{app}' on pool '{name}'"
    )))
}

/// `osd pool application disable POOL APPLICATION --yes-i-really-mean-it`.
pub(super) fn application_disable(ctx: &Context<'_>) -> CommandResult {
    let (_, id, name) = pool_arg(ctx, "pool")?;
    let app = ctx.args.need("app")?.to_owned();
    if !ctx.args.flag("yes_i_really_mean_it") {
        let text = "Are you SURE? Disabling an application within a pool might result in loss of application \
                    functionality; pass --yes-i-really-mean-it to proceed anyway";
        return Err(CommandError::new(Errno::PERM, text));
    }
    ctx.cluster().change_pool(id, |pool| {
        pool.application_metadata.remove(&app);
        Ok(())
    })?;
    Ok(Reply::status(format!(
        "disable application '{app}' on pool '{name}'"
    )))
}

/// `osd pool application set POOL APPLICATION KEY VALUE`.
pub(super) fn application_set(ctx: &Context<'_>) -> CommandResult {
    let (map, id, name) = pool_arg(ctx, "pool")?;
    let (app, key, value) = (
        ctx.args.need("app")?,
        ctx.args.need("key")?,
        ctx.args.need("value")?,
    );
    if !map
        .pools
        .get(&id)
        .is_some_and(|p| p.application_metadata.contains_key(app))
    {
        return Err(enoent(format!(
            "application '{app}' is not enabled on pool '{name}'"
        )));
    }
    ctx.cluster().set_application(id, app, Some((key, value)))?;
    Ok(Reply::status(format!(
        "set application '{app}' key '{key}' to '{value}' on pool '{name}'"
    )))
}

/// `osd pool application rm POOL APPLICATION KEY`.
pub(super) fn application_rm(ctx: &Context<'_>) -> CommandResult {
    let (_, id, name) = pool_arg(ctx, "pool")?;
    let (app, key) = (ctx.args.need("app")?, ctx.args.need("key")?);
    ctx.cluster().change_pool(id, |pool| {
        if let Some(metadata) = pool.application_metadata.get_mut(app) {
            metadata.remove(key);
        }
        Ok(())
    })?;
    Ok(Reply::status(format!(
        "removed application '{app}' key '{key}' on pool '{name}'"
    )))
}

/// `osd pool application get [POOL] [APPLICATION] [KEY]`.
pub(super) fn application_get(ctx: &Context<'_>) -> CommandResult {
    if ctx.args.str("pool").is_none() {
        let map = ctx.cluster().osdmap();
        let all = pools(&map)
            .filter_map(|(id, n)| Some((n.to_owned(), json!(map.pools.get(&id)?.application_metadata))));
        let value = Value::Object(all.collect());
        return Ok(Reply::value(ctx.format, "pools", &value));
    }
    let (map, id, name) = pool_arg(ctx, "pool")?;
    let apps = map
        .pools
        .get(&id)
        .map(|p| p.application_metadata.clone())
        .unwrap_or_default();
    let Some(app) = ctx.args.str("app") else {
        return Ok(Reply::value(ctx.format, &name, &json!(apps)));
    };
    let metadata = apps
        .get(app)
        .ok_or_else(|| enoent(format!("pool '{name}' has no application '{app}'")))?;
    let Some(key) = ctx.args.str("key") else {
        return Ok(Reply::value(ctx.format, app, &json!(metadata)));
    };
    let value = metadata.get(key).ok_or_else(|| {
        enoent(format!(
            "application '{app}' on pool '{name}' does not have key '{key}'"
        ))
    })?;
    // As in Ceph, the text in every format.
    Ok(Reply::data(format!("{value}\n")))
}

/// `osd pool autoscale-status`.
pub(super) fn autoscale_status(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let space = ctx.cluster().stats().space();
    let share = |used: u64| used as f64 / space.total.max(1) as f64;
    let rows: Vec<Vec<String>> = pools(&map)
        .filter_map(|(id, n)| Some((id, n, map.pools.get(&id)?)))
        .map(|(id, n, p)| {
            let used = ctx.cluster().stats().pool(id).bytes_stored;
            let mut row = vec![
                n.to_owned(),
                bytes(used),
                String::new(),
                "1.0".to_owned(),
                bytes(space.total),
            ];
            row.extend([
                format!("{:.4}", share(used)),
                String::new(),
                String::new(),
                "1.0".to_owned(),
            ]);
            row.extend([p.pg_num.to_string(), String::new(), autoscale_mode(p).to_owned()]);
            row.push(
                if p.flags & pool_flags::BULK == 0 {
                    "False"
                } else {
                    "True"
                }
                .to_owned(),
            );
            row
        })
        .collect();
    let value: Vec<Value> = pools(&map)
        .filter_map(|(id, n)| Some((id, n, map.pools.get(&id)?)))
        .map(|(id, n, p)| {
            let usage = ctx.cluster().stats().pool(id);
            json!({
                "pool_id": id, "pool_name": n, "crush_root_id": -1, "pg_autoscale_mode": autoscale_mode(p),
                "pg_num_target": p.pg_num_target, "logical_used": usage.bytes_stored, "target_bytes": 0,
                "raw_used_rate": 1.0, "subtree_capacity": space.total, "actual_raw_used": usage.bytes_used,
                "raw_used": usage.bytes_used, "actual_capacity_ratio": share(usage.bytes_used),
                "capacity_ratio": share(usage.bytes_used), "target_ratio": 0.0, "effective_target_ratio": 0.0,
                "pg_num_ideal": p.pg_num, "pg_num_final": p.pg_num, "would_adjust": false, "bias": 1.0,
                "bulk": p.flags & pool_flags::BULK != 0,
            })
        })
        .collect();
    Ok(Reply::either(ctx.format, "pools", &json!(value), || {
        use Column::{Left as L, Right as R};
        let columns = [
            L("POOL"),
            R("SIZE"),
            R("TARGET SIZE"),
            R("RATE"),
            R("RAW CAPACITY"),
            R("RATIO"),
            R("TARGET RATIO"),
            R("EFFECTIVE RATIO"),
            R("BIAS"),
            R("PG_NUM"),
            R("NEW PG_NUM"),
            L("AUTOSCALE"),
            L("BULK"),
        ];
        table(&columns, &rows)
    }))
}

/// `osd pool mksnap POOL SNAP`.
pub(super) fn mksnap(ctx: &Context<'_>) -> CommandResult {
    let (_, id, name) = pool_arg(ctx, "pool")?;
    let snap = ctx.args.need("snap")?;
    match ctx.cluster().create_pool_snap(id, snap) {
        Ok(()) => Ok(Reply::status(format!("created pool {name} snap {snap}"))),
        Err(ClusterError::Exists(_)) => Ok(Reply::status(format!("pool {name} snap {snap} already exists"))),
        Err(ClusterError::SnapMode(_)) => Err(einval(format!("pool {name} is in unmanaged snaps mode"))),
        Err(other) => Err(other.into()),
    }
}

/// `osd pool rmsnap POOL SNAP`.
pub(super) fn rmsnap(ctx: &Context<'_>) -> CommandResult {
    let (_, id, name) = pool_arg(ctx, "pool")?;
    let snap = ctx.args.need("snap")?;
    match ctx.cluster().remove_pool_snap(id, snap) {
        Ok(true) => Ok(Reply::status(format!("removed pool {name} snap {snap}"))),
        Ok(false) => Ok(Reply::status(format!("pool {name} snap {snap} does not exist"))),
        Err(ClusterError::SnapMode(_)) => Err(einval(format!("pool {name} is in unmanaged snaps mode"))),
        Err(other) => Err(other.into()),
    }
}
