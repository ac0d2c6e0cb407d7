//! Copying objects: COPY_GET gives one away piece by piece, COPY_FROM takes another's place.
//!
//! The source of a COPY_FROM is read before its vector runs ([`super::copy_source`]): no object's lock is ever held
//! while another's is waited for.

use std::sync::Arc;

use bytes::Bytes;
use encoding::{
    Decode, Encode, Errno, Features, Reader,
    types::{ObjectCopyCursor, ObjectCopyData, ObjectLocator, OpArgs, OpCode, OsdOp, Utime},
};
use store::key_after;

use super::{
    context::{Context, MAX_OMAP_ENTRIES},
    ops::{Effects, OpResult},
    ops_snap,
    ops_sparse::data_extents,
};
use crate::objects::{id::ObjectId, slots::SLOT_SIZE};

/// `CEPH_OSD_COPY_FROM_FLAG_MAP_SNAP_CLONE`: the source's snapshot is a clone's id.
const MAP_SNAP_CLONE: u8 = 8;
/// `CEPH_OSD_COPY_FROM_FLAG_TRUNCATE_SEQ`: the order of truncations is given, not the source's.
const TRUNCATE_SEQ: u8 = 32;
/// All `CEPH_OSD_COPY_FROM_FLAG_*`. The others are about cache tiers.
const ALL_FLAGS: u8 = 63;

/// What a COPY_FROM asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CopyRequest {
    /// The source.
    pub source: ObjectId,
    /// The source's snapshot.
    pub snap: u64,
    /// The source's user version; 0 for any.
    pub version: u64,
    /// `snap` is a clone's id.
    pub by_clone: bool,
    /// Order and size of truncation that the copy gets.
    truncate: Option<(u32, u64)>,
}

impl CopyRequest {
    /// The arguments of a COPY_FROM or COPY_FROM2; `None` of any other op.
    ///
    /// # Errors
    /// EINVAL if they are malformed.
    pub(super) fn of(op: &OsdOp) -> Option<Result<Self, Errno>> {
        let OpArgs::CopyFrom {
            snapid,
            src_version,
            flags,
            ..
        } = op.args()
        else {
            return None;
        };
        let second = op.op == OpCode::COPY_FROM2;
        let parse = || -> encoding::codec::Result<Self> {
            let mut r = Reader::new(&op.indata);
            let name = r.blob()?;
            let locator = ObjectLocator::decode(&mut r)?;
            let truncate = match second && flags & TRUNCATE_SEQ != 0 {
                true => Some((r.u32()?, r.u64()?)),
                false => None,
            };
            Ok(Self {
                source: ObjectId {
                    pool: locator.pool,
                    nspace: locator.nspace,
                    key: locator.key,
                    name,
                },
                snap: snapid,
                version: src_version,
                by_clone: flags & MAP_SNAP_CLONE != 0,
                truncate,
            })
        };
        if second && flags & !ALL_FLAGS != 0 {
            return Some(Err(Errno::EINVAL));
        }
        Some(parse().map_err(|_| Errno::EINVAL))
    }
}

/// An object as it is copied.
#[derive(Debug)]
pub(super) struct CopySource {
    /// Its data.
    pub data: Bytes,
    /// `user_version`.
    pub version: u64,
    /// Time of its last change.
    pub mtime: Utime,
    /// Order of truncations against writes.
    pub truncate_seq: u32,
    /// The size of that truncation.
    pub truncate_size: u64,
    /// Attributes.
    pub xattrs: Vec<(Bytes, Bytes)>,
    /// Omap rows and header, if it has an omap.
    pub omap: Option<ops_snap::Omap>,
    /// The transaction that changed it last, as far as that is in memory.
    pub last: Option<store::Seq>,
}

/// A source that was read, or why it could not be.
pub(super) type Copied = Result<Arc<CopySource>, Errno>;

/// COPY_FROM and COPY_FROM2: the object becomes what the source is, its version and time included. `copied` is the
/// source; a failure to read it is the answer to the whole request.
pub(super) fn copy_from(
    ctx: &mut Context<'_>,
    op: &mut OsdOp,
    copied: Option<&Copied>,
    effects: &mut Effects,
) -> OpResult {
    let request = CopyRequest::of(op).unwrap_or(Err(Errno::EINVAL))?;
    if request.source == *ctx.id && request.snap == encoding::types::NOSNAP {
        return Err(Errno::EINVAL.into());
    }
    let source = match copied {
        Some(Ok(source)) => Arc::clone(source),
        Some(Err(error)) => {
            effects.refused = Some(*error);
            // The op itself is left as one that is under way.
            return Err(Errno::EINPROGRESS.into());
        }
        None => return Err(Errno::EINVAL.into()),
    };
    let brings_omap = source
        .omap
        .as_ref()
        .is_some_and(|(rows, header)| !rows.is_empty() || header.as_ref().is_some_and(|h| !h.is_empty()));
    if brings_omap && let Err(error) = ctx.request.pool.check_omap() {
        effects.refused = Some(error);
        return Err(Errno::EINPROGRESS.into());
    }
    ctx.touch();
    ctx.stage_truncate(0);
    ctx.stage_truncate(source.data.len() as u64);
    for (at, len) in data_extents(0, &source.data, SLOT_SIZE) {
        let data = source.data.slice(at as usize..(at + len) as usize);
        ctx.stage_write(at, data);
    }
    // An omap that was emptied is none for the copy.
    let omap = source.omap.clone().filter(|_| brings_omap);
    ops_snap::replace_rows(ctx, source.xattrs.clone(), omap)?;
    let own = (source.truncate_seq, source.truncate_size);
    (ctx.state.truncate_seq, ctx.state.truncate_size) = request.truncate.unwrap_or(own);
    effects.copied = Some((source.version, source.mtime));
    Ok(0)
}

/// COPY_GET: a piece of the stored object, from where the cursor in the input stands.
pub(super) fn copy_get(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    let mut r = Reader::new(&op.indata);
    let mut cursor = ObjectCopyCursor::decode(&mut r)?;
    let mut left = r.u64()? as i64;
    let state = &ctx.old;
    let clone = state.view.as_ref().and_then(|view| view.chain.first());
    let mut piece = ObjectCopyData {
        size: state.size,
        mtime: state.mtime,
        snaps: clone.map(|clone| clone.snaps.clone()).unwrap_or_default(),
        snap_seq: if clone.is_some() { 0 } else { state.seq },
        truncate_seq: state.truncate_seq.into(),
        truncate_size: state.truncate_size,
        ..ObjectCopyData::default()
    };
    if !cursor.attr_complete {
        piece.attrs = ctx.stored_rows(b'X', &[], usize::MAX)?.into_iter().collect();
        cursor.attr_complete = true;
    }
    if left > 0 && !cursor.data_complete {
        let len = state.size.saturating_sub(cursor.data_offset).min(left as u64);
        if len > 0 {
            piece.data = ctx.read_at(state, cursor.data_offset, len)?;
        }
        left -= len as i64;
        cursor.data_offset += len;
        cursor.data_complete = cursor.data_offset >= state.size;
    }
    if !state.has_omap {
        cursor.omap_complete = true;
    } else if left > 0 && !cursor.omap_complete {
        copy_omap(ctx, &mut cursor, &mut left, &mut piece)?;
    }
    piece.cursor = cursor;
    op.outdata = [piece.to_bytes(Features::ALL)].into();
    Ok(0)
}

/// Omap rows behind the cursor, at least one, until `left` bytes are used up.
fn copy_omap(
    ctx: &Context<'_>,
    cursor: &mut ObjectCopyCursor,
    left: &mut i64,
    piece: &mut ObjectCopyData,
) -> Result<(), Errno> {
    if cursor.omap_offset.is_empty() {
        let header = ctx.objects.omap_header(&ctx.old);
        piece.omap_header = header.map_err(|e| ctx.store_error(&e))?.unwrap_or_default();
    }
    let mut last = cursor.omap_offset.clone();
    loop {
        let rows = ctx.stored_rows(b'M', &key_after(&last), MAX_OMAP_ENTRIES)?;
        let last_page = rows.len() < MAX_OMAP_ENTRIES;
        for (key, value) in rows {
            *left -= (key.len() + value.len() + 8) as i64;
            last = key.clone();
            piece.omap.insert(key, value);
            if *left <= 0 {
                cursor.omap_offset = last;
                return Ok(());
            }
        }
        if last_page {
            cursor.omap_complete = true;
            return Ok(());
        }
    }
}
