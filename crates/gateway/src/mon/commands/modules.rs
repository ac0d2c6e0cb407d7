//! What modules of Ceph's manager answer (`src/pybind/mgr`), as far as they have anything to do here.

use rustix::io::Errno;
use serde_json::json;

use super::{CommandResult, Context};
use crate::mon::{
    format::{Column, table},
    reply::{CommandError, Reply, enoent},
};

/// Modules whose commands are answered; none can be switched off.
pub(super) const ALWAYS_ON: [&str; 7] = [
    "balancer",
    "crash",
    "devicehealth",
    "progress",
    "rbd_support",
    "status",
    "telemetry",
];

/// Whether that module is there and on: one of [`ALWAYS_ON`], or served.
fn is_on(ctx: &Context<'_>, module: &str) -> bool {
    ALWAYS_ON.contains(&module) || ctx.cluster().mgrmap().services.contains_key(module)
}

/// `mgr module enable MODULE [--force]`.
pub(super) fn enable(ctx: &Context<'_>) -> CommandResult {
    let name = ctx.args.need("module")?;
    if ALWAYS_ON.contains(&name) {
        return Ok(Reply::status(format!(
            "module '{name}' is already enabled (always-on)"
        )));
    }
    if is_on(ctx, name) {
        return Ok(Reply::status(format!("module '{name}' is already enabled")));
    }
    Err(enoent(format!(
        "all mgr daemons do not support module '{name}', pass --force to force enablement"
    )))
}

/// `mgr module disable MODULE`.
pub(super) fn disable(ctx: &Context<'_>) -> CommandResult {
    let name = ctx.args.need("module")?;
    if ALWAYS_ON.contains(&name) {
        let text = format!("module '{name}' cannot be disabled (always-on)");
        return Err(CommandError::new(Errno::INVAL, text));
    }
    if is_on(ctx, name) {
        let text = format!("module '{name}' cannot be disabled: metrics are a setting of rbdgate");
        return Err(CommandError::new(Errno::OPNOTSUPP, text));
    }
    Ok(Reply::status(format!("module '{name}' is already disabled")))
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

/// `balancer mode none`, `balancer off`: as it is. Other modes and `balancer on` are refused.
pub(super) fn balancer_set(ctx: &Context<'_>) -> CommandResult {
    let as_it_is = ctx.args.prefix() == "balancer off" || ctx.args.str("mode") == Some("none");
    if as_it_is {
        return Ok(Reply::default());
    }
    Err(CommandError::new(
        Errno::OPNOTSUPP,
        "the data of rbdgate is in one place: there is nothing to balance",
    ))
}

/// `balancer eval`.
pub(super) fn balancer_eval(_: &Context<'_>) -> CommandResult {
    Ok(Reply::data("current cluster score 0.000000 (lower is better)\n"))
}

/// `balancer ls`.
pub(super) fn balancer_ls(ctx: &Context<'_>) -> CommandResult {
    Ok(Reply::value(ctx.format, "plans", &json!([])))
}

/// `progress`.
pub(super) fn progress(ctx: &Context<'_>) -> CommandResult {
    match ctx
        .mon
        .rbd_support()
        .and_then(|module| module.progress().to_text())
    {
        Some(text) => Ok(Reply::data(text)),
        None => Ok(Reply::status("Nothing in progress")),
    }
}

/// `progress json`.
pub(super) fn progress_json(ctx: &Context<'_>) -> CommandResult {
    let value = match ctx.mon.rbd_support() {
        Some(module) => module.progress().to_value(),
        None => json!({"completed": [], "events": []}),
    };
    Ok(Reply::value(ctx.format, "progress", &value))
}

/// `progress clear`, `progress off`.
pub(super) fn progress_clear(ctx: &Context<'_>) -> CommandResult {
    if let Some(module) = ctx.mon.rbd_support() {
        module.progress().clear();
    }
    Ok(Reply::default())
}

/// `progress on`.
pub(super) fn progress_on(_: &Context<'_>) -> CommandResult {
    Ok(Reply::status("progress already enabled!"))
}

/// `device ls`: the disks below the data folder are the host's business.
pub(super) fn device_ls(ctx: &Context<'_>) -> CommandResult {
    devices(ctx, &["DEVICE", "HOST:DEV", "DAEMONS", "WEAR", "LIFE EXPECTANCY"])
}

/// `device ls-by-daemon WHO`.
pub(super) fn device_ls_by_daemon(ctx: &Context<'_>) -> CommandResult {
    devices(ctx, &["DEVICE", "HOST:DEV", "EXPECTED FAILURE"])
}

/// `device ls-by-host HOST`.
pub(super) fn device_ls_by_host(ctx: &Context<'_>) -> CommandResult {
    devices(ctx, &["DEVICE", "DEV", "DAEMONS", "EXPECTED FAILURE"])
}

fn devices(ctx: &Context<'_>, heads: &[&'static str]) -> CommandResult {
    let columns: Vec<Column> = heads.iter().map(|h| Column::Left(h)).collect();
    Ok(Reply::either(ctx.format, "devices", &json!([]), || {
        table(&columns, &[])
    }))
}

/// `device info ID`.
pub(super) fn device_info(ctx: &Context<'_>) -> CommandResult {
    Err(enoent(format!("device {} not found", ctx.args.need("devid")?)))
}

/// `telemetry status`: nothing is ever sent.
pub(super) fn telemetry_status(ctx: &Context<'_>) -> CommandResult {
    let value = json!({
        "channel_basic": false, "channel_crash": false, "channel_device": false, "channel_ident": false,
        "contact": null, "description": null, "device_url": "", "enabled": false, "interval": 24,
        "last_opt_revision": 1, "last_upload": null, "leaderboard": false, "log_level": "",
        "log_to_cluster": false, "log_to_cluster_level": "info", "log_to_file": false, "organization": null,
        "proxy": null, "url": "",
    });
    Ok(Reply::value(ctx.format, "telemetry", &value))
}

/// `telemetry off`.
pub(super) fn telemetry_off(_: &Context<'_>) -> CommandResult {
    Ok(Reply::default())
}

/// `telemetry on`.
pub(super) fn telemetry_on(_: &Context<'_>) -> CommandResult {
    Err(CommandError::new(Errno::PERM, "rbdgate sends no telemetry"))
}

/// `orch ...`: as a cluster answers whose daemons nobody manages.
pub(super) fn orch(_: &Context<'_>) -> CommandResult {
    Err(enoent("No orchestrator configured (try `ceph orch set backend`)"))
}

/// `iostat`, ...: a module that is not on.
pub(super) fn not_loaded(ctx: &Context<'_>) -> CommandResult {
    let command = ctx.args.prefix();
    let module = command.split(' ').next().unwrap_or_default();
    let text = format!(
        "Module '{module}' is not enabled/loaded (required by command '{command}'): use `ceph mgr module enable {module}` to \
         enable it"
    );
    Err(CommandError::new(Errno::OPNOTSUPP, text))
}

/// `fs status`: there are no file systems.
pub(super) fn fs_status(ctx: &Context<'_>) -> CommandResult {
    Ok(Reply::either(ctx.format, "fs", &json!({}), String::new))
}
