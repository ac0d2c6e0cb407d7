//! `osd erasure-code-profile ...`.

use serde_json::json;

use super::{CommandResult, Context};
use crate::{
    cluster::erasure_code::from_words,
    mon::reply::{Reply, enoent},
};

/// `osd erasure-code-profile ls`.
pub(super) fn profile_ls(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let names: Vec<&String> = map.erasure_code_profiles.keys().collect();
    Ok(Reply::either(
        ctx.format,
        "erasure-code-profiles/profile",
        &json!(names),
        || names.iter().map(|n| format!("{n}\n")).collect(),
    ))
}

/// `osd erasure-code-profile get NAME`.
pub(super) fn profile_get(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let name = ctx.args.need("name")?;
    let unknown = || enoent(format!("unknown erasure code profile '{name}'"));
    let profile = map.erasure_code_profiles.get(name).ok_or_else(unknown)?;
    Ok(Reply::either(ctx.format, "profile", &json!(profile), || {
        profile.iter().map(|(k, v)| format!("{k}={v}\n")).collect()
    }))
}

/// `osd erasure-code-profile set NAME [KEY=VALUE...] [--force]`.
pub(super) fn profile_set(ctx: &Context<'_>) -> CommandResult {
    let name = ctx.args.need("name")?;
    let profile = from_words(&ctx.args.list("profile"))?;
    ctx.cluster()
        .set_erasure_profile(name, profile, ctx.args.flag("force"))?;
    Ok(Reply::status(""))
}

/// `osd erasure-code-profile rm NAME`.
pub(super) fn profile_rm(ctx: &Context<'_>) -> CommandResult {
    let name = ctx.args.need("name")?;
    Ok(Reply::status(
        match ctx.cluster().remove_erasure_profile(name)? {
            true => String::new(),
            false => format!("erasure-code-profile {name} does not exist"),
        },
    ))
}
