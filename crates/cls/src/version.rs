//! Class `version`: a version that clients keep with an object (Ceph `src/cls/version/cls_version.cc`).

use bytes::Bytes;
use encoding::{
    Encode, Errno, Features,
    cls::version::{CheckOp, ObjVersion, ObjVersionCond, SetOp, VersionCond},
};

use crate::{
    ObjectContext, Result,
    support::{Ctx, arg, done, reply_with, stored},
};

const ATTR: &[u8] = b"ceph.objclass.version";
const TAG_LEN: usize = 24;

fn write(ctx: &mut Ctx<'_>, version: &ObjVersion) -> Result<Bytes> {
    ctx.setxattr(ATTR, version.to_bytes(Features::ALL))?;
    done()
}

/// The stored version, if there is one.
fn read(ctx: &Ctx<'_>) -> Result<Option<ObjVersion>> {
    match ctx.getxattr(ATTR) {
        Err(Errno::ENOENT | Errno::ENODATA) => Ok(None),
        r => stored(&r?).map(Some),
    }
}

/// A first version, with a tag of its own.
fn first(ctx: &mut Ctx<'_>) -> ObjVersion {
    const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let random = [ctx.random(), ctx.random()];
    let tag = random.iter().flatten().take(TAG_LEN);
    ObjVersion {
        ver: 1,
        tag: tag.map(|b| BASE64[usize::from(b & 63)]).collect(),
    }
}

fn holds(cond: &ObjVersionCond, version: &ObjVersion) -> bool {
    let other = &cond.ver;
    match cond.cond {
        VersionCond::EQ => version == other,
        VersionCond::GT => version.ver > other.ver,
        VersionCond::GE => version.ver >= other.ver,
        VersionCond::LT => version.ver < other.ver,
        VersionCond::LE => version.ver <= other.ver,
        VersionCond::TAG_EQ => version.tag == other.tag,
        VersionCond::TAG_NE => version.tag != other.tag,
        _ => true,
    }
}

/// ECANCELED unless all conditions hold.
fn check(op: &CheckOp, version: &ObjVersion) -> Result<()> {
    if op.conds.iter().all(|c| holds(c, version)) {
        Ok(())
    } else {
        Err(Errno::ECANCELED)
    }
}

/// `version.set`.
pub(crate) fn set(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    write(ctx, &arg::<SetOp>(&input)?.objv)
}

/// `version.inc` and `version.inc_conds`: ECANCELED unless the conditions hold.
pub(crate) fn inc(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let op: CheckOp = arg(&input)?;
    let mut version = match read(ctx)? {
        Some(version) => version,
        None => first(ctx),
    };
    check(&op, &version)?;
    version.ver = version.ver.wrapping_add(1);
    write(ctx, &version)
}

/// `version.read`: number 0 without a tag if there is none.
pub(crate) fn read_version(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    let objv = read(ctx)?.unwrap_or_default();
    reply_with(&SetOp { objv })
}

/// `version.check_conds`: ECANCELED unless the conditions hold.
pub(crate) fn check_conds(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    check(&arg(&input)?, &read(ctx)?.unwrap_or_default())?;
    done()
}
