//! Messages between clients and OSDs.

use encoding::{
    messages::{MOsdBackoff, MOsdMap, MOsdOp, MOsdOpReply, MWatchNotify},
    types::{Eversion, OpArgs, OpCode, OsdFlags, OsdOp, SnapId},
};

use super::value::{Fields, Value, flags, name, result, text, texts};

/// `CEPH_NOSNAP` and `CEPH_SNAPDIR`.
const NOSNAP: SnapId = u64::MAX - 1;
const SNAPDIR: SnapId = u64::MAX;

fn snap(id: SnapId) -> Value {
    match id {
        NOSNAP => "head".into(),
        SNAPDIR => "snapdir".into(),
        id => id.into(),
    }
}

fn osd_flags(f: OsdFlags) -> Value {
    flags(named(
        f.iter_names().map(|(name, flag)| (name, flag.bits())),
        f.bits(),
    ))
}

/// Names of bits, and the bits without name.
fn named(names: impl Iterator<Item = (&'static str, u32)>, all: u32) -> (Vec<&'static str>, u64) {
    let (mut out, mut rest) = (Vec::new(), all);
    for (name, bits) in names {
        rest &= !bits;
        out.push(name);
    }
    (out, rest.into())
}

/// A request.
pub(super) fn osd_op(m: &MOsdOp) -> Fields {
    let mut fields: Fields = vec![("object", name(&m.oid))];
    if !m.locator.nspace.is_empty() {
        fields.push(("namespace", name(&m.locator.nspace)));
    }
    if !m.locator.key.is_empty() {
        fields.push(("key", name(&m.locator.key)));
    }
    fields.push(("pg", text(m.pg.pg)));
    fields.push(("epoch", m.osdmap_epoch.into()));
    if m.snapid != NOSNAP {
        fields.push(("snap", snap(m.snapid)));
    }
    if m.snap_seq != 0 {
        let context: Fields = vec![("seq", m.snap_seq.into()), ("snaps", texts(&m.snaps))];
        fields.push(("snapc", context.into()));
    }
    fields.push(("flags", osd_flags(m.flags)));
    if m.retry_attempt > 0 {
        fields.push(("retry", m.retry_attempt.into()));
    }
    fields.push(("ops", Value::List(m.ops.iter().map(|o| op(o, None)).collect())));
    fields
}

/// Its answer.
pub(super) fn osd_op_reply(m: &MOsdOpReply, calls: &[Option<String>]) -> Fields {
    let mut fields: Fields = vec![
        ("object", name(&m.oid)),
        ("pg", text(m.pg)),
        ("epoch", m.osdmap_epoch.into()),
        ("result", result(m.result)),
        ("version", eversion(m.replay_version)),
        ("user_version", m.user_version.into()),
        ("flags", osd_flags(m.flags)),
    ];
    if m.retry_attempt > 0 {
        fields.push(("retry", m.retry_attempt.into()));
    }
    if m.redirect.is_some() {
        fields.push(("redirect", true.into()));
    }
    let called = |n: usize| Some(calls.get(n).and_then(Option::as_deref));
    let ops = m.ops.iter().enumerate().map(|(n, o)| op(o, called(n)));
    fields.push(("ops", Value::List(ops.collect())));
    fields
}

fn eversion(v: Eversion) -> Value {
    text(format_args!("{}'{}", v.epoch, v.version))
}

/// An operation: for people `write 0~4096`, for programs its parts. Of a reply (`reply` is some), with its result,
/// and the method that was called if that is known.
fn op(o: &OsdOp, reply: Option<Option<&str>>) -> Value {
    let mut parts: Fields = vec![("op", text(o.op))];
    let (mut words, args) = match reply {
        None => arguments(o),
        Some(Some(method)) => (format!(" {method}"), vec![("method", method.into())]),
        // The input that names things is in requests only.
        Some(None) if takes_names(o.op) => (String::new(), Fields::new()),
        Some(None) => arguments(o),
    };
    parts.extend(args);
    if !o.indata.is_empty() {
        parts.push(("input", o.indata.len().into()));
    }
    if !o.flags.is_empty() {
        let names = o.flags.iter_names().map(|(name, flag)| (name, flag.bits()));
        let value = flags(named(names, o.flags.bits()));
        words += &format!(" {value}");
        parts.push(("flags", value));
    }
    if reply.is_some() {
        let rval = result(o.rval);
        if o.rval != 0 {
            words += &format!(" = {rval}");
        }
        parts.push(("rval", rval));
        if o.outdata_len() > 0 {
            words += &format!(" -> {} bytes", o.outdata_len());
            parts.push(("output", o.outdata_len().into()));
        }
    }
    Value::Both(format!("{}{words}", o.op), Box::new(Value::Map(parts)))
}

/// Whether the op's input has names that its arguments are the lengths of.
fn takes_names(op: OpCode) -> bool {
    let probe = OsdOp {
        op,
        ..OsdOp::default()
    };
    matches!(probe.args(), OpArgs::Cls { .. } | OpArgs::Xattr { .. })
}

/// Arguments in words, with a blank in front, and by name.
fn arguments(o: &OsdOp) -> (String, Fields) {
    match o.args() {
        OpArgs::Extent { offset, length, .. } => (
            format!(" {offset}~{length}"),
            vec![("offset", offset.into()), ("length", length.into())],
        ),
        OpArgs::Cls { indata_len, .. } => match o.cls_call() {
            Ok(call) => (
                format!(" {}.{} ({indata_len} bytes)", call.class, call.method),
                vec![("method", text(format_args!("{}.{}", call.class, call.method)))],
            ),
            Err(error) => undecoded(&error),
        },
        OpArgs::Xattr { .. } => match o.xattr() {
            Ok((key, value)) => (
                format!(" {} ({} bytes)", name(&key), value.len()),
                vec![("name", name(&key)), ("value_len", value.len().into())],
            ),
            Err(error) => undecoded(&error),
        },
        OpArgs::Watch {
            cookie, op, timeout, ..
        } => {
            let kind = watch_op(op);
            (
                format!(" {kind} cookie {cookie}"),
                vec![
                    ("watch_op", kind.into()),
                    ("cookie", cookie.into()),
                    ("timeout", timeout.into()),
                ],
            )
        }
        _ => other_arguments(o),
    }
}

fn other_arguments(o: &OsdOp) -> (String, Fields) {
    match o.args() {
        OpArgs::Notify { cookie } => (format!(" cookie {cookie}"), vec![("cookie", cookie.into())]),
        OpArgs::Pgls { count, start_epoch } => (
            format!(" {count} from epoch {start_epoch}"),
            vec![("count", count.into()), ("start_epoch", start_epoch.into())],
        ),
        OpArgs::Snap { snapid } => (format!(" to {snapid}"), vec![("snap", snapid.into())]),
        OpArgs::AssertVer { ver, .. } => (format!(" {ver}"), vec![("version", ver.into())]),
        OpArgs::AllocHint {
            expected_object_size,
            expected_write_size,
            flags,
        } => (
            format!(" object {expected_object_size} write {expected_write_size}"),
            vec![
                ("object_size", expected_object_size.into()),
                ("write_size", expected_write_size.into()),
                ("hint_flags", Value::Hex(flags.into())),
            ],
        ),
        OpArgs::WriteSame {
            offset,
            length,
            data_length,
        } => (
            format!(" {offset}~{length} of {data_length} bytes"),
            vec![
                ("offset", offset.into()),
                ("length", length.into()),
                ("data_length", data_length.into()),
            ],
        ),
        OpArgs::Checksum { offset, length, .. } => (
            format!(" {offset}~{length}"),
            vec![("offset", offset.into()), ("length", length.into())],
        ),
        OpArgs::CopyGet { max } => (format!(" {max}"), vec![("max", max.into())]),
        OpArgs::CopyFrom {
            snapid, src_version, ..
        } => (
            format!(" version {src_version}"),
            vec![("src_snap", snap(snapid)), ("src_version", src_version.into())],
        ),
        _ if o.indata.is_empty() => (String::new(), Fields::new()),
        _ => (format!(" ({} bytes)", o.indata.len()), Fields::new()),
    }
}

fn undecoded(error: &encoding::DecodeError) -> (String, Fields) {
    (format!(" ({error})"), vec![("undecoded", text(error))])
}

/// `CEPH_OSD_WATCH_OP_*`.
fn watch_op(op: u8) -> String {
    match op {
        0 => "unwatch".to_owned(),
        1 => "legacy-watch".to_owned(),
        3 => "watch".to_owned(),
        5 => "reconnect".to_owned(),
        7 => "ping".to_owned(),
        other => format!("op-{other}"),
    }
}

/// An event of a watch.
pub(super) fn watch_notify(m: &MWatchNotify) -> Fields {
    let event = match m.opcode.0 {
        1 => "notify".into(),
        2 => "notify_complete".into(),
        3 => "disconnect".into(),
        other => Value::from(other),
    };
    vec![
        ("event", event),
        ("cookie", m.cookie.into()),
        ("notify_id", m.notify_id.into()),
        ("notifier", m.notifier_gid.into()),
        ("payload", m.payload.len().into()),
        ("return_code", result(m.return_code)),
    ]
}

/// Stops and resumes requests.
pub(super) fn backoff(m: &MOsdBackoff) -> Fields {
    let op = match m.op.0 {
        1 => "block".into(),
        2 => "ack-block".into(),
        3 => "unblock".into(),
        other => Value::from(other),
    };
    vec![
        ("op", op),
        ("id", m.id.into()),
        ("pg", text(m.pg.pg)),
        ("epoch", m.map_epoch.into()),
        ("begin", name(&m.begin.oid)),
        ("end", name(&m.end.oid)),
    ]
}

/// Maps.
pub(super) fn osd_map(m: &MOsdMap) -> Fields {
    vec![
        ("full", texts(m.maps.keys())),
        ("incremental", texts(m.incremental_maps.keys())),
        ("oldest", m.cluster_osdmap_trim_lower_bound.into()),
        ("newest", m.newest_map.into()),
    ]
}
