//! A reply in words: all of its fields, but for what depends on the cluster.
//!
//! Versions become their place among those that the object was seen to have (`#1` is the first); epochs, addresses and
//! numbers of clients and notifies are left out.

use std::fmt::Write;

use encoding::Decode;
use encoding::messages::MOsdOpReply;
use encoding::types::{
    ListSnapsResponse, ListWatchersResponse, ObjectCopyData, OpCode, OsdOp, PgLsResponse, PgNlsResponse,
};

use super::client::Client;
use super::{Step, classes};

/// A reply in words.
pub fn of(client: &mut Client, step: &Step, reply: &MOsdOpReply) -> String {
    let mut out = format!("{} f={:#x}", reply.result, reply.flags.bits());
    let version = version(client, step, reply);
    let _ = write!(out, " v={version}");
    if reply.replay_version.version != 0 {
        out.push_str(" rv");
    }
    let bad = reply.bad_replay_version;
    let bad_is = match (bad.epoch, bad.version) {
        (_, 0) => "",
        (0, v) if v == reply.user_version => " bv=uv",
        (_, v) if v == reply.user_version => " bv=e'uv",
        _ => " bv=other",
    };
    if version != "*" {
        out.push_str(bad_is);
    }
    if reply.retry_attempt != 0 || reply.redirect.is_some() {
        let _ = write!(out, " retry={} {:?}", reply.retry_attempt, reply.redirect);
    }
    for (n, op) in reply.ops.iter().enumerate() {
        let asked = step.ops.get(n);
        let _ = write!(out, " | {}", op.op);
        let _ = write!(out, " {}", op.rval);
        if asked.is_none_or(|asked| asked.union != op.union) {
            let _ = write!(out, " u={}", hex(&op.union));
        }
        if asked.is_none_or(|asked| asked.flags != op.flags) {
            let _ = write!(out, " of={:#x}", op.flags.bits());
        }
        let data = op.outdata.concat();
        if !data.is_empty() {
            let method = asked
                .and_then(|asked| asked.cls_call().ok())
                .map(|call| call.method);
            let _ = match method.is_some_and(|method| classes::is_by_length(&method)) {
                true => write!(out, " {} bytes", data.len()),
                false => write!(out, " {}", output(op, &data.into())),
            };
        }
    }
    out
}

fn version(client: &mut Client, step: &Step, reply: &MOsdOpReply) -> String {
    if reply.user_version == 0 {
        return "0".to_owned();
    }
    let about_groups = step.ops.iter().any(|op| op.op.is_pg());
    if reply.result == -2 || about_groups {
        return "*".to_owned(); // whatever the placement group had come to
    }
    let object = (step.other_pool, step.nspace.clone(), step.oid.clone());
    let known = client.versions.entry(object).or_default();
    let place = known.iter().position(|v| *v == reply.user_version);
    let place = place.unwrap_or_else(|| {
        known.push(reply.user_version);
        known.len() - 1
    });
    format!("#{}", place + 1)
}

fn hex(bytes: &[u8]) -> String {
    let used = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
    bytes[..used].iter().map(|b| format!("{b:02x}")).collect()
}

fn plain(data: &[u8]) -> String {
    if data.len() <= 40 {
        return data.iter().map(|b| format!("{b:02x}")).collect();
    }
    format!("{}:{:08x}", data.len(), crc32c::crc32c(data))
}

fn output(op: &OsdOp, data: &bytes::Bytes) -> String {
    let told = match op.op {
        OpCode::NOTIFY => Some(format!("{} bytes", data.len())),
        OpCode::SPARSE_READ => sparse(data),
        OpCode::LIST_SNAPS => ListSnapsResponse::from_bytes(data).ok().map(|list| clones(&list)),
        OpCode::LIST_WATCHERS => ListWatchersResponse::from_bytes(data).ok().map(|list| {
            let watch = |w: &encoding::types::WatchItem| format!("{}/{}", w.cookie, w.timeout_seconds);
            format!("{:?}", list.entries.iter().map(watch).collect::<Vec<_>>())
        }),
        OpCode::COPY_GET => ObjectCopyData::from_bytes(data).ok().map(|piece| copied(&piece)),
        OpCode::PGNLS | OpCode::PGNLS_FILTER => PgNlsResponse::from_bytes(data).ok().map(|list| {
            let name = |e: &encoding::types::ListEntry| {
                let (nspace, key) = (e.nspace.escape_ascii(), e.locator.escape_ascii());
                format!("{nspace}/{}@{key}", e.oid.escape_ascii())
            };
            let names: Vec<_> = list.entries.iter().map(name).collect();
            format!(
                "[{}] then {}",
                names.join(" "),
                if list.handle.max { "end" } else { "more" }
            )
        }),
        OpCode::PGLS | OpCode::PGLS_FILTER => PgLsResponse::from_bytes(data).ok().map(|list| {
            let names: Vec<_> = list
                .entries
                .iter()
                .map(|e| e.0.escape_ascii().to_string())
                .collect();
            format!(
                "[{}] then {}",
                names.join(" "),
                if list.handle.max { "end" } else { "more" }
            )
        }),
        _ => None,
    };
    told.unwrap_or_else(|| plain(data))
}

/// A sparse read: its bytes with the holes filled, and after a semicolon where the extents are.
fn sparse(data: &bytes::Bytes) -> Option<String> {
    let mut r = encoding::Reader::new(data);
    let extents: Vec<(u64, u64)> = r.vec().ok()?;
    let bytes = r.blob().ok()?;
    let mut whole = Vec::new();
    let mut at = 0;
    for (offset, len) in &extents {
        let (offset, len) = (usize::try_from(*offset).ok()?, usize::try_from(*len).ok()?);
        whole.resize(whole.len().max(offset), 0);
        whole.extend_from_slice(bytes.get(at..at + len)?);
        at += len;
    }
    let used = whole.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
    let extents: Vec<String> = extents.iter().map(|(at, len)| format!("{at}~{len}")).collect();
    Some(format!("{} at [{}]", plain(&whole[..used]), extents.join(" ")))
}

/// `id(snapshots) size [shared ranges]` of each clone, and the newest snapshot seen.
fn clones(list: &ListSnapsResponse) -> String {
    let clone = |c: &encoding::types::CloneInfo| {
        let shared: Vec<_> = c.overlap.iter().map(|(at, len)| format!("{at}~{len}")).collect();
        match c.cloneid {
            encoding::types::NOSNAP => format!("head {}", c.size),
            id => format!("{id}{:?} {} [{}]", c.snaps, c.size, shared.join(" ")),
        }
    };
    let clones: Vec<_> = list.clones.iter().map(clone).collect();
    format!("{{{}}} seq={}", clones.join("; "), list.seq)
}

fn copied(piece: &ObjectCopyData) -> String {
    let rows = |rows: &std::collections::BTreeMap<bytes::Bytes, bytes::Bytes>| {
        let row = |(k, v): (&bytes::Bytes, &bytes::Bytes)| format!("{}={}", k.escape_ascii(), plain(v));
        rows.iter().map(row).collect::<Vec<_>>().join(",")
    };
    format!(
        "size={} mtime={} attrs[{}] data={} header={} omap[{}] snaps={:?} seq={} trunc={}@{} cursor={:?}",
        piece.size.cast_signed(),
        piece.mtime.sec,
        rows(&piece.attrs),
        plain(&piece.data),
        plain(&piece.omap_header),
        rows(&piece.omap),
        piece.snaps,
        piece.snap_seq,
        piece.truncate_size,
        piece.truncate_seq,
        piece.cursor,
    )
}
