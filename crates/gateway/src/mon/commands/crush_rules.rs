//! `osd crush rule create-...`, `rename` and `rm` (Ceph `src/mon/OSDMonitor.cc`).

use super::{CommandResult, Context};
use crate::{
    cluster::{RenamedRule, RulePlace, erasure_code::DEFAULT_PROFILE},
    mon::reply::Reply,
};

fn created(name: &str, id: Option<u8>) -> Reply {
    Reply::status(match id {
        Some(id) => format!("created rule {name} at {id}"),
        None => format!("rule {name} already exists"),
    })
}

/// `osd crush rule create-erasure NAME [PROFILE]`.
pub(super) fn create_erasure(ctx: &Context<'_>) -> CommandResult {
    let name = ctx.args.need("name")?;
    let profile = ctx.args.str("profile").unwrap_or(DEFAULT_PROFILE);
    Ok(created(name, ctx.cluster().create_erasure_rule(name, profile)?))
}

/// `osd crush rule create-replicated NAME ROOT TYPE [CLASS]`.
pub(super) fn create_replicated(ctx: &Context<'_>) -> CommandResult {
    let name = ctx.args.need("name")?;
    let place = RulePlace {
        root: ctx.args.need("root")?.to_owned(),
        domain: ctx.args.need("type")?.to_owned(),
        class: ctx.args.str("class").unwrap_or_default().to_owned(),
    };
    match ctx.cluster().create_replicated_rule(name, &place)? {
        // Ceph says nothing of it.
        Some(_) => Ok(Reply::default()),
        None => Ok(created(name, None)),
    }
}

/// `osd crush rule rename OLD NEW`.
pub(super) fn rename(ctx: &Context<'_>) -> CommandResult {
    let (old, new) = (ctx.args.need("srcname")?, ctx.args.need("dstname")?);
    if old == new {
        return Ok(Reply::status(
            "destination rule name is equal to source rule name",
        ));
    }
    Ok(match ctx.cluster().rename_crush_rule(old, new)? {
        RenamedRule::Now => Reply::default(),
        RenamedRule::Before => Reply::status(format!("already renamed to '{new}'")),
    })
}

/// `osd crush rule rm NAME`.
pub(super) fn remove(ctx: &Context<'_>) -> CommandResult {
    let name = ctx.args.need("name")?;
    Ok(Reply::status(match ctx.cluster().remove_crush_rule(name)? {
        true => String::new(),
        false => format!("rule {name} does not exist"),
    }))
}
