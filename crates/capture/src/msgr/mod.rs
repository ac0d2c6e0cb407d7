//! Listening to a connection: which protocol it speaks, and what both sides say.

mod auth;
mod calls;
mod control;
mod side;
mod v1;
mod v1_items;
mod v2;

use std::{collections::VecDeque, net::SocketAddr};

use bytes::Bytes;
use encoding::{
    Features, RawMessage,
    types::{EntityName, EntityType},
};
use msgr::v2::{Banner, Limits};

use crate::{
    keys::KeyBook,
    pcap::{FileDamage, Timestamp},
    tcp::Direction,
};

pub use control::Control;
pub use side::Traffic;
pub use v1_items::{V1Connect, V1ConnectReply, V1Item};

use calls::Calls;
use side::Side;

/// Which messenger protocol a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// Not known (yet).
    Unknown,
    /// msgr v1.
    V1,
    /// msgr v2.1 with checksums, or still shaking hands.
    V2Crc,
    /// msgr v2.1, encrypted.
    V2Secure,
}

impl Protocol {
    /// A short name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "?",
            Self::V1 => "v1",
            Self::V2Crc => "v2",
            Self::V2Secure => "v2-secure",
        }
    }
}

/// What is known of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Who connects.
    pub client_addr: SocketAddr,
    /// Who listens.
    pub server_addr: SocketAddr,
    /// Whether the first packet is in the file.
    pub from_start: bool,
    /// The protocol.
    pub protocol: Protocol,
    /// Who the client says it is (`client.4123`).
    pub client: Option<EntityName>,
    /// What the client authenticates as (`client.admin`).
    pub client_entity: Option<String>,
    /// Who the server says it is; its number may be -1, unknown.
    pub server: Option<EntityName>,
    /// The client's features.
    pub client_features: Option<Features>,
    /// The server's features.
    pub server_features: Option<Features>,
    /// Bytes, to the server and to the client.
    pub traffic: [Traffic; 2],
}

impl ConnectionInfo {
    /// What both sides can do, as far as it is known.
    #[must_use]
    pub fn features(&self) -> Features {
        let all = Features(u64::MAX);
        self.client_features
            .unwrap_or(all)
            .common(self.server_features.unwrap_or(all))
    }
}

/// A message with what its envelope says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageItem {
    /// Number in its session and direction, from 1.
    pub seq: u64,
    /// The last message that the sender had received (v2).
    pub ack_seq: Option<u64>,
    /// The sender (v1).
    pub source: Option<EntityName>,
    /// Features of both sides, which decide the encoding.
    pub features: Features,
    /// Of an MOSDOpReply: the methods that the request called, by op, as `class.method`. A reply does not repeat
    /// them.
    pub calls: Vec<Option<String>>,
    /// The message.
    pub message: RawMessage,
}

/// Bytes that could not be decoded, or are not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Position in the direction's stream, in bytes.
    pub offset: u64,
    /// How many bytes were passed over. 0 if they were decoded all the same.
    pub skipped: u64,
    /// What is wrong.
    pub what: String,
}

/// Something that is in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// A connection begins.
    Opened,
    /// A connection is over.
    Closed,
    /// The banner of msgr v2.
    V2Banner(Banner),
    /// A control frame of msgr v2, and its segment as it came.
    Control(Box<Control>, Bytes),
    /// Anything but a message of msgr v1, and its bytes.
    V1(Box<V1Item>, Bytes),
    /// A message.
    Message(Box<MessageItem>),
    /// Part of a stream that is not understood.
    Damage(Damage),
    /// Part of the file that is not understood.
    FileDamage(FileDamage),
    /// Packets without TCP segments that could be read, and why; told once, at the end.
    Packets(crate::packet::NoSegment, u64),
}

/// An item with its direction, its time and its length on the wire.
pub(crate) struct Said {
    pub(crate) time: Timestamp,
    pub(crate) direction: Option<Direction>,
    pub(crate) len: u64,
    pub(crate) item: Item,
}

/// Whether something was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Progress,
    Wait,
}

/// While the protocol is not known, so much is kept of a direction.
const MAX_UNDECIDED: usize = 256 << 10;
/// What tells the protocols apart.
const PREFIX_LEN: usize = 8;
/// Bounds on frames: what a damaged length can make us wait for.
const LIMITS: Limits = Limits {
    control: 64 << 10,
    front: 64 << 20,
    middle: 16 << 20,
    data: 128 << 20,
};

enum Decoder {
    Undecided,
    V1(Box<v1::V1>),
    V2(Box<v2::V2>),
    /// Another protocol.
    Foreign,
}

/// What decoders work on.
struct Wire<'a> {
    sides: &'a mut [Side; 2],
    calls: &'a mut Calls,
    info: &'a mut ConnectionInfo,
    keys: &'a mut KeyBook,
    out: &'a mut VecDeque<Said>,
}

impl Wire<'_> {
    fn side(&mut self, d: Direction) -> &mut Side {
        &mut self.sides[d as usize]
    }

    /// What was taken off a direction is `item`.
    fn decoded(&mut self, d: Direction, item: Item) {
        let side = self.side(d);
        let (time, len) = (side.time(), side.decoded());
        self.say(d, time, len, item);
    }

    /// What was taken off a direction is a message.
    fn message(
        &mut self,
        d: Direction,
        seq: u64,
        ack_seq: Option<u64>,
        source: Option<EntityName>,
        message: RawMessage,
    ) {
        let item = MessageItem {
            seq,
            ack_seq,
            source,
            features: self.info.features(),
            calls: self.calls.of(&message),
            message,
        };
        self.decoded(d, Item::Message(Box::new(item)));
    }

    fn say(&mut self, d: Direction, time: Timestamp, len: u64, item: Item) {
        self.out.push_back(Said {
            time,
            direction: Some(d),
            len,
            item,
        });
    }

    /// What was taken off a direction, and `more` bytes, are not understood.
    fn damaged(&mut self, d: Direction, more: usize, what: impl Into<String>) {
        let (offset, skipped) = self.side(d).skip(more);
        self.remark(d, offset, skipped, what);
    }

    fn remark(&mut self, d: Direction, offset: u64, skipped: u64, what: impl Into<String>) {
        let time = self.side(d).time();
        let what = what.into();
        self.say(
            d,
            time,
            0,
            Item::Damage(Damage {
                offset,
                skipped,
                what,
            }),
        );
    }

    /// Nothing more can be decoded of a direction.
    fn give_up(&mut self, d: Direction, what: impl Into<String>) {
        let all = self.side(d).rx.len();
        self.damaged(d, all, what);
        self.side(d).dead = true;
    }
}

/// A connection that is listened to.
pub(crate) struct Conversation {
    pub(crate) info: ConnectionInfo,
    sides: [Side; 2],
    calls: Calls,
    decoder: Decoder,
}

impl Conversation {
    pub(crate) fn new(client: SocketAddr, server: SocketAddr, from_start: bool) -> Self {
        Self {
            info: ConnectionInfo {
                client_addr: client,
                server_addr: server,
                from_start,
                protocol: Protocol::Unknown,
                client: None,
                client_entity: None,
                server: None,
                client_features: None,
                server_features: None,
                traffic: Default::default(),
            },
            sides: Default::default(),
            calls: Calls::default(),
            decoder: Decoder::Undecided,
        }
    }

    /// The next bytes of a direction.
    pub(crate) fn data(
        &mut self,
        d: Direction,
        time: Timestamp,
        data: &Bytes,
        keys: &mut KeyBook,
        out: &mut VecDeque<Said>,
    ) {
        self.sides[d as usize].push(time, data);
        self.run(keys, out);
    }

    /// Bytes of a direction that are not there.
    pub(crate) fn gap(&mut self, d: Direction, len: u64, keys: &mut KeyBook, out: &mut VecDeque<Said>) {
        let (mut wire, decoder) = self.parts(keys, out);
        if !wire.side(d).dead && !matches!(decoder, Decoder::Foreign) {
            let waiting = wire.side(d).rx.len();
            let what = format!("{len} bytes are not in the file");
            wire.damaged(d, waiting, what);
            match decoder {
                Decoder::V1(v1) => v1.lost(d, &mut wire),
                Decoder::V2(v2) => v2.lost(d, &mut wire),
                Decoder::Undecided | Decoder::Foreign => {}
            }
        }
        self.sides[d as usize].gap(len);
        self.run(keys, out);
    }

    /// The connection is over: what still waits is incomplete.
    pub(crate) fn end(&mut self, keys: &mut KeyBook, out: &mut VecDeque<Said>) {
        let foreign = matches!(self.decoder, Decoder::Foreign | Decoder::Undecided);
        let (mut wire, _) = self.parts(keys, out);
        for d in Direction::BOTH {
            let side = wire.side(d);
            let waiting = side.rx.len();
            if side.pos() == side.item_start && waiting == 0 {
                continue;
            }
            let what = if foreign {
                "not Ceph's messenger"
            } else {
                "the connection ends here, within a frame or before what it answers"
            };
            wire.damaged(d, waiting, what);
        }
        self.info.traffic = [self.sides[0].traffic, self.sides[1].traffic];
    }

    fn parts<'a>(
        &'a mut self,
        keys: &'a mut KeyBook,
        out: &'a mut VecDeque<Said>,
    ) -> (Wire<'a>, &'a mut Decoder) {
        let wire = Wire {
            sides: &mut self.sides,
            calls: &mut self.calls,
            info: &mut self.info,
            keys,
            out,
        };
        (wire, &mut self.decoder)
    }

    /// Decodes what can be decoded.
    fn run(&mut self, keys: &mut KeyBook, out: &mut VecDeque<Said>) {
        let (mut wire, decoder) = self.parts(keys, out);
        if matches!(decoder, Decoder::Undecided) {
            *decoder = decide(&mut wire);
        }
        loop {
            let mut step = Step::Wait;
            for d in Direction::BOTH {
                if wire.side(d).dead {
                    continue;
                }
                let found = match decoder {
                    Decoder::V1(v1) => v1.step(d, &mut wire),
                    Decoder::V2(v2) => v2.step(d, &mut wire),
                    Decoder::Undecided | Decoder::Foreign => Step::Wait,
                };
                if found == Step::Progress {
                    step = Step::Progress;
                }
            }
            if step == Step::Wait {
                break;
            }
        }
        self.info.traffic = [self.sides[0].traffic, self.sides[1].traffic];
    }
}

/// Tells the protocol by what either side begins with.
fn decide(wire: &mut Wire<'_>) -> Decoder {
    for d in Direction::BOTH {
        let rx = &wire.side(d).rx;
        if rx.starts_with(b"ceph v2\n") {
            wire.info.protocol = Protocol::V2Crc;
            return Decoder::V2(Box::default());
        }
        if rx.starts_with(b"ceph v0") && rx.len() >= PREFIX_LEN {
            wire.info.protocol = Protocol::V1;
            return Decoder::V1(Box::default());
        }
    }
    let from_start = wire.info.from_start && wire.sides.iter().all(|s| s.traffic.missing == 0);
    if !from_start && let Some(decoder) = decide_midway(wire) {
        return decoder;
    }
    let unlike = |s: &Side| s.rx.len() > MAX_UNDECIDED || from_start && s.rx.len() >= PREFIX_LEN;
    if wire.sides.iter().any(unlike) {
        for d in Direction::BOTH {
            wire.give_up(d, "not Ceph's messenger");
        }
        return Decoder::Foreign;
    }
    Decoder::Undecided
}

/// Without its beginning, a connection is told by the first thing in it whose checksum is right.
fn decide_midway(wire: &mut Wire<'_>) -> Option<Decoder> {
    for d in Direction::BOTH {
        let rx = &wire.side(d).rx;
        if v2::find_frame(rx).is_some() {
            wire.info.protocol = Protocol::V2Crc;
            return Some(Decoder::V2(Box::new(v2::V2::in_session())));
        }
        if v1::find_message(rx).is_some() {
            wire.info.protocol = Protocol::V1;
            return Some(Decoder::V1(Box::new(v1::V1::in_session())));
        }
    }
    None
}

/// A peer of which the type alone is known.
fn unnumbered(kind: EntityType) -> EntityName {
    EntityName { kind, num: -1 }
}
