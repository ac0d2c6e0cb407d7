//! Lossless sessions over loopback sockets, through a relay that cuts connections.

#![allow(clippy::unwrap_used)]

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
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
    ClientAuth, ClientConfig, Dispatcher, Policies, Policy, Protocol, ServerConfig, Session, SessionTable,
    auth::{AuthConfig, AuthMethod},
    cephx::{AuthEntityName, Keyring, KeyringServer},
    driver::{Connected, connect, serve},
    lossless::Bounds,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::{AbortHandle, JoinHandle},
    time::{sleep, timeout},
};

const KEYRING: &str = include_str!("../testdata/keyring");
const PATIENCE: Duration = Duration::from_secs(30);

/// Passes bytes on, until it is told to cut all connections.
struct Relay {
    address: SocketAddr,
    passing: Arc<Mutex<Vec<AbortHandle>>>,
    accepted: Arc<AtomicUsize>,
}

impl Relay {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self {
            address: listener.local_addr().unwrap(),
            passing: Arc::default(),
            accepted: Arc::default(),
        };
        let (passing, accepted) = (relay.passing.clone(), relay.accepted.clone());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut server = TcpStream::connect(server).await.unwrap();
                let pass = async move {
                    // That it ends is what it is for.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                };
                passing.lock().unwrap().push(tokio::spawn(pass).abort_handle());
                accepted.fetch_add(1, Ordering::SeqCst);
            }
        });
        relay
    }

    fn cut(&self) {
        for connection in self.passing.lock().unwrap().drain(..) {
            connection.abort();
        }
    }
}

/// Answers each message with itself, from another thread for every other one.
#[derive(Default)]
struct Echo {
    ready: AtomicUsize,
    closed: AtomicUsize,
    received: Mutex<Vec<u64>>,
}

impl Dispatcher for Echo {
    fn on_ready(&self, _: &Arc<Session>) {
        self.ready.fetch_add(1, Ordering::SeqCst);
    }
    fn on_message(&self, session: &Arc<Session>, message: RawMessage) {
        self.received.lock().unwrap().push(message.header.tid);
        session.send(message);
    }
    fn on_closed(&self, _: &Arc<Session>) {
        self.closed.fetch_add(1, Ordering::SeqCst);
    }
}

/// Hands on what arrives; None at the end.
struct Collect(mpsc::UnboundedSender<Option<u64>>);

impl Dispatcher for Collect {
    fn on_ready(&self, _: &Arc<Session>) {}
    fn on_message(&self, _: &Arc<Session>, message: RawMessage) {
        let _ = self.0.send(Some(message.header.tid));
    }
    fn on_closed(&self, _: &Arc<Session>) {
        let _ = self.0.send(None);
    }
}

struct Server {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    echo: Arc<Echo>,
    relay: Relay,
    protocol: Protocol,
}

async fn start(protocol: Protocol, bounds: Bounds) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = Relay::to(listener.local_addr().unwrap()).await;
    let keys = KeyringServer::new(Keyring::parse(KEYRING).unwrap(), 4100, SystemTime::now());
    let name = EntityName {
        kind: EntityType::OSD,
        num: 0,
    };
    let addrs = EntityAddrVec(vec![address(relay.address, protocol)]);
    let mut config = ServerConfig::new(name, addrs, AuthConfig::cephx(Arc::new(keys)));
    config.auth.methods = vec![AuthMethod::NONE];
    config.protocol = protocol;
    config.policies = Policies::all(Policy::stateful_server());
    config.sessions = Arc::new(SessionTable::new(bounds));
    let (stop, stopped) = watch::channel(false);
    let echo = Arc::<Echo>::default();
    let task = tokio::spawn(serve(listener, Arc::new(config), echo.clone(), stopped));
    Server {
        stop,
        task,
        echo,
        relay,
        protocol,
    }
}

fn address(socket: SocketAddr, protocol: Protocol) -> EntityAddr {
    let kind = match protocol {
        Protocol::V1 => AddrType::LEGACY,
        _ => AddrType::MSGR2,
    };
    EntityAddr {
        kind,
        ..EntityAddr::v2(socket, 0)
    }
}

impl Server {
    async fn dial(&self, policy: Policy) -> (Connected, mpsc::UnboundedReceiver<Option<u64>>) {
        let auth = ClientAuth::None {
            name: AuthEntityName::parse("client.admin").unwrap(),
            global_id: 4242,
        };
        let mut config = ClientConfig::new(EntityType::OSD, address(self.relay.address, self.protocol), auth);
        config.protocol = self.protocol;
        config.policy = policy;
        let (sender, inbox) = mpsc::unbounded_channel();
        let connected = connect(self.relay.address, config, Arc::new(Collect(sender)))
            .await
            .unwrap();
        (connected, inbox)
    }

    async fn stop(self) -> Arc<Echo> {
        self.stop.send(true).unwrap();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
        self.echo
    }
}

fn message(tid: u64) -> RawMessage {
    let mut message = RawMessage::new(MessageType::OSD_OP, 8, 3, Bytes::from_static(b"front")).with_tid(tid);
    message.data = [Bytes::from(vec![tid as u8; 20_000])].into();
    message
}

async fn next(inbox: &mut mpsc::UnboundedReceiver<Option<u64>>) -> Option<u64> {
    timeout(PATIENCE, inbox.recv())
        .await
        .expect("in time")
        .expect("running")
}

const PROTOCOLS: [Protocol; 3] = [Protocol::V1, Protocol::V20, Protocol::V2];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_lose_and_repeat_nothing_in_either_direction() {
    for protocol in PROTOCOLS {
        let server = start(protocol, Bounds::default()).await;
        let (client, mut inbox) = server.dial(Policy::lossless_client()).await;
        let sender = client.session.clone();
        let sending = tokio::spawn(async move {
            for tid in 1..=600 {
                sender.send(message(tid));
                if tid % 20 == 0 {
                    sleep(Duration::from_millis(10)).await;
                }
            }
        });
        for tid in 1..=600 {
            assert_eq!(next(&mut inbox).await, Some(tid), "{protocol:?}");
            if tid % 90 == 0 {
                server.relay.cut();
            }
        }
        sending.await.unwrap();
        assert!(server.relay.accepted.load(Ordering::SeqCst) > 5, "{protocol:?}");
        client.session.close();
        assert_eq!(next(&mut inbox).await, None);
        let echo = server.stop().await;
        assert_eq!(*echo.received.lock().unwrap(), (1..=600).collect::<Vec<_>>());
        assert_eq!(echo.ready.load(Ordering::SeqCst), 1, "{protocol:?}: one session");
        assert_eq!(echo.closed.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_while_there_is_no_connection_arrives_over_the_next_one() {
    let server = start(Protocol::V2, Bounds::default()).await;
    // A peer that waits for something to send before it connects again.
    let (client, mut inbox) = server.dial(Policy::lossless_peer_reuse()).await;
    client.session.send(message(1));
    assert_eq!(next(&mut inbox).await, Some(1));
    // The server's acknowledgement is on its way.
    sleep(Duration::from_millis(300)).await;
    server.relay.cut();
    sleep(Duration::from_millis(500)).await;
    assert_eq!(server.relay.accepted.load(Ordering::SeqCst), 1, "it stands by");
    client.session.send(message(2));
    assert_eq!(next(&mut inbox).await, Some(2));
    assert_eq!(server.relay.accepted.load(Ordering::SeqCst), 2);
    client.session.close();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_whose_client_does_not_come_back_ends_and_so_do_all_when_the_server_stops() {
    let bounds = Bounds {
        age: Duration::from_secs(1),
        ..Bounds::default()
    };
    let server = start(Protocol::V2, bounds).await;
    let (client, mut inbox) = server.dial(Policy::lossless_client()).await;
    client.session.send(message(1));
    assert_eq!(next(&mut inbox).await, Some(1));
    client.session.close();
    assert_eq!(next(&mut inbox).await, None);
    assert_eq!(server.echo.closed.load(Ordering::SeqCst), 0, "it may come back");
    for _ in 0..100 {
        sleep(Duration::from_millis(200)).await;
        if server.echo.closed.load(Ordering::SeqCst) == 1 {
            break;
        }
    }
    assert_eq!(server.echo.closed.load(Ordering::SeqCst), 1, "it did not");
    let (client, _inbox) = server.dial(Policy::lossless_client()).await;
    server.relay.cut();
    let echo = server.stop().await;
    assert_eq!(
        echo.ready.load(Ordering::SeqCst),
        echo.closed.load(Ordering::SeqCst)
    );
    client.session.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_begins_anew_has_its_old_session_closed_before_the_new_one_is_ready() {
    for protocol in PROTOCOLS {
        let server = start(protocol, Bounds::default()).await;
        let auth = || ClientAuth::None {
            name: AuthEntityName::parse("client.admin").unwrap(),
            global_id: 4242,
        };
        let mut config = ClientConfig::new(EntityType::OSD, address(server.relay.address, protocol), auth());
        config.protocol = protocol;
        config.policy = Policy::lossless_client();
        for round in 1..=3 {
            let (sender, mut inbox) = mpsc::unbounded_channel();
            let collect = Arc::new(Collect(sender));
            let client = connect(server.relay.address, config.clone(), collect)
                .await
                .unwrap();
            client.session.send(message(round));
            assert_eq!(next(&mut inbox).await, Some(round), "{protocol:?}");
            assert_eq!(server.echo.ready.load(Ordering::SeqCst) as u64, round);
            assert_eq!(server.echo.closed.load(Ordering::SeqCst) as u64, round - 1);
            client.session.close();
        }
        server.stop().await;
    }
}
