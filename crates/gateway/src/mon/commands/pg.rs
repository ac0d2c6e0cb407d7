//! `pg ...`: placement groups. Every OSD serves all objects, so a group is always active and clean as long as one is up.
//!
//! What a group holds is counted when somebody asks; reads and writes are counted by pool alone.

use std::collections::BTreeMap;

use encoding::{
    maps::{OsdMap, PgPool},
    types::{Pg, Utime},
};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::{CommandResult, Context, pg_stats, status::totals};
use crate::{
    cluster::{Cluster, ClusterStats, PoolUsage, ScrubState},
    mon::{
        format::{Column, bytes, table},
        reply::{CommandError, Reply, einval, enoent},
        show::osds,
        time,
    },
};

/// A placement group and where it is.
pub(super) struct Group {
    pub(super) pg: Pg,
    pub(super) created: u32,
    /// The one OSD that serves it; none where clients choose among several.
    pub(super) osd: Option<i32>,
    /// Positions of its set: 1, or the chunks of an erasure-coded pool, of which the one OSD takes the first.
    pub(super) positions: u8,
    pub(super) active: bool,
    pub(super) scrub: ScrubState,
    /// Zeros until [`counted`] has filled them in.
    pub(super) usage: PoolUsage,
}

/// `CRUSH_ITEM_NONE`: nobody at a position.
const NONE: i32 = 0x7fff_ffff;

/// A set as text (`pg_vector_string`).
pub(super) fn set_text(set: &[i32]) -> String {
    let shown = set.iter().map(|osd| match *osd {
        NONE => "NONE".to_owned(),
        osd => osd.to_string(),
    });
    format!("[{}]", shown.collect::<Vec<_>>().join(","))
}

impl Group {
    /// Its state in Ceph's words (`pg_state_string`).
    pub(super) fn state(&self) -> String {
        let mut out = if self.active { "active+clean" } else { "down" }.to_owned();
        if let Some(deep) = self.scrub.running {
            out += if deep { "+scrubbing+deep" } else { "+scrubbing" };
        }
        if self.scrub.errors > 0 {
            out += "+inconsistent";
        }
        out
    }

    /// When it was scrubbed last, and with its data; since `since` there was no need to.
    pub(super) fn scrub_stamps(&self, since: Utime) -> [Utime; 2] {
        [self.scrub.last, self.scrub.last_deep].map(|stamp| stamp.unwrap_or(since))
    }

    pub(super) fn acting(&self) -> Vec<i32> {
        let mut set: Vec<i32> = self.osd.into_iter().collect();
        if !set.is_empty() {
            set.resize(self.positions.into(), NONE);
        }
        set
    }

    pub(super) fn primary(&self) -> i32 {
        self.osd.unwrap_or(-1)
    }

    fn set(&self) -> String {
        set_text(&self.acting())
    }

    fn set_with_primary(&self) -> String {
        format!("{}p{}", self.set(), self.primary())
    }
}

fn groups_of(map: &OsdMap, id: i64, pool: &PgPool) -> Vec<Group> {
    let up: Vec<i32> = osds(map).map(|(id, _)| id).filter(|id| map.is_up(*id)).collect();
    let only = match up.as_slice() {
        [one] => Some(*one),
        _ => None,
    };
    let Ok(pool_id) = u64::try_from(id) else {
        return Vec::new();
    };
    let group = |seed| Group {
        pg: Pg { pool: pool_id, seed },
        created: pool.last_change,
        osd: only,
        positions: if pool.is_erasure() { pool.size.max(1) } else { 1 },
        active: !up.is_empty(),
        scrub: ScrubState::default(),
        usage: PoolUsage::default(),
    };
    (0..pool.pg_num).map(group).collect()
}

/// All groups.
fn groups(cluster: &Cluster) -> Vec<Group> {
    let map = cluster.osdmap();
    let scrubs = cluster.stats().scrubs();
    let pools = map.pools.iter();
    let mut out: Vec<Group> = pools.flat_map(|(id, pool)| groups_of(&map, *id, pool)).collect();
    for group in &mut out {
        group.scrub = scrubs.get(&group.pg).copied().unwrap_or_default();
    }
    out
}

/// The groups with what they hold.
fn counted(stats: &dyn ClusterStats, mut groups: Vec<Group>) -> Vec<Group> {
    let mut of_pool = (None, Vec::new());
    for group in &mut groups {
        let Ok(pool) = i64::try_from(group.pg.pool) else {
            continue;
        };
        if of_pool.0 != Some(pool) {
            of_pool = (Some(pool), stats.groups(pool));
        }
        group.usage = of_pool.1.get(group.pg.seed as usize).copied().unwrap_or_default();
    }
    groups
}

/// How many groups are in each state.
pub(in crate::mon) fn states(cluster: &Cluster) -> BTreeMap<String, u64> {
    let mut out = BTreeMap::new();
    for group in groups(cluster) {
        *out.entry(group.state()).or_default() += 1;
    }
    out
}

/// The group of that name with what it holds.
pub(super) fn counted_group(cluster: &Cluster, name: &str) -> Result<Group, CommandError> {
    let mut group = group(&cluster.osdmap(), name)?;
    let stats = cluster.stats();
    group.scrub = stats.scrubs().get(&group.pg).copied().unwrap_or_default();
    let found = counted(&*stats, vec![group]).pop();
    found.ok_or_else(|| enoent(format!("pg '{name}' does not exist")))
}

/// The group of that name.
pub(super) fn group(map: &OsdMap, name: &str) -> Result<Group, CommandError> {
    let parsed = name
        .split_once('.')
        .and_then(|(pool, seed)| Some((pool.parse::<i64>().ok()?, u32::from_str_radix(seed, 16).ok()?)));
    let (id, seed) = parsed.ok_or_else(|| einval(format!("invalid pgid '{name}'")))?;
    let found = map
        .pools
        .get(&id)
        .and_then(|pool| groups_of(map, id, pool).into_iter().find(|g| g.pg.seed == seed));
    found.ok_or_else(|| enoent(format!("pg '{name}' does not exist")))
}

/// `pg map PGID`.
pub(super) fn map(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let group = group(&map, ctx.args.need("pgid")?)?;
    if group.osd.is_none() {
        return Err(CommandError::new(
            Errno::OPNOTSUPP,
            "placement is computed by clients; rbdgate shows it for a single OSD only",
        ));
    }
    let (pg, set) = (group.pg, group.acting());
    let value = json!({
        "epoch": map.epoch, "raw_pgid": pg.to_string(), "pgid": pg.to_string(), "up": set, "acting": set,
    });
    Ok(Reply::either(ctx.format, "pg_map", &value, || {
        let set = group.set();
        format!("osdmap e{} pg {pg} ({pg}) -> up {set} acting {set}", map.epoch)
    }))
}

const FIGURES: [&str; 10] = [
    "OBJECTS",
    "MISSING_ON_PRIMARY",
    "DEGRADED",
    "MISPLACED",
    "UNFOUND",
    "BYTES",
    "OMAP_BYTES*",
    "OMAP_KEYS*",
    "LOG",
    "DISK_LOG",
];

/// The cells under [`FIGURES`].
fn figures(usage: PoolUsage) -> Vec<String> {
    let zero = || "0".to_owned();
    let mut cells = vec![
        usage.objects.to_string(),
        zero(),
        zero(),
        zero(),
        zero(),
        usage.bytes_stored.to_string(),
    ];
    cells.extend([zero(), zero(), zero(), zero()]);
    cells
}

fn pgs_text(ctx: &Context<'_>, groups: &[Group]) -> String {
    let stamp = time::local(pg_stats::since(ctx));
    let mut columns = vec![Column::Left("PG_STAT")];
    columns.extend(FIGURES.map(Column::Right));
    columns.extend(
        [
            "STATE",
            "STATE_STAMP",
            "VERSION",
            "REPORTED",
            "UP",
            "UP_PRIMARY",
            "ACTING",
            "ACTING_PRIMARY",
            "LAST_SCRUB",
            "SCRUB_STAMP",
            "LAST_DEEP_SCRUB",
            "DEEP_SCRUB_STAMP",
            "SNAPTRIMQ_LEN",
        ]
        .map(Column::Right),
    );
    let row = |g: &Group| {
        let mut row = vec![g.pg.to_string()];
        row.extend(figures(g.usage));
        row.extend([g.state(), stamp.clone(), "0'0".to_owned(), "0:0".to_owned()]);
        row.extend([g.set(), g.primary().to_string(), g.set(), g.primary().to_string()]);
        let [scrub, deep] = g.scrub_stamps(pg_stats::since(ctx)).map(time::local);
        row.extend(["0'0".to_owned(), scrub, "0'0".to_owned(), deep, "0".to_owned()]);
        row
    };
    table(&columns, &groups.iter().map(row).collect::<Vec<_>>())
}

fn brief_text(groups: &[Group]) -> String {
    let columns = ["STATE", "UP", "UP_PRIMARY", "ACTING", "ACTING_PRIMARY"];
    let columns: Vec<Column> = std::iter::once(Column::Left("PG_STAT"))
        .chain(columns.map(Column::Right))
        .collect();
    let row = |g: &Group| {
        let primary = g.primary().to_string();
        vec![
            g.pg.to_string(),
            g.state(),
            g.set(),
            primary.clone(),
            g.set(),
            primary,
        ]
    };
    table(&columns, &groups.iter().map(row).collect::<Vec<_>>())
}

fn pools_text(ctx: &Context<'_>) -> String {
    let columns: Vec<Column> = std::iter::once(Column::Left("POOLID"))
        .chain(FIGURES.map(Column::Right))
        .collect();
    let stats = ctx.cluster().stats();
    let rows: Vec<Vec<String>> = ctx
        .cluster()
        .osdmap()
        .pools
        .keys()
        .rev()
        .map(|id| {
            std::iter::once(id.to_string())
                .chain(figures(stats.pool(*id)))
                .collect()
        })
        .collect();
    table(&columns, &rows)
}

fn osds_text(ctx: &Context<'_>, groups: usize) -> String {
    use Column::{Left as L, Right as R};
    let map = ctx.cluster().osdmap();
    let space = ctx.cluster().stats().space();
    let columns = [
        L("OSD_STAT"),
        R("USED"),
        R("AVAIL"),
        R("USED_RAW"),
        R("TOTAL"),
        R("HB_PEERS"),
        R("PG_SUM"),
        R("PRIMARY_PG_SUM"),
    ];
    let row = |name: String, rest: [String; 3]| {
        let mut row = vec![
            name,
            bytes(space.used),
            bytes(space.avail),
            bytes(space.used),
            bytes(space.total),
        ];
        row.extend(rest);
        row
    };
    let mut rows: Vec<_> = osds(&map)
        .map(|(id, _)| {
            row(
                id.to_string(),
                ["[]".to_owned(), groups.to_string(), groups.to_string()],
            )
        })
        .collect();
    rows.push(row("sum".to_owned(), Default::default()));
    table(&columns, &rows)
}

fn head_text(ctx: &Context<'_>) -> String {
    let epoch = ctx.cluster().osdmap().epoch;
    let now = time::local(Utime::from_system_time(std::time::SystemTime::now()));
    format!("version {epoch}\nstamp {now}\nlast_osdmap_epoch {epoch}\nlast_pg_scan {epoch}\n")
}

fn sum_text(ctx: &Context<'_>) -> String {
    let columns: Vec<Column> = std::iter::once(Column::Left("PG_STAT"))
        .chain(FIGURES.map(Column::Right))
        .collect();
    let row = std::iter::once("sum".to_owned())
        .chain(figures(totals(ctx).0))
        .collect();
    table(&columns, &[row])
}

/// `pg dump [WHAT...]`.
pub(super) fn dump(ctx: &Context<'_>) -> CommandResult {
    let what = ctx.args.list("dumpcontents");
    dump_of(
        ctx,
        if what.is_empty() {
            vec!["all".to_owned()]
        } else {
            what
        },
    )
}

/// `pg dump_json [WHAT...]`.
pub(super) fn dump_json(ctx: &Context<'_>) -> CommandResult {
    let ctx = Context {
        format: crate::mon::Format::Json,
        ..ctx.clone()
    };
    dump(&ctx)
}

/// `pg dump_pools_json`.
pub(super) fn dump_pools_json(ctx: &Context<'_>) -> CommandResult {
    let ctx = Context {
        format: crate::mon::Format::Json,
        ..ctx.clone()
    };
    dump_of(&ctx, vec!["pools".to_owned()])
}

fn dump_of(ctx: &Context<'_>, what: Vec<String>) -> CommandResult {
    let has = |name: &str| what.iter().any(|w| w == name);
    let all = has("all");
    let mut groups = groups(ctx.cluster());
    if all || has("pgs") {
        groups = counted(&*ctx.cluster().stats(), groups);
    }
    let mut value = serde_json::Map::new();
    value.insert("pg_ready".into(), true.into());
    let mut text = String::new();
    if all || has("summary") || has("sum") {
        value.insert("pg_map".into(), pg_stats::pg_map(ctx, &groups, all));
        text += &head_text(ctx);
    }
    if all || has("pgs") {
        text += &pgs_text(ctx, &groups);
    }
    if has("pgs") {
        value.insert("pg_stats".into(), pg_stats::each(ctx, &groups));
    }
    if has("pgs_brief") {
        text += &brief_text(&groups);
        value.insert("pg_stats".into(), groups.iter().map(pg_stats::brief).collect());
    }
    if all || has("pools") {
        text += &pools_text(ctx);
    }
    if has("pools") {
        value.insert("pool_stats".into(), pg_stats::pools(ctx));
    }
    if all || has("summary") || has("sum") {
        text += &sum_text(ctx);
    }
    if all || has("osds") || has("summary") || has("sum") {
        text += &osds_text(ctx, groups.len());
    }
    if has("osds") {
        value.insert("osd_stats".into(), pg_stats::osds_of(ctx, groups.len()));
        value.insert("pool_statfs".into(), pg_stats::pool_statfs(ctx));
    }
    let reply = Reply::either(ctx.format, "pg_info", &Value::Object(value), || text);
    Ok(reply.with_status(format!("dumped {}", what.join(","))))
}

/// `pg dump_stuck`: nothing is ever stuck here but groups without an OSD, which are down for as long as the process is.
pub(super) fn dump_stuck(ctx: &Context<'_>) -> CommandResult {
    let value = json!({"pg_ready": true, "stuck_pg_stats": []});
    Ok(Reply::either(ctx.format, "pg_info", &value, String::new).with_status("ok"))
}

/// The groups that a command's `pool` and `states` ask for.
fn selected(ctx: &Context<'_>, pool: Option<i64>) -> Vec<Group> {
    let states = ctx.args.list("states");
    let mut all = groups(ctx.cluster());
    all.retain(|g| {
        let in_pool = pool.is_none_or(|id| u64::try_from(id) == Ok(g.pg.pool));
        let in_state = |s: &String| s == "all" || g.state().split('+').any(|part| part == s);
        in_pool && (states.is_empty() || states.iter().all(in_state))
    });
    all
}

fn list(ctx: &Context<'_>, groups: Vec<Group>) -> CommandResult {
    let groups = &counted(&*ctx.cluster().stats(), groups);
    let mut value = json!({"pg_ready": true});
    if !groups.is_empty() {
        value["pg_stats"] = pg_stats::each(ctx, groups);
    }
    Ok(Reply::either(ctx.format, "pg_info", &value, || {
        if groups.is_empty() {
            String::new()
        } else {
            ls_text(ctx, groups)
        }
    }))
}

fn ls_text(ctx: &Context<'_>, groups: &[Group]) -> String {
    let age = time::span(super::status::age(ctx));
    let heads = [
        "OBJECTS",
        "DEGRADED",
        "MISPLACED",
        "UNFOUND",
        "BYTES",
        "OMAP_BYTES*",
        "OMAP_KEYS*",
        "LOG",
        "STATE",
        "SINCE",
        "VERSION",
        "REPORTED",
        "UP",
        "ACTING",
        "SCRUB_STAMP",
        "DEEP_SCRUB_STAMP",
    ];
    let columns: Vec<Column> = std::iter::once(Column::Left("PG"))
        .chain(heads.map(Column::Right))
        .collect();
    let row = |g: &Group| {
        let mut row = vec![g.pg.to_string()];
        row.push(g.usage.objects.to_string());
        row.extend(std::iter::repeat_n("0".to_owned(), 3));
        row.push(g.usage.bytes_stored.to_string());
        row.extend(std::iter::repeat_n("0".to_owned(), 3));
        row.extend([g.state(), age.clone(), "0'0".to_owned(), "0:0".to_owned()]);
        let [scrub, deep] = g.scrub_stamps(pg_stats::since(ctx)).map(time::local);
        row.extend([g.set_with_primary(), g.set_with_primary(), scrub, deep]);
        row
    };
    table(&columns, &groups.iter().map(row).collect::<Vec<_>>())
}

/// `pg ls [POOL] [STATES]`.
pub(super) fn ls(ctx: &Context<'_>) -> CommandResult {
    let pool = ctx.args.int("pool")?;
    if let Some(id) = pool
        && !ctx.cluster().osdmap().pools.contains_key(&id)
    {
        return Err(enoent(format!("pool {id} does not exist")));
    }
    list(ctx, selected(ctx, pool))
}

/// `pg ls-by-pool POOL [STATES]`.
pub(super) fn ls_by_pool(ctx: &Context<'_>) -> CommandResult {
    let name = ctx.args.need("poolstr")?;
    let pool = ctx.cluster().osdmap().pool_by_name(name);
    let pool = pool.ok_or_else(|| enoent(format!("pool {name} does not exist")))?;
    list(ctx, selected(ctx, Some(pool)))
}

/// `pg ls-by-primary OSD` and `pg ls-by-osd OSD`.
pub(super) fn ls_by_osd(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let (id, _) = super::osd_tree::osd_arg(ctx, &map, "osd")?;
    let mut groups = selected(ctx, ctx.args.int("pool")?);
    groups.retain(|g| g.osd == Some(id));
    list(ctx, groups)
}

/// `pg debug unfound_objects_exist|degraded_pgs_exist`: neither is ever so.
pub(super) fn debug(ctx: &Context<'_>) -> CommandResult {
    match ctx.args.need("debugop")? {
        "unfound_objects_exist" | "degraded_pgs_exist" => Ok(Reply::data("FALSE\n")),
        other => Err(einval(format!("unknown debugop '{other}'"))),
    }
}
