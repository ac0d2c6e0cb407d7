//! `mon ...`, `mon_status` and `quorum_status`.

use std::sync::Arc;

use encoding::{codec::Encode, features::Features, maps::MonMap};
use serde_json::{Map, Value, json};

use super::{CommandResult, Context, health, status::age};
use crate::{
    cluster::MON_NAME,
    mon::{
        host,
        reply::{CommandError, Reply, enoent},
        show::{RELEASE, VERSION, VERSION_NUMBER, addrvec, legacy_addr},
        time,
    },
};

/// Names of monitor features, in order of their bits (`ceph::features::mon`, `mon_types.h`).
const MON_FEATURES: [&str; 8] = [
    "kraken",
    "luminous",
    "mimic",
    "osdmap-prune",
    "nautilus",
    "octopus",
    "pacific",
    "elector-pinging",
];

fn mon_features(word: u64) -> Vec<&'static str> {
    let set = MON_FEATURES
        .iter()
        .enumerate()
        .filter(|(bit, _)| word >> bit & 1 != 0);
    set.map(|(_, name)| *name).collect()
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn monmap_value(map: &MonMap) -> Map<String, Value> {
    let mon = |(rank, name): (usize, &String)| {
        let info = map.mons.get(name)?;
        Some(json!({
            "rank": rank,
            "name": name,
            "public_addrs": addrvec(&info.public_addrs),
            "addr": legacy_addr(&info.public_addrs),
            "public_addr": legacy_addr(&info.public_addrs),
            "priority": info.priority,
            "weight": info.weight,
            "crush_location": "{}",
        }))
    };
    // The odd names of two fields are Pacific's.
    fields(json!({
        "epoch": map.epoch,
        "fsid": map.fsid.to_string(),
        "modified": time::zulu(map.last_changed),
        "created": time::zulu(map.created),
        "min_mon_release": map.min_mon_release.0,
        "min_mon_release_name": map.min_mon_release.name(),
        "election_strategy": map.strategy,
        "disallowed_leaders: ": "",
        "stretch_mode": map.stretch_mode_enabled,
        "tiebreaker_mon": map.tiebreaker_mon,
        "removed_ranks: ": "",
        "features": {
            "persistent": mon_features(map.persistent_features),
            "optional": mon_features(map.optional_features),
        },
        "mons": map.ranks.iter().enumerate().filter_map(mon).collect::<Vec<_>>(),
    }))
}

/// The map that the command asks for by its epoch; only the current one is kept.
fn wanted_map(ctx: &Context<'_>) -> Result<Arc<MonMap>, CommandError> {
    let map = ctx.cluster().monmap();
    match ctx.args.int("epoch")? {
        Some(epoch) if epoch != 0 && epoch != i64::from(map.epoch) => {
            Err(enoent(format!("there is no map for epoch {epoch}")))
        }
        _ => Ok(map),
    }
}

/// `mon dump`.
pub(super) fn dump(ctx: &Context<'_>) -> CommandResult {
    let map = wanted_map(ctx)?;
    let status = format!("dumped monmap epoch {}", map.epoch);
    let mut value = monmap_value(&map);
    value.insert("quorum".into(), json!([0]));
    let reply = Reply::either(ctx.format, "monmap", &Value::Object(value), || {
        let mut out = format!(
            "epoch {}\nfsid {}\nlast_changed {}\ncreated {}\nmin_mon_release {} ({})\nelection_strategy: {}\n",
            map.epoch,
            map.fsid,
            time::local(map.last_changed),
            time::local(map.created),
            map.min_mon_release.0,
            map.min_mon_release.name(),
            map.strategy
        );
        for (rank, name) in map.ranks.iter().enumerate() {
            if let Some(info) = map.mons.get(name) {
                out += &format!("{rank}: {} mon.{name}\n", info.public_addrs);
            }
        }
        out
    });
    Ok(reply.with_status(status))
}

/// `mon stat`.
pub(super) fn stat(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().monmap();
    let value = json!({
        "epoch": map.epoch,
        "min_mon_release_name": map.min_mon_release.name(),
        "num_mons": map.mons.len(),
        "leader": MON_NAME,
        "quorum": [{"rank": 0, "name": MON_NAME}],
    });
    Ok(Reply::either(ctx.format, "monmap", &value, || {
        let mons: Vec<_> = map
            .mons
            .iter()
            .map(|(n, i)| format!("{n}={}", i.public_addrs))
            .collect();
        format!(
            "e{}: {} mons at {{{}}} removed_ranks: {{}}, election epoch 1, leader 0 {MON_NAME}, quorum 0 {MON_NAME}",
            map.epoch,
            map.mons.len(),
            mons.join(",")
        )
    }))
}

/// `mon getmap`.
pub(super) fn getmap(ctx: &Context<'_>) -> CommandResult {
    let map = wanted_map(ctx)?;
    Ok(Reply::data(map.to_bytes(ctx.features)).with_status(format!("got monmap epoch {}", map.epoch)))
}

/// What is known of the monitor.
fn facts(ctx: &Context<'_>) -> Map<String, Value> {
    let map = ctx.cluster().monmap();
    let addrs = map.mons.get(MON_NAME).map(|m| m.public_addrs.to_string());
    let mut out: Map<String, Value> = host::facts()
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.into()))
        .collect();
    for (key, value) in [
        ("addrs", addrs.unwrap_or_default()),
        ("ceph_release", RELEASE.to_owned()),
        ("ceph_version", VERSION.to_owned()),
        ("ceph_version_short", VERSION_NUMBER.to_owned()),
        ("compression_algorithms", "none".to_owned()),
        ("hostname", ctx.cluster().host().to_owned()),
    ] {
        out.insert(key.to_owned(), value.into());
    }
    out
}

/// `mon metadata [ID]`.
pub(super) fn metadata(ctx: &Context<'_>) -> CommandResult {
    let id = ctx.args.str("id").map(|id| id.strip_prefix("mon.").unwrap_or(id));
    let mut facts = facts(ctx);
    match id {
        None => {
            facts.insert("name".into(), MON_NAME.into());
            Ok(Reply::value(ctx.format, "mon_metadata/mon", &json!([facts])))
        }
        Some(MON_NAME) => Ok(Reply::value(ctx.format, "mon_metadata", &json!(facts))),
        Some(other) => Err(enoent(format!("no metadata for mon '{other}'"))),
    }
}

/// `mon count-metadata PROPERTY`.
pub(super) fn count_metadata(ctx: &Context<'_>) -> CommandResult {
    let property = ctx.args.need("property")?;
    let counted = super::crush::count(&[Value::Object(facts(ctx))], property);
    Ok(Reply::value(ctx.format, property, &counted))
}

/// `mon versions`.
pub(super) fn versions(ctx: &Context<'_>) -> CommandResult {
    Ok(Reply::value(ctx.format, "mon", &json!({VERSION: 1})))
}

/// `mon feature ls`.
pub(super) fn feature_ls(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().monmap();
    let all = json!({
        "all": {"supported": MON_FEATURES, "persistent": MON_FEATURES},
        "monmap": {
            "persistent": mon_features(map.persistent_features),
            "optional": mon_features(map.optional_features),
            "required": mon_features(map.persistent_features | map.optional_features),
        },
    });
    Ok(Reply::value(ctx.format, "features", &all))
}

/// `quorum_status`.
pub(super) fn quorum_status(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().monmap();
    let value = json!({
        "election_epoch": 1,
        "quorum": [0],
        "quorum_names": [MON_NAME],
        "quorum_leader_name": MON_NAME,
        "quorum_age": age(ctx).as_secs(),
        "features": {
            "quorum_con": Features::OURS.0.to_string(),
            "quorum_mon": mon_features(map.persistent_features),
        },
        "monmap": monmap_value(&map),
    });
    // On one line also where nobody asked for JSON.
    Ok(Reply::either(ctx.format, "quorum_status", &value, || {
        value.to_string()
    }))
}

/// `mon_status`.
pub(super) fn mon_status(ctx: &Context<'_>) -> CommandResult {
    Ok(Reply::value(ctx.format, "mon_status", &mon_status_value(ctx)))
}

/// `sessions`.
pub(super) fn sessions(ctx: &Context<'_>) -> CommandResult {
    Ok(Reply::value(ctx.format, "sessions", &ctx.mon.sessions().list()))
}

fn mon_status_value(ctx: &Context<'_>) -> Value {
    let map = ctx.cluster().monmap();
    let features = json!({
        "required_con": "0",
        "required_mon": mon_features(map.persistent_features),
        "quorum_con": Features::OURS.0.to_string(),
        "quorum_mon": mon_features(map.persistent_features),
    });
    json!({
        "name": MON_NAME,
        "rank": 0,
        "state": "leader",
        "election_epoch": 1,
        "quorum": [0],
        "quorum_age": age(ctx).as_secs(),
        "features": features,
        "outside_quorum": [],
        "extra_probe_peers": [],
        "sync_provider": [],
        "monmap": monmap_value(&map),
        "feature_map": super::cluster::features_value(ctx),
        "stretch_mode": false,
    })
}

/// What the monitor answers to a ping: health and status as JSON (`Monitor::handle_ping`).
pub(in crate::mon) fn pong(ctx: &Context<'_>) -> String {
    let value = json!({"health": health::short(ctx), "mon_status": mon_status_value(ctx)});
    value.to_string()
}
