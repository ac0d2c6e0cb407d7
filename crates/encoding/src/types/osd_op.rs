//! `ceph_osd_op` and `OSDOp`: one operation of a request with its arguments and data (Ceph `src/include/rados.h`,
//! `src/osd/osd_types.h`).

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    codec::{DecodeError, Reader, Result, wire_len},
    message::Pieces,
    types::{OpCode, OpFlags},
};

/// Size of the union of arguments in `ceph_osd_op`.
const UNION_LEN: usize = 28;

/// One operation: in a request with its input, in a reply with its result and output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OsdOp {
    /// What to do.
    pub op: OpCode,
    /// How.
    pub flags: OpFlags,
    /// The argument union as it travels; [`Self::args`] interprets it.
    pub union: [u8; UNION_LEN],
    /// Input, a slice of the request's data.
    pub indata: Bytes,
    /// Output, in pieces that are sent without joining.
    pub outdata: Pieces,
    /// The op's own result: 0 or more, or a negative errno.
    pub rval: i32,
}

macro_rules! op_args {
    ($($(#[$doc:meta])* $variant:ident { $($(#[$fdoc:meta])* $field:ident: $t:ident,)* })*) => {
        /// The arguments of an op, by the kind of op.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum OpArgs {
            $($(#[$doc])* $variant { $($(#[$fdoc])* $field: $t,)* },)*
            /// An op without arguments, or one this list does not know: the bytes.
            Raw([u8; UNION_LEN]),
        }

        impl OpArgs {
            /// The union of `ceph_osd_op`: the fields in order, then zeros.
            #[must_use]
            pub fn to_union(self) -> [u8; UNION_LEN] {
                let mut out = [0; UNION_LEN];
                match self {
                    $(Self::$variant { $($field,)* } => {
                        let mut at = 0;
                        $(
                            let raw = $field.to_le_bytes();
                            out[at..at + raw.len()].copy_from_slice(&raw);
                            at += raw.len();
                        )*
                        debug_assert!(at <= UNION_LEN);
                    })*
                    Self::Raw(raw) => out = raw,
                }
                out
            }
        }

        /// Reads of the union one variant each; the sizes are fixed by the types.
        mod read {
            use super::{OpArgs, UNION_LEN};
            $(
                #[allow(non_snake_case)]
                pub(super) fn $variant(u: &[u8; UNION_LEN]) -> OpArgs {
                    let mut at = 0;
                    $(
                        let mut raw = [0; size_of::<$t>()];
                        raw.copy_from_slice(&u[at..at + size_of::<$t>()]);
                        at += size_of::<$t>();
                        let $field = $t::from_le_bytes(raw);
                    )*
                    debug_assert!(at <= UNION_LEN);
                    OpArgs::$variant { $($field,)* }
                }
            )*
        }
    };
}

op_args! {
    /// A byte range (read, write, zero, truncate, ...).
    Extent {
        /// Offset in bytes.
        offset: u64,
        /// Length in bytes.
        length: u64,
        /// CephFS: the size to truncate to first.
        truncate_size: u64,
        /// CephFS: the truncation's number.
        truncate_seq: u32,
    }
    /// An extended attribute; name and value are in the input.
    Xattr {
        /// Length of the name in the input.
        name_len: u32,
        /// Length of the value behind it.
        value_len: u32,
        /// `CEPH_OSD_CMPXATTR_OP_*`: 1 eq, 2 ne, 3 gt, 4 gte, 5 lt, 6 lte.
        cmp_op: u8,
        /// `CEPH_OSD_CMPXATTR_MODE_*`: 1 string, 2 u64.
        cmp_mode: u8,
    }
    /// A call of a class method; class, method and argument are in the input.
    Cls {
        /// Length of the class name.
        class_len: u8,
        /// Length of the method name.
        method_len: u8,
        /// Unused.
        argc: u8,
        /// Length of the argument.
        indata_len: u32,
    }
    /// A listing of a placement group.
    Pgls {
        /// Most entries wanted.
        count: u64,
        /// The epoch in which the listing began.
        start_epoch: u32,
    }
    /// A snapshot (rollback).
    Snap {
        /// The snapshot.
        snapid: u64,
    }
    /// Registering or removing a watch.
    Watch {
        /// The client's id of the watch.
        cookie: u64,
        /// No longer used.
        ver: u64,
        /// `CEPH_OSD_WATCH_OP_*`: 0 unwatch, 1 legacy watch, 3 watch, 5 reconnect, 7 ping.
        op: u8,
        /// How often the client registered it again.
        gen_: u32,
        /// Seconds without a ping after which it ends; 0 is the default.
        timeout: u32,
    }
    /// A notify.
    Notify {
        /// The client's id of the notify.
        cookie: u64,
    }
    /// The version that the object must have.
    AssertVer {
        /// Unused.
        unused: u64,
        /// The user version.
        ver: u64,
    }
    /// Reading an object for a copy.
    CopyGet {
        /// Most bytes wanted.
        max: u64,
    }
    /// Copying a whole object; source name and locator are in the input.
    CopyFrom {
        /// The source's snapshot.
        snapid: u64,
        /// The source's version; 0 for any.
        src_version: u64,
        /// `CEPH_OSD_COPY_FROM_FLAG_*`.
        flags: u8,
        /// Advice for the source.
        src_fadvise_flags: u32,
    }
    /// How large the object and its writes will be.
    AllocHint {
        /// Expected size of the object in bytes.
        expected_object_size: u64,
        /// Expected size of a write in bytes.
        expected_write_size: u64,
        /// `CEPH_OSD_OP_ALLOC_HINT_FLAG_*`.
        flags: u32,
    }
    /// Writing one pattern over a range.
    WriteSame {
        /// Offset in bytes.
        offset: u64,
        /// Length in bytes.
        length: u64,
        /// Length of the pattern in the input.
        data_length: u64,
    }
    /// Checksums of chunks of a range.
    Checksum {
        /// Offset in bytes.
        offset: u64,
        /// Length in bytes.
        length: u64,
        /// Chunk size in bytes; 0 is all of it.
        chunk_size: u32,
        /// `CEPH_OSD_CHECKSUM_OP_TYPE_*`: 0 xxhash32, 1 xxhash64, 2 crc32c.
        kind: u8,
    }
}

/// A call of a class method, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClsCall {
    /// The class.
    pub class: String,
    /// The method.
    pub method: String,
    /// The argument, a slice of the request's data.
    pub input: Bytes,
}

impl OsdOp {
    /// An op of a request.
    #[must_use]
    pub fn new(op: OpCode, args: OpArgs, indata: Bytes) -> Self {
        Self {
            op,
            union: args.to_union(),
            indata,
            ..Self::default()
        }
    }

    /// An op on a range of an object, in bytes.
    #[must_use]
    pub fn on_range(op: OpCode, offset: u64, length: u64, data: impl Into<Bytes>) -> Self {
        let args = OpArgs::Extent {
            offset,
            length,
            truncate_size: 0,
            truncate_seq: 0,
        };
        Self::new(op, args, data.into())
    }

    /// A call of a class method. Names longer than 255 bytes cannot be expressed and are cut.
    #[must_use]
    pub fn call(class: &str, method: &str, input: &[u8]) -> Self {
        let cut = |s: &str| u8::try_from(s.len()).unwrap_or(u8::MAX);
        let (class_len, method_len) = (cut(class), cut(method));
        let mut indata = BytesMut::new();
        indata.put_slice(&class.as_bytes()[..class_len.into()]);
        indata.put_slice(&method.as_bytes()[..method_len.into()]);
        indata.put_slice(input);
        let args = OpArgs::Cls {
            class_len,
            method_len,
            argc: 0,
            indata_len: wire_len(input.len()),
        };
        Self::new(OpCode::CALL, args, indata.freeze())
    }

    /// The arguments, read as this op means them.
    #[must_use]
    pub fn args(&self) -> OpArgs {
        type C = OpCode;
        let u = &self.union;
        match self.op {
            C::READ
            | C::MAPEXT
            | C::MASKTRUNC
            | C::SPARSE_READ
            | C::SYNC_READ
            | C::WRITE
            | C::WRITEFULL
            | C::TRUNCATE
            | C::ZERO
            | C::APPEND
            | C::SETTRUNC
            | C::TRIMTRUNC
            | C::CMPEXT
            | C::TMAPUP
            | C::TMAPPUT
            | C::TMAPGET => read::Extent(u),
            C::GETXATTR
            | C::GETXATTRS
            | C::CMPXATTR
            | C::SETXATTR
            | C::SETXATTRS
            | C::RESETXATTRS
            | C::RMXATTR => read::Xattr(u),
            C::CALL => read::Cls(u),
            C::PGLS | C::PGLS_FILTER | C::PGNLS | C::PGNLS_FILTER | C::PG_HITSET_LS => read::Pgls(u),
            C::ROLLBACK => read::Snap(u),
            C::WATCH => read::Watch(u),
            C::NOTIFY | C::NOTIFY_ACK => read::Notify(u),
            C::ASSERT_VER => read::AssertVer(u),
            C::COPY_GET => read::CopyGet(u),
            C::COPY_FROM | C::COPY_FROM2 => read::CopyFrom(u),
            C::SETALLOCHINT => read::AllocHint(u),
            C::WRITESAME => read::WriteSame(u),
            C::CHECKSUM => read::Checksum(u),
            _ => OpArgs::Raw(*u),
        }
    }

    /// The byte range of an op that has one.
    #[must_use]
    pub fn extent(&self) -> Option<(u64, u64)> {
        match self.args() {
            OpArgs::Extent { offset, length, .. }
            | OpArgs::WriteSame { offset, length, .. }
            | OpArgs::Checksum { offset, length, .. } => Some((offset, length)),
            _ => None,
        }
    }

    /// Class, method and argument of a call.
    ///
    /// # Errors
    /// If the op is no call, or the input is shorter than the arguments say, or a name is not UTF-8.
    pub fn cls_call(&self) -> Result<ClsCall> {
        let OpArgs::Cls {
            class_len,
            method_len,
            indata_len,
            ..
        } = self.args()
        else {
            return Err(self.unexpected());
        };
        let mut r = Reader::new(&self.indata);
        let text = |raw: &[u8]| {
            std::str::from_utf8(raw)
                .map(str::to_owned)
                .map_err(|_| DecodeError::NotUtf8("class or method name"))
        };
        Ok(ClsCall {
            class: text(r.slice(class_len.into(), "class name")?)?,
            method: text(r.slice(method_len.into(), "method name")?)?,
            input: r.bytes(indata_len as usize, "method input")?,
        })
    }

    /// Name and value of an op on an extended attribute.
    ///
    /// # Errors
    /// If the op is not such, or the input is shorter than the arguments say.
    pub fn xattr(&self) -> Result<(Bytes, Bytes)> {
        let OpArgs::Xattr {
            name_len, value_len, ..
        } = self.args()
        else {
            return Err(self.unexpected());
        };
        let mut r = Reader::new(&self.indata);
        let name = r.bytes(name_len as usize, "xattr name")?;
        // Reading and removing have a name alone, whatever the length of the value says.
        let value = match self.op {
            OpCode::GETXATTR | OpCode::RMXATTR => Bytes::new(),
            _ => r.bytes(value_len as usize, "xattr value")?,
        };
        Ok((name, value))
    }

    /// The length of the output, in bytes.
    #[must_use]
    pub fn outdata_len(&self) -> usize {
        self.outdata.iter().map(Bytes::len).sum()
    }

    fn unexpected(&self) -> DecodeError {
        DecodeError::Invalid {
            what: "op code",
            value: self.op.0.into(),
        }
    }

    /// Reads a `ceph_osd_op`; also the length of its part of the message's data.
    pub(crate) fn decode_head(r: &mut Reader<'_>) -> Result<(Self, usize)> {
        let op = Self {
            op: OpCode(r.u16()?),
            flags: OpFlags::from_bits_retain(r.u32()?),
            union: r.array("ceph_osd_op")?,
            ..Self::default()
        };
        Ok((op, r.u32()? as usize))
    }

    /// Writes a `ceph_osd_op` whose part of the message's data has `payload_len` bytes.
    pub(crate) fn encode_head(&self, out: &mut BytesMut, payload_len: usize) {
        out.put_u16_le(self.op.0);
        out.put_u32_le(self.flags.bits());
        out.put_slice(&self.union);
        out.put_u32_le(wire_len(payload_len));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_every_op_re_encode_to_the_same_bytes_where_they_cover_them() {
        for &op in OpCode::ALL {
            let mut o = OsdOp {
                op,
                ..OsdOp::default()
            };
            for (i, b) in o.union.iter_mut().enumerate() {
                *b = i as u8 + 1;
            }
            let back = o.args().to_union();
            let used = back.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
            assert_eq!(back[..used], o.union[..used], "{op}");
        }
    }

    #[test]
    fn a_call_is_taken_apart() {
        let op = OsdOp::call("rbd", "get_id", b"xyz");
        let call = op.cls_call().unwrap();
        assert_eq!((call.class.as_str(), call.method.as_str()), ("rbd", "get_id"));
        assert_eq!(call.input, "xyz");
    }

    #[test]
    fn a_call_that_lies_about_its_input_is_refused() {
        let mut op = OsdOp::call("rbd", "get_id", b"xyz");
        op.indata.truncate(10);
        assert!(op.cls_call().is_err());
        assert!(op.xattr().is_err());
    }
}
