//! Class `lock`: advisory locks in an object's xattrs (Ceph `src/cls/lock/cls_lock.cc`).

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use encoding::{
    Encode, Errno,
    cls::lock::{
        AssertOp, BreakOp, FLAG_MAY_RENEW, FLAG_MUST_RENEW, GetInfoOp, ListLocksReply, LockInfo, LockOp,
        LockType, LockerId, LockerInfo, SetCookieOp, UnlockOp,
    },
    types::{AddrType, EntityName, Utime},
};

use crate::{
    ObjectContext, Result,
    support::{Ctx, arg, done, key, reply_with, stored},
};

const LOCK_PREFIX: &str = "lock.";

/// What [`read_lock`] may do with an ephemeral lock that nobody holds any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// The lock of that name without holds that have expired; an empty one if there is none.
fn read_lock(ctx: &mut Ctx<'_>, name: &[u8], access: Access) -> Result<LockInfo> {
    let mut lock: LockInfo = match ctx.getxattr(&key(LOCK_PREFIX, name)) {
        Ok(value) => stored(&value)?,
        Err(Errno::ENODATA) => return Ok(LockInfo::default()),
        Err(e) => return Err(e),
    };
    let now = ctx.now();
    lock.lockers
        .retain(|_, l| l.expiration == Utime::default() || l.expiration >= now);
    if lock.lockers.is_empty() && lock.lock_type == LockType::EXCLUSIVE_EPHEMERAL {
        // Ceph removes the object here, and answers EIO if the method is not registered as a writer.
        if access == Access::Read {
            return Err(Errno::EIO);
        }
        if let Err(e) = ctx.remove() {
            ctx.log(format_args!("removing an expired ephemeral lock: {e}"));
        }
    }
    Ok(lock)
}

fn write_lock(ctx: &mut Ctx<'_>, name: &[u8], lock: &LockInfo) -> Result<()> {
    let mut value = BytesMut::new();
    lock.encode(&mut value, ctx.client_features());
    ctx.setxattr(&key(LOCK_PREFIX, name), value.freeze())
}

/// `lock.lock`: takes or renews a lock for the caller.
pub(crate) fn lock(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let op: LockOp = arg(&input)?;
    let may_renew = op.flags & FLAG_MAY_RENEW != 0;
    let must_renew = op.flags & FLAG_MUST_RENEW != 0;
    if !op.lock_type.is_valid() || op.name.is_empty() || (may_renew && must_renew) {
        return Err(Errno::EINVAL);
    }
    let mut lock = match read_lock(ctx, &op.name, Access::Write) {
        Err(Errno::ENOENT) => LockInfo::default(),
        r => r?,
    };
    if !lock.lockers.is_empty() && op.tag != lock.tag {
        return Err(Errno::EBUSY);
    }
    let (name, mut addr) = ctx.origin();
    let id = LockerId {
        locker: name,
        cookie: op.cookie,
    };
    if lock.lockers.contains_key(&id) {
        if !may_renew && !must_renew {
            return Err(Errno::EEXIST);
        }
        lock.lockers.remove(&id);
    } else if must_renew {
        return Err(Errno::ENOENT);
    }
    if !lock.lockers.is_empty() && (op.lock_type.is_exclusive() || lock.lock_type != op.lock_type) {
        return Err(Errno::EBUSY);
    }
    lock.lock_type = op.lock_type;
    lock.tag = op.tag;
    // A client is the same one over either protocol, and old clients cannot print another type.
    addr.kind = AddrType::LEGACY;
    let info = LockerInfo {
        expiration: expiration(ctx.now(), op.duration),
        addr,
        description: op.description,
    };
    lock.lockers.insert(id, info);
    write_lock(ctx, &op.name, &lock)?;
    done()
}

/// When a hold of that duration ends; zero, for never, if the duration is.
fn expiration(now: Utime, duration: Utime) -> Utime {
    if duration == Utime::default() {
        return duration;
    }
    Utime::from_duration(now.as_duration() + duration.as_duration())
}

fn remove_lock(ctx: &mut Ctx<'_>, name: &[u8], locker: EntityName, cookie: Bytes) -> Result<Bytes> {
    let mut lock = read_lock(ctx, name, Access::Write)?;
    if lock.lockers.remove(&LockerId { locker, cookie }).is_none() {
        return Err(Errno::ENOENT);
    }
    if lock.lock_type == LockType::EXCLUSIVE_EPHEMERAL {
        ctx.remove()?;
    } else {
        write_lock(ctx, name, &lock)?;
    }
    done()
}

/// `lock.unlock`: ends the caller's hold.
pub(crate) fn unlock(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let op: UnlockOp = arg(&input)?;
    let (locker, _) = ctx.origin();
    remove_lock(ctx, &op.name, locker, op.cookie)
}

/// `lock.break_lock`: ends anybody's hold.
pub(crate) fn break_lock(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let op: BreakOp = arg(&input)?;
    remove_lock(ctx, &op.name, op.locker, op.cookie)
}

/// `lock.get_info`: who holds a lock. Addresses are encoded for the client.
pub(crate) fn get_info(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let op: GetInfoOp = arg(&input)?;
    let lock = read_lock(ctx, &op.name, Access::Read)?;
    Ok(lock.to_bytes(ctx.client_features()))
}

/// `lock.list_locks`: the object's locks.
pub(crate) fn list_locks(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    let locks = ctx
        .getxattrs()?
        .into_iter()
        .filter(|(name, _)| name.starts_with(LOCK_PREFIX.as_bytes()))
        .map(|(name, _)| name.slice(LOCK_PREFIX.len()..))
        .collect();
    reply_with(&ListLocksReply { locks })
}

/// The lock if the caller holds it as stated; EBUSY if not.
fn held(ctx: &mut Ctx<'_>, op: &AssertOp, access: Access) -> Result<(LockInfo, LockerId)> {
    if !op.lock_type.is_valid() || op.name.is_empty() {
        return Err(Errno::EINVAL);
    }
    let lock = read_lock(ctx, &op.name, access)?;
    let id = LockerId {
        locker: ctx.origin().0,
        cookie: op.cookie.clone(),
    };
    if lock.lockers.is_empty()
        || lock.lock_type != op.lock_type
        || lock.tag != op.tag
        || !lock.lockers.contains_key(&id)
    {
        return Err(Errno::EBUSY);
    }
    Ok((lock, id))
}

/// `lock.assert_locked`: fails unless the caller holds the lock.
pub(crate) fn assert_locked(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    held(ctx, &arg(&input)?, Access::Read)?;
    done()
}

/// `lock.set_cookie`: the caller's hold gets another cookie.
pub(crate) fn set_cookie(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let op: SetCookieOp = arg(&input)?;
    let asserted = AssertOp {
        name: op.name,
        lock_type: op.lock_type,
        cookie: op.cookie,
        tag: op.tag,
    };
    let (mut lock, id) = held(ctx, &asserted, Access::Write)?;
    let new_id = LockerId {
        locker: id.locker,
        cookie: op.new_cookie,
    };
    if lock.lockers.contains_key(&new_id) {
        return Err(Errno::EBUSY);
    }
    rename(&mut lock.lockers, &id, new_id);
    write_lock(ctx, &asserted.name, &lock)?;
    done()
}

fn rename(lockers: &mut BTreeMap<LockerId, LockerInfo>, from: &LockerId, to: LockerId) {
    if let Some(info) = lockers.remove(from) {
        lockers.insert(to, info);
    }
}
