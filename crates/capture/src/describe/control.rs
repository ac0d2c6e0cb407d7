//! Frames of msgr v2 that are no messages, and what msgr v1 has for them.

use encoding::{
    Features,
    types::{EntityType, Utime},
};

use crate::{Control, V1Item};

use super::{
    auth,
    value::{Description, Fields, Value, flags, result, text, texts},
};

fn features(word: Features) -> Value {
    let names = word.names().map(Value::from).collect();
    let parts: Fields = vec![("word", Value::Hex(word.0)), ("names", Value::List(names))];
    Value::Both(word.to_string(), Box::new(Value::Map(parts)))
}

fn connect_flags(word: u64) -> Value {
    let names = if word & 1 != 0 { vec!["lossy"] } else { Vec::new() };
    flags((names, word & !1))
}

fn stamp(time: Utime) -> Value {
    text(format_args!("{}.{:09}", time.sec, time.nsec))
}

fn modes(modes: &[u32]) -> Value {
    Value::List(modes.iter().map(|m| auth::mode(*m)).collect())
}

fn methods(methods: &[u32]) -> Value {
    Value::List(methods.iter().map(|m| auth::method(*m)).collect())
}

/// A control frame.
pub(super) fn describe(control: &Control) -> Description {
    Description::new(control.tag().name(), fields(control))
}

fn fields(control: &Control) -> Fields {
    match control {
        Control::Hello(f) => vec![("entity", text(f.kind)), ("peer_addr", text(f.peer_addr))],
        Control::AuthRequest(f) => {
            let mut fields = vec![("method", auth::method(f.method)), ("modes", modes(&f.modes))];
            fields.extend(auth::first(f.method, &f.payload));
            fields
        }
        Control::AuthBadMethod(f) => vec![
            ("method", auth::method(f.method)),
            ("result", result(f.result)),
            ("allowed", methods(&f.methods)),
            ("modes", modes(&f.modes)),
        ],
        Control::AuthReplyMore(f) => auth::challenge(&f.payload),
        Control::AuthRequestMore(f) => auth::more(&f.payload),
        Control::AuthDone(f) => {
            let mut fields = vec![("global_id", f.global_id.into()), ("mode", auth::mode(f.mode))];
            fields.extend(auth::done(&f.payload));
            fields
        }
        Control::AuthSignature(_) | Control::Wait(_) => Fields::new(),
        Control::ClientIdent(_) | Control::ServerIdent(_) | Control::IdentMissingFeatures(_) => {
            ident(control)
        }
        Control::SessionReconnect(f) => vec![
            ("addrs", text(&f.addrs)),
            ("client_cookie", Value::Hex(f.client_cookie)),
            ("server_cookie", Value::Hex(f.server_cookie)),
            ("global_seq", f.global_seq.into()),
            ("connect_seq", f.connect_seq.into()),
            ("msg_seq", f.msg_seq.into()),
        ],
        Control::SessionReset(f) => vec![("full", f.full.into())],
        Control::SessionRetry(f) => vec![("connect_seq", f.connect_seq.into())],
        Control::SessionRetryGlobal(f) => vec![("global_seq", f.global_seq.into())],
        Control::SessionReconnectOk(f) => vec![("msg_seq", f.msg_seq.into())],
        Control::Keepalive(f) => vec![("stamp", stamp(f.0))],
        Control::KeepaliveAck(f) => vec![("stamp", stamp(f.0))],
        Control::Ack(f) => vec![("seq", f.0.into())],
        Control::CompressionRequest(f) => vec![
            ("is_compress", f.is_compress.into()),
            ("methods", texts(&f.methods)),
        ],
        Control::CompressionDone(f) => {
            vec![("is_compress", f.is_compress.into()), ("method", f.method.into())]
        }
    }
}

fn ident(control: &Control) -> Fields {
    match control {
        Control::ClientIdent(f) => vec![
            ("addrs", text(&f.addrs)),
            ("target", text(f.target)),
            ("gid", f.gid.into()),
            ("global_seq", f.global_seq.into()),
            ("supported", features(f.supported)),
            ("required", features(f.required)),
            ("flags", connect_flags(f.flags)),
            ("cookie", Value::Hex(f.cookie)),
        ],
        Control::ServerIdent(f) => vec![
            ("addrs", text(&f.addrs)),
            ("gid", f.gid.into()),
            ("global_seq", f.global_seq.into()),
            ("supported", features(f.supported)),
            ("required", features(f.required)),
            ("flags", connect_flags(f.flags)),
            ("cookie", Value::Hex(f.cookie)),
        ],
        Control::IdentMissingFeatures(f) => vec![("features", features(f.features))],
        _ => Fields::new(),
    }
}

/// Something of msgr v1 that is no message.
pub(super) fn describe_v1(item: &V1Item) -> Description {
    match item {
        V1Item::Banner(addrs) => Description::new("BANNER", vec![("addrs", texts(addrs))]),
        V1Item::Connect(c) => {
            let mut fields = vec![
                ("features", features(c.features)),
                ("host", text(EntityType(c.host_type as u8))),
                ("global_seq", c.global_seq.into()),
                ("connect_seq", c.connect_seq.into()),
                ("protocol", c.protocol_version.into()),
                ("auth", auth::method(c.authorizer_protocol)),
                ("flags", connect_flags(c.flags.into())),
            ];
            fields.extend(auth::authorizer(&c.authorizer));
            Description::new("CONNECT", fields)
        }
        V1Item::ConnectReply(c) => Description::new(
            "CONNECT_REPLY",
            vec![
                ("tag", c.tag_name().into()),
                ("features", features(c.features)),
                ("global_seq", c.global_seq.into()),
                ("connect_seq", c.connect_seq.into()),
                ("protocol", c.protocol_version.into()),
                ("authorizer", c.authorizer.len().into()),
                ("flags", connect_flags(c.flags.into())),
            ],
        ),
        V1Item::Seq(seq) => Description::new("SEQ", vec![("seq", (*seq).into())]),
        V1Item::Close => Description::new("CLOSE", Fields::new()),
        V1Item::Ack(seq) => Description::new("ACK", vec![("seq", (*seq).into())]),
        V1Item::Keepalive => Description::new("KEEPALIVE", Fields::new()),
        V1Item::Keepalive2(time) => Description::new("KEEPALIVE2", vec![("stamp", stamp(*time))]),
        V1Item::Keepalive2Ack(time) => Description::new("KEEPALIVE2_ACK", vec![("stamp", stamp(*time))]),
    }
}
