//! `mgr ...` and what manager modules answer elsewhere.

use encoding::features::Features;
use serde_json::json;

use super::{CommandResult, Context};
use crate::{
    cluster::MGR_NAME,
    mon::{
        reply::{Reply, enoent},
        show::{RELEASE, VERSION, VERSION_NUMBER, addrvec, legacy_addr},
        time,
    },
};

/// `mgr dump`.
pub(super) fn dump(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().mgrmap();
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
        "modules": [],
        "available_modules": [],
        "services": {},
        "always_on_modules": {},
        "last_failure_osd_epoch": 0,
        "active_clients": [],
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
    Ok(Reply::value(ctx.format, "mgr_stat", &value))
}

/// `mgr services`.
pub(super) fn services(ctx: &Context<'_>) -> CommandResult {
    Ok(Reply::value(ctx.format, "services", &json!({})))
}

/// `mgr module ls`: there are no modules, and none can be enabled.
pub(super) fn module_ls(ctx: &Context<'_>) -> CommandResult {
    let value = json!({"always_on_modules": [], "enabled_modules": [], "disabled_modules": []});
    Ok(Reply::value(ctx.format, "modules", &value))
}

/// `mgr metadata [WHO]`.
pub(super) fn metadata(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().mgrmap();
    let value = json!({
        "name": MGR_NAME,
        "addr": map.active_addrs.to_string(),
        "ceph_release": RELEASE,
        "ceph_version": VERSION,
        "ceph_version_short": VERSION_NUMBER,
        "hostname": ctx.cluster().host(),
    });
    match ctx.args.str("who") {
        None => Ok(Reply::value(ctx.format, "mgr_metadata", &json!([value]))),
        Some(MGR_NAME) => Ok(Reply::value(ctx.format, "mgr_metadata", &value)),
        Some(other) => Err(enoent(format!("no metadata for mgr.{other}"))),
    }
}

/// `balancer status`: a single host has nothing to balance.
pub(super) fn balancer_status(ctx: &Context<'_>) -> CommandResult {
    let value = json!({
        "active": false,
        "last_optimize_duration": "",
        "last_optimize_started": "",
        "mode": "none",
        "no_optimization_needed": true,
        "optimize_result": "",
        "plans": [],
    });
    Ok(Reply::value(ctx.format, "balancer", &value))
}
