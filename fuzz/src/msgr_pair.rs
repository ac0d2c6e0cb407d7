//! A client and a server that talk to each other over wires which a script disturbs: bytes arrive in pieces, are lost,
//! come twice or changed, while both sides send messages and keepalives.
//!
//! Whatever happens, nothing panics and memory stays in proportion. On undisturbed wires every message arrives once,
//! unchanged and in order; in a lossless session even if the connection breaks now and then.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use encoding::types::{EntityType, Utime};
use encoding::{MessageType, RawMessage};
use msgr::auth::ConMode;
use msgr::cephx::{AuthEntityName, CephxClient, Keyring};
use msgr::connection::{Connection, Event, HandshakeEvent, ReadHalf, WriteHalf};
use msgr::lossless::{Bounds, Link};
use msgr::v2::{Algorithm, CompressionMode};
use msgr::{ClientAuth, ClientConfig, Policies, Policy, Protocol, ServerConfig};

use crate::{WORDS, memory, msgr_v1, msgr_v2, take};

/// Settings: bits of an input's first byte. Its second chooses the client's features among [`WORDS`].
pub mod flag {
    /// msgr v1, not v2.
    pub const V1: u8 = 1;
    /// No authentication; else cephx, at a monitor.
    pub const NONE: u8 = 2;
    /// An OSD, not a monitor; only without authentication.
    pub const OSD: u8 = 4;
    /// msgr v2: the client wants secure mode.
    pub const SECURE: u8 = 8;
    /// msgr v2.0, not v2.1.
    pub const V20: u8 = 16;
    /// The session outlives its connections (not with a monitor over msgr v1).
    pub const LOSSLESS: u8 = 32;
    /// msgr v2.1: frames are compressed, in a way that the input's second byte chooses.
    pub const COMPRESSED: u8 = 64;
}

/// What a script does, one byte each, with an argument of 16 bits behind it (little-endian). Bit 7 says which side or
/// direction: set is the server's.
pub mod op {
    /// Delivers that many bytes to the side.
    pub const DELIVER: u8 = 0;
    /// Delivers everything in both directions until nobody has anything to say.
    pub const SETTLE: u8 = 1;
    /// Loses that many bytes on the way to the side.
    pub const LOSE: u8 = 2;
    /// The next bytes on the way to the side come twice.
    pub const REPEAT: u8 = 3;
    /// Changes the byte at that place on the way to the side.
    pub const CHANGE: u8 = 4;
    /// The side sends a message of that length: front, then data.
    pub const MESSAGE: u8 = 5;
    /// The side sends a keepalive.
    pub const KEEPALIVE: u8 = 6;
    /// msgr v1: the side acknowledges messages up to that number.
    pub const ACK: u8 = 7;
    /// msgr v1: the side says that it closes.
    pub const CLOSE: u8 = 8;
    /// The connection breaks with all that is on its way, and the client connects again.
    pub const RECONNECT: u8 = 9;
    /// The bit for the server's side.
    pub const SERVER: u8 = 0x80;
}

/// An input for the target.
#[must_use]
pub fn input(flags: u8, word: u8, script: &[(u8, u16)]) -> Vec<u8> {
    let mut out = vec![flags, word];
    for (op, argument) in script {
        out.push(*op);
        out.extend_from_slice(&argument.to_le_bytes());
    }
    out
}

/// Steps of one input, at most.
const STEPS: usize = 256;
/// What both sides may hold without regard to the script: keys and tables, and for each side a buffer for the large message
/// that a header announces: 8 MiB at once, which the next read doubles while the old one is still there.
const BASE: usize = (4 << 20) + 2 * (24 << 20);
/// Copies of what is on the way: as a message, encoded, on the wire, in a buffer that doubles, taken apart.
const COPIES: usize = 8;

enum State {
    Shaking(Box<Connection>),
    Open(ReadHalf, WriteHalf),
    Over,
}

struct Side {
    state: State,
    /// On the way to this side.
    wire: Vec<u8>,
    /// Fronts and data of messages sent and received.
    sent: Vec<(Bytes, Bytes)>,
    received: Vec<(Bytes, Bytes)>,
    /// What outlives the connection.
    link: Option<Arc<Link>>,
    /// In the client role: its tickets.
    credentials: Option<CephxClient>,
}

impl Side {
    fn new(connection: Connection, link: Option<Arc<Link>>) -> Self {
        Self {
            state: State::Shaking(Box::new(connection)),
            wire: Vec::new(),
            sent: Vec::new(),
            received: Vec::new(),
            link,
            credentials: None,
        }
    }

    fn reconnect(&mut self, connection: Connection) {
        self.state = State::Shaking(Box::new(connection));
        self.wire.clear();
    }

    /// The session over the connection that stands now.
    fn enter(&mut self, link: Option<Arc<Link>>, credentials: Option<CephxClient>) {
        self.credentials = credentials;
        let id = |link: &Option<Arc<Link>>| link.as_ref().map(|link| link.id());
        if id(&link) != id(&self.link) {
            // A server begins anew with a client that did not hear of the session: what was sent in it is gone.
            self.sent.clear();
        }
        self.link = link;
    }

    /// Takes in bytes and says what there is to say.
    fn run(&mut self, bytes: &[u8]) -> Vec<u8> {
        if let State::Shaking(connection) = &mut self.state {
            connection.receive(bytes);
        } else if let State::Open(read, _) = &mut self.state {
            read.read_buf().extend_from_slice(bytes);
        }
        let mut out = Vec::new();
        self.state = match std::mem::replace(&mut self.state, State::Over) {
            State::Shaking(connection) => {
                let (state, entered) = shake(connection, &mut out);
                if let Some((link, credentials)) = entered {
                    self.enter(link, credentials);
                }
                state
            }
            other => other,
        };
        if let State::Open(read, write) = &mut self.state {
            let open = listen(read, write, &mut self.received);
            out.extend_from_slice(&write.output().take());
            if !open {
                self.state = State::Over;
            }
        }
        out
    }

    /// The side does something of its own accord.
    fn act(&mut self, op: u8, argument: u16) -> Vec<u8> {
        let State::Open(_, write) = &mut self.state else {
            if let (op::MESSAGE, Some(link)) = (op, &self.link) {
                let message = message(argument, self.sent.len());
                self.sent.push((message.front.clone(), message.data_bytes()));
                link.send(message);
            }
            return Vec::new();
        };
        let stamp = Utime { sec: 1, nsec: 2 };
        match (op, &mut *write) {
            (op::MESSAGE, write) => {
                let message = message(argument, self.sent.len());
                write.send(&message);
                self.sent.push((message.front.clone(), message.data_bytes()));
            }
            (op::KEEPALIVE, WriteHalf::V1(half)) => half.keepalive(stamp),
            (op::KEEPALIVE, WriteHalf::V2(half)) => half.keepalive(stamp),
            (op::ACK, WriteHalf::V1(half)) => half.ack(argument.into()),
            (op::CLOSE, WriteHalf::V1(half)) => half.close(),
            _ => {}
        }
        write.output().take().to_vec()
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

/// What a side has of a session that it got into.
type Entered = (Option<Arc<Link>>, Option<CephxClient>);

fn shake(mut connection: Box<Connection>, out: &mut Vec<u8>) -> (State, Option<Entered>) {
    let step = connection.step(now());
    out.extend_from_slice(&connection.output().take());
    match step {
        Err(_) => (State::Over, None),
        Ok(HandshakeEvent::Pending) => (State::Shaking(connection), None),
        Ok(HandshakeEvent::Ready) => connection.into_session().map_or((State::Over, None), |session| {
            let entered = (session.link, session.credentials);
            (State::Open(session.read, session.write), Some(entered))
        }),
    }
}

/// False when the session is over.
fn listen(read: &mut ReadHalf, write: &mut WriteHalf, received: &mut Vec<(Bytes, Bytes)>) -> bool {
    loop {
        match read.poll_event() {
            Err(_) | Ok(Some(Event::Close)) => return false,
            Ok(None) => {
                write.pump();
                return true;
            }
            Ok(Some(Event::Keepalive(stamp))) => write.keepalive_ack(stamp),
            Ok(Some(Event::Message(m))) => received.push((m.front.clone(), m.data_bytes())),
            Ok(Some(_)) => {}
        }
    }
}

fn message(len: u16, number: usize) -> RawMessage {
    let front = usize::from(len) / 3;
    let bytes: Vec<u8> = (0..usize::from(len)).map(|n| (n ^ number) as u8).collect();
    let mut bytes = Bytes::from(bytes);
    let front = bytes.split_to(front);
    let mut message = RawMessage::new(MessageType::OSD_OP, 8, 3, front);
    message.header.tid = number as u64;
    message.data = encoding::pieces(bytes);
    message
}

struct Pair {
    server: Arc<ServerConfig>,
    client: ClientConfig,
    lossless: bool,
    sides: [Side; 2],
    /// The wires were not disturbed.
    faithful: bool,
    /// Bytes that messages and repetitions added.
    added: usize,
}

/// Numbers of the sides.
const CLIENT: usize = 0;
const SERVER: usize = 1;

impl Pair {
    fn new(flags: u8, number: usize) -> Self {
        let word = WORDS[number % WORDS.len()];
        let none = flags & flag::NONE != 0;
        let osd = none && flags & flag::OSD != 0;
        let mut settings = if none { msgr_v2::flag::AUTH_NONE } else { 0 };
        if osd {
            settings |= msgr_v2::flag::OSD;
        }
        let (mut server, target) = if flags & flag::V1 != 0 {
            (msgr_v1::config(settings), msgr_v1::server_address())
        } else {
            (msgr_v2::config(settings), msgr_v2::server_address())
        };
        if server.protocol != Protocol::V1 && flags & flag::V20 != 0 {
            server.protocol = Protocol::V20;
        }
        let kind = if osd { EntityType::OSD } else { EntityType::MON };
        let mut client = ClientConfig::new(kind, target, credentials(none));
        client.protocol = server.protocol;
        client.supported = word;
        if flags & flag::SECURE != 0 {
            client.modes = vec![ConMode::SECURE];
        }
        if flags & flag::COMPRESSED != 0 {
            for (compression, limits) in [
                (&mut server.compression, &mut server.limits),
                (&mut client.compression, &mut client.limits),
            ] {
                compression.mode = CompressionMode::Force;
                compression.algorithms = vec![Algorithm::SPOKEN[number % Algorithm::SPOKEN.len()]];
                compression.min_size = 16;
                compression.in_secure_mode = true;
                // Little on the wire may be much: as much as a message may hold.
                limits.data = 1 << 20;
                limits.front = 1 << 20;
            }
        }
        let lossless = flags & flag::LOSSLESS != 0 && (server.protocol != Protocol::V1 || osd);
        let link = lossless.then(|| Link::new(Bounds::default()));
        if lossless {
            server.policies = Policies::all(Policy::stateful_server());
            client.policy = Policy::lossless_client();
            client.link = link.clone();
        }
        let server = Arc::new(server);
        let mut pair = Self {
            sides: [Side::new(dial(&client), link), Side::new(accept(&server), None)],
            server,
            client,
            lossless,
            faithful: true,
            added: 0,
        };
        pair.deliver(CLIENT, 0);
        pair.deliver(SERVER, 0);
        pair
    }

    fn reconnect(&mut self) {
        // A lossy session loses what is on its way, and over msgr v1 a client that has not heard of its session
        // begins another.
        self.faithful &=
            self.lossless && (self.is_open() || self.sides.iter().all(|side| side.received.is_empty()));
        let client = ClientConfig {
            link: self.sides[CLIENT].link.clone(),
            auth: self
                .client
                .auth
                .clone()
                .renewed(self.sides[CLIENT].credentials.clone()),
            ..self.client.clone()
        };
        self.sides[CLIENT].reconnect(dial(&client));
        self.sides[SERVER].reconnect(accept(&self.server));
        self.deliver(CLIENT, 0);
        self.deliver(SERVER, 0);
    }

    /// Delivers the next bytes to a side; what it says is on the way to the other.
    fn deliver(&mut self, to: usize, len: usize) {
        let side = &mut self.sides[to];
        let len = len.min(side.wire.len());
        let bytes: Vec<u8> = side.wire.drain(..len).collect();
        let said = side.run(&bytes);
        self.sides[1 - to].wire.extend_from_slice(&said);
    }

    fn settle(&mut self) {
        for _ in 0..STEPS {
            for to in [CLIENT, SERVER] {
                self.deliver(to, usize::MAX);
            }
            if self.sides.iter().all(|side| side.wire.is_empty()) {
                return;
            }
        }
        panic!("they never stop talking");
    }

    fn step(&mut self, op: u8, argument: u16) {
        let which = if op & op::SERVER == 0 { CLIENT } else { SERVER };
        let len = usize::from(argument);
        let wire = &mut self.sides[which].wire;
        let within = len.min(wire.len());
        match op & !op::SERVER {
            op::DELIVER => self.deliver(which, len),
            op::SETTLE => self.settle(),
            op::LOSE => {
                wire.drain(..within);
                self.faithful &= within == 0;
            }
            op::REPEAT => {
                let twice = wire[..within].to_vec();
                wire.splice(..0, twice);
                self.faithful &= within == 0;
                self.added += within;
            }
            op::CHANGE => {
                if let Some(byte) = wire.get_mut(len) {
                    *byte ^= 1 << (len % 8);
                    self.faithful = false;
                }
            }
            op::RECONNECT => self.reconnect(),
            action => {
                // Whoever acknowledges what did not come does without it.
                self.faithful &= action != op::ACK || !self.lossless;
                // After a close the other side hears no more.
                self.faithful &= action != op::CLOSE;
                self.added += len;
                let said = self.sides[which].act(action, argument);
                self.sides[1 - which].wire.extend_from_slice(&said);
            }
        }
    }

    fn is_open(&self) -> bool {
        let open = |side: &Side| matches!(side.state, State::Open(..));
        self.sides.iter().all(open)
    }

    fn check(&mut self) {
        if !self.faithful {
            return;
        }
        self.settle();
        if self.lossless && !self.is_open() {
            // A client without the features that are demanded never gets a session.
            return;
        }
        for (from, to) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
            let (sent, received) = (&self.sides[from].sent, &self.sides[to].received);
            assert_eq!(sent, received, "what side {from} sent did not arrive");
        }
    }
}

fn port(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn dial(config: &ClientConfig) -> Connection {
    Connection::client(config.clone(), port(3300), Instant::now())
}

fn accept(config: &Arc<ServerConfig>) -> Connection {
    Connection::server(Arc::clone(config), port(50_000), Instant::now())
}

fn credentials(none: bool) -> ClientAuth {
    let keyring = "[client.admin]\n\tkey = AQByZwBrN4GwFRAA9rR2yzc7eQXNAmnHnFxtpw==\n";
    let keyring = Keyring::parse(keyring).unwrap_or_default();
    let name = AuthEntityName::parse("client.admin").unwrap_or_else(|| panic!("no name"));
    match keyring.entities.get("client.admin") {
        Some(admin) if !none => {
            let client = CephxClient::new(name, admin.key.clone());
            ClientAuth::Mon(Box::new(client), vec![EntityType::MON, EntityType::OSD])
        }
        _ => ClientAuth::None {
            name,
            global_id: 4242,
        },
    }
}

/// Whether both sides are in a session, for tests of the target itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Both sides are through the handshake.
    pub open: bool,
    /// Messages that arrived.
    pub arrived: usize,
}

/// Runs one input and says what came of it.
pub fn outcome(data: &[u8]) -> Outcome {
    let mut data = data;
    let Some([flags, word]) = take(&mut data) else {
        return Outcome {
            open: false,
            arrived: 0,
        };
    };
    let script = data.len();
    let (pair, peak) = memory::peak(|| {
        let mut pair = Pair::new(flags, usize::from(word));
        for _ in 0..STEPS {
            let (Some([op]), Some(argument)) = (take(&mut data), take(&mut data)) else {
                break;
            };
            pair.step(op, u16::from_le_bytes(argument));
        }
        pair.check();
        pair
    });
    let bound = BASE + COPIES * (script + pair.added);
    assert!(peak <= bound, "{peak} bytes held, {bound} allowed");
    Outcome {
        open: pair.is_open(),
        arrived: pair.sides.iter().map(|side| side.received.len()).sum(),
    }
}

/// Runs one input.
pub fn run(data: &[u8]) {
    outcome(data);
}
