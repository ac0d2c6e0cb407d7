//! `osd ...`, but for pools, the map's dump and the tree.

use std::time::Duration;

use encoding::{
    maps::OsdMap,
    types::{EntityAddr, Utime},
};
use rustix::io::Errno;
use serde_json::{Map, Value, json};

use super::{
    CommandResult, Context,
    osd_tree::osd_arg,
    status::{osd_stat_line, osd_stat_value},
};
use crate::{
    cluster::{BLOCKLIST_EXPIRE, MarkedDown, parse_address, parse_range},
    mon::{
        format::{Column, table},
        host,
        reply::{CommandError, Reply, einval},
        show::{
            RELEASE, VERSION, VERSION_NUMBER, flag_bit, operator_flags, osd_counts, osds, pg_count,
            plain_addr,
        },
        time,
    },
};

/// `osd stat`.
pub(super) fn stat(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    Ok(Reply::either(ctx.format, "osdmap", &osd_stat_value(ctx), || {
        let mut out = format!("{}; epoch: e{}\n", osd_stat_line(ctx), map.epoch);
        let flags = operator_flags(map.flags);
        if !flags.is_empty() {
            out += &format!("flags {}\n", flags.join(","));
        }
        out
    }))
}

/// `osd ls`.
pub(super) fn ls(ctx: &Context<'_>) -> CommandResult {
    let map = super::osd_dump::wanted_map(ctx)?;
    let ids: Vec<i32> = osds(&map).map(|(id, _)| id).collect();
    Ok(Reply::either(ctx.format, "osds", &json!(ids), || {
        ids.iter().map(|id| format!("{id}\n")).collect()
    }))
}

/// `osd getmaxosd`.
pub(super) fn getmaxosd(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let value = json!({"epoch": map.epoch, "max_osd": map.max_osd});
    Ok(Reply::either(ctx.format, "getmaxosd", &value, || {
        format!("max_osd = {} in epoch {}", map.max_osd, map.epoch)
    }))
}

/// What is known of an OSD.
fn facts(ctx: &Context<'_>, map: &OsdMap, id: i32, i: usize) -> Value {
    let addrs = map.osd_addrs.get(i).cloned().unwrap_or_default();
    let mut out: Map<String, Value> = host::facts()
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.into()))
        .collect();
    out.insert("id".to_owned(), id.into());
    for (key, value) in [
        ("back_addr", addrs.cluster.to_string()),
        ("front_addr", addrs.client.to_string()),
        ("hb_back_addr", addrs.hb_back.to_string()),
        ("hb_front_addr", addrs.hb_front.to_string()),
        ("ceph_release", RELEASE.to_owned()),
        ("ceph_version", VERSION.to_owned()),
        ("ceph_version_short", VERSION_NUMBER.to_owned()),
        ("hostname", ctx.cluster().host().to_owned()),
        ("osd_objectstore", "rbdgate".to_owned()),
    ] {
        out.insert(key.to_owned(), value.into());
    }
    Value::Object(out)
}

/// `osd metadata [ID]`.
pub(super) fn metadata(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let asked = ctx.args.str("id").is_some() || ctx.args.int("id").is_ok_and(|n| n.is_some());
    let value = if asked {
        let (id, i) = osd_arg(ctx, &map, "id")?;
        facts(ctx, &map, id, i)
    } else {
        json!(
            osds(&map)
                .map(|(id, i)| facts(ctx, &map, id, i))
                .collect::<Vec<_>>()
        )
    };
    Ok(Reply::value(ctx.format, "osd_metadata", &value))
}

/// `osd count-metadata PROPERTY`.
pub(super) fn count_metadata(ctx: &Context<'_>) -> CommandResult {
    let property = ctx.args.need("property")?;
    let map = ctx.cluster().osdmap();
    let all: Vec<Value> = osds(&map).map(|(id, i)| facts(ctx, &map, id, i)).collect();
    Ok(Reply::value(
        ctx.format,
        property,
        &super::crush::count(&all, property),
    ))
}

/// `osd versions`.
pub(super) fn versions(ctx: &Context<'_>) -> CommandResult {
    let up = osd_counts(&ctx.cluster().osdmap()).1;
    Ok(Reply::value(ctx.format, "osd", &json!({VERSION: up})))
}

/// `osd perf`.
pub(super) fn perf(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let stats = ctx.cluster().stats();
    let rows: Vec<_> = osds(&map).map(|(id, _)| (id, stats.latency(id))).collect();
    let infos: Vec<_> = rows
        .iter()
        .map(|(id, l)| {
            json!({"id": id, "perf_stats": {
                "commit_latency_ms": l.commit_ms, "apply_latency_ms": l.apply_ms,
                "commit_latency_ns": l.commit_ms * 1_000_000, "apply_latency_ns": l.apply_ms * 1_000_000,
            }})
        })
        .collect();
    let value = json!({"pg_ready": true, "osdstats": {"osd_perf_infos": infos}});
    Ok(Reply::either(ctx.format, "pg_info", &value, || {
        use Column::Right as R;
        let rows: Vec<_> = rows
            .iter()
            .map(|(id, l)| vec![id.to_string(), l.commit_ms.to_string(), l.apply_ms.to_string()])
            .collect();
        table(
            &[R("osd"), R("commit_latency(ms)"), R("apply_latency(ms)")],
            &rows,
        )
    }))
}

/// `osd utilization`.
pub(super) fn utilization(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let ids: Vec<i32> = osds(&map).map(|(id, _)| id).collect();
    let average = pg_count(&map) / ids.len().max(1) as u64;
    let first = ids.first().copied().unwrap_or(-1);
    let value = json!({
        "avg_pgs": average, "std_dev": 0, "expected_baseline_std_dev": 0, "min_osd": first,
        "min_osd_pgs": average, "max_osd": first, "max_osd_pgs": average,
    });
    Ok(Reply::either(ctx.format, "utilization", &value, || {
        format!(
            "avg {average}\nstddev 0 (expected baseline 0)\nmin osd.{first} with {average} pgs (1 * mean)\n\
             max osd.{first} with {average} pgs (1 * mean)\n"
        )
    }))
}

/// `osd get-require-min-compat-client`.
pub(super) fn min_compat_client(ctx: &Context<'_>) -> CommandResult {
    let release = ctx.cluster().osdmap().require_min_compat_client;
    Ok(Reply::data(format!("{release}\n")))
}

/// `osd set-require-min-compat-client RELEASE`. Decides the clone format that librbd chooses (`mimic` and later:
/// clones without protected snapshots).
pub(super) fn set_min_compat_client(ctx: &Context<'_>) -> CommandResult {
    let name = ctx.args.need("version")?;
    let release = encoding::maps::Release::from_name(name)
        .ok_or_else(|| einval(format!("version {name} is not recognized")))?;
    ctx.cluster().set_require_min_compat_client(release)?;
    Ok(Reply::status(format!(
        "set require_min_compat_client to {release}"
    )))
}

/// `osd set FLAG` and `osd unset FLAG`.
fn change_flag(ctx: &Context<'_>, on: bool) -> CommandResult {
    change_named_flag(ctx, ctx.args.need("key")?, on)
}

fn change_named_flag(ctx: &Context<'_>, name: &str, on: bool) -> CommandResult {
    let bits = match name {
        "pause" => flag_bit("pauserd").unwrap_or(0) | flag_bit("pausewr").unwrap_or(0),
        other => flag_bit(other).ok_or_else(|| einval(format!("unrecognized flag '{other}'")))?,
    };
    ctx.cluster().set_flags(bits, on)?;
    let shown = if name == "pause" { "pauserd,pausewr" } else { name };
    Ok(Reply::status(format!(
        "{shown} is {}",
        if on { "set" } else { "unset" }
    )))
}

/// `osd set FLAG`.
pub(super) fn set(ctx: &Context<'_>) -> CommandResult {
    change_flag(ctx, true)
}

/// `osd unset FLAG`.
pub(super) fn unset(ctx: &Context<'_>) -> CommandResult {
    change_flag(ctx, false)
}

/// `osd down ID...`: as in Ceph, ids that are not OSDs are told of and the others marked all the same.
pub(super) fn down(ctx: &Context<'_>) -> CommandResult {
    let words = ctx.args.list("ids");
    let all = words
        .first()
        .is_some_and(|word| matches!(word.as_str(), "any" | "all" | "*"));
    let ids: Vec<i32> = if all {
        osds(&ctx.cluster().osdmap()).map(|(id, _)| id).collect()
    } else {
        let id = |word: &String| {
            let id = word
                .strip_prefix("osd.")
                .unwrap_or(word)
                .parse()
                .ok()
                .filter(|id| *id >= 0);
            id.ok_or_else(|| einval(format!("invalid osd id {word}")))
        };
        words.iter().map(id).collect::<Result<_, _>>()?
    };
    let marked = ctx.cluster().mark_osds_down(&ids)?;
    let tell = |(id, marked): (&i32, &MarkedDown)| match marked {
        MarkedDown::Now => format!("marked down osd.{id}. "),
        MarkedDown::Before if all => String::new(),
        MarkedDown::Before => format!("osd.{id} is already down. "),
        MarkedDown::NoSuchOsd => format!("osd.{id} does not exist. "),
    };
    let text: String = ids.iter().zip(&marked).map(tell).collect();
    Ok(Reply::status(text))
}

/// `osd pause`.
pub(super) fn pause(ctx: &Context<'_>) -> CommandResult {
    change_named_flag(ctx, "pause", true)
}

/// `osd unpause`.
pub(super) fn unpause(ctx: &Context<'_>) -> CommandResult {
    change_named_flag(ctx, "pause", false)
}

/// `osd set-full-ratio RATIO` and its siblings.
pub(super) fn set_ratio(ctx: &Context<'_>) -> CommandResult {
    let command = ctx.args.prefix();
    let ratio = ctx.args.float("ratio")?.filter(|r| (0.0..=1.0).contains(r));
    let ratio = ratio.ok_or_else(|| einval("the ratio must be between 0 and 1"))?;
    let value = ratio as f32;
    ctx.cluster().set_ratio(|map| match command {
        "osd set-full-ratio" => map.full_ratio = value,
        "osd set-nearfull-ratio" => map.nearfull_ratio = value,
        _ => map.backfillfull_ratio = value,
    })?;
    Ok(Reply::status(format!("{command} {ratio}")))
}

/// `osd require-osd-release RELEASE`: the release that this server speaks; there is no other.
pub(super) fn require_release(ctx: &Context<'_>) -> CommandResult {
    let name = ctx.args.need("release")?;
    let release = encoding::maps::Release::from_name(name)
        .ok_or_else(|| einval(format!("unrecognized release {name}")))?;
    let now = ctx.cluster().osdmap().require_osd_release;
    if release == now {
        return Ok(Reply::default());
    }
    let why = if release < now {
        "require_osd_release cannot be lowered once it has been set".to_owned()
    } else {
        format!(
            "not all up OSDs have CEPH_FEATURE_SERVER_{} feature",
            name.to_uppercase()
        )
    };
    Err(CommandError::new(Errno::PERM, why))
}

/// The longest time that an entry may stay, in seconds: a hundred years.
const MAX_EXPIRE: f64 = 100.0 * 365.25 * 86_400.0;

/// `osd blocklist [range] add|rm ADDR [SECONDS]`, also under its older name.
pub(super) fn blocklist(ctx: &Context<'_>) -> CommandResult {
    let range = match ctx.args.str("range") {
        None => false,
        Some("range") => true,
        Some(_) => return Err(einval("Did you mean to specify \"osd blocklist range\"?")),
    };
    let text = ctx.args.need("addr")?;
    let addr = if range {
        parse_range(text)
    } else {
        parse_address(text)
    };
    let addr = addr.ok_or_else(|| einval(format!("unable to parse address {text}")))?;
    let shown = match range {
        true => format!("cidr:{}", plain_addr(&addr)),
        false => plain_addr(&addr),
    };
    let op = ctx
        .args
        .str("blocklistop")
        .or_else(|| ctx.args.str("blacklistop"));
    match op {
        Some("add") => {
            let default = ctx.cluster().option_number(BLOCKLIST_EXPIRE);
            let secs = ctx
                .args
                .float("expire")?
                .unwrap_or(default)
                .clamp(0.0, MAX_EXPIRE);
            let until = ctx.cluster().blocklist_add(addr, Duration::from_secs_f64(secs))?;
            let until = time::local(until);
            Ok(Reply::status(format!(
                "blocklisting {shown} until {until} ({secs} sec)"
            )))
        }
        Some("rm") if ctx.cluster().blocklist_rm(addr)? => {
            Ok(Reply::status(format!("un-blocklisting {shown}")))
        }
        Some("rm") => Ok(Reply::status(format!("{shown} isn't blocklisted"))),
        _ => Err(einval("blocklistop must be add or rm")),
    }
}

/// `osd blocklist ls`.
pub(super) fn blocklist_ls(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let shown = |kind: &'static str, (addr, until): (&EntityAddr, &Utime)| {
        (kind, plain_addr(addr), time::local(*until))
    };
    let single = map.blocklist.iter().map(|e| shown("addr", e));
    let ranges = map.range_blocklist.iter().map(|e| shown("range", e));
    let entries: Vec<_> = single.chain(ranges).collect();
    let rows: Vec<_> = entries
        .iter()
        .map(|(kind, a, t)| json!({*kind: a, "until": t}))
        .collect();
    let reply = Reply::either(ctx.format, "blocklist", &json!(rows), || {
        let line = |(kind, a, t): &(&str, String, String)| match *kind {
            "range" => format!("cidr:{a} {t}\n"),
            _ => format!("{a} {t}\n"),
        };
        entries.iter().map(line).collect()
    });
    Ok(reply.with_status(format!("listed {} entries", entries.len())))
}

/// `osd blocklist clear`.
pub(super) fn blocklist_clear(ctx: &Context<'_>) -> CommandResult {
    ctx.cluster().blocklist_clear()?;
    Ok(Reply::status(" removed all blocklist entries"))
}
