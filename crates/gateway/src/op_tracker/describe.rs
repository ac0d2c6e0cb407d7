//! What an op is, in Ceph's words (`MOSDOp::print`, `operator<<` of `OSDOp`, `ceph_osd_flag_string`).

use std::fmt::Write;

use bytes::Bytes;
use encoding::{
    messages::MOsdOp,
    types::{EntityName, NOSNAP, OpArgs, OpCode, OsdFlags, OsdOp, Pg, SnapId},
};

/// What is kept of a request to describe it: no data, but the names in it.
#[derive(Debug)]
pub struct Request {
    inc: u32,
    pg: Pg,
    hash: u32,
    key: Bytes,
    nspace: Bytes,
    name: Bytes,
    snap: SnapId,
    snap_seq: SnapId,
    snaps: Vec<SnapId>,
    retry: i32,
    flags: OsdFlags,
    epoch: u32,
    ops: Vec<Op>,
}

/// One op of the vector.
#[derive(Debug)]
struct Op {
    /// With its input only where that has names.
    op: OsdOp,
    input: usize,
}

impl From<&MOsdOp> for Request {
    fn from(m: &MOsdOp) -> Self {
        let sketch = |o: &OsdOp| Op {
            op: OsdOp {
                op: o.op,
                flags: o.flags,
                union: o.union,
                indata: if has_names(o.op) {
                    o.indata.clone()
                } else {
                    Bytes::new()
                },
                ..OsdOp::default()
            },
            input: o.indata.len(),
        };
        Self {
            inc: m.reqid.inc.cast_unsigned(),
            pg: m.pg.pg,
            hash: m.hash,
            key: m.locator.key.clone(),
            nspace: m.locator.nspace.clone(),
            name: m.oid.clone(),
            snap: m.snapid,
            snap_seq: m.snap_seq,
            snaps: m.snaps.clone(),
            retry: m.retry_attempt,
            flags: m.flags,
            epoch: m.osdmap_epoch,
            ops: m.ops.iter().map(sketch).collect(),
        }
    }
}

/// Whether the op's input has the names that its arguments are the lengths of.
fn has_names(op: OpCode) -> bool {
    matches!(
        op,
        OpCode::CALL | OpCode::GETXATTR | OpCode::SETXATTR | OpCode::RMXATTR | OpCode::CMPXATTR
    )
}

impl Request {
    /// The request of that client in a line.
    pub(super) fn describe(&self, client: EntityName, tid: u64) -> String {
        let text = |b: &Bytes| String::from_utf8_lossy(b).into_owned();
        let snap = if self.snap == NOSNAP {
            "head".to_owned()
        } else {
            format!("{:x}", self.snap)
        };
        let object = format!(
            "{}:{:08x}:{}:{}:{}:{snap}",
            self.pg.pool,
            self.hash.reverse_bits(),
            text(&self.nspace),
            text(&self.key),
            text(&self.name),
        );
        let ops: Vec<String> = self.ops.iter().map(Op::describe).collect();
        let snaps: Vec<String> = self.snaps.iter().map(|s| format!("{s:x}")).collect();
        let retry = if self.retry > 0 {
            format!(" RETRY={}", self.retry)
        } else {
            String::new()
        };
        format!(
            "osd_op({client}.{}:{tid} {} {object} [{}] snapc {:x}=[{}]{retry} {} e{})",
            self.inc,
            self.pg,
            ops.join(","),
            self.snap_seq,
            snaps.join(","),
            flag_string(self.flags),
            self.epoch,
        )
    }
}

impl Op {
    fn describe(&self) -> String {
        let mut out = self.op.op.to_string();
        // Writing to a text cannot fail.
        let _ = match self.op.args() {
            OpArgs::Extent { offset, length, .. } if self.op.op == OpCode::TRUNCATE => {
                let _ = length;
                write!(out, " {offset}")
            }
            OpArgs::Extent { offset, length, .. } => write!(out, " {offset}~{length}"),
            OpArgs::Snap { snapid } => write!(out, " {snapid:x}"),
            OpArgs::Watch { cookie, op, .. } => write!(out, " {} cookie {cookie}", watch_name(op)),
            OpArgs::Cls { .. } => match self.op.cls_call() {
                Ok(call) => write!(out, " {}.{}", call.class, call.method),
                Err(_) => Ok(()),
            },
            OpArgs::Xattr { value_len, .. } => match self.op.xattr() {
                Ok((name, _)) => write!(out, " {} ({value_len})", String::from_utf8_lossy(&name)),
                Err(_) => Ok(()),
            },
            OpArgs::Pgls { start_epoch, .. } => write!(out, " start_epoch {start_epoch}"),
            _ => Ok(()),
        };
        if self.input > 0 {
            let _ = write!(out, " in={}b", self.input);
        }
        out
    }
}

/// `ceph_osd_watch_op_name`.
const fn watch_name(op: u8) -> &'static str {
    match op {
        0 => "unwatch",
        1 => "watch (legacy)",
        3 => "watch",
        5 => "reconnect",
        7 => "ping",
        _ => "???",
    }
}

/// The names of flags, with `+` between them.
fn flag_string(flags: OsdFlags) -> String {
    let names: Vec<String> = flags
        .iter_names()
        .map(|(name, flag)| match flag {
            OsdFlags::KNOWN_REDIR => "known_if_redirected".to_owned(),
            OsdFlags::SUPPORTSPOOLEIO => "supports_pool_eio".to_owned(),
            _ => name.to_ascii_lowercase(),
        })
        .collect();
    if names.is_empty() {
        "-".to_owned()
    } else {
        names.join("+")
    }
}
