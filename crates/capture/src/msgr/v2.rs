//! Listening to msgr v2.1 (Ceph `src/msg/async/ProtocolV2.cc`).
//!
//! Both directions are read in turn: what the server says in the handshake decides how the client's next bytes are
//! to be read, and the other way round. After damage in crc mode the next preamble with a right checksum is where it
//! goes on; in secure mode there is no way back.

use bytes::Buf;
use encoding::{Decode, Reader};
use msgr::{
    auth::ConMode,
    v2::{
        Algorithm, Banner, Frame, FrameReader, MessageHeader2, Preamble, Progress, Tag, banner::REVISION_1,
        control::AuthDoneFrame,
    },
};

use crate::tcp::Direction;

use super::{Control, Item, LIMITS, Protocol, Step, Wire, auth::Auth, unnumbered};

const PREAMBLE: usize = 32;
const BANNER_HEAD: usize = 10;
const BANNER_PAYLOAD: usize = 16;

/// What comes next of a direction.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Banner,
    Frames,
    /// Frames, but where the next one begins is not known.
    Lost,
}

#[derive(Default)]
struct Half {
    phase: Phase,
    reader: FrameReader,
    /// The reader holds a preamble whose frame has not wholly come.
    in_frame: bool,
    hello: bool,
}

#[derive(Default)]
pub(super) struct V2 {
    halves: [Half; 2],
    banners: [Option<Banner>; 2],
    auth: Auth,
    /// The client's steps of authentication, and the server's answers.
    asked: u32,
    answered: u32,
    /// Authentication is over, or its beginning was not seen.
    authenticated: bool,
    secure: bool,
}

/// Where the first preamble in `rx` is whose checksum is right.
pub(super) fn find_frame(rx: &[u8]) -> Option<usize> {
    rx.windows(PREAMBLE).position(|w| {
        (1..=4).contains(&w[1])
            && w.first_chunk::<PREAMBLE>()
                .is_some_and(|raw| Preamble::parse(raw).is_ok())
    })
}

impl V2 {
    /// A connection whose beginning is not in the file.
    pub(super) fn in_session() -> Self {
        let mut v2 = Self {
            authenticated: true,
            ..Self::default()
        };
        for half in &mut v2.halves {
            half.phase = Phase::Lost;
        }
        v2
    }

    /// Bytes of a direction are missing.
    pub(super) fn lost(&mut self, d: Direction, wire: &mut Wire<'_>) {
        if self.secure {
            wire.side(d).dead = true;
            return;
        }
        // The handshake cannot be followed any more: what comes is taken for frames with checksums.
        self.authenticated = true;
        let half = &mut self.halves[d as usize];
        half.phase = Phase::Lost;
        half.reader = FrameReader::default();
        half.in_frame = false;
    }

    pub(super) fn step(&mut self, d: Direction, wire: &mut Wire<'_>) -> Step {
        match self.halves[d as usize].phase {
            Phase::Banner => self.banner(d, wire),
            Phase::Lost => self.find(d, wire),
            Phase::Frames if self.must_wait(d) => Step::Wait,
            Phase::Frames => self.frame(d, wire),
        }
    }

    /// Whether the other direction has to be read first.
    fn must_wait(&self, d: Direction) -> bool {
        if self.authenticated || !self.halves[d as usize].hello {
            return false;
        }
        match d {
            Direction::ToServer => self.asked > self.answered,
            Direction::ToClient => self.asked == self.answered,
        }
    }

    fn banner(&mut self, d: Direction, wire: &mut Wire<'_>) -> Step {
        let rx = &wire.side(d).rx;
        let Some(head) = rx.first_chunk::<BANNER_HEAD>() else {
            return Step::Wait;
        };
        let len = usize::from(u16::from_le_bytes([head[8], head[9]]));
        if !head.starts_with(b"ceph v2\n") || len < BANNER_PAYLOAD {
            wire.give_up(d, "no msgr v2 banner");
            return Step::Progress;
        }
        let Some(raw) = wire.side(d).take(BANNER_HEAD + len) else {
            return Step::Wait;
        };
        let payload = raw.slice(BANNER_HEAD..);
        let mut r = Reader::new(&payload);
        let (Ok(supported), Ok(required)) = (r.u64(), r.u64()) else {
            return Step::Wait; // its length has been checked
        };
        let banner = Banner { supported, required };
        wire.decoded(d, Item::V2Banner(banner));
        self.banners[d as usize] = Some(banner);
        self.halves[d as usize].phase = Phase::Frames;
        if let [Some(a), Some(b)] = self.banners
            && a.supported & b.supported & REVISION_1 == 0
        {
            for d in Direction::BOTH {
                wire.give_up(d, "msgr v2.0, which is not decoded");
            }
        }
        Step::Progress
    }

    /// Looks for a place to go on.
    fn find(&mut self, d: Direction, wire: &mut Wire<'_>) -> Step {
        let rx = &wire.side(d).rx;
        let found = find_frame(rx);
        let skip = found.unwrap_or(rx.len().saturating_sub(PREAMBLE - 1));
        wire.side(d).rx.advance(skip);
        if found.is_none() {
            return Step::Wait;
        }
        if wire.side(d).pos() > wire.side(d).item_start {
            wire.damaged(d, 0, "passed over to the next frame");
        }
        self.halves[d as usize].phase = Phase::Frames;
        Step::Progress
    }

    fn frame(&mut self, d: Direction, wire: &mut Wire<'_>) -> Step {
        let half = &mut self.halves[d as usize];
        let rx = &mut wire.sides[d as usize].rx;
        // A bad preamble is left in place, so that the next one can be looked for right behind its first byte.
        if !self.secure && !half.in_frame {
            let Some(raw) = rx.first_chunk::<PREAMBLE>() else {
                return Step::Wait;
            };
            if let Err(error) = Preamble::parse(raw) {
                half.phase = Phase::Lost;
                wire.damaged(d, 1, error.to_string());
                self.authenticated = true;
                return Step::Progress;
            }
        }
        let before = rx.len();
        match half.reader.next(rx, &LIMITS) {
            Ok(Progress::Need(_)) => {
                half.in_frame |= rx.len() != before;
                Step::Wait
            }
            Ok(Progress::Ready(frame)) => {
                half.in_frame = false;
                self.heard(d, frame, wire);
                Step::Progress
            }
            Err(error) if self.secure => {
                wire.give_up(d, format!("{error}; nothing more can be decrypted"));
                Step::Progress
            }
            Err(error) => {
                half.in_frame = false;
                wire.damaged(d, 0, error.to_string());
                Step::Progress
            }
        }
    }

    /// A frame has come.
    fn heard(&mut self, d: Direction, frame: Frame, wire: &mut Wire<'_>) {
        let Some(control) = Control::decode(&frame) else {
            return self.message(d, frame, wire);
        };
        let control = match control {
            Ok(control) => control,
            Err(error) => {
                // An answer that is not understood still is one.
                self.count(d, frame.tag);
                return wire.damaged(d, 0, format!("{}: {error}", frame.tag.name()));
            }
        };
        let [segment, ..] = frame.segments;
        wire.decoded(d, Item::Control(Box::new(control.clone()), segment));
        self.count(d, frame.tag);
        self.learn(d, control, wire);
    }

    fn count(&mut self, d: Direction, tag: Tag) {
        match tag {
            Tag::HELLO => self.halves[d as usize].hello = true,
            Tag::AUTH_REQUEST | Tag::AUTH_REQUEST_MORE => self.asked += 1,
            Tag::AUTH_BAD_METHOD | Tag::AUTH_REPLY_MORE | Tag::AUTH_DONE => self.answered += 1,
            _ => {}
        }
    }

    fn learn(&mut self, d: Direction, control: Control, wire: &mut Wire<'_>) {
        let info = &mut *wire.info;
        match control {
            Control::Hello(hello) => {
                let peer = match d {
                    Direction::ToServer => &mut info.client,
                    Direction::ToClient => &mut info.server,
                };
                if peer.is_none_or(|p| p.kind != hello.kind) {
                    *peer = Some(unnumbered(hello.kind));
                }
            }
            Control::AuthRequest(f) => self.auth.request(f.method, &f.payload, info),
            Control::AuthRequestMore(f) => self.auth.request_more(&f.payload),
            Control::AuthDone(f) => self.done(&f, wire),
            Control::CompressionDone(f) if f.is_compress => {
                for half in &mut self.halves {
                    half.reader.decompress(Algorithm(f.method));
                }
            }
            Control::ClientIdent(f) => {
                info.client_features = Some(f.supported);
                if let Some(client) = info.client.as_mut().filter(|_| f.gid >= 0) {
                    client.num = f.gid;
                }
            }
            Control::ServerIdent(f) => {
                info.server_features = Some(f.supported);
                if let Some(server) = info.server.as_mut().filter(|_| f.gid >= 0) {
                    server.num = f.gid;
                }
            }
            _ => {}
        }
    }

    fn done(&mut self, f: &AuthDoneFrame, wire: &mut Wire<'_>) {
        self.authenticated = true;
        let secret = self.auth.done(f.global_id, &f.payload, wire.keys, wire.info);
        if f.mode != ConMode::SECURE.0 {
            return;
        }
        self.secure = true;
        wire.info.protocol = Protocol::V2Secure;
        let readers = secret.map(|secret| FrameReader::observers(&secret));
        let trouble = match readers {
            Ok(Some(readers)) => {
                for (half, reader) in self.halves.iter_mut().zip(readers) {
                    half.reader = reader;
                }
                return;
            }
            Ok(None) => "there is no connection secret".to_owned(),
            Err(error) => error.to_string(),
        };
        for d in Direction::BOTH {
            wire.give_up(d, format!("encrypted: {trouble}"));
        }
    }

    fn message(&mut self, d: Direction, frame: Frame, wire: &mut Wire<'_>) {
        let [header, front, middle, data] = frame.segments;
        let header = match MessageHeader2::decode(&mut Reader::new(&header)) {
            Ok(header) => header,
            Err(error) => return wire.damaged(d, 0, format!("header of a message: {error}")),
        };
        let message = encoding::RawMessage {
            header: header.message,
            front,
            middle,
            data: encoding::pieces(data),
        };
        self.auth.message(&message, wire.keys, wire.info);
        wire.message(d, header.seq, Some(header.ack_seq), None, message);
    }
}
