//! `pg|osd|osd pool scrub|deep-scrub|repair` (Ceph `src/mgr/DaemonServer.cc`). There is one copy, so a repair is no more than a deep scrub;
//! and every OSD has all groups.

use encoding::{maps::OsdMap, types::Pg};
use rustix::io::Errno;

use super::{CommandResult, Context, osd_tree::osd_arg, pg::group};
use crate::mon::{
    reply::{CommandError, Reply, einval, enoent},
    show::osds,
};

/// `scrub`, `deep-scrub` or `repair`.
fn what<'a>(ctx: &'a Context<'_>) -> &'a str {
    ctx.args.prefix().rsplit(' ').next().unwrap_or_default()
}

/// Asks for a scrub of groups.
fn ask(ctx: &Context<'_>, groups: impl IntoIterator<Item = Pg>) {
    let deep = what(ctx) != "scrub";
    let stats = ctx.cluster().stats();
    for pg in groups {
        stats.scrub(pg, deep);
    }
}

fn groups_of(map: &OsdMap, id: i64) -> impl Iterator<Item = Pg> + use<> {
    let count = map.pools.get(&id).map_or(0, |pool| pool.pg_num);
    let pool = id.cast_unsigned();
    (0..count).map(move |seed| Pg { pool, seed })
}

/// `pg ... PGID`.
pub(super) fn of_group(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let group = group(&map, ctx.args.need("pgid")?)?;
    let Some(osd) = osds(&map).map(|(id, _)| id).find(|id| map.is_up(*id)) else {
        let text = format!("pg {} has no primary osd", group.pg);
        return Err(CommandError::new(Errno::AGAIN, text));
    };
    ask(ctx, [group.pg]);
    let osd = group.osd.unwrap_or(osd);
    Ok(Reply::status(format!(
        "instructing pg {} on osd.{osd} to {}",
        group.pg,
        what(ctx)
    )))
}

/// `osd pool ... POOL...`.
pub(super) fn of_pools(ctx: &Context<'_>) -> CommandResult {
    let names = ctx.args.list("who");
    if names.is_empty() {
        return Err(einval("must specify one or more pool names"));
    }
    let map = ctx.cluster().osdmap();
    let pool = |name: &String| {
        map.pool_by_name(name)
            .ok_or_else(|| enoent(format!("unrecognized pool '{name}'")))
    };
    let pools: Vec<i64> = names.iter().map(pool).collect::<Result<_, _>>()?;
    ask(ctx, pools.into_iter().flat_map(|id| groups_of(&map, id)));
    Ok(Reply::default())
}

/// `osd ... OSD|all|any|*`.
pub(super) fn of_osds(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let who = ctx.args.need("who")?;
    let up: Vec<i32> = if matches!(who, "*" | "all" | "any") {
        osds(&map).map(|(id, _)| id).filter(|id| map.is_up(*id)).collect()
    } else {
        let (id, _) = osd_arg(ctx, &map, "who")?;
        if !map.is_up(id) {
            return Err(CommandError::new(Errno::AGAIN, format!("osd.{id} is not up")));
        }
        vec![id]
    };
    ask(ctx, map.pools.keys().flat_map(|id| groups_of(&map, *id)));
    let shown: Vec<String> = up.iter().map(ToString::to_string).collect();
    Ok(Reply::status(format!(
        "instructed osd(s) {} to {}",
        shown.join(","),
        what(ctx)
    )))
}
