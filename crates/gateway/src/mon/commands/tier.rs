//! `osd tier ...`: which pools are tiers of which. Nothing is cached, so no pool can become another one's overlay.

use rustix::io::Errno;

use super::{CommandResult, Context, pool::pool_arg};
use crate::{
    cluster::CacheMode,
    mon::reply::{CommandError, Reply, einval},
};

/// `osd tier add POOL TIERPOOL [--force-nonempty]`.
pub(super) fn add(ctx: &Context<'_>) -> CommandResult {
    let (_, base, name) = pool_arg(ctx, "pool")?;
    let (_, tier, tier_name) = pool_arg(ctx, "tierpool")?;
    ctx.cluster()
        .add_tier(base, tier, ctx.args.flag("force_nonempty"))?;
    Ok(Reply::status(format!(
        "pool '{tier_name}' is now (or already was) a tier of '{name}'"
    )))
}

/// `osd tier remove POOL TIERPOOL`.
pub(super) fn remove(ctx: &Context<'_>) -> CommandResult {
    let (_, base, name) = pool_arg(ctx, "pool")?;
    let (_, tier, tier_name) = pool_arg(ctx, "tierpool")?;
    ctx.cluster().remove_tier(base, tier)?;
    Ok(Reply::status(format!(
        "pool '{tier_name}' is now (or already was) not a tier of '{name}'"
    )))
}

/// `osd tier cache-mode POOL MODE`.
pub(super) fn cache_mode(ctx: &Context<'_>) -> CommandResult {
    let (_, id, name) = pool_arg(ctx, "pool")?;
    let text = ctx.args.need("mode")?;
    let mode =
        CacheMode::from_name(text).ok_or_else(|| einval(format!("'{text}' is not a valid cache mode")))?;
    ctx.cluster()
        .set_cache_mode(id, mode, ctx.args.flag("yes_i_really_mean_it"))?;
    Ok(Reply::status(format!(
        "set cache-mode for pool '{name}' to {text}"
    )))
}

/// `osd tier set-overlay POOL OVERLAYPOOL`: refused.
pub(super) fn set_overlay(ctx: &Context<'_>) -> CommandResult {
    let (map, base, name) = pool_arg(ctx, "pool")?;
    let (_, tier, tier_name) = pool_arg(ctx, "overlaypool")?;
    let has = map
        .pools
        .get(&base)
        .is_some_and(|p| p.tiers.contains(&(tier as u64)));
    if !has {
        return Err(einval(format!(
            "tier pool '{tier_name}' is not a tier of '{name}'"
        )));
    }
    Err(unsupported())
}

/// `osd tier remove-overlay POOL`.
pub(super) fn remove_overlay(ctx: &Context<'_>) -> CommandResult {
    let (_, _, name) = pool_arg(ctx, "pool")?;
    Ok(Reply::status(format!(
        "there is now (or already was) no overlay for '{name}'"
    )))
}

/// `osd tier add-cache POOL TIERPOOL SIZE`: refused.
pub(super) fn add_cache(ctx: &Context<'_>) -> CommandResult {
    pool_arg(ctx, "pool")?;
    pool_arg(ctx, "tierpool")?;
    Err(unsupported())
}

fn unsupported() -> CommandError {
    CommandError::new(
        Errno::OPNOTSUPP,
        "rbdgate has no cache tiering: tiers can be named, but not put before a pool",
    )
}
