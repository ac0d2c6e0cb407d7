//! What an op is, in Ceph's words (`MOSDOp::print`, `operator<<` of `OSDOp`, `ceph_osd_flag_string`).

use std::fmt::Write;

use bytes::Bytes;
use encoding::{
    DecodeError, Message, RawMessage,
    messages::MOsdOp,
    types::{EntityName, NOSNAP, OpArgs, OpCode, OsdFlags, OsdOp},
};

/// A request as it came: what it was is read again only when somebody wants to know.
#[derive(Debug)]
pub struct Request(RawMessage);

impl From<RawMessage> for Request {
    fn from(raw: RawMessage) -> Self {
        Self(raw)
    }
}

impl Request {
    /// The request as it came.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn message(&self) -> Result<MOsdOp, DecodeError> {
        MOsdOp::decode(&self.0)
    }

    /// Bytes of the request.
    pub(super) fn len(&self) -> usize {
        self.0.front.len() + self.0.middle.len() + self.0.data_len()
    }

    /// The request of that client in a line.
    pub(super) fn describe(&self, client: EntityName, tid: u64) -> String {
        match self.message() {
            Ok(message) => describe(&message, client, tid),
            Err(error) => format!("osd_op({client}:{tid} {error})"),
        }
    }
}

fn describe(m: &MOsdOp, client: EntityName, tid: u64) -> String {
    let text = |b: &Bytes| String::from_utf8_lossy(b).into_owned();
    let snap = if m.snapid == NOSNAP {
        "head".to_owned()
    } else {
        format!("{:x}", m.snapid)
    };
    let object = format!(
        "{}:{:08x}:{}:{}:{}:{snap}",
        m.pg.pg.pool,
        m.hash.reverse_bits(),
        text(&m.locator.nspace),
        text(&m.locator.key),
        text(&m.oid),
    );
    let ops: Vec<String> = m.ops.iter().map(describe_op).collect();
    let snaps: Vec<String> = m.snaps.iter().map(|s| format!("{s:x}")).collect();
    let retry = if m.retry_attempt > 0 {
        format!(" RETRY={}", m.retry_attempt)
    } else {
        String::new()
    };
    format!(
        "osd_op({client}.{}:{tid} {} {object} [{}] snapc {:x}=[{}]{retry} {} e{})",
        m.reqid.inc.cast_unsigned(),
        m.pg.pg,
        ops.join(","),
        m.snap_seq,
        snaps.join(","),
        flag_string(m.flags),
        m.osdmap_epoch,
    )
}

/// One op of the vector.
fn describe_op(op: &OsdOp) -> String {
    let mut out = op.op.to_string();
    // Writing to a text cannot fail.
    let _ = match op.args() {
        OpArgs::Extent { offset, .. } if op.op == OpCode::TRUNCATE => write!(out, " {offset}"),
        OpArgs::Extent { offset, length, .. } => write!(out, " {offset}~{length}"),
        OpArgs::Snap { snapid } => write!(out, " {snapid:x}"),
        OpArgs::Watch { cookie, op, .. } => write!(out, " {} cookie {cookie}", watch_name(op)),
        OpArgs::Cls { .. } => match op.cls_call() {
            Ok(call) => write!(out, " {}.{}", call.class, call.method),
            Err(_) => Ok(()),
        },
        OpArgs::Xattr { value_len, .. } => match op.xattr() {
            Ok((name, _)) => write!(out, " {} ({value_len})", String::from_utf8_lossy(&name)),
            Err(_) => Ok(()),
        },
        OpArgs::Pgls { start_epoch, .. } => write!(out, " start_epoch {start_epoch}"),
        _ => Ok(()),
    };
    if !op.indata.is_empty() {
        let _ = write!(out, " in={}b", op.indata.len());
    }
    out
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
