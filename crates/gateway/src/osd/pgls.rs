//! Listing the objects of a placement group (`PrimaryLogPG::do_pg_op` in Ceph `src/osd/PrimaryLogPG.cc`).

use bytes::Bytes;
use encoding::{
    Decode, Encode, Errno, Features, Reader,
    types::{Hobject, ListEntry, NOSNAP, OpArgs, OpCode, PgNlsResponse},
};

use super::{context::store_error, request::PendingOp};
use crate::objects::{Objects, id::ObjectId, list::HashRange};

/// `osd_max_pgls`.
const MAX_ENTRIES: u64 = 1024;
/// `librados::all_nspaces`.
const ALL_NAMESPACES: &[u8] = b"\x01";

/// Ops on placement groups that are carried out.
pub const SUPPORTED: &[OpCode] = &[OpCode::PGNLS];

/// Runs the ops of a request on a placement group. The result is 1 where the listing has reached its end.
pub fn run(objects: &Objects, request: &mut PendingOp, pg: u32, pg_num: u32) -> i32 {
    let pool = request.message.pg.pg.pool as i64;
    let nspace = request.message.locator.nspace.clone();
    let snapid = request.message.snapid;
    let mut result = 0;
    for op in &mut request.message.ops {
        let outcome = match (op.op, op.args()) {
            (OpCode::PGNLS, OpArgs::Pgls { count, .. }) if snapid == NOSNAP => list(
                objects,
                pool,
                HashRange::of_pg(pg, pg_num),
                &nspace,
                count,
                &op.indata,
            ),
            (OpCode::PGNLS, _) => Err(Errno::EINVAL),
            _ => Err(Errno::EOPNOTSUPP),
        };
        match outcome {
            Ok((done, out)) => {
                op.outdata = vec![out];
                result = i32::from(done);
            }
            Err(e) => result = -e.0,
        }
        op.rval = result;
        if result < 0 {
            break;
        }
    }
    result
}

fn list(
    objects: &Objects,
    pool: i64,
    range: HashRange,
    nspace: &Bytes,
    count: u64,
    cursor: &Bytes,
) -> Result<(bool, Bytes), Errno> {
    let cursor = Hobject::decode(&mut Reader::new(cursor)).map_err(|_| Errno::EINVAL)?;
    let limit = count.min(MAX_ENTRIES) as usize;
    let from = (!cursor.oid.is_empty()).then(|| ObjectId {
        pool,
        nspace: cursor.nspace.clone(),
        key: cursor.key.clone(),
        name: cursor.oid.clone(),
    });
    let (_, last) = range.reversed();
    // A cursor without a name stands at the start of a group, this one's or (at the end) the next one's.
    if cursor.max || (from.is_none() && cursor != Hobject::MIN && cursor.hash.reverse_bits() > last) {
        return Err(Errno::EINVAL);
    }
    let wanted = |ns: &[u8]| nspace.as_ref() == ALL_NAMESPACES || ns == nspace.as_ref();
    let mut found = objects
        .list(pool, range, from.as_ref(), limit + 1, wanted)
        .map_err(|e| store_error(&ObjectId::new(pool, nspace.clone(), Bytes::new()), &e))?;
    let next = if found.len() > limit { found.pop() } else { None };
    let done = next.is_none();
    let handle = match next {
        Some(id) => hobject(&id),
        None => end_of(pool, last),
    };
    let entry = |id: ObjectId| ListEntry {
        nspace: id.nspace,
        oid: id.name,
        locator: id.key,
    };
    let entries = found.into_iter().map(entry).collect();
    Ok((done, PgNlsResponse { handle, entries }.to_bytes(Features::ALL)))
}

fn hobject(id: &ObjectId) -> Hobject {
    Hobject {
        key: id.key.clone(),
        ..Hobject::head(id.pool, id.nspace.clone(), id.name.clone(), id.hash())
    }
}

/// The start of the next group in Ceph's order (`pg_t::get_hobj_end`).
fn end_of(pool: i64, last: u32) -> Hobject {
    match last.checked_add(1) {
        None => Hobject::MAX,
        Some(next) => Hobject::head(pool, Bytes::new(), Bytes::new(), next.reverse_bits()),
    }
}
