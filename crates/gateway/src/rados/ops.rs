//! The ops that the client sends, and what it reads from their output.

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{
    Decode, Encode, Errno, Features,
    codec::Put,
    types::{OpArgs, OpCode, OpFlags, OsdOp},
};

fn plain(op: OpCode, data: Bytes) -> OsdOp {
    OsdOp::new(op, OpArgs::Raw([0; 28]), data)
}

/// Reads bytes.
#[must_use]
pub fn read(offset: u64, length: u64) -> OsdOp {
    OsdOp::on_range(OpCode::READ, offset, length, Bytes::new())
}

/// Replaces an object's content.
#[must_use]
pub fn write_full(data: Bytes) -> OsdOp {
    OsdOp::on_range(OpCode::WRITEFULL, 0, data.len() as u64, data)
}

/// Writes bytes.
#[must_use]
pub fn write(offset: u64, data: Bytes) -> OsdOp {
    OsdOp::on_range(OpCode::WRITE, offset, data.len() as u64, data)
}

/// Cuts an object, or makes it larger.
#[must_use]
pub fn truncate(size: u64) -> OsdOp {
    OsdOp::on_range(OpCode::TRUNCATE, size, 0, Bytes::new())
}

/// Removes an object; ENOENT if there is none.
#[must_use]
pub fn remove() -> OsdOp {
    plain(OpCode::DELETE, Bytes::new())
}

/// Size and time of an object; ENOENT if there is none.
#[must_use]
pub fn stat() -> OsdOp {
    plain(OpCode::STAT, Bytes::new())
}

/// The object must exist.
#[must_use]
pub fn assert_exists() -> OsdOp {
    stat()
}

/// Makes an object if there is none.
#[must_use]
pub fn create() -> OsdOp {
    plain(OpCode::CREATE, Bytes::new())
}

/// The clones of an object.
#[must_use]
pub fn list_snaps() -> OsdOp {
    plain(OpCode::LIST_SNAPS, Bytes::new())
}

/// Who watches an object.
#[must_use]
pub fn list_watchers() -> OsdOp {
    plain(OpCode::LIST_WATCHERS, Bytes::new())
}

/// Calls a method of an object class.
#[must_use]
pub fn call(class: &str, method: &str, input: &[u8]) -> OsdOp {
    OsdOp::call(class, method, input)
}

/// The same op, whose failure does not fail the vector.
#[must_use]
pub fn may_fail(mut op: OsdOp) -> OsdOp {
    op.flags |= OpFlags::FAILOK;
    op
}

/// Sets keys of an object's omap.
#[must_use]
pub fn omap_set(values: &std::collections::BTreeMap<Bytes, Bytes>) -> OsdOp {
    let mut data = BytesMut::new();
    data.put_map(values, Features::ALL);
    plain(OpCode::OMAPSETVALS, data.freeze())
}

/// Removes keys of an object's omap.
#[must_use]
pub fn omap_rm(keys: &[Bytes]) -> OsdOp {
    let mut data = BytesMut::new();
    data.put_vec(keys.iter(), Features::ALL);
    plain(OpCode::OMAPRMKEYS, data.freeze())
}

/// Up to `max` keys and values of an object's omap behind `after`.
#[must_use]
pub fn omap_get(after: &[u8], max: u64) -> OsdOp {
    let mut data = BytesMut::new();
    data.put_blob(after);
    data.put_u64_le(max);
    data.put_blob(b""); // any prefix
    plain(OpCode::OMAPGETVALS, data.freeze())
}

/// A value as argument of a method.
#[must_use]
pub fn arg(value: &impl Encode) -> Bytes {
    value.to_bytes(Features::ALL)
}

/// The output of an op as a value.
///
/// # Errors
/// EBADMSG if it is none.
pub fn output<T: Decode>(op: &OsdOp) -> Result<T, Errno> {
    let data = Bytes::from(op.outdata.concat());
    T::from_bytes(&data).map_err(|_| Errno::EBADMSG)
}
