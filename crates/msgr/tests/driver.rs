//! The tokio driver over loopback sockets: our client with our server.

#![allow(clippy::unwrap_used)]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use encoding::{
    MessageType, RawMessage,
    types::{AddrType, EntityAddr, EntityAddrVec, EntityName, EntityType},
};
use rbdgate_msgr::{
    Dispatcher, Protocol, Session,
    auth::{AuthConfig, ConMode},
    budget::Budget,
    cephx::{AuthEntityName, CephxClient, Keyring, KeyringServer},
    driver::{ConnectError, Connected, connect, serve},
    v2::{ClientAuth, ClientConfig, ServerConfig},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

const KEYRING: &str = include_str!("../testdata/keyring");
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers each message with its own data.
#[derive(Default)]
struct Echo {
    ready: AtomicUsize,
    closed: AtomicUsize,
    /// Sends from another thread instead of the session's task.
    elsewhere: bool,
    /// The most that ever waited to be written.
    most_pending: AtomicUsize,
}

impl Dispatcher for Echo {
    fn on_ready(&self, session: &Arc<Session>) {
        assert_eq!(session.peer().entity, "client.admin");
        self.ready.fetch_add(1, Ordering::SeqCst);
    }
    fn on_message(&self, session: &Arc<Session>, message: RawMessage) {
        self.most_pending.fetch_max(session.pending(), Ordering::SeqCst);
        if self.elsewhere {
            let session = session.clone();
            std::thread::spawn(move || session.send(message));
        } else {
            session.send(message);
        }
    }
    fn on_closed(&self, _: &Arc<Session>) {
        self.closed.fetch_add(1, Ordering::SeqCst);
    }
}

/// Hands on what arrives.
struct Collect(mpsc::UnboundedSender<Option<RawMessage>>, Duration);

impl Dispatcher for Collect {
    fn on_ready(&self, _: &Arc<Session>) {}
    fn on_message(&self, _: &Arc<Session>, message: RawMessage) {
        std::thread::sleep(self.1);
        let _ = self.0.send(Some(message));
    }
    fn on_closed(&self, _: &Arc<Session>) {
        let _ = self.0.send(None);
    }
}

struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    echo: Arc<Echo>,
}

async fn start(echo: Echo, tune: impl FnOnce(&mut ServerConfig)) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let keyring = Keyring::parse(KEYRING).unwrap();
    let keys = Arc::new(KeyringServer::new(keyring, 4100, SystemTime::now()));
    let name = EntityName {
        kind: EntityType::MON,
        num: 0,
    };
    let addrs = EntityAddrVec(vec![EntityAddr::v2(address, 0)]);
    let mut config = ServerConfig::new(name, addrs, AuthConfig::cephx(keys));
    tune(&mut config);
    let (stop, stopped) = watch::channel(false);
    let echo = Arc::new(echo);
    let task = tokio::spawn(serve(listener, Arc::new(config), echo.clone(), stopped));
    Server {
        address,
        stop,
        task,
        echo,
    }
}

/// Speaks msgr v1.
fn in_v1(config: &mut ServerConfig) {
    config.protocol = Protocol::V1;
    config.addrs = EntityAddrVec(vec![EntityAddr {
        kind: AddrType::LEGACY,
        ..config.addrs.0[0]
    }]);
}

type Inbox = mpsc::UnboundedReceiver<Option<RawMessage>>;

async fn dial(address: SocketAddr, mode: ConMode) -> Result<(Connected, Inbox), ConnectError> {
    dial_slowly(address, mode, Duration::ZERO).await
}

async fn dial_v1(address: SocketAddr) -> Result<(Connected, Inbox), ConnectError> {
    let mut config = ClientConfig::new(EntityType::MON, EntityAddr::v1(address, 0), admin());
    config.protocol = Protocol::V1;
    let (sender, inbox) = mpsc::unbounded_channel();
    let connected = connect(address, config, Arc::new(Collect(sender, Duration::ZERO))).await?;
    Ok((connected, inbox))
}

fn admin() -> ClientAuth {
    let key = Keyring::parse(KEYRING).unwrap().entities["client.admin"]
        .key
        .clone();
    let client = CephxClient::new(AuthEntityName::parse("client.admin").unwrap(), key);
    ClientAuth::Mon(Box::new(client), vec![EntityType::OSD])
}

/// A client that takes that long for each message.
async fn dial_slowly(
    address: SocketAddr,
    mode: ConMode,
    pause: Duration,
) -> Result<(Connected, Inbox), ConnectError> {
    let mut config = ClientConfig::new(EntityType::MON, EntityAddr::v2(address, 0), admin());
    config.modes = vec![mode];
    let (sender, inbox) = mpsc::unbounded_channel();
    let connected = connect(address, config, Arc::new(Collect(sender, pause))).await?;
    Ok((connected, inbox))
}

fn message(tid: u64, len: usize) -> RawMessage {
    let mut message =
        RawMessage::new(MessageType::OSD_OP, 8, 3, Bytes::from(vec![tid as u8; 200])).with_tid(tid);
    if len > 0 {
        message.data = [Bytes::from(vec![!(tid as u8); len])].into();
    }
    message
}

async fn receive(inbox: &mut Inbox) -> Option<RawMessage> {
    timeout(PATIENCE, inbox.recv())
        .await
        .expect("in time")
        .expect("still running")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_messages_of_all_sizes_come_back_in_order() {
    let server = start(Echo::default(), |_| ()).await;
    for mode in [ConMode::CRC, ConMode::SECURE] {
        let (client, mut inbox) = dial(server.address, mode).await.unwrap();
        // Unoptimised AES is slow.
        let large = if mode == ConMode::SECURE { 100_000 } else { 4 << 20 };
        let sizes = [0, 1, 100, 4096, 70_000, large];
        for tid in 0..120 {
            client
                .session
                .send(message(tid, sizes[tid as usize % sizes.len()]));
        }
        for tid in 0..120 {
            let echoed = receive(&mut inbox).await.unwrap();
            let expected = message(tid, sizes[tid as usize % sizes.len()]);
            assert_eq!(echoed.header.tid, tid);
            assert!(echoed == expected, "{mode:?} {tid}");
        }
        client.session.close();
        assert_eq!(receive(&mut inbox).await, None);
    }
    assert_eq!(server.echo.ready.load(Ordering::SeqCst), 2);
    server.stop.send(true).unwrap();
    timeout(PATIENCE, server.task).await.unwrap().unwrap();
    assert_eq!(server.echo.closed.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_messages_come_back_in_order_over_msgr_v1() {
    let server = start(Echo::default(), in_v1).await;
    let (client, mut inbox) = dial_v1(server.address).await.unwrap();
    let sizes = [0, 1, 100, 4096, 70_000, 4 << 20];
    for tid in 0..120 {
        client
            .session
            .send(message(tid, sizes[tid as usize % sizes.len()]));
    }
    for tid in 0..120 {
        let echoed = receive(&mut inbox).await.unwrap();
        assert!(echoed == message(tid, sizes[tid as usize % sizes.len()]), "{tid}");
    }
    client.session.close();
    assert_eq!(receive(&mut inbox).await, None);
    server.stop.send(true).unwrap();
    timeout(PATIENCE, server.task).await.unwrap().unwrap();
    assert_eq!(server.echo.closed.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_the_other_protocol_is_sent_away_and_others_are_served() {
    let server = start(Echo::default(), in_v1).await;
    assert!(dial(server.address, ConMode::CRC).await.is_err());
    let (client, mut inbox) = dial_v1(server.address).await.unwrap();
    client.session.send(message(1, 10));
    assert!(receive(&mut inbox).await.is_some());
    let v2 = start(Echo::default(), |_| ()).await;
    assert!(dial_v1(v2.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_may_be_sent_from_any_thread() {
    let echo = Echo {
        elsewhere: true,
        ..Echo::default()
    };
    let server = start(echo, |_| ()).await;
    let (client, mut inbox) = dial(server.address, ConMode::CRC).await.unwrap();
    for tid in 0..300 {
        client.session.send(message(tid, 5000));
    }
    let mut tids = Vec::new();
    for _ in 0..300 {
        let echoed = receive(&mut inbox).await.unwrap();
        assert!(echoed == message(echoed.header.tid, 5000));
        tids.push(echoed.header.tid);
    }
    tids.sort_unstable();
    assert_eq!(tids, (0..300).collect::<Vec<_>>());
}

/// How many bytes of answers waited at a time when a client that reads slowly asked for 64 MiB.
async fn most_that_waited(server: &Server) -> usize {
    let slowly = Duration::from_millis(10);
    let (client, mut inbox) = dial_slowly(server.address, ConMode::CRC, slowly).await.unwrap();
    for tid in 0..64 {
        client.session.send(message(tid, 1 << 20));
    }
    for tid in 0..64 {
        assert_eq!(receive(&mut inbox).await.unwrap().header.tid, tid);
    }
    server.echo.most_pending.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_slowly_is_read_from_slowly() {
    const MOST: usize = 1 << 20;
    let server = start(Echo::default(), |c| c.budget = Arc::new(Budget::new(MOST, MOST))).await;
    let most = most_that_waited(&server).await;
    assert!(most < MOST + (3 << 20), "{most} bytes of 64 MiB waited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_asked_of_the_server_while_many_answers_wait_for_a_slow_client() {
    let server = start(Echo::default(), |_| ()).await;
    let most = most_that_waited(&server).await;
    assert!(most < 11 << 20, "{most} bytes of 64 MiB waited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_lets_out_what_was_sent() {
    let server = start(Echo::default(), |_| ()).await;
    let (client, mut inbox) = dial(server.address, ConMode::CRC).await.unwrap();
    client.session.send(message(1, 4 << 20));
    assert!(receive(&mut inbox).await.is_some());
    server.stop.send(true).unwrap();
    assert_eq!(receive(&mut inbox).await, None, "the session ends");
    timeout(PATIENCE, server.task).await.unwrap().unwrap();
    assert!(dial(server.address, ConMode::CRC).await.is_err());
}

#[tokio::test]
async fn who_says_nothing_is_sent_away() {
    use tokio::io::AsyncReadExt;
    let server = start(Echo::default(), |c| {
        c.handshake_timeout = Duration::from_millis(100);
    })
    .await;
    let mut idle = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let mut all = Vec::new();
    timeout(PATIENCE, idle.read_to_end(&mut all))
        .await
        .unwrap()
        .unwrap();
    assert!(all.starts_with(b"ceph v2\n"));
    assert_eq!(
        server.echo.closed.load(Ordering::SeqCst),
        0,
        "there was no session"
    );
}

#[tokio::test]
async fn who_stops_in_the_middle_of_a_v1_handshake_is_sent_away() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = start(Echo::default(), |c| {
        in_v1(c);
        c.handshake_timeout = Duration::from_millis(100);
    })
    .await;
    let mut idle = tokio::net::TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"ceph v027\0\0\0").await.unwrap();
    let mut all = Vec::new();
    timeout(PATIENCE, idle.read_to_end(&mut all))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(all.len(), 9 + 2 * 136, "a banner and two addresses");
    assert_eq!(server.echo.closed.load(Ordering::SeqCst), 0);
}
