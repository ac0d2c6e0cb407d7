//! Messages by type: decoded, and encoded again for each generation of peers.

use bytes::Bytes;
use encoding::messages::*;
use encoding::{Message, MessageType, RawMessage};

use crate::{WORDS, bounded, take};

/// A message type.
struct Row {
    kind: MessageType,
    name: fn() -> &'static str,
    check: fn(&RawMessage),
}

/// Every message type that the server reads or writes.
const MESSAGES: &[Row] = &[
    row::<MAuth>(),
    row::<MAuthReply>(),
    row::<MCommand>(),
    row::<MCommandReply>(),
    row::<MConfig>(),
    row::<MGetConfig>(),
    row::<MGetPoolStats>(),
    row::<MGetPoolStatsReply>(),
    row::<MLog>(),
    row::<MLogAck>(),
    row::<MMgrClose>(),
    row::<MMgrCommand>(),
    row::<MMgrCommandReply>(),
    row::<MMgrConfigure>(),
    row::<MMgrMap>(),
    row::<MMgrOpen>(),
    row::<MMgrReport>(),
    row::<MMonCommand>(),
    row::<MMonCommandAck>(),
    row::<MMonGetMap>(),
    row::<MMonGetVersion>(),
    row::<MMonGetVersionReply>(),
    row::<MMonMap>(),
    row::<MMonSubscribe>(),
    row::<MMonSubscribeAck>(),
    row::<MOsdBackoff>(),
    row::<MOsdMap>(),
    row::<MOsdOp>(),
    row::<MOsdOpReply>(),
    row::<MPing>(),
    row::<MPoolOp>(),
    row::<MPoolOpReply>(),
    row::<MStatfs>(),
    row::<MStatfsReply>(),
    row::<MWatchNotify>(),
];

const fn row<M: Message>() -> Row {
    Row {
        kind: M::TYPE,
        name: std::any::type_name::<M>,
        check: check::<M>,
    }
}

/// The message type that Ceph calls `name` (`MOSDOp`).
#[must_use]
pub fn kind(name: &str) -> Option<MessageType> {
    let ours = |row: &&Row| {
        (row.name)()
            .rsplit(':')
            .next()
            .is_some_and(|last| last.eq_ignore_ascii_case(name))
    };
    MESSAGES.iter().find(ours).map(|row| row.kind)
}

fn check<M: Message>(raw: &RawMessage) {
    if let Ok(message) = M::decode(raw) {
        for features in WORDS {
            let _ = message.encode(features);
        }
        // What is encoded for a peer that knows everything is understood again.
        let again = message.encode(WORDS[7]);
        if let Err(error) = M::decode(&again) {
            panic!("{:?} does not decode what it encodes: {error}", M::TYPE);
        }
    }
}

/// An input for the target: type, version and length of the front, front, data; all numbers little-endian.
#[must_use]
pub fn input(kind: MessageType, version: u16, front: &[u8], data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(front.len()).unwrap_or(u32::MAX);
    let parts: [&[u8]; 5] = [
        &kind.0.to_le_bytes(),
        &version.to_le_bytes(),
        &len.to_le_bytes(),
        front,
        data,
    ];
    parts.concat()
}

/// Runs one input.
pub fn run(data: &[u8]) {
    bounded(data.len(), || run_unbounded(data));
}

fn run_unbounded(data: &[u8]) {
    let mut data = data;
    let head = (take(&mut data), take(&mut data), take(&mut data));
    let (Some(kind), Some(version), Some(len)) = head else {
        return;
    };
    let kind = MessageType(u16::from_le_bytes(kind));
    let len = usize::try_from(u32::from_le_bytes(len))
        .unwrap_or(usize::MAX)
        .min(data.len());
    let (front, data) = data.split_at(len);
    let version = u16::from_le_bytes(version);
    let mut raw = RawMessage::new(kind, version, 1, Bytes::copy_from_slice(front));
    raw.data = encoding::pieces(Bytes::copy_from_slice(data));
    for row in MESSAGES.iter().filter(|row| row.kind == kind) {
        (row.check)(&raw);
    }
}
