//! `mgr ...`, but for switching modules.

use encoding::{features::Features, types::Utime};
use rustix::io::Errno;
use serde_json::{Map, Value, json};

use super::{CommandResult, Context, modules::ALWAYS_ON};
use crate::{
    cluster::MGR_NAME,
    mon::{
        host,
        reply::{CommandError, Reply, enoent},
        show::{RELEASE, VERSION, VERSION_NUMBER, addrvec, legacy_addr},
        time,
    },
};

/// A module as lists of them show it. None has options here.
fn module_info(name: &str) -> Value {
    json!({"name": name, "can_run": true, "error_string": "", "module_options": {}})
}

/// `mgr dump`.
pub(super) fn dump(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().mgrmap();
    let names = ALWAYS_ON
        .into_iter()
        .chain(map.modules.iter().map(String::as_str));
    let value = json!({
        "epoch": map.epoch,
        "active_gid": map.active_gid,
        "active_name": map.active_name,
        "active_addrs": addrvec(&map.active_addrs),
        "active_addr": legacy_addr(&map.active_addrs),
        "active_change": time::local(map.active_change),
        "active_mgr_features": Features::OURS.0,
        "available": true,
        "standbys": [],
        "modules": map.modules,
        "available_modules": names.map(module_info).collect::<Vec<_>>(),
        "services": map.services,
        "always_on_modules": {RELEASE: ALWAYS_ON},
        "last_failure_osd_epoch": 0,
        "active_clients": map
            .clients
            .iter()
            .map(|(name, addrs)| json!({"name": name, "addrvec": addrvec(addrs)["addrvec"]}))
            .collect::<Vec<_>>(),
    });
    Ok(Reply::value(ctx.format, "mgrmap", &value))
}

/// `mgr stat`.
pub(super) fn stat(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().mgrmap();
    let value = json!({
        "epoch": map.epoch,
        "available": map.available,
        "active_name": map.active_name,
        "num_standby": 0,
    });
    Ok(Reply::value(ctx.format, "stat", &value))
}

/// `mgr services`.
pub(super) fn services(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().mgrmap();
    Ok(Reply::value(ctx.format, "services", &json!(map.services)))
}

/// `mgr module ls`.
pub(super) fn module_ls(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().mgrmap();
    let value =
        json!({"always_on_modules": ALWAYS_ON, "enabled_modules": map.modules, "disabled_modules": []});
    Ok(Reply::value(ctx.format, "modules", &value))
}

/// What is known of the manager.
fn facts(ctx: &Context<'_>) -> Map<String, Value> {
    let map = ctx.cluster().mgrmap();
    let mut out: Map<String, Value> = host::facts()
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.into()))
        .collect();
    for (key, value) in [
        ("name", MGR_NAME.to_owned()),
        ("addr", legacy_addr(&map.active_addrs)),
        ("addrs", map.active_addrs.to_string()),
        ("ceph_release", RELEASE.to_owned()),
        ("ceph_version", VERSION.to_owned()),
        ("ceph_version_short", VERSION_NUMBER.to_owned()),
        ("hostname", ctx.cluster().host().to_owned()),
    ] {
        out.insert(key.to_owned(), value.into());
    }
    out
}

/// `mgr metadata [WHO]`.
pub(super) fn metadata(ctx: &Context<'_>) -> CommandResult {
    let value = Value::Object(facts(ctx));
    match ctx.args.str("who") {
        None => Ok(Reply::value(ctx.format, "mgr_metadata/mgr", &json!([value]))),
        Some(MGR_NAME) => Ok(Reply::value(ctx.format, "mgr_metadata", &value)),
        Some(other) => Err(enoent(format!("no metadata for mgr.{other}"))),
    }
}

/// `mgr count-metadata PROPERTY`.
pub(super) fn count_metadata(ctx: &Context<'_>) -> CommandResult {
    let property = ctx.args.need("property")?;
    let counted = super::crush::count(&[Value::Object(facts(ctx))], property);
    Ok(Reply::value(ctx.format, property, &counted))
}

/// `mgr versions`.
pub(super) fn versions(ctx: &Context<'_>) -> CommandResult {
    Ok(Reply::value(ctx.format, "mgr", &json!({VERSION: 1})))
}

/// `mgr fail [WHO]`: nobody could take over.
pub(super) fn fail(_: &Context<'_>) -> CommandResult {
    Err(CommandError::new(
        Errno::OPNOTSUPP,
        "there is one manager, which is this process",
    ))
}

/// `service dump`.
pub(super) fn service_dump(ctx: &Context<'_>) -> CommandResult {
    let value = ctx.mon.services().map_value(created(ctx));
    Ok(Reply::value(ctx.format, "service_map", &value))
}

/// `service status`.
pub(super) fn service_status(ctx: &Context<'_>) -> CommandResult {
    Ok(Reply::value(
        ctx.format,
        "service_status",
        &ctx.mon.services().status_value(),
    ))
}

/// When the service map was made.
pub(super) fn created(ctx: &Context<'_>) -> Utime {
    ctx.cluster().created()
}
