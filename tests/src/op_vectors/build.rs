//! Operations, written shortly.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use encoding::types::{Hobject, ObjectCopyCursor, ObjectLocator, OpArgs, OpCode, OpFlags, OsdOp};
use encoding::{Encode, Features, Put};

const NONE: OpArgs = OpArgs::Raw([0; 28]);

/// An operation without arguments.
#[must_use]
pub fn plain(op: OpCode) -> OsdOp {
    OsdOp::new(op, NONE, Bytes::new())
}

/// An operation without arguments but with input.
#[must_use]
pub fn with_input(op: OpCode, input: impl Into<Bytes>) -> OsdOp {
    OsdOp::new(op, NONE, input.into())
}

/// An operation on a range with a truncation.
#[must_use]
pub fn truncating(op: OpCode, at: u64, len: u64, size: u64, seq: u32, data: &[u8]) -> OsdOp {
    let args = OpArgs::Extent {
        offset: at,
        length: len,
        truncate_size: size,
        truncate_seq: seq,
    };
    OsdOp::new(op, args, Bytes::copy_from_slice(data))
}

/// An operation on a range.
#[must_use]
pub fn range(op: OpCode, at: u64, len: u64) -> OsdOp {
    truncating(op, at, len, 0, 0, &[])
}

/// A write.
#[must_use]
pub fn write(at: u64, data: &[u8]) -> OsdOp {
    truncating(OpCode::WRITE, at, data.len() as u64, 0, 0, data)
}

/// A write of `len` equal bytes.
#[must_use]
pub fn fill(at: u64, len: usize, byte: u8) -> OsdOp {
    write(at, &vec![byte; len])
}

/// A write of the whole object.
#[must_use]
pub fn write_full(data: &[u8]) -> OsdOp {
    truncating(OpCode::WRITEFULL, 0, data.len() as u64, 0, 0, data)
}

/// An append.
#[must_use]
pub fn append(data: &[u8]) -> OsdOp {
    truncating(OpCode::APPEND, 0, data.len() as u64, 0, 0, data)
}

/// A read.
#[must_use]
pub fn read(at: u64, len: u64) -> OsdOp {
    range(OpCode::READ, at, len)
}

/// A sparse read.
#[must_use]
pub fn sparse(at: u64, len: u64) -> OsdOp {
    range(OpCode::SPARSE_READ, at, len)
}

/// A zeroing.
#[must_use]
pub fn zero(at: u64, len: u64) -> OsdOp {
    range(OpCode::ZERO, at, len)
}

/// A truncation.
#[must_use]
pub fn truncate(size: u64) -> OsdOp {
    range(OpCode::TRUNCATE, size, 0)
}

/// A stat.
#[must_use]
pub fn stat() -> OsdOp {
    plain(OpCode::STAT)
}

/// A removal.
#[must_use]
pub fn delete() -> OsdOp {
    plain(OpCode::DELETE)
}

/// A creation.
#[must_use]
pub fn create() -> OsdOp {
    plain(OpCode::CREATE)
}

/// A comparison of data.
#[must_use]
pub fn cmpext(at: u64, data: &[u8]) -> OsdOp {
    truncating(OpCode::CMPEXT, at, data.len() as u64, 0, 0, data)
}

/// A repeated pattern.
#[must_use]
pub fn write_same(at: u64, len: u64, pattern: &[u8]) -> OsdOp {
    let args = OpArgs::WriteSame {
        offset: at,
        length: len,
        data_length: pattern.len() as u64,
    };
    OsdOp::new(OpCode::WRITESAME, args, Bytes::copy_from_slice(pattern))
}

/// A checksum.
#[must_use]
pub fn checksum(kind: u8, at: u64, len: u64, chunk: u32, seed: &[u8]) -> OsdOp {
    let args = OpArgs::Checksum {
        offset: at,
        length: len,
        chunk_size: chunk,
        kind,
    };
    OsdOp::new(OpCode::CHECKSUM, args, Bytes::copy_from_slice(seed))
}

/// An operation on an attribute.
#[must_use]
pub fn xattr(op: OpCode, name: &str, value: &[u8]) -> OsdOp {
    compare_xattr_by(op, name, value, 0, 0)
}

/// A comparison of an attribute with text.
#[must_use]
pub fn cmpxattr(name: &str, value: &[u8], op: u8, mode: u8) -> OsdOp {
    compare_xattr_by(OpCode::CMPXATTR, name, value, op, mode)
}

fn compare_xattr_by(op: OpCode, name: &str, value: &[u8], cmp_op: u8, cmp_mode: u8) -> OsdOp {
    let args = OpArgs::Xattr {
        name_len: name.len() as u32,
        value_len: value.len() as u32,
        cmp_op,
        cmp_mode,
    };
    OsdOp::new(op, args, [name.as_bytes(), value].concat().into())
}

/// Sets an attribute.
#[must_use]
pub fn setxattr(name: &str, value: &[u8]) -> OsdOp {
    xattr(OpCode::SETXATTR, name, value)
}

/// A map as it travels.
#[must_use]
pub fn map(rows: &[(&str, &[u8])]) -> Bytes {
    let blob = |b: &[u8]| Bytes::copy_from_slice(b);
    let rows: BTreeMap<Bytes, Bytes> = rows.iter().map(|(k, v)| (blob(k.as_bytes()), blob(v))).collect();
    rows.to_bytes(Features::ALL)
}

/// A list of keys as it travels.
#[must_use]
pub fn keys(keys: &[&str]) -> Bytes {
    let keys: Vec<String> = keys.iter().map(|&k| k.to_owned()).collect();
    keys.to_bytes(Features::ALL)
}

/// Sets rows of the omap.
#[must_use]
pub fn omap_set(rows: &[(&str, &[u8])]) -> OsdOp {
    with_input(OpCode::OMAPSETVALS, map(rows))
}

/// Keys of the omap behind `after`.
#[must_use]
pub fn omap_keys(after: &str, most: u64) -> OsdOp {
    let mut out = BytesMut::new();
    out.put_string(after);
    out.put_u64_le(most);
    with_input(OpCode::OMAPGETKEYS, out)
}

/// Rows of the omap behind `after` that begin with `prefix`.
#[must_use]
pub fn omap_vals(after: &str, most: u64, prefix: &str) -> OsdOp {
    let mut out = BytesMut::new();
    out.put_string(after);
    out.put_u64_le(most);
    out.put_string(prefix);
    with_input(OpCode::OMAPGETVALS, out)
}

/// Compares rows of the omap: key, value, `CEPH_OSD_CMPXATTR_OP_*`.
#[must_use]
pub fn omap_cmp(rows: &[(&str, &[u8], i32)]) -> OsdOp {
    let mut out = BytesMut::new();
    out.put_u32_le(rows.len() as u32);
    for (key, value, op) in rows {
        out.put_string(key);
        out.put_blob(value);
        out.put_i32_le(*op);
    }
    with_input(OpCode::OMAP_CMP, out)
}

/// Removes a range of keys.
#[must_use]
pub fn omap_rm_range(from: &str, to: &str) -> OsdOp {
    let mut out = BytesMut::new();
    out.put_string(from);
    out.put_string(to);
    with_input(OpCode::OMAPRMKEYRANGE, out)
}

/// Asserts a version.
#[must_use]
pub fn assert_version(ver: u64) -> OsdOp {
    let args = OpArgs::AssertVer { unused: 0, ver };
    OsdOp::new(OpCode::ASSERT_VER, args, Bytes::new())
}

/// Rolls back to a snapshot.
#[must_use]
pub fn rollback(snapid: u64) -> OsdOp {
    OsdOp::new(OpCode::ROLLBACK, OpArgs::Snap { snapid }, Bytes::new())
}

/// An operation on a watch: 0 unwatch, 1 legacy watch, 3 watch, 5 reconnect, 7 ping.
#[must_use]
pub fn watch(cookie: u64, op: u8, timeout: u32) -> OsdOp {
    let args = OpArgs::Watch {
        cookie,
        ver: 0,
        op,
        gen_: 0,
        timeout,
    };
    OsdOp::new(OpCode::WATCH, args, Bytes::new())
}

/// A notify.
#[must_use]
pub fn notify(cookie: u64, timeout: u32, payload: &[u8]) -> OsdOp {
    let mut out = BytesMut::new();
    out.put_u32_le(1);
    out.put_u32_le(timeout);
    out.put_blob(payload);
    OsdOp::new(OpCode::NOTIFY, OpArgs::Notify { cookie }, out.freeze())
}

/// Copies an object of the pool `pool`.
#[must_use]
pub fn copy_from(op: OpCode, pool: i64, name: &str, snapid: u64, src_version: u64, flags: u8) -> OsdOp {
    let mut out = BytesMut::new();
    out.put_string(name);
    ObjectLocator::pool(pool).encode(&mut out, Features::ALL);
    let args = OpArgs::CopyFrom {
        snapid,
        src_version,
        flags,
        src_fadvise_flags: 0,
    };
    OsdOp::new(op, args, out.freeze())
}

/// Reads a piece of an object for a copy.
#[must_use]
pub fn copy_get(cursor: &ObjectCopyCursor, most: u64) -> OsdOp {
    let mut out = BytesMut::new();
    cursor.encode(&mut out, Features::ALL);
    out.put_u64_le(most);
    with_input(OpCode::COPY_GET, out)
}

/// Lists a placement group from a cursor on.
#[must_use]
pub fn list(op: OpCode, count: u64, cursor: &Hobject) -> OsdOp {
    let args = OpArgs::Pgls {
        count,
        start_epoch: 0,
    };
    OsdOp::new(op, args, cursor.to_bytes(Features::ALL))
}

/// Lists the objects of a placement group whose attribute has a value.
#[must_use]
pub fn list_filtered(op: OpCode, count: u64, filter: &[&str]) -> OsdOp {
    let mut out = BytesMut::new();
    for part in filter {
        out.put_string(part);
    }
    Hobject::MIN.encode(&mut out, Features::ALL);
    let args = OpArgs::Pgls {
        count,
        start_epoch: 0,
    };
    OsdOp::new(op, args, out.freeze())
}

/// Updates of a trivial map: kind, key, value.
#[must_use]
pub fn tmap_update(updates: &[(u8, &str, Option<&[u8]>)]) -> OsdOp {
    let mut out = BytesMut::new();
    for (kind, key, value) in updates {
        out.put_u8(*kind);
        out.put_string(key);
        if let Some(value) = value {
            out.put_blob(value);
        }
    }
    with_input(OpCode::TMAPUP, out)
}

/// Flags of an operation.
pub trait Flagged {
    /// Its failure does not end the vector.
    #[must_use]
    fn failok(self) -> Self;
    /// It fails where the object exists.
    #[must_use]
    fn excl(self) -> Self;
}

impl Flagged for OsdOp {
    fn failok(mut self) -> Self {
        self.flags |= OpFlags::FAILOK;
        self
    }

    fn excl(mut self) -> Self {
        self.flags |= OpFlags::EXCL;
        self
    }
}
