//! Listening to msgr v1 (Ceph `src/msg/async/ProtocolV1.cc`, `src/include/msgr.h`).
//!
//! After damage the next message whose header has a right checksum is where it goes on.

use bytes::{Buf, Bytes};
use encoding::{
    Decode, Feature, MessageHeader, MessageType, RawMessage, Reader,
    codec::{self, ceph_crc32c},
    types::{EntityAddr, EntityName, EntityType, Utime},
};

use crate::tcp::Direction;

use super::{
    Item, LIMITS, Step, Wire,
    auth::Auth,
    unnumbered,
    v1_items::{
        ADDR_LEN, BANNER, CONNECT_LEN, CONNECT_REPLY_LEN, V1Connect, V1ConnectReply, V1Item, tag, tag_name,
    },
};

/// `ceph_msg_header` and `ceph_msg_footer`, of which the old one lacks the signature.
const HEADER_LEN: usize = 53;
const FOOTER_LEN: usize = 21;
const OLD_FOOTER_LEN: usize = 13;
/// `CEPH_MSG_FOOTER_NOCRC`: the checksum of the data is not there.
const NOCRC: u8 = 2;
/// Authorizers are tickets: larger ones are damage.
const MAX_AUTHORIZER: usize = 64 << 10;

/// What comes next of a direction.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Banner,
    Connect,
    Seq,
    Session,
    /// Of a session, but where the next thing begins is not known.
    Lost,
}

#[derive(Default)]
pub(super) struct V1 {
    phases: [Phase; 2],
    asked: u32,
    answered: u32,
    /// Messages have the old footer, without signature.
    old_footer: bool,
    auth: Auth,
}

/// The head of a message.
struct Head {
    seq: u64,
    header: MessageHeader,
    front: usize,
    middle: usize,
    data: usize,
    source: EntityName,
    crc: u32,
}

impl Decode for Head {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        let (seq, tid) = (r.u64()?, r.u64()?);
        let (kind, priority, version) = (MessageType(r.u16()?), r.u16()?, r.u16()?);
        let (front, middle, data) = (r.u32()? as usize, r.u32()? as usize, r.u32()? as usize);
        let data_off = r.u16()?;
        let source = EntityName::decode(r)?;
        let compat_version = r.u16()?;
        r.skip(2, "reserved")?;
        Ok(Self {
            seq,
            header: MessageHeader {
                tid,
                kind,
                priority,
                version,
                compat_version,
                data_off,
            },
            front,
            middle,
            data,
            source,
            crc: r.u32()?,
        })
    }
}

impl Head {
    /// Reads a header and checks what can be checked without the message.
    fn parse(raw: &[u8; HEADER_LEN]) -> Result<Self, String> {
        let head = Self::decode(&mut Reader::new(&Bytes::copy_from_slice(raw))).map_err(|e| e.to_string())?;
        if ceph_crc32c(0, &raw[..HEADER_LEN - 4]) != head.crc && cfg!(not(fuzzing)) {
            return Err("header of a message: checksum mismatch".to_owned());
        }
        let bounds = [
            (head.front, LIMITS.front),
            (head.middle, LIMITS.middle),
            (head.data, LIMITS.data),
        ];
        if bounds.iter().any(|(len, max)| *len > *max as usize) {
            return Err("header of a message: absurd lengths".to_owned());
        }
        Ok(head)
    }

    fn body_len(&self) -> usize {
        self.front + self.middle + self.data
    }
}

/// Where the first message in `rx` is whose header's checksum is right.
pub(super) fn find_message(rx: &[u8]) -> Option<usize> {
    rx.windows(1 + HEADER_LEN).position(|w| {
        // The lengths' upper bytes are cheap to look at.
        w[0] == tag::MSG
            && w[26] < 8
            && w[1..]
                .first_chunk::<HEADER_LEN>()
                .is_some_and(|raw| Head::parse(raw).is_ok())
    })
}

impl V1 {
    /// A connection whose beginning is not in the file.
    pub(super) fn in_session() -> Self {
        Self {
            phases: [Phase::Lost; 2],
            ..Self::default()
        }
    }

    /// Bytes of a direction are missing.
    pub(super) fn lost(&mut self, d: Direction, _: &mut Wire<'_>) {
        self.phases[d as usize] = Phase::Lost;
        // The handshake cannot be followed any more.
        let other = &mut self.phases[d.reverse() as usize];
        if *other != Phase::Session {
            *other = Phase::Lost;
        }
    }

    pub(super) fn step(&mut self, d: Direction, wire: &mut Wire<'_>) -> Step {
        match (self.phases[d as usize], d) {
            (Phase::Banner, _) => self.banner(d, wire),
            (Phase::Connect, Direction::ToServer) => self.connect(wire),
            (Phase::Connect, Direction::ToClient) => self.reply(wire),
            (Phase::Seq, _) => self.seq(d, wire),
            (Phase::Session, _) => self.session(d, wire),
            (Phase::Lost, _) => self.find(d, wire),
        }
    }

    fn banner(&mut self, d: Direction, wire: &mut Wire<'_>) -> Step {
        let addrs = match d {
            Direction::ToServer => 1,
            Direction::ToClient => 2,
        };
        let Some(raw) = wire.side(d).take(BANNER.len() + addrs * ADDR_LEN) else {
            return Step::Wait;
        };
        let mut r = Reader::new(&raw);
        let text = r.slice(BANNER.len(), "banner");
        if text != Ok(BANNER) {
            wire.give_up(d, "no msgr v1 banner");
            return Step::Progress;
        }
        let read: codec::Result<Vec<_>> = (0..addrs).map(|_| EntityAddr::decode(&mut r)).collect();
        match read {
            Ok(addrs) => wire.decoded(d, Item::V1(Box::new(V1Item::Banner(addrs)), raw.clone())),
            Err(error) => wire.damaged(d, 0, format!("banner: {error}")),
        }
        self.phases[d as usize] = Phase::Connect;
        Step::Progress
    }

    fn connect(&mut self, wire: &mut Wire<'_>) -> Step {
        let d = Direction::ToServer;
        let Some(head) = wire.side(d).rx.first_chunk::<CONNECT_LEN>() else {
            return Step::Wait;
        };
        if self.asked > self.answered {
            return Step::Wait;
        }
        let authorizer = V1Connect::authorizer_len(head);
        if authorizer > MAX_AUTHORIZER {
            return self.lose(d, wire, "CONNECT: absurd length of the authorizer");
        }
        let Some(raw) = wire.side(d).take(CONNECT_LEN + authorizer) else {
            return Step::Wait;
        };
        self.asked += 1;
        match V1Connect::decode(&mut Reader::new(&raw)) {
            Ok(connect) => {
                wire.info.client_features = Some(connect.features);
                let kind = EntityType(connect.host_type as u8);
                wire.info.client.get_or_insert(unnumbered(kind));
                wire.info.server = service_of(connect.protocol_version).map(unnumbered);
                wire.decoded(d, Item::V1(Box::new(V1Item::Connect(connect)), raw.clone()));
            }
            Err(error) => wire.damaged(d, 0, format!("CONNECT: {error}")),
        }
        Step::Progress
    }

    fn reply(&mut self, wire: &mut Wire<'_>) -> Step {
        let d = Direction::ToClient;
        let Some(head) = wire.side(d).rx.first_chunk::<CONNECT_REPLY_LEN>() else {
            return Step::Wait;
        };
        if self.asked == self.answered {
            return Step::Wait;
        }
        let authorizer = V1ConnectReply::authorizer_len(head);
        if authorizer > MAX_AUTHORIZER {
            return self.lose(d, wire, "CONNECT_REPLY: absurd length of the authorizer");
        }
        let Some(raw) = wire.side(d).take(CONNECT_REPLY_LEN + authorizer) else {
            return Step::Wait;
        };
        self.answered += 1;
        match V1ConnectReply::decode(&mut Reader::new(&raw)) {
            Ok(reply) => self.replied(reply, raw.clone(), wire),
            Err(error) => wire.damaged(d, 0, format!("CONNECT_REPLY: {error}")),
        }
        Step::Progress
    }

    fn replied(&mut self, reply: V1ConnectReply, raw: Bytes, wire: &mut Wire<'_>) {
        let next = match reply.tag {
            tag::READY => Some(Phase::Session),
            tag::SEQ => Some(Phase::Seq),
            _ => None,
        };
        if let Some(next) = next {
            wire.info.server_features = Some(reply.features);
            self.old_footer = !wire.info.features().has(Feature::MSG_AUTH);
            self.phases = [next; 2];
        }
        let item = V1Item::ConnectReply(reply);
        wire.decoded(Direction::ToClient, Item::V1(Box::new(item), raw));
    }

    fn seq(&mut self, d: Direction, wire: &mut Wire<'_>) -> Step {
        let Some(raw) = wire.side(d).take(8) else {
            return Step::Wait;
        };
        self.phases[d as usize] = Phase::Session;
        match Reader::new(&raw).u64() {
            Ok(seq) => wire.decoded(d, Item::V1(Box::new(V1Item::Seq(seq)), raw.clone())),
            Err(error) => wire.damaged(d, 0, error.to_string()),
        }
        Step::Progress
    }

    fn session(&mut self, d: Direction, wire: &mut Wire<'_>) -> Step {
        let Some(&tag) = wire.side(d).rx.first() else {
            return Step::Wait;
        };
        let len = match tag {
            tag::CLOSE | tag::KEEPALIVE => 1,
            tag::ACK | tag::KEEPALIVE2 | tag::KEEPALIVE2_ACK => 9,
            tag::MSG => return self.message(d, wire),
            other => {
                let what = format!("tag {other} ({}) in a session", tag_name(other));
                return self.lose(d, wire, what);
            }
        };
        let Some(raw) = wire.side(d).take(len) else {
            return Step::Wait;
        };
        let body = raw.slice(1..);
        let mut r = Reader::new(&body);
        let item = match tag {
            tag::CLOSE => Ok(V1Item::Close),
            tag::KEEPALIVE => Ok(V1Item::Keepalive),
            tag::ACK => r.u64().map(V1Item::Ack),
            tag::KEEPALIVE2 => Utime::decode(&mut r).map(V1Item::Keepalive2),
            _ => Utime::decode(&mut r).map(V1Item::Keepalive2Ack),
        };
        match item {
            Ok(item) => wire.decoded(d, Item::V1(Box::new(item), raw)),
            Err(error) => wire.damaged(d, 0, error.to_string()),
        }
        Step::Progress
    }

    fn message(&mut self, d: Direction, wire: &mut Wire<'_>) -> Step {
        let rx = &wire.side(d).rx;
        let Some(raw) = rx.get(1..).and_then(<[u8]>::first_chunk::<HEADER_LEN>) else {
            return Step::Wait;
        };
        let head = match Head::parse(raw) {
            Ok(head) => head,
            Err(what) => return self.lose(d, wire, what),
        };
        let footer = if self.old_footer {
            OLD_FOOTER_LEN
        } else {
            FOOTER_LEN
        };
        let Some(mut raw) = wire.side(d).take(1 + HEADER_LEN + head.body_len() + footer) else {
            return Step::Wait;
        };
        raw.advance(1 + HEADER_LEN);
        let sections = [head.front, head.middle, head.data].map(|len| raw.split_to(len));
        let at = wire.side(d).item_start;
        if let Some(wrong) = wrong_section(&sections, &raw) {
            wire.remark(d, at, 0, format!("checksum mismatch in the {wrong} of a message"));
        }
        let [front, middle, data] = sections;
        let message = RawMessage {
            header: head.header,
            front,
            middle,
            data: encoding::pieces(data),
        };
        self.sent_by(d, head.source, wire);
        self.auth.message(&message, wire.keys, wire.info);
        wire.message(d, head.seq, None, Some(head.source), message);
        Step::Progress
    }

    /// Headers tell more of their senders than the handshake.
    fn sent_by(&self, d: Direction, source: EntityName, wire: &mut Wire<'_>) {
        let info = &mut *wire.info;
        // The kernel leaves the name empty until it has a number.
        if source.kind != EntityType(0) {
            match d {
                Direction::ToServer => info.client = Some(source),
                Direction::ToClient => info.server = Some(source),
            }
        }
        if d == Direction::ToServer && info.client_entity.is_none() {
            let name = u64::try_from(source.num).ok().and_then(|n| wire.keys.name_of(n));
            info.client_entity = name.cloned();
        }
    }

    /// What comes next is not understood: passes over its first byte and looks for the next message.
    fn lose(&mut self, d: Direction, wire: &mut Wire<'_>, what: impl Into<String>) -> Step {
        wire.damaged(d, 1, what);
        self.lost(d, wire);
        Step::Progress
    }

    fn find(&mut self, d: Direction, wire: &mut Wire<'_>) -> Step {
        let rx = &wire.side(d).rx;
        let found = find_message(rx);
        let skip = found.unwrap_or(rx.len().saturating_sub(HEADER_LEN));
        wire.side(d).rx.advance(skip);
        if found.is_none() {
            return Step::Wait;
        }
        if wire.side(d).pos() > wire.side(d).item_start {
            wire.damaged(d, 0, "passed over to the next message");
        }
        self.phases[d as usize] = Phase::Session;
        Step::Progress
    }
}

/// The name of a section whose checksum in the footer is wrong.
fn wrong_section(sections: &[Bytes; 3], footer: &[u8]) -> Option<&'static str> {
    let no_data_crc = footer.last().is_some_and(|flags| flags & NOCRC != 0);
    let names = ["front", "middle", "data"];
    let crcs = footer.as_chunks::<4>().0;
    for ((name, section), crc) in names.into_iter().zip(sections).zip(crcs) {
        let unchecked = name == "data" && no_data_crc;
        if !unchecked && ceph_crc32c(0, section).to_le_bytes() != *crc {
            return Some(name);
        }
    }
    None
}

/// The server's type by the version of its protocol with clients (`CEPH_*C_PROTOCOL`).
fn service_of(protocol_version: u32) -> Option<EntityType> {
    match protocol_version {
        15 => Some(EntityType::MON),
        24 => Some(EntityType::OSD),
        32 => Some(EntityType::MDS),
        0 => Some(EntityType::MGR),
        _ => None,
    }
}
