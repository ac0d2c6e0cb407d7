//! Commands about the cluster as a whole.

use encoding::{features::Features, messages::LogEntry};
use serde_json::{Map, Value, json};

use super::{CommandResult, Context};
use crate::{
    cluster::{MGR_NAME, MON_NAME},
    daemon,
    mon::{
        command_table::describe_all,
        log::LogLevel,
        reply::{CommandError, Reply, einval, enoent},
        sessions::release_of,
        show::{VERSION, osd_counts, osds},
        time,
    },
};

/// `get_command_descriptions`.
pub(super) fn descriptions(ctx: &Context<'_>) -> CommandResult {
    let all = describe_all(super::COMMANDS, ctx.features);
    Ok(Reply::data(all.to_string()))
}

/// `fsid`.
pub(super) fn fsid(ctx: &Context<'_>) -> CommandResult {
    let fsid = ctx.cluster().fsid().to_string();
    Ok(Reply::either(
        ctx.format,
        "fsid",
        &json!({ "fsid": fsid }),
        || fsid.clone(),
    ))
}

/// `version`.
pub(super) fn version(ctx: &Context<'_>) -> CommandResult {
    Ok(Reply::either(
        ctx.format,
        "version",
        &json!({ "version": VERSION }),
        || VERSION.to_owned(),
    ))
}

/// `versions`.
pub(super) fn versions(ctx: &Context<'_>) -> CommandResult {
    let osds = osd_counts(&ctx.cluster().osdmap()).1;
    let mut value = json!({"mon": {VERSION: 1}, "mgr": {VERSION: 1}, "osd": {VERSION: osds}, "mds": {}});
    let mut overall = std::collections::BTreeMap::from([(VERSION.to_owned(), osds as u64 + 2)]);
    for (service, versions) in ctx.mon.services().versions() {
        for (version, n) in &versions {
            *overall.entry(version.clone()).or_default() += n;
        }
        value[service] = json!(versions);
    }
    value["overall"] = json!(overall);
    Ok(Reply::value(ctx.format, "version", &value))
}

/// `features`.
pub(super) fn features(ctx: &Context<'_>) -> CommandResult {
    Ok(Reply::value(ctx.format, "features", &features_value(ctx)))
}

/// Who is there, with which features.
pub(super) fn features_value(ctx: &Context<'_>) -> Value {
    let row = |f: Features, n: u64| json!({"features": f.to_string(), "release": release_of(f), "num": n});
    let osds = osd_counts(&ctx.cluster().osdmap()).1 as u64;
    let clients = ctx.mon.clients();
    let clients: Vec<Value> = clients.into_iter().map(|(f, n)| row(f, n)).collect();
    json!({
        "mon": [row(Features::OURS, 1)],
        "osd": [row(Features::OURS, osds)],
        "client": clients,
        "mgr": [row(Features::OURS, 1)],
    })
}

/// `node ls`.
pub(super) fn node_ls(ctx: &Context<'_>) -> CommandResult {
    let host = ctx.cluster().host().to_owned();
    let map = ctx.cluster().osdmap();
    let osds: Vec<i32> = osds(&map).map(|(id, _)| id).collect();
    let mut all = Map::new();
    all.insert("mon".into(), json!({host.as_str(): [MON_NAME]}));
    all.insert("osd".into(), json!({host.as_str(): osds}));
    all.insert("mgr".into(), json!({host.as_str(): [MGR_NAME]}));
    let (root, value) = match ctx.args.str("type") {
        None | Some("all") => ("nodes", Value::Object(all)),
        Some("mds") => ("mds", json!({})),
        Some(kind) => {
            let of_kind = all.remove(kind);
            (
                kind,
                of_kind.ok_or_else(|| einval(format!("unknown type '{kind}'")))?,
            )
        }
    };
    Ok(Reply::value(ctx.format, root, &value))
}

/// `time-sync-status`: one monitor is always in sync with itself.
pub(super) fn time_sync_status(ctx: &Context<'_>) -> CommandResult {
    let value = json!({"timechecks": {"epoch": 1, "round": 0, "round_status": "finished"}});
    Ok(Reply::value(ctx.format, "time_sync", &value))
}

/// `fs ls`.
pub(super) fn fs_ls(ctx: &Context<'_>) -> CommandResult {
    Ok(Reply::either(ctx.format, "filesystems", &json!([]), || {
        "No filesystems enabled\n".to_owned()
    }))
}

/// The map of file systems, of which there are none; what it says of compatibility is what Pacific's says.
fn fsmap() -> Value {
    let incompat = json!({
        "feature_1": "base v0.20", "feature_2": "client writeable ranges", "feature_3": "default file layouts on dirs",
        "feature_4": "dir inode in separate object", "feature_5": "mds uses versioned encoding",
        "feature_6": "dirfrag is stored in omap", "feature_8": "no anchor table", "feature_9": "file layout v2",
        "feature_10": "snaprealm v2",
    });
    json!({
        "epoch": 1, "default_fscid": -1,
        "compat": {"compat": {}, "ro_compat": {}, "incompat": incompat},
        "feature_flags": {"enable_multiple": true, "ever_enabled_multiple": true},
        "standbys": [], "filesystems": [],
    })
}

/// `fs dump`.
pub(super) fn fs_dump(ctx: &Context<'_>) -> CommandResult {
    let reply = Reply::either(ctx.format, "fsmap", &fsmap(), || {
        "e1\nenable_multiple, ever_enabled_multiple: 1,1\nlegacy client fscid: -1\n \nNo filesystems configured\n".to_owned()
    });
    Ok(reply.with_status("dumped fsmap epoch 1"))
}

/// `fs get NAME`.
pub(super) fn fs_get(ctx: &Context<'_>) -> CommandResult {
    Err(enoent(format!(
        "filesystem '{}' not found",
        ctx.args.need("fs_name")?
    )))
}

/// `mds stat`.
pub(super) fn mds_stat(ctx: &Context<'_>) -> CommandResult {
    let value = json!({"fsmap": fsmap(), "mdsmap_first_committed": 1, "mdsmap_last_committed": 1});
    Ok(Reply::either(ctx.format, "mds_stat", &value, String::new))
}

/// `log LINE...`.
pub(super) fn log(ctx: &Context<'_>) -> CommandResult {
    let line = ctx.args.list("logtext").join(" ");
    ctx.mon.log().say("cluster", LogLevel::INFO, line);
    Ok(Reply::default())
}

/// Names of a log entry's severities.
const SEVERITIES: [(&str, &str); 5] = [
    ("debug", "[DBG]"),
    ("info", "[INF]"),
    ("sec", "[SEC]"),
    ("warn", "[WRN]"),
    ("error", "[ERR]"),
];

/// `log last [NUM] [LEVEL] [CHANNEL]`.
pub(super) fn log_last(ctx: &Context<'_>) -> CommandResult {
    let n = ctx
        .args
        .int("num")?
        .map_or(20, |n| usize::try_from(n).unwrap_or(0));
    let level = ctx.args.str("level").unwrap_or("info");
    let least = SEVERITIES
        .iter()
        .position(|(name, _)| *name == level)
        .unwrap_or(1);
    let channel = ctx.args.str("channel").unwrap_or("*");
    let wanted = |e: &LogEntry| usize::from(e.prio) >= least && (channel == "*" || e.channel == channel);
    let entries = ctx.mon.log().last(wanted, n);
    let tag = |e: &LogEntry| {
        SEVERITIES
            .get(usize::from(e.prio))
            .map_or("[UNK]", |(_, tag)| tag)
    };
    let dump = |e: &LogEntry| {
        json!({
            "name": format!("{}.{}", e.name.kind, e.name.id),
            "rank": e.rank.to_string(),
            "stamp": time::local(e.stamp),
            "seq": e.seq,
            "channel": e.channel,
            "priority": tag(e),
            "message": e.msg,
        })
    };
    let value = Value::Array(entries.iter().map(dump).collect());
    Ok(Reply::either(ctx.format, "tail", &value, || {
        let line = |e: &LogEntry| {
            let who = format!("{}.{}", e.name.kind, e.name.id);
            format!(
                "{} {who} ({}) {} : {} {} {}\n",
                time::local(e.stamp),
                e.rank,
                e.seq,
                e.channel,
                tag(e),
                e.msg
            )
        };
        entries.iter().map(line).collect()
    }))
}

/// `compact`: as the monitor tells of it.
pub(super) fn compact(ctx: &Context<'_>) -> CommandResult {
    let seconds = daemon::compact(ctx.cluster())?;
    Ok(Reply::data(format!(
        "compacted the metadata in {seconds} seconds"
    )))
}

/// `smart [DEVICE]`: the monitor's store is in files, so there is no disk that is its own (`Monitor::do_admin_command`).
pub(super) fn smart(_: &Context<'_>) -> CommandResult {
    Err(enoent("could not determine device name for the metadata"))
}

/// `heap ...`: there is no heap profiler.
pub(super) fn heap(_: &Context<'_>) -> CommandResult {
    Err(CommandError::new(
        rustix::io::Errno::OPNOTSUPP,
        "could not issue heap profiler command -- not using tcmalloc!",
    ))
}
