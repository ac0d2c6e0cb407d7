//! Ops on watches and notifies. What they lead to happens once the vector has succeeded.

use bytes::Bytes;
use encoding::{
    Errno,
    types::{EntityName, OpArgs, OsdOp},
};

use super::{
    context::Context,
    ops::{Effects, NotifyAck, NotifyRequest, OpResult, WatchView},
    watch::WatchOp,
};
use crate::objects::mutation::WatchRow;

/// Watches that an object may have. Images have a handful; Ceph has no bound.
const MAX_WATCHES: usize = 10_000;

/// WATCH: registering, coming back to, keeping alive and ending a watch.
pub(super) fn watch(
    ctx: &mut Context<'_>,
    op: &OsdOp,
    view: &WatchView<'_>,
    effects: &mut Effects,
) -> OpResult {
    const UNWATCH: u8 = 0;
    const LEGACY_WATCH: u8 = 1;
    const WATCH: u8 = 3;
    const RECONNECT: u8 = 5;
    const PING: u8 = 7;
    let OpArgs::Watch {
        cookie,
        op: kind,
        timeout,
        ..
    } = op.args()
    else {
        return Err(Errno::EINVAL.into());
    };
    ctx.must_exist()?;
    let client: EntityName = ctx.request.origin;
    // Those of an object that the vector removed went with it.
    let known = view.watchers.contains(client.num, cookie) && !ctx.mutation.reset;
    let connect = |pings| WatchOp::Connect {
        client,
        cookie,
        timeout,
        pings,
    };
    match kind {
        WATCH | LEGACY_WATCH => {
            if !known {
                if view.watchers.count() >= MAX_WATCHES {
                    return Err(Errno::EMFILE.into());
                }
                ctx.mutation.touched = true;
                let row = view
                    .watchers
                    .row(ctx.id, client, cookie, timeout, ctx.request.addr);
                ctx.mutation.watches.push(row);
            }
            effects.watches.push(connect(kind == WATCH));
        }
        RECONNECT if known => effects.watches.push(connect(true)),
        RECONNECT => return Err(Errno::ENOTCONN.into()),
        PING if !known => return Err(Errno::ENOTCONN.into()),
        PING if !view.watchers.ping(client.num, cookie) => return Err(Errno::ETIMEDOUT.into()),
        PING => {}
        UNWATCH if known => {
            ctx.mutation.touched = true;
            ctx.mutation.watches.push(WatchRow {
                client: client.num,
                cookie,
                value: None,
            });
            effects.watches.push(WatchOp::Unwatch {
                client: client.num,
                cookie,
            });
        }
        // Nothing to end; and as in Ceph, an unknown kind does nothing.
        _ => {}
    }
    Ok(0)
}

/// NOTIFY: the output is the server's id of it.
pub(super) fn notify(op: &mut OsdOp, view: &WatchView<'_>, effects: &mut Effects) -> OpResult {
    /// `osd_default_notify_timeout`, in seconds.
    const DEFAULT_TIMEOUT: u32 = 30;
    let OpArgs::Notify { cookie } = op.args() else {
        return Err(Errno::EINVAL.into());
    };
    let parse = || -> encoding::codec::Result<(u32, Bytes)> {
        let mut r = encoding::Reader::new(&op.indata);
        r.u32()?; // a version without meaning
        Ok((r.u32()?, r.blob()?))
    };
    // As Ceph does, a malformed payload is a notify without one.
    let (timeout, payload) = parse().unwrap_or_default();
    let id = (view.next_notify_id)();
    let timeout = if timeout == 0 { DEFAULT_TIMEOUT } else { timeout };
    effects.notifies.push(NotifyRequest {
        id,
        cookie,
        timeout,
        payload,
    });
    op.outdata = [Bytes::copy_from_slice(&id.to_le_bytes())].into();
    Ok(0)
}

/// NOTIFY_ACK: a watcher's answer.
pub(super) fn notify_ack(op: &OsdOp, effects: &mut Effects) -> OpResult {
    let parse = || -> encoding::codec::Result<NotifyAck> {
        let mut r = encoding::Reader::new(&op.indata);
        let (id, cookie) = (r.u64()?, r.u64()?);
        let reply = if r.is_empty() { Bytes::new() } else { r.blob()? };
        Ok(NotifyAck {
            id,
            cookie: Some(cookie),
            reply,
        })
    };
    let ack = match (parse(), op.args()) {
        (Ok(ack), _) => ack,
        // Old clients put the notify's id where the cookie is.
        (Err(_), OpArgs::Watch { cookie, .. } | OpArgs::Notify { cookie }) => NotifyAck {
            id: cookie,
            cookie: None,
            reply: Bytes::new(),
        },
        (Err(e), _) => return Err(e.into()),
    };
    effects.acks.push(ack);
    Ok(0)
}
