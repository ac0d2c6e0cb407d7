//! Running an op vector on an object (`PrimaryLogPG::do_osd_ops` in Ceph `src/osd/PrimaryLogPG.cc`).
//!
//! A vector runs to its end or to its first error; nothing is stored here. What the vector staged is in its
//! [`Context`], what it does besides (watches, notifies) in its [`Effects`].

use bytes::{BufMut, Bytes, BytesMut};
use cls::ObjectContext;
use encoding::{
    Encode, Errno, Features,
    types::{OpArgs, OpCode, OpFlags, OsdFlags, OsdOp, Utime},
};

use super::{
    context::Context,
    erasure, ops_checksum,
    ops_copy::{self, Copied},
    ops_data, ops_omap, ops_snap, ops_sparse, ops_tmap, ops_watch, ops_xattr,
    watch::{WatchOp, Watchers},
};

/// A result that ends a vector: a negative number as the client gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure(pub i32);

impl From<Errno> for Failure {
    fn from(e: Errno) -> Self {
        Self(-e.0)
    }
}

impl From<encoding::DecodeError> for Failure {
    /// Arguments that cannot be decoded are EINVAL to the client.
    fn from(_: encoding::DecodeError) -> Self {
        Errno::EINVAL.into()
    }
}

/// The result of one op: 0 or more, or what ends the vector.
pub(super) type OpResult = Result<i32, Failure>;

/// What a vector does besides changing the object, once it has succeeded (`do_osd_op_effects`).
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Watches to connect or end, in order.
    pub watches: Vec<WatchOp>,
    /// Notifies to send.
    pub notifies: Vec<NotifyRequest>,
    /// Answers to notifies.
    pub acks: Vec<NotifyAck>,
    /// Whether the change is one that users see (everything but watches and copies).
    pub user_modify: bool,
    /// The version and time that a copy brings with it.
    pub copied: Option<(u64, Utime)>,
    /// The request as a whole is answered with this error.
    pub refused: Option<Errno>,
}

/// A notify that a client asks for.
#[derive(Debug)]
pub(super) struct NotifyRequest {
    /// The server's id of it.
    pub id: u64,
    /// The client's id of it.
    pub cookie: u64,
    /// Seconds to wait for the watchers.
    pub timeout: u32,
    /// What the watchers get.
    pub payload: Bytes,
}

/// A watcher's answer to a notify.
#[derive(Debug)]
pub(super) struct NotifyAck {
    /// The server's id of the notify.
    pub id: u64,
    /// The watch that answers; all of the client's if it does not say.
    pub cookie: Option<u64>,
    /// The answer.
    pub reply: Bytes,
}

/// `osd_class_load_list`: classes that an OSD may load. Others are forbidden, not missing.
const CLASSES_OF_CEPH: &[&str] = &[
    "cephfs",
    "hello",
    "journal",
    "lock",
    "log",
    "numops",
    "otp",
    "rbd",
    "refcount",
    "rgw",
    "rgw_gc",
    "timeindex",
    "user",
    "version",
    "cas",
    "cmpomap",
    "queue",
    "2pc_queue",
    "fifo",
];

/// How a request's ops are classified before they run (`OpInfo::set_from_op` in Ceph `src/osd/osd_op_util.cc`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Modes {
    /// Some op reads.
    pub read: bool,
    /// Some op writes.
    pub write: bool,
    /// Some op is about cache tiers.
    pub cache: bool,
}

impl Modes {
    /// The modes of a vector. `flags` are the request's.
    ///
    /// # Errors
    /// EOPNOTSUPP for a call of a method that there is not, EPERM for one of a class that Ceph has not either; EINVAL
    /// for a malformed call, and for a vector that neither reads nor writes.
    pub(super) fn of(ops: &[OsdOp], flags: OsdFlags) -> Result<Self, Errno> {
        if flags.contains(OsdFlags::PARALLELEXEC) {
            return Err(Errno::EINVAL);
        }
        let mut modes = Self::default();
        for op in ops {
            modes.add(op)?;
        }
        // Ops of OSDs among themselves are none of these.
        let forced = OsdFlags::RWORDERED | OsdFlags::RETURNVEC;
        let about_groups = ops.iter().any(|op| op.op.is_pg());
        if modes == Self::default() && !about_groups && !flags.intersects(forced) {
            return Err(Errno::EINVAL);
        }
        Ok(modes)
    }

    fn add(&mut self, op: &OsdOp) -> Result<(), Errno> {
        const PING: u8 = 7;
        match (op.op, op.args()) {
            (OpCode::CALL, _) => {
                let call = op.cls_call().map_err(|_| Errno::EINVAL)?;
                let method = cls::lookup(&call.class, &call.method).ok_or_else(|| {
                    tracing::info!(class = call.class, method = call.method, "no such class method");
                    match CLASSES_OF_CEPH.contains(&call.class.as_str()) {
                        true => Errno::EOPNOTSUPP,
                        false => Errno::EPERM,
                    }
                })?;
                self.read |= method.flags.reads();
                self.write |= method.flags.writes();
            }
            (OpCode::WATCH, OpArgs::Watch { op: PING, .. }) => self.read = true,
            _ => {
                self.read |= op.op.is_read() || op.op == OpCode::WATCH;
                self.write |= op.op.is_write();
                self.cache |= op.op.is_cache();
            }
        }
        Ok(())
    }
}

/// What a vector needs to know of the object's watches.
pub(super) struct WatchView<'a> {
    /// The object's watches.
    pub watchers: &'a Watchers,
    /// Makes ids of notifies.
    pub next_notify_id: &'a dyn Fn() -> u64,
}

/// Ops that are carried out, or refused as Ceph refuses them where there are no cache tiers; all others are
/// answered EOPNOTSUPP.
pub const SUPPORTED_OPS: &[OpCode] = &[
    OpCode::READ,
    OpCode::SYNC_READ,
    OpCode::SPARSE_READ,
    OpCode::MAPEXT,
    OpCode::CHECKSUM,
    OpCode::CMPEXT,
    OpCode::WRITE,
    OpCode::WRITEFULL,
    OpCode::WRITESAME,
    OpCode::APPEND,
    OpCode::ZERO,
    OpCode::TRUNCATE,
    OpCode::TRIMTRUNC,
    OpCode::TMAPGET,
    OpCode::TMAPPUT,
    OpCode::TMAPUP,
    OpCode::TMAP2OMAP,
    OpCode::STAT,
    OpCode::CREATE,
    OpCode::DELETE,
    OpCode::STARTSYNC,
    OpCode::ROLLBACK,
    OpCode::SETALLOCHINT,
    OpCode::ASSERT_VER,
    OpCode::ISDIRTY,
    OpCode::UNDIRTY,
    OpCode::CALL,
    OpCode::COPY_FROM,
    OpCode::COPY_FROM2,
    OpCode::COPY_GET,
    OpCode::CACHE_FLUSH,
    OpCode::CACHE_TRY_FLUSH,
    OpCode::CACHE_EVICT,
    OpCode::CACHE_PIN,
    OpCode::CACHE_UNPIN,
    OpCode::TIER_PROMOTE,
    OpCode::TIER_EVICT,
    OpCode::GETXATTR,
    OpCode::GETXATTRS,
    OpCode::CMPXATTR,
    OpCode::SETXATTR,
    OpCode::RMXATTR,
    OpCode::OMAPGETKEYS,
    OpCode::OMAPGETVALS,
    OpCode::OMAPGETHEADER,
    OpCode::OMAPGETVALSBYKEYS,
    OpCode::OMAP_CMP,
    OpCode::OMAPSETVALS,
    OpCode::OMAPSETHEADER,
    OpCode::OMAPCLEAR,
    OpCode::OMAPRMKEYS,
    OpCode::OMAPRMKEYRANGE,
    OpCode::LIST_WATCHERS,
    OpCode::LIST_SNAPS,
    OpCode::WATCH,
    OpCode::NOTIFY,
    OpCode::NOTIFY_ACK,
];

/// Ops that, where they succeed, leave the result as the op before them made it (a comparison gives 1).
const KEEP_RESULT: &[OpCode] = &[
    OpCode::MAPEXT,
    OpCode::STAT,
    OpCode::ASSERT_VER,
    OpCode::NOTIFY,
    OpCode::NOTIFY_ACK,
    OpCode::OMAPGETKEYS,
    OpCode::OMAPGETVALS,
    OpCode::OMAPGETHEADER,
    OpCode::OMAPGETVALSBYKEYS,
    OpCode::OMAP_CMP,
];

/// Runs all ops. Each op's `rval` and `outdata` are set. The result is the last op's, or the failing one's.
/// `copied` are the sources of the vector's copies, in order.
pub(super) fn run(
    ctx: &mut Context<'_>,
    ops: &mut [OsdOp],
    copied: &[Copied],
    view: &WatchView<'_>,
    effects: &mut Effects,
) -> i32 {
    let mut result = 0;
    let mut copied = copied.iter();
    for op in ops {
        ops_data::forget_no_truncation(op);
        let keeps_result = KEEP_RESULT.contains(&op.op) || ops_data::is_idle_zero(ctx, op);
        result = match run_one(ctx, op, &mut copied, view, effects) {
            Ok(_) if keeps_result => result,
            Ok(n) => n,
            Err(Failure(code)) => code,
        };
        op.rval = result;
        if ctx.blocked() {
            return -Errno::EAGAIN.0;
        }
        let passed_over = op.flags.contains(OpFlags::FAILOK) && effects.refused.is_none();
        if result < 0 && passed_over && result != -Errno::EAGAIN.0 {
            result = 0;
        }
        if result < 0 {
            break;
        }
    }
    result
}

fn run_one(
    ctx: &mut Context<'_>,
    op: &mut OsdOp,
    copied: &mut std::slice::Iter<'_, Copied>,
    view: &WatchView<'_>,
    effects: &mut Effects,
) -> OpResult {
    effects.user_modify |= is_user_modification(op.op);
    erasure::check(ctx, op)?;
    match op.op {
        OpCode::READ | OpCode::SYNC_READ => ops_data::read(ctx, op),
        OpCode::SPARSE_READ => ops_sparse::sparse_read(ctx, op),
        OpCode::MAPEXT => ops_sparse::mapext(ctx, op),
        OpCode::CHECKSUM => ops_checksum::checksum(ctx, op),
        OpCode::CMPEXT => ops_data::cmpext(ctx, op),
        OpCode::WRITE => ops_data::write(ctx, op),
        OpCode::WRITEFULL => ops_data::write_full(ctx, op),
        OpCode::WRITESAME => ops_data::write_same(ctx, op),
        OpCode::APPEND => ops_data::append(ctx, op),
        OpCode::ZERO => ops_data::zero(ctx, op),
        OpCode::TRUNCATE | OpCode::TRIMTRUNC => ops_data::truncate(ctx, op),
        OpCode::TMAPGET => ops_tmap::get(ctx, op),
        OpCode::TMAPPUT => ops_tmap::put(ctx, op),
        OpCode::TMAPUP => ops_tmap::update(ctx, op),
        OpCode::TMAP2OMAP => ops_tmap::to_omap(ctx, op),
        OpCode::STAT => stat(ctx, op),
        OpCode::CREATE => create(ctx, op),
        OpCode::DELETE => delete(ctx, view, effects),
        OpCode::STARTSYNC => {
            ctx.mutation.touched |= ctx.state.exists;
            Ok(0)
        }
        OpCode::SETALLOCHINT => {
            ctx.touch();
            Ok(0)
        }
        OpCode::ASSERT_VER => assert_version(ctx, op),
        OpCode::ISDIRTY => {
            op.outdata = [Bytes::from_static(&[1])].into();
            Ok(0)
        }
        OpCode::UNDIRTY => {
            ctx.mutation.touched |= ctx.state.exists;
            Ok(0)
        }
        OpCode::COPY_GET => ops_copy::copy_get(ctx, op),
        OpCode::COPY_FROM | OpCode::COPY_FROM2 => ops_copy::copy_from(ctx, op, copied.next(), effects),
        OpCode::CACHE_FLUSH
        | OpCode::CACHE_TRY_FLUSH
        | OpCode::CACHE_EVICT
        | OpCode::CACHE_PIN
        | OpCode::CACHE_UNPIN => Err(Errno::EINVAL.into()),
        OpCode::TIER_PROMOTE => {
            ctx.must_exist()?;
            Ok(0)
        }
        OpCode::TIER_EVICT => {
            ctx.must_exist()?;
            Err(Errno::EINVAL.into())
        }
        OpCode::CALL => call(ctx, op, effects),
        OpCode::GETXATTR => ops_xattr::get(ctx, op),
        OpCode::GETXATTRS => ops_xattr::get_all(ctx, op),
        OpCode::CMPXATTR => ops_xattr::compare(ctx, op),
        OpCode::SETXATTR => ops_xattr::set(ctx, op),
        OpCode::RMXATTR => ops_xattr::remove(ctx, op),
        OpCode::OMAPGETKEYS => ops_omap::get_keys(ctx, op),
        OpCode::OMAPGETVALS => ops_omap::get_vals(ctx, op),
        OpCode::OMAPGETHEADER => ops_omap::get_header(ctx, op),
        OpCode::OMAPGETVALSBYKEYS => ops_omap::get_vals_by_keys(ctx, op),
        OpCode::OMAP_CMP => ops_omap::compare(ctx, op),
        OpCode::OMAPSETVALS => ops_omap::set_vals(ctx, op),
        OpCode::OMAPSETHEADER => {
            ctx.set_omap_header(op.indata.clone())?;
            Ok(0)
        }
        OpCode::OMAPCLEAR => {
            ctx.omap_clear()?;
            Ok(0)
        }
        OpCode::OMAPRMKEYS => ops_omap::remove_keys(ctx, op),
        OpCode::OMAPRMKEYRANGE => ops_omap::remove_key_range(ctx, op),
        OpCode::LIST_WATCHERS => {
            op.outdata = [view.watchers.list(ctx.request.features)].into();
            Ok(0)
        }
        OpCode::LIST_SNAPS => ops_snap::list(ctx, op),
        OpCode::ROLLBACK => ops_snap::rollback(ctx, op, view, effects),
        OpCode::WATCH => ops_watch::watch(ctx, op, view, effects),
        OpCode::NOTIFY => ops_watch::notify(op, view, effects),
        OpCode::NOTIFY_ACK => ops_watch::notify_ack(op, effects),
        OpCode::SET_REDIRECT | OpCode::SET_CHUNK | OpCode::UNSET_MANIFEST | OpCode::TIER_FLUSH => {
            ctx.must_exist()?;
            Err(Errno::EOPNOTSUPP.into())
        }
        other => {
            tracing::info!(op = %other, object = %ctx.id, client = %ctx.request.origin, "op not supported");
            Err(Errno::EOPNOTSUPP.into())
        }
    }
}

/// Refuses output of a modification that is too long to be recorded with it (`osd_max_write_op_reply_len`). Returns
/// the vector's result.
pub(super) fn limit_output(ops: &mut [OsdOp], mut result: i32) -> i32 {
    const MOST: usize = 64;
    for op in ops.iter_mut().filter(|op| op.outdata_len() > MOST) {
        result = -Errno::EOVERFLOW.0;
        op.rval = result;
        op.outdata.clear();
    }
    result
}

/// Whether a modification is one that users see: it gives the object a new version.
fn is_user_modification(op: OpCode) -> bool {
    let unseen = matches!(
        op,
        OpCode::WATCH
            | OpCode::UNDIRTY
            | OpCode::COPY_FROM
            | OpCode::COPY_FROM2
            | OpCode::CACHE_PIN
            | OpCode::CACHE_UNPIN
            | OpCode::TIER_PROMOTE
    );
    op.is_write() && !unseen
}

fn stat(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    ctx.must_exist()?;
    let mut out = BytesMut::with_capacity(16);
    out.put_u64_le(ctx.state.size);
    ctx.state.mtime.encode(&mut out, Features::ALL);
    op.outdata = [out.freeze()].into();
    Ok(0)
}

fn create(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
    if ctx.state.exists && op.flags.contains(OpFlags::EXCL) {
        return Err(Errno::EEXIST.into());
    }
    if !op.indata.is_empty() {
        // A category, which is no longer used but must be well-formed.
        encoding::Reader::new(&op.indata).blob()?;
    }
    ctx.touch();
    Ok(0)
}

pub(super) fn delete(ctx: &mut Context<'_>, view: &WatchView<'_>, effects: &mut Effects) -> OpResult {
    ctx.remove()?;
    ctx.mutation.watches.clear();
    effects
        .watches
        .retain(|watch| !matches!(watch, WatchOp::Connect { .. }));
    effects.watches.extend(
        view.watchers
            .all()
            .map(|(client, cookie)| WatchOp::Removed { client, cookie }),
    );
    Ok(0)
}

fn assert_version(ctx: &Context<'_>, op: &OsdOp) -> OpResult {
    let OpArgs::AssertVer { ver, .. } = op.args() else {
        return Err(Errno::EINVAL.into());
    };
    match ver.cmp(&ctx.state.version) {
        _ if ver == 0 => Err(Errno::EINVAL.into()),
        std::cmp::Ordering::Less => Err(Errno::ERANGE.into()),
        std::cmp::Ordering::Greater => Err(Errno::EOVERFLOW.into()),
        std::cmp::Ordering::Equal => Ok(0),
    }
}

fn call(ctx: &mut Context<'_>, op: &mut OsdOp, effects: &mut Effects) -> OpResult {
    let call = op.cls_call()?;
    let Some(method) = cls::lookup(&call.class, &call.method) else {
        tracing::info!(class = call.class, method = call.method, client = %ctx.request.origin, "no such class method");
        return Err(Errno::EOPNOTSUPP.into());
    };
    if method.flags.writes() {
        effects.user_modify = true;
    }
    let out = method.call(ctx, call.input);
    ops_data::set_extent_length(op, out.as_ref().map_or(0, |out| out.len() as u64));
    let out = out?;
    if !out.is_empty() {
        op.outdata = [out].into();
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use encoding::types::EntityName;

    use super::*;
    use crate::{
        objects::{Objects, fetched::Access, id::ObjectId},
        osd::context::Request,
    };

    /// Runs one op with an empty input on a new object.
    fn run_alone(objects: &Objects, op: OpCode) -> i32 {
        let id = ObjectId::new(1, "", "object");
        let state = objects.load(&id).unwrap();
        let request = Request {
            origin: EntityName::client(1),
            addr: Default::default(),
            features: Features::OURS,
            now: Utime::default(),
            require_osd_release: 16,
            min_compat_client: 12,
            pool: Default::default(),
        };
        let snaps = Default::default();
        let mut ctx = Context::new(objects, &id, &state, &[], request, snaps, Access::Wait);
        ctx.touch();
        let watchers = Watchers::default();
        let view = WatchView {
            watchers: &watchers,
            next_notify_id: &|| 1,
        };
        let mut ops = [OsdOp {
            op,
            ..OsdOp::default()
        }];
        run(&mut ctx, &mut ops, &[], &view, &mut Effects::default())
    }

    #[test]
    fn exactly_the_listed_ops_are_carried_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = store::Store::open(store::Options::new(dir.path())).unwrap();
        let objects = Arc::new(Objects::open(store).unwrap());
        for op in OpCode::ALL
            .iter()
            .filter(|op| !op.is_pg() && **op != OpCode::CALL)
        {
            let refused = run_alone(&objects, *op) == -Errno::EOPNOTSUPP.0;
            let expected = !SUPPORTED_OPS.contains(op);
            assert_eq!(refused, expected, "{op}");
        }
    }
}
