//! Messages by type, and those that clients exchange with monitors and managers.

use encoding::{
    Decode, DecodeError, Message,
    maps::{MgrMap, MonMap},
    messages::*,
};

use crate::MessageItem;

use super::{
    auth, osd,
    value::{Fields, Value, result, text, texts},
};

/// One list: message, Ceph's name, what is told of it.
macro_rules! messages {
    ($raw:ident: $($t:ty, $name:literal, |$m:ident| $fields:expr;)*) => {
        match $raw.header.kind {
            $(<$t as Message>::TYPE => {
                let fields = <$t as Message>::decode($raw).map(|$m| $fields);
                ($name.to_owned(), fields)
            })*
            kind => {
                let name = kind.name().map_or_else(|| format!("message {:#x}", kind.0), str::to_owned);
                (name, Ok(Fields::new()))
            }
        }
    };
}

/// Ceph's name of a message, and what is in it.
pub(super) fn content(item: &MessageItem) -> (String, Result<Fields, DecodeError>) {
    let (raw, calls) = (&item.message, &item.calls);
    messages! { raw:
        MOsdOp, "MOSDOp", |m| osd::osd_op(&m);
        MOsdOpReply, "MOSDOpReply", |m| osd::osd_op_reply(&m, calls);
        MWatchNotify, "MWatchNotify", |m| osd::watch_notify(&m);
        MOsdBackoff, "MOSDBackoff", |m| osd::backoff(&m);
        MOsdMap, "MOSDMap", |m| osd::osd_map(&m);
        MMonMap, "MMonMap", |m| mon_map(&m);
        MMonGetMap, "MMonGetMap", |_m| Fields::new();
        MMonSubscribe, "MMonSubscribe", |m| subscribe(&m);
        MMonSubscribeAck, "MMonSubscribeAck", |m| vec![("interval", m.interval.into())];
        MMonGetVersion, "MMonGetVersion", |m| vec![("what", text(m.what)), ("handle", m.handle.into())];
        MMonGetVersionReply, "MMonGetVersionReply", |m| vec![
            ("handle", m.handle.into()),
            ("version", m.version.into()),
            ("oldest_version", m.oldest_version.into()),
        ];
        MMonCommand, "MMonCommand", |m| vec![("cmd", texts(m.cmd))];
        MMonCommandAck, "MMonCommandAck", |m| vec![
            ("result", result(m.result)),
            ("status", text(m.status)),
            ("cmd", texts(m.cmd)),
        ];
        MCommand, "MCommand", |m| vec![("cmd", texts(m.cmd))];
        MCommandReply, "MCommandReply", |m| vec![("result", result(m.result)), ("status", text(m.status))];
        MAuth, "MAuth", |m| mauth(&m);
        MAuthReply, "MAuthReply", |m| mauth_reply(&m);
        MConfig, "MConfig", |m| vec![("config", texts(m.config.iter().map(|(k, v)| format!("{k}={v}"))))];
        MGetConfig, "MGetConfig", |m| vec![("name", text(m.name)), ("host", text(m.host))];
        MPoolOp, "MPoolOp", |m| pool_op(&m);
        MPoolOpReply, "MPoolOpReply", |m| vec![
            ("result", result(m.result)),
            ("epoch", m.epoch.into()),
            ("response", m.response.map_or(0, |r| r.len()).into()),
        ];
        MStatfs, "MStatfs", |_m| Fields::new();
        MStatfsReply, "MStatfsReply", |m| vec![
            ("kb", m.kb.into()),
            ("kb_used", m.kb_used.into()),
            ("kb_avail", m.kb_avail.into()),
            ("objects", m.num_objects.into()),
        ];
        MGetPoolStats, "MGetPoolStats", |m| vec![("pools", texts(m.pools))];
        MGetPoolStatsReply, "MGetPoolStatsReply", |_m| Fields::new();
        MLog, "MLog", |m| vec![("entries", texts(m.entries.iter().map(|e| &e.msg)))];
        MLogAck, "MLogAck", |m| vec![("last", m.last.into()), ("channel", text(m.channel))];
        MPing, "MPing", |_m| Fields::new();
        MMgrMap, "MMgrMap", |m| mgr_map(&m);
        MMgrOpen, "MMgrOpen", |m| vec![("daemon", text(m.daemon_name)), ("service", text(m.service_name))];
        MMgrClose, "MMgrClose", |_m| Fields::new();
        MMgrConfigure, "MMgrConfigure", |m| vec![("stats_period", m.stats_period.into())];
        MMgrReport, "MMgrReport", |_m| Fields::new();
        MMgrCommand, "MMgrCommand", |m| vec![("cmd", texts(m.cmd))];
        MMgrCommandReply, "MMgrCommandReply", |m| vec![("result", result(m.result)), ("status", text(m.status))];
    }
}

fn mon_map(m: &MMonMap) -> Fields {
    match MonMap::from_bytes(&m.monmap) {
        Ok(map) => {
            let mon =
                |(name, mon): (&String, &encoding::maps::MonInfo)| format!("{name} {}", mon.public_addrs);
            vec![
                ("epoch", map.epoch.into()),
                ("fsid", text(map.fsid)),
                ("mons", texts(map.mons.iter().map(mon))),
            ]
        }
        Err(error) => vec![("undecoded", text(error))],
    }
}

fn mgr_map(m: &MMgrMap) -> Fields {
    match MgrMap::from_bytes(&m.mgrmap) {
        Ok(map) => vec![
            ("epoch", map.epoch.into()),
            ("active", text(map.active_name)),
            ("available", map.available.into()),
            ("addrs", text(map.active_addrs)),
        ],
        Err(error) => vec![("undecoded", text(error))],
    }
}

fn subscribe(m: &MMonSubscribe) -> Fields {
    let item = |(what, item): (&String, &SubscribeItem)| {
        let once = if item.is_onetime() { " once" } else { "" };
        let parts: Fields = vec![
            ("what", text(what)),
            ("start", item.start.into()),
            ("once", item.is_onetime().into()),
        ];
        Value::Both(
            format!("{what} from {}{once}", item.start),
            Box::new(parts.into()),
        )
    };
    let mut fields: Fields = vec![("what", Value::List(m.what.iter().map(item).collect()))];
    if !m.hostname.is_empty() {
        fields.push(("host", text(&m.hostname)));
    }
    fields
}

fn mauth(m: &MAuth) -> Fields {
    let mut fields: Fields = vec![("protocol", auth::method(m.protocol))];
    fields.extend(auth::of_mauth(m.protocol, &m.payload));
    fields
}

fn mauth_reply(m: &MAuthReply) -> Fields {
    let mut fields: Fields = vec![
        ("protocol", auth::method(m.protocol)),
        ("result", result(m.result)),
        ("global_id", m.global_id.into()),
    ];
    fields.extend(auth::of_mauth_reply(&m.payload));
    if !m.message.is_empty() {
        fields.push(("message", text(&m.message)));
    }
    fields
}

fn pool_op(m: &MPoolOp) -> Fields {
    let op = match m.op {
        PoolOpCode::CREATE => "create".into(),
        PoolOpCode::DELETE => "delete".into(),
        PoolOpCode::CREATE_SNAP => "create-snap".into(),
        PoolOpCode::DELETE_SNAP => "delete-snap".into(),
        PoolOpCode::CREATE_UNMANAGED_SNAP => "create-unmanaged-snap".into(),
        PoolOpCode::DELETE_UNMANAGED_SNAP => "delete-unmanaged-snap".into(),
        PoolOpCode(other) => Value::Hex(other.into()),
    };
    let mut fields: Fields = vec![("op", op), ("pool", m.pool.into())];
    if !m.name.is_empty() {
        fields.push(("name", text(&m.name)));
    }
    if m.snapid != 0 {
        fields.push(("snap", m.snapid.into()));
    }
    fields
}
