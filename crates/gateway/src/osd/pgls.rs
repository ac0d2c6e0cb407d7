//! Listing the objects of a placement group (`PrimaryLogPG::do_pg_op` in Ceph `src/osd/PrimaryLogPG.cc`).

use bytes::Bytes;
use encoding::{
    Decode, Encode, Errno, Features, Reader,
    types::{Hobject, ListEntry, NOSNAP, OpArgs, OpCode, PgLsResponse, PgNlsResponse},
};

use super::{context::store_error, request::PendingOp};
use crate::objects::{Objects, id::ObjectId, list::HashRange};

/// `osd_max_pgls`.
const MAX_ENTRIES: u64 = 1024;
/// `librados::all_nspaces`.
const ALL_NAMESPACES: &[u8] = b"\x01";

/// Ops on placement groups that are carried out.
pub const SUPPORTED: &[OpCode] = &[
    OpCode::PGLS,
    OpCode::PGLS_FILTER,
    OpCode::PGNLS,
    OpCode::PGNLS_FILTER,
    OpCode::PG_HITSET_LS,
    OpCode::PG_HITSET_GET,
];

/// A placement group of a pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    /// Its seed.
    pub pg: u32,
    /// How many groups the pool has.
    pub pg_num: u32,
}

/// Runs the ops of a request on a placement group. The result is 1 where the listing has reached its end.
pub(super) fn run(objects: &Objects, request: &mut PendingOp, group: Group) -> i32 {
    let listing = Listing {
        objects,
        pool: request.message.pg.pg.pool as i64,
        range: HashRange::of_pg(group.pg, group.pg_num),
        nspace: request.message.locator.nspace.clone(),
        head: request.message.snapid == NOSNAP,
    };
    let mut result = 0;
    for op in &mut request.message.ops {
        match listing.run(op) {
            Ok((code, out)) => {
                op.outdata = [out].into();
                result = code;
            }
            Err(e) => result = -e.0,
        }
        if result < 0 {
            break;
        }
    }
    result
}

/// What `pgls-filter` asks of an object.
#[derive(Debug, PartialEq, Eq)]
enum Filter {
    /// Nothing.
    None,
    /// An attribute (by the name it is stored under, with an underscore before it) has this value.
    Attribute(Bytes, Bytes),
    /// The name of no attribute: objects whose nothing equals the value.
    Value(Bytes),
}

impl Filter {
    /// Reads class, method and filter of a listing's input. Filters of object classes are not there.
    fn decode(r: &mut Reader<'_>) -> Result<Self, Errno> {
        let mut blob = || r.blob().map_err(|_| Errno::EINVAL);
        let (_class, _method, kind) = (blob()?, blob()?, blob()?);
        if kind != "plain" {
            return Err(Errno::EINVAL);
        }
        let (attribute, value) = (blob()?, blob()?);
        Ok(match attribute.is_empty() {
            true => Self::Value(value),
            false => Self::Attribute(attribute, value),
        })
    }

    fn passes(&self, objects: &Objects, id: &ObjectId) -> Result<bool, Errno> {
        match self {
            Self::None => Ok(true),
            Self::Value(value) => Ok(value.is_empty()),
            Self::Attribute(name, value) => {
                let Some(name) = name.strip_prefix(b"_") else {
                    return Ok(false);
                };
                let failed = |e| store_error(id, &e);
                let state = objects.load(id).map_err(failed)?;
                let stored = objects.xattr(&state, name).map_err(failed)?;
                Ok(stored.is_some_and(|stored| stored == value))
            }
        }
    }
}

struct Listing<'a> {
    objects: &'a Objects,
    pool: i64,
    range: HashRange,
    nspace: Bytes,
    /// No snapshot is asked for.
    head: bool,
}

/// A part of a listing.
struct Page {
    ids: Vec<ObjectId>,
    /// The first object behind it.
    next: Option<ObjectId>,
}

impl Listing<'_> {
    fn run(&self, op: &encoding::types::OsdOp) -> Result<(i32, Bytes), Errno> {
        let mut r = Reader::new(&op.indata);
        let filter = match op.op {
            OpCode::PGLS_FILTER | OpCode::PGNLS_FILTER => Filter::decode(&mut r)?,
            _ => Filter::None,
        };
        match (op.op, op.args()) {
            (_, OpArgs::Pgls { .. }) if !self.head => Err(Errno::EINVAL),
            (OpCode::PGNLS | OpCode::PGNLS_FILTER, OpArgs::Pgls { count, .. }) => {
                self.names_with_namespaces(&mut r, &filter, count)
            }
            (OpCode::PGLS | OpCode::PGLS_FILTER, OpArgs::Pgls { count, .. }) => {
                self.names(&mut r, &filter, count)
            }
            // There are no hit sets: their list is empty.
            (OpCode::PG_HITSET_LS, _) => Ok((0, Bytes::from_static(&[0; 4]))),
            (OpCode::PG_HITSET_GET, _) => Err(Errno::ENOENT),
            _ => Err(Errno::EINVAL),
        }
    }

    /// PGNLS: over one namespace or all.
    fn names_with_namespaces(
        &self,
        r: &mut Reader<'_>,
        filter: &Filter,
        count: u64,
    ) -> Result<(i32, Bytes), Errno> {
        let cursor = Hobject::decode(r).map_err(|_| Errno::EINVAL)?;
        let (first, last) = self.range.reversed();
        if cursor != Hobject::MIN && !cursor.max {
            let at = cursor.hash.reverse_bits();
            if cursor.pool != self.pool || !(first..=last).contains(&at) {
                return Err(Errno::EINVAL);
            }
        }
        let all = self.nspace.as_ref() == ALL_NAMESPACES;
        let wanted = |ns: &[u8]| all || ns == self.nspace.as_ref();
        let page = self.page(&cursor, filter, count, wanted)?;
        let handle = page
            .next
            .as_ref()
            .map_or_else(|| end_of(self.pool, last), hobject);
        let entry = |id: ObjectId| ListEntry {
            nspace: id.nspace,
            oid: id.name,
            locator: id.key,
        };
        let entries = page.ids.into_iter().map(entry).collect();
        let out = PgNlsResponse { handle, entries }.to_bytes(Features::ALL);
        Ok((i32::from(page.next.is_none()), out))
    }

    /// PGLS: over one namespace.
    fn names(&self, r: &mut Reader<'_>, filter: &Filter, count: u64) -> Result<(i32, Bytes), Errno> {
        let cursor = Hobject::decode(r).map_err(|_| Errno::EINVAL)?;
        let page = self.page(&cursor, filter, count, |ns| ns == self.nspace.as_ref())?;
        let handle = page.next.as_ref().map_or(Hobject::MAX, hobject);
        let entries = page.ids.into_iter().map(|id| (id.name, id.key)).collect();
        let out = PgLsResponse { handle, entries }.to_bytes(Features::ALL);
        Ok((i32::from(page.next.is_none()), out))
    }

    /// The objects from the cursor on. At most `count` are looked at, those that the filter does not pass included.
    fn page(
        &self,
        cursor: &Hobject,
        filter: &Filter,
        count: u64,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Page, Errno> {
        if cursor.max {
            return Ok(Page {
                ids: Vec::new(),
                next: None,
            });
        }
        let limit = count.min(MAX_ENTRIES) as usize;
        let from = (!cursor.oid.is_empty()).then(|| ObjectId {
            pool: self.pool,
            nspace: cursor.nspace.clone(),
            key: cursor.key.clone(),
            name: cursor.oid.clone(),
        });
        let start = cursor.hash.reverse_bits();
        let found = self
            .objects
            .list(self.pool, self.range, start, from.as_ref(), limit + 1, wanted);
        let failed = |e| store_error(&ObjectId::new(self.pool, self.nspace.clone(), Bytes::new()), &e);
        let mut ids = found.map_err(failed)?;
        let next = if ids.len() > limit { ids.pop() } else { None };
        let mut passed = Vec::with_capacity(ids.len());
        for id in ids {
            if filter.passes(self.objects, &id)? {
                passed.push(id);
            }
        }
        Ok(Page { ids: passed, next })
    }
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
