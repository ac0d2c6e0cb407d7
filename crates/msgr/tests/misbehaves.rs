//! Peers that do not keep to the rules, against a running server: their session ends, and it goes on for everybody else.

#![allow(clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use encoding::{
    MessageType, RawMessage,
    codec::ceph_crc32c,
    types::{AddrType, EntityAddr, EntityAddrVec, EntityName, EntityType},
};
use rbdgate_msgr::{
    ClientAuth, ClientConfig, Dispatcher, Protocol, ServerConfig, Session,
    auth::{AuthConfig, ConMode},
    budget::Budget,
    cephx::{AuthEntityName, CephxClient, Keyring, KeyringServer},
    connection::{Connection, Established, Event, HandshakeEvent},
    driver::serve,
};
use tokio::{net::TcpListener, sync::watch};

const KEYRING: &str = include_str!("../testdata/keyring");
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers each message with itself.
#[derive(Default)]
struct Echo {
    ready: AtomicUsize,
    messages: AtomicUsize,
    closed: AtomicUsize,
}

impl Dispatcher for Echo {
    fn on_ready(&self, _: &Arc<Session>) {
        self.ready.fetch_add(1, Ordering::SeqCst);
    }
    fn on_message(&self, session: &Arc<Session>, message: RawMessage) {
        self.messages.fetch_add(1, Ordering::SeqCst);
        session.send(message);
    }
    fn on_closed(&self, _: &Arc<Session>) {
        self.closed.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    V1,
    V2,
    V2Secure,
}

struct Server {
    address: SocketAddr,
    way: Way,
    echo: Arc<Echo>,
    stop: watch::Sender<bool>,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start(way: Way) -> Self {
        Self::start_with(way, Budget::default())
    }

    fn start_with(way: Way, budget: Budget) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let keys = KeyringServer::new(Keyring::parse(KEYRING).unwrap(), 4100, SystemTime::now());
        let name = EntityName {
            kind: EntityType::MON,
            num: 0,
        };
        let addrs = EntityAddrVec(vec![target(address, way)]);
        let mut config = ServerConfig::new(name, addrs, AuthConfig::cephx(Arc::new(keys)));
        if way == Way::V1 {
            config.protocol = Protocol::V1;
        }
        config.handshake_timeout = Duration::from_millis(500);
        config.budget = Arc::new(budget);
        let (stop, stopped) = watch::channel(false);
        let echo = Arc::<Echo>::default();
        runtime.spawn(serve(listener, Arc::new(config), echo.clone(), stopped));
        Self {
            address,
            way,
            echo,
            stop,
            runtime,
        }
    }

    /// A client with a session.
    fn client(&self) -> Client {
        let key = Keyring::parse(KEYRING).unwrap().entities["client.admin"]
            .key
            .clone();
        let client = CephxClient::new(AuthEntityName::parse("client.admin").unwrap(), key);
        let auth = ClientAuth::Mon(Box::new(client), vec![EntityType::OSD]);
        let mut config = ClientConfig::new(EntityType::MON, target(self.address, self.way), auth);
        match self.way {
            Way::V1 => config.protocol = Protocol::V1,
            Way::V2 => {}
            Way::V2Secure => config.modes = vec![ConMode::SECURE],
        }
        let mut socket = self.connect();
        let mut connection = Connection::client(config, self.address, Instant::now());
        let mut received = [0; 4096];
        while connection.step(SystemTime::now()).unwrap() == HandshakeEvent::Pending {
            socket.write_all(&connection.output().take()).unwrap();
            let n = socket.read(&mut received).unwrap();
            assert!(n > 0, "the server left");
            connection.receive(&received[..n]);
        }
        let session = connection.into_session().unwrap();
        Client { socket, session }
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }
}

fn target(address: SocketAddr, way: Way) -> EntityAddr {
    let kind = match way {
        Way::V1 => AddrType::LEGACY,
        _ => AddrType::MSGR2,
    };
    EntityAddr {
        kind,
        ..EntityAddr::v2(address, 0)
    }
}

struct Client {
    socket: TcpStream,
    session: Established,
}

impl Client {
    /// The bytes of a message.
    fn message(&mut self) -> Vec<u8> {
        self.message_of(500)
    }

    /// The bytes of a message with so much data.
    fn message_of(&mut self, len: usize) -> Vec<u8> {
        let mut message = RawMessage::new(MessageType::PING, 1, 1, Bytes::from_static(b"front"));
        message.data = [Bytes::from(vec![9; len])].into();
        self.session.write.send(&message);
        self.session.write.output().take().to_vec()
    }

    fn say(&mut self, bytes: &[u8]) {
        // The server may have left already.
        let _ = self.socket.write_all(bytes);
    }

    /// Whether a message is answered.
    fn is_served(&mut self) -> bool {
        let bytes = self.message();
        self.say(&bytes);
        self.is_answered()
    }

    fn is_answered(&mut self) -> bool {
        let mut received = [0; 4096];
        loop {
            match self.session.read.poll_event() {
                Ok(Some(Event::Message(_))) => return true,
                Ok(Some(_)) => continue,
                Ok(None) => {}
                Err(_) => return false,
            }
            match self.socket.read(&mut received) {
                Ok(n) if n > 0 => self.session.read.read_buf().extend_from_slice(&received[..n]),
                _ => return false,
            }
        }
    }

    /// Whether the server hangs up, whatever it still says.
    fn is_left(&mut self) -> bool {
        is_left(&mut self.socket)
    }
}

fn is_left(socket: &mut TcpStream) -> bool {
    let mut rest = [0; 4096];
    loop {
        match socket.read(&mut rest) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(e) => return e.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// What a client with a session may do wrong.
type Misdeed = (&'static str, fn(&mut Client, Way) -> Vec<u8>);

fn flipped(client: &mut Client, at: impl Fn(usize) -> usize) -> Vec<u8> {
    let mut bytes = client.message();
    let at = at(bytes.len());
    bytes[at] ^= 0x10;
    bytes
}

/// A message's head that announces 4 GiB of data, with its checksum right.
fn lying(client: &mut Client, way: Way) -> Vec<u8> {
    let mut bytes = client.message();
    let (len_at, crc_at) = match way {
        // Tag, then the header: 16 + 6 + two lengths before, its checksum at the end.
        Way::V1 => (1 + 30, 1 + 49),
        _ => (2 + 3 * 6, 28),
    };
    bytes[len_at..len_at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let from = if way == Way::V1 { 1 } else { 0 };
    let crc = ceph_crc32c(0, &bytes[from..crc_at]);
    bytes[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

const MISDEEDS: [Misdeed; 6] = [
    ("a bad checksum in the head", |c, _| flipped(c, |_| 5)),
    ("a bad checksum in the data", |c, _| flipped(c, |n| n - 30)),
    ("a length that lies", lying),
    ("a banner in the session", |_, way| match way {
        Way::V1 => b"ceph v027".to_vec(),
        _ => b"ceph v2\n\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".repeat(4),
    }),
    ("a tag that nobody knows", |c, _| {
        let mut bytes = c.message();
        bytes[0] = 0x77;
        bytes
    }),
    ("garbage", |_, _| vec![0xee; 3000]),
];

#[test]
fn who_misbehaves_in_a_session_is_left_and_the_others_are_served() {
    for way in [Way::V1, Way::V2, Way::V2Secure] {
        let server = Server::start(way);
        let mut good = server.client();
        for (name, misdeed) in MISDEEDS {
            let mut bad = server.client();
            assert!(bad.is_served(), "{way:?}");
            let before = server.echo.messages.load(Ordering::SeqCst);
            let mut bytes = misdeed(&mut bad, way);
            // What follows a misdeed is not listened to.
            bytes.extend_from_slice(&bad.message());
            bad.say(&bytes);
            assert!(bad.is_left(), "{way:?}: {name}");
            assert_eq!(
                server.echo.messages.load(Ordering::SeqCst),
                before,
                "{way:?}: {name}"
            );
            assert!(good.is_served(), "{way:?}: {name}");
        }
        let ended = server.echo.closed.load(Ordering::SeqCst);
        assert_eq!(ended, MISDEEDS.len(), "{way:?}: each ended once");
        assert_eq!(server.echo.ready.load(Ordering::SeqCst), MISDEEDS.len() + 1);
        server.stop.send(true).unwrap();
        server.runtime.shutdown_timeout(PATIENCE);
    }
}

#[test]
fn a_message_behind_a_close_is_not_listened_to() {
    let server = Server::start(Way::V1);
    let mut client = server.client();
    let before = client.message();
    // CEPH_MSGR_TAG_CLOSE
    let close = vec![6];
    let after = client.message();
    client.say(&[before, close, after].concat());
    assert!(client.is_left());
    assert_eq!(server.echo.messages.load(Ordering::SeqCst), 1);
}

#[test]
fn who_says_a_part_of_a_message_and_then_nothing_holds_up_nobody_and_may_go_on() {
    for way in [Way::V1, Way::V2, Way::V2Secure] {
        let server = Server::start(way);
        let mut slow = server.client();
        let bytes = slow.message();
        let (some, rest) = bytes.split_at(bytes.len() / 2);
        slow.say(some);
        // Longer than a handshake may take: this is a session.
        std::thread::sleep(Duration::from_millis(700));
        assert!(server.client().is_served(), "{way:?}");
        slow.say(rest);
        assert!(slow.is_served(), "{way:?}");
        let mut gone = server.client();
        let bytes = gone.message();
        gone.say(&bytes[..bytes.len() - 1]);
        gone.socket.shutdown(Shutdown::Write).unwrap();
        assert!(gone.is_left(), "{way:?}");
    }
}

#[test]
fn unfinished_messages_of_peers_that_stall_do_not_keep_their_memory_from_others() {
    const LEN: usize = 4 << 20;
    for way in [Way::V1, Way::V2, Way::V2Secure] {
        let budget = Budget::new(8 << 20, 8 << 20).with_patience(Duration::from_millis(500));
        let server = Server::start_with(way, budget);
        // Enough of them to take it all twice; what is left of each is never said.
        let stalled: Vec<Client> = (0..6)
            .map(|_| {
                let mut client = server.client();
                let bytes = client.message_of(LEN);
                // The server may have stopped reading.
                client
                    .socket
                    .set_write_timeout(Some(Duration::from_millis(300)))
                    .unwrap();
                let _ = client.socket.write_all(&bytes[..LEN - 1000]);
                client
            })
            .collect();
        let honest: Vec<_> = (0..3)
            .map(|_| {
                let mut client = server.client();
                std::thread::spawn(move || {
                    for _ in 0..3 {
                        let bytes = client.message_of(LEN);
                        client.say(&bytes);
                        assert!(client.is_answered());
                    }
                })
            })
            .collect();
        for client in honest {
            client.join().unwrap();
        }
        let patient = |client: &Client| {
            client
                .socket
                .set_read_timeout(Some(Duration::from_secs(3)))
                .unwrap();
        };
        stalled.iter().for_each(patient);
        let left = stalled
            .into_iter()
            .filter_map(|mut client| client.is_left().then_some(()))
            .count();
        assert!(left >= 4, "{way:?}: {left} of those that stall were left");
    }
}

#[test]
fn who_never_gets_to_a_session_is_left_in_time_and_others_are_served() {
    for way in [Way::V1, Way::V2] {
        let server = Server::start(way);
        let mut good = server.client();
        let own: &[u8] = if way == Way::V1 {
            b"ceph v027"
        } else {
            b"ceph v2\n\x10\0"
        };
        let other: &[u8] = if way == Way::V1 {
            b"ceph v2\n\x10\0"
        } else {
            b"ceph v027"
        };
        let too_much = [own, &[0; 100_000]].concat();
        for said in [b"", &own[..5], own, other, b"GET / HTTP/1.1\r\n\r\n", &too_much] {
            let mut bad = server.connect();
            let begun = Instant::now();
            // The server may leave before it has taken all.
            let _ = bad.write_all(said);
            assert!(is_left(&mut bad), "{way:?}: {:?}", &said[..said.len().min(20)]);
            assert!(begun.elapsed() < Duration::from_secs(5));
            assert!(good.is_served(), "{way:?}");
        }
        assert_eq!(server.echo.ready.load(Ordering::SeqCst), 1, "{way:?}");
    }
}
