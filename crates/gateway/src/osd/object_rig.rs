//! For tests: ops on objects without an OSD around, and all that an object holds.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use encoding::{
    Features, Put,
    types::{EntityAddr, EntityName, OpArgs, OpCode, OsdOp, Utime},
};

use super::{
    context::{Context, Request},
    ops::{self, Effects, WatchView},
    watch::Watchers,
};
use crate::objects::{Objects, fetched::Access, id::ObjectId, mutation::WriterSnaps, onode::ObjectState};

/// Offsets are multiples of this, which divides no block.
pub(crate) const GRAIN: u64 = 1000;
/// The pool of the objects.
pub(crate) const POOL: i64 = 1;

/// What an object holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Content {
    pub(crate) data: Vec<u8>,
    pub(crate) xattr: Option<u8>,
    pub(crate) omap: Option<u8>,
}

impl Content {
    pub(crate) fn write(&mut self, at: u64, len: u64, fill: u8) {
        let (at, end) = ((at * GRAIN) as usize, ((at + len) * GRAIN) as usize);
        self.data.resize(self.data.len().max(end), 0);
        self.data[at..end].fill(fill);
    }
}

pub(super) fn request() -> Request {
    Request {
        origin: EntityName::default(),
        addr: EntityAddr::default(),
        features: Features::ALL,
        now: Utime::default(),
        require_osd_release: 18,
        min_compat_client: 14,
        pool: Default::default(),
    }
}

pub(crate) fn extent(op: OpCode, offset: u64, length: u64, data: Vec<u8>) -> OsdOp {
    OsdOp::on_range(op, offset, length, data)
}

pub(crate) fn xattr(value: &[u8]) -> OsdOp {
    let args = OpArgs::Xattr {
        name_len: 1,
        value_len: value.len() as u32,
        cmp_op: 0,
        cmp_mode: 0,
    };
    OsdOp::new(OpCode::SETXATTR, args, [b"a", value].concat().into())
}

pub(crate) fn omap(key: &[u8], value: &[u8]) -> OsdOp {
    let mut rows = BytesMut::new();
    rows.put_map(
        &BTreeMap::from([(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))]),
        Features::ALL,
    );
    OsdOp::new(OpCode::OMAPSETVALS, OpArgs::Raw([0; 28]), rows.freeze())
}

/// Runs one op on an object. Returns what it is then, if that changed anything.
pub(crate) fn apply(
    objects: &Objects,
    id: &ObjectId,
    state: &ObjectState,
    op: OsdOp,
    snaps: WriterSnaps,
) -> Result<Option<ObjectState>, i32> {
    let watchers = Watchers::default();
    let view = WatchView {
        watchers: &watchers,
        next_notify_id: &|| 1,
    };
    let mut ctx = Context::new(objects, id, state, &[], request(), snaps, Access::Wait);
    let result = ops::run(&mut ctx, &mut [op], &[], &view, &mut Effects::default());
    if result < 0 {
        return Err(result);
    }
    if !ctx.modified() {
        return Ok(None);
    }
    let mut change = ctx.into_change();
    change.new.version = objects.next_version().unwrap();
    objects.commit(id, &mut change, |_| ()).unwrap();
    Ok(Some(change.new))
}

/// All of an object, or of a clone.
pub(crate) fn content(objects: &Objects, id: &ObjectId, state: &ObjectState) -> Content {
    let mut op = extent(OpCode::READ, 0, 0, Vec::new());
    let ctx = Context::new(
        objects,
        id,
        state,
        &[],
        request(),
        WriterSnaps::default(),
        Access::Wait,
    );
    super::ops_data::read(&ctx, &mut op).unwrap();
    let first = |value: Option<Bytes>| value.and_then(|v| v.first().copied());
    Content {
        data: op.outdata.concat(),
        xattr: first(objects.xattr(state, b"a").unwrap()),
        omap: match state.has_omap {
            true => first(objects.omap(state, b"k").unwrap()),
            false => None,
        },
    }
}
