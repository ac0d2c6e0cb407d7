//! From segments to byte streams: retransmissions are dropped, what came out of order is put in order, and what
//! never came is told as a gap.
//!
//! Memory is bounded: segments wait for what is missing before them only up to [`MAX_WAITING`] bytes a direction
//! and [`MAX_WAITING_ALL`] in all, then the gap is taken for real; connections are forgotten, oldest first, beyond
//! [`MAX_CONNECTIONS`].

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::SocketAddr,
};

use bytes::{Buf, Bytes};

use crate::{packet::Segment, pcap::Timestamp};

/// Bytes of one direction that wait for missing ones.
pub const MAX_WAITING: usize = 4 << 20;
/// Bytes that wait in all connections.
pub const MAX_WAITING_ALL: usize = 64 << 20;
/// Connections that are followed at a time.
pub const MAX_CONNECTIONS: usize = 65536;
/// Bookkeeping of a waiting segment, so that empty ones count too.
const SEGMENT_OVERHEAD: usize = 64;

/// Number of a connection in its file, from 0 in order of beginning.
pub type ConnectionId = u32;

/// Which way bytes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From who connected.
    ToServer,
    /// From who listens.
    ToClient,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::ToServer, Self::ToClient];

    /// The other one.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

/// What happens to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TcpEvent {
    /// It begins, or is seen for the first time.
    Opened {
        /// Who connects. Without the first packet: whose port number is higher.
        client: SocketAddr,
        /// Who listens.
        server: SocketAddr,
        /// Whether its first packet is in the file.
        from_start: bool,
    },
    /// The next bytes of a direction.
    Data(Direction, Bytes),
    /// So many bytes of a direction are not in the file.
    Gap(Direction, u64),
    /// It is over; nothing comes after this.
    Closed,
}

/// An event, of which connection, and when the packet was captured that it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpRecord {
    /// Which connection.
    pub connection: ConnectionId,
    /// When.
    pub time: Timestamp,
    /// What.
    pub event: TcpEvent,
}

/// A segment that waits: its time, its bytes, and how many behind them were not captured.
struct Waiting {
    time: Timestamp,
    data: Bytes,
    missing: usize,
}

/// One direction. Positions count bytes since its beginning.
#[derive(Default)]
struct Half {
    /// Sequence number of the next byte; none before it is known.
    next_seq: Option<u32>,
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
    waiting_len: usize,
    /// Where the direction ends.
    end: Option<u64>,
    /// What the receiver says it has.
    acked: u64,
}

impl Half {
    /// How far `seq` is from the next byte; negative is behind.
    fn distance(&self, seq: u32) -> Option<i64> {
        self.next_seq.map(|next| i64::from(seq.wrapping_sub(next) as i32))
    }

    fn advance(&mut self, n: usize) {
        self.next += n as u64;
        // Sequence numbers wrap.
        self.next_seq = self.next_seq.map(|seq| seq.wrapping_add(n as u32));
    }

    /// Bytes between here and what is known to have been sent.
    fn missing_at_end(&self) -> u64 {
        match self.end {
            Some(end) => end.saturating_sub(self.next),
            // An acknowledged FIN counts as one byte: one more than was seen is a FIN that was not.
            None => Some(self.acked.saturating_sub(self.next))
                .filter(|n| *n > 1)
                .unwrap_or(0),
        }
    }
}

struct Connection {
    id: ConnectionId,
    client: SocketAddr,
    halves: [Half; 2],
    /// Whether it has been told to be open, and not yet closed.
    open: bool,
}

type Key = (SocketAddr, SocketAddr);

fn key(a: SocketAddr, b: SocketAddr) -> Key {
    if a <= b { (a, b) } else { (b, a) }
}

/// Follows all connections of a file.
#[derive(Default)]
pub struct Assembler {
    connections: HashMap<Key, Connection>,
    /// By age; entries of replaced connections stay until they are the oldest.
    order: VecDeque<(Key, ConnectionId)>,
    next_id: ConnectionId,
    waiting: usize,
    out: VecDeque<TcpRecord>,
}

impl Assembler {
    /// The next thing that is known.
    pub fn pop(&mut self) -> Option<TcpRecord> {
        self.out.pop_front()
    }

    /// Takes a segment, captured at `time`.
    pub fn push(&mut self, time: Timestamp, segment: &Segment) {
        let key = key(segment.from, segment.to);
        if self.begins_anew(key, segment) {
            self.close(key, time);
            self.connections.remove(&key);
        }
        if !self.connections.contains_key(&key) {
            // What is left of a connection that is long over is no connection.
            if !segment.syn && segment.payload.is_empty() && segment.missing == 0 {
                return;
            }
            self.open(key, time, segment);
        }
        let Some(c) = self.connections.get_mut(&key) else {
            return;
        };
        let direction = if segment.from == c.client {
            Direction::ToServer
        } else {
            Direction::ToClient
        };
        self.waiting += c.take(direction, time, segment, &mut self.out);
        let limit = if self.waiting > MAX_WAITING_ALL {
            0
        } else {
            MAX_WAITING
        };
        self.waiting = self
            .waiting
            .saturating_sub(c.drain(direction, limit, &mut self.out));
        let over = c.halves.iter().all(|h| h.end.is_some_and(|end| h.next >= end));
        if over || segment.rst {
            self.close(key, time);
        }
    }

    /// Ends everything: the file is over, as of `time`.
    pub fn finish(&mut self, time: Timestamp) {
        for (key, _) in std::mem::take(&mut self.order) {
            self.close(key, time);
        }
        self.connections.clear();
    }

    /// Whether the segment begins a connection between ends that have had one before.
    fn begins_anew(&self, key: Key, segment: &Segment) -> bool {
        let Some(c) = self.connections.get(&key) else {
            return false;
        };
        if !segment.syn || segment.ack.is_some() {
            return false;
        }
        let half = &c.halves[Direction::ToServer as usize];
        let first = half.next_seq.map(|next| next.wrapping_sub(half.next as u32));
        segment.from != c.client || first != Some(segment.seq.wrapping_add(1))
    }

    fn open(&mut self, key: Key, time: Timestamp, segment: &Segment) {
        while self.order.len() >= MAX_CONNECTIONS
            && let Some((key, id)) = self.order.pop_front()
        {
            if self.connections.get(&key).is_some_and(|c| c.id == id) {
                self.close(key, time);
                self.connections.remove(&key);
            }
        }
        let (from, to) = (segment.from, segment.to);
        let from_is_client = match (segment.syn, segment.ack.is_some()) {
            (true, answer) => !answer,
            (false, _) => from.port() > to.port(),
        };
        let (client, server) = if from_is_client { (from, to) } else { (to, from) };
        let id = self.next_id;
        self.next_id += 1;
        self.order.push_back((key, id));
        self.connections.insert(
            key,
            Connection {
                id,
                client,
                halves: Default::default(),
                open: true,
            },
        );
        self.out.push_back(TcpRecord {
            connection: id,
            time,
            event: TcpEvent::Opened {
                client,
                server,
                from_start: segment.syn,
            },
        });
    }

    /// Hands out what still waits, and says that the connection is over.
    fn close(&mut self, key: Key, time: Timestamp) {
        let Some(c) = self.connections.get_mut(&key).filter(|c| c.open) else {
            return;
        };
        c.open = false;
        for direction in Direction::BOTH {
            self.waiting = self.waiting.saturating_sub(c.drain(direction, 0, &mut self.out));
            let missing = c.halves[direction as usize].missing_at_end();
            if missing > 0 {
                c.tell(time, TcpEvent::Gap(direction, missing), &mut self.out);
            }
        }
        c.tell(time, TcpEvent::Closed, &mut self.out);
    }
}

impl Connection {
    fn tell(&self, time: Timestamp, event: TcpEvent, out: &mut VecDeque<TcpRecord>) {
        out.push_back(TcpRecord {
            connection: self.id,
            time,
            event,
        });
    }

    /// Takes a segment of a direction; returns how much more waits.
    fn take(&mut self, to: Direction, time: Timestamp, s: &Segment, out: &mut VecDeque<TcpRecord>) -> usize {
        if !self.open {
            return 0;
        }
        if let Some(ack) = s.ack {
            let other = &mut self.halves[to.reverse() as usize];
            if let Some(distance) = other.distance(ack).filter(|d| *d > 0) {
                other.acked = other.acked.max(other.next + distance.unsigned_abs());
            }
        }
        let half = &mut self.halves[to as usize];
        let seq = if s.syn { s.seq.wrapping_add(1) } else { s.seq };
        let distance = match half.distance(seq) {
            Some(distance) => distance,
            None => {
                half.next_seq = Some(seq);
                0
            }
        };
        let len = s.payload.len() + s.missing;
        let at = half.next as i64 + distance;
        if s.fin && at >= 0 {
            half.end.get_or_insert(at.unsigned_abs() + len as u64);
        }
        let mut waiting = Waiting {
            time,
            data: s.payload.clone(),
            missing: s.missing,
        };
        if len == 0 || distance + len as i64 <= 0 {
            return 0; // nothing new
        }
        if distance <= 0 {
            waiting.cut_front(distance.unsigned_abs() as usize);
            self.deliver(to, waiting, out);
            return 0;
        }
        let cost = waiting.cost();
        let at = at.unsigned_abs();
        // Of two segments at one place the longer one.
        if half.waiting.get(&at).is_some_and(|old| old.len() >= len) {
            return 0;
        }
        let replaced = half.waiting.insert(at, waiting).map_or(0, |old| old.cost());
        half.waiting_len = half.waiting_len + cost - replaced;
        cost.saturating_sub(replaced)
    }

    /// Hands out a segment that begins at the next byte.
    fn deliver(&mut self, to: Direction, segment: Waiting, out: &mut VecDeque<TcpRecord>) {
        self.halves[to as usize].advance(segment.len());
        if !segment.data.is_empty() {
            self.tell(segment.time, TcpEvent::Data(to, segment.data), out);
        }
        if segment.missing > 0 {
            self.tell(segment.time, TcpEvent::Gap(to, segment.missing as u64), out);
        }
    }

    /// Hands out what waited and is next; and if more than `limit` bytes wait, what comes after a gap. Returns
    /// how much less waits.
    fn drain(&mut self, to: Direction, limit: usize, out: &mut VecDeque<TcpRecord>) -> usize {
        let mut freed = 0;
        loop {
            let half = &mut self.halves[to as usize];
            let Some(first) = half.waiting.first_entry() else {
                return freed;
            };
            let at = *first.key();
            if at > half.next && half.waiting_len <= limit {
                return freed;
            }
            let mut segment = first.remove();
            let cost = segment.cost();
            half.waiting_len -= cost;
            freed += cost;
            let next = half.next;
            if at > next {
                let gap = at - next;
                half.next_seq = half.next_seq.map(|seq| seq.wrapping_add(gap as u32));
                half.next = at;
                self.tell(segment.time, TcpEvent::Gap(to, gap), out);
            }
            let seen = usize::try_from(next.saturating_sub(at)).unwrap_or(usize::MAX);
            if segment.len() > seen {
                segment.cut_front(seen);
                self.deliver(to, segment, out);
            }
        }
    }
}

impl Waiting {
    fn len(&self) -> usize {
        self.data.len() + self.missing
    }

    fn cost(&self) -> usize {
        self.data.len() + SEGMENT_OVERHEAD
    }

    /// Drops the first `n` bytes, at most all of them.
    fn cut_front(&mut self, n: usize) {
        let of_data = n.min(self.data.len());
        self.data.advance(of_data);
        self.missing = self.missing.saturating_sub(n - of_data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(to_server: bool, seq: u32, flags: &str, payload: &'static [u8]) -> Segment {
        let (client, server) = (([127, 0, 0, 1], 5000).into(), ([127, 0, 0, 1], 3300).into());
        let (from, to) = if to_server {
            (client, server)
        } else {
            (server, client)
        };
        Segment {
            from,
            to,
            seq,
            ack: None,
            syn: flags.contains('S'),
            fin: flags.contains('F'),
            rst: flags.contains('R'),
            payload: Bytes::from_static(payload),
            missing: 0,
        }
    }

    /// What the segments give, one letter an event.
    fn run(segments: &[Segment]) -> Vec<String> {
        let mut a = Assembler::default();
        for (n, s) in segments.iter().enumerate() {
            a.push(Timestamp(n as u64), s);
        }
        a.finish(Timestamp(99));
        assert_eq!(a.waiting, 0);
        let text = |r: TcpRecord| match r.event {
            TcpEvent::Opened {
                client, from_start, ..
            } => format!("{} open {client} {from_start}", r.connection),
            TcpEvent::Data(d, data) => format!("{} {d:?} {}", r.connection, String::from_utf8_lossy(&data)),
            TcpEvent::Gap(d, n) => format!("{} {d:?} gap {n}", r.connection),
            TcpEvent::Closed => format!("{} closed", r.connection),
        };
        std::iter::from_fn(|| a.pop()).map(text).collect()
    }

    #[test]
    fn retransmitted_overlapping_and_disordered_segments_give_one_stream() {
        let first = u32::MAX - 3; // sequence numbers wrap on the way
        let at = |n: u32| first.wrapping_add(1).wrapping_add(n);
        let got = run(&[
            segment(true, first, "S", b""),
            segment(true, first, "S", b""),
            segment(true, at(0), "", b"abc"),
            segment(true, at(6), "F", b"gh"),
            segment(true, at(0), "", b"abcd"),
            segment(true, at(1), "", b"bc"),
            segment(true, at(3), "", b"defg"),
            segment(false, 70, "F", b"x"),
        ]);
        assert_eq!(
            got,
            [
                "0 open 127.0.0.1:5000 true",
                "0 ToServer abc",
                "0 ToServer d",
                "0 ToServer efg",
                "0 ToServer h",
                "0 ToClient x",
                "0 closed"
            ]
        );
    }

    #[test]
    fn what_never_came_is_a_gap_also_at_the_end() {
        let got = run(&[
            segment(true, 0, "S", b""),
            segment(true, 4, "", b"d"),
            segment(true, 9, "F", b""),
        ]);
        assert_eq!(
            got[1..],
            ["0 ToServer gap 3", "0 ToServer d", "0 ToServer gap 4", "0 closed"]
        );
    }

    #[test]
    fn bytes_that_were_cut_off_packets_are_a_gap_at_once() {
        let mut cut = segment(true, 1, "", b"ab");
        cut.missing = 2;
        let got = run(&[segment(true, 0, "S", b""), cut, segment(true, 5, "", b"e")]);
        assert_eq!(got[1..4], ["0 ToServer ab", "0 ToServer gap 2", "0 ToServer e"]);
    }

    #[test]
    fn ports_used_again_are_another_connection() {
        let got = run(&[
            segment(true, 0, "S", b""),
            segment(true, 1, "", b"a"),
            segment(true, 1, "R", b""),
            segment(true, 1, "", b"a"),
            segment(true, 900, "S", b""),
            segment(true, 901, "", b"b"),
        ]);
        assert_eq!(
            got[2..],
            [
                "0 closed",
                "1 open 127.0.0.1:5000 true",
                "1 ToServer b",
                "1 closed"
            ]
        );
    }

    #[test]
    fn a_connection_without_its_beginning_has_the_lower_port_as_its_server() {
        let got = run(&[segment(false, 7, "", b""), segment(false, 7, "", b"a")]);
        assert_eq!(got, ["0 open 127.0.0.1:5000 false", "0 ToClient a", "0 closed"]);
    }

    #[test]
    fn what_waits_is_bounded() {
        static BIG: [u8; 1 << 16] = [0; 1 << 16];
        let mut a = Assembler::default();
        a.push(Timestamp(0), &segment(true, 0, "S", b""));
        for n in 0..200 {
            a.push(Timestamp(n), &segment(true, 2 + n as u32 * (1 << 16), "", &BIG));
            assert!(a.waiting <= MAX_WAITING);
        }
        assert!(std::iter::from_fn(|| a.pop()).any(|r| r.event == TcpEvent::Gap(Direction::ToServer, 1)));
    }
}
