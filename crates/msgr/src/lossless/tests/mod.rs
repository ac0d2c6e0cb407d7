//! Sessions that outlive their connections, in all protocols.

mod simulation;
mod takeover;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use encoding::{
    Feature, MessageType, RawMessage,
    types::{EntityAddr, EntityAddrVec, EntityName, EntityType},
};

use super::*;
use crate::{
    ClientAuth, ClientConfig, Protocol, ServerConfig,
    auth::{AuthConfig, ConMode},
    cephx::{AuthEntityName, CephxClient, Keyring, KeyringServer},
    connection::{Connection, Established, Event, HandshakeEvent},
    error::{Error, Result},
};

/// The recordings' throw-away keys.
const KEYRING: &str = include_str!("../../../testdata/keyring");

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// How two peers talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    protocol: Protocol,
    mode: ConMode,
    /// Both tell each other what they received (RECONNECT_SEQ, which msgr v2 has in any case).
    with_seq: bool,
}

const fn way(protocol: Protocol, mode: ConMode, with_seq: bool) -> Way {
    Way {
        protocol,
        mode,
        with_seq,
    }
}

const WAYS: [Way; 5] = [
    way(Protocol::V1, ConMode::CRC, true),
    way(Protocol::V1, ConMode::CRC, false),
    way(Protocol::V20, ConMode::CRC, true),
    way(Protocol::V2, ConMode::CRC, true),
    way(Protocol::V2, ConMode::SECURE, true),
];

const V1: Way = WAYS[0];
const V2: Way = WAYS[3];

/// A cluster's keys, and a client with tickets.
struct Realm {
    keys: Arc<KeyringServer>,
}

impl Realm {
    fn new() -> Self {
        let ring = Keyring::parse(KEYRING).unwrap();
        Self {
            keys: Arc::new(KeyringServer::new(ring, 4100, now())),
        }
    }

    /// Credentials of an entity, with tickets for OSDs.
    fn tickets(&self, entity: &str) -> CephxClient {
        let ring = Keyring::parse(KEYRING).unwrap();
        let name = AuthEntityName::parse(entity).unwrap();
        let client = CephxClient::new(name, ring.entities[entity].key.clone());
        let auth = ClientAuth::Mon(Box::new(client), vec![EntityType::OSD]);
        let config = ClientConfig::new(EntityType::MON, EntityAddr::v2(address(3300), 0), auth);
        let mon = self.server(EntityType::MON, V2, Policies::all(Policy::stateless_server()));
        let (client, _) = establish(config, &mon).unwrap();
        client.credentials.unwrap()
    }

    fn server(&self, kind: EntityType, way: Way, policies: Policies) -> Arc<ServerConfig> {
        let addrs = EntityAddrVec(vec![
            EntityAddr::v2(address(3300), 0),
            EntityAddr::v1(address(6789), 0),
        ]);
        let auth = AuthConfig::cephx(self.keys.clone());
        let mut config = ServerConfig::new(EntityName { kind, num: 0 }, addrs, auth);
        config.protocol = way.protocol;
        config.policies = policies;
        Arc::new(config)
    }

    /// An OSD that keeps its clients' sessions.
    fn osd(&self, way: Way) -> Arc<ServerConfig> {
        self.server(EntityType::OSD, way, Policies::all(Policy::stateful_server()))
    }
}

/// A client of an OSD, at an address of its own.
fn client(credentials: &CephxClient, way: Way, nonce: u32, link: Option<Arc<Link>>) -> ClientConfig {
    let auth = ClientAuth::Service(Box::new(credentials.clone()));
    let target = match way.protocol {
        Protocol::V1 => EntityAddr::v1(address(6789), 0),
        _ => EntityAddr::v2(address(3300), 0),
    };
    let mut config = ClientConfig::new(EntityType::OSD, target, auth);
    config.protocol = way.protocol;
    config.modes = vec![way.mode];
    config.addrs = EntityAddrVec(vec![EntityAddr {
        nonce,
        ..EntityAddr::v2(address(0), 0)
    }]);
    if !way.with_seq {
        config.supported = config.supported.without(Feature::RECONNECT_SEQ.word());
    }
    if link.is_some() {
        config.policy = Policy::lossless_client();
    }
    config.link = link;
    config
}

fn dial(config: ClientConfig) -> Connection {
    let port = if config.protocol == Protocol::V1 {
        6789
    } else {
        3300
    };
    Connection::client(config, address(port), Instant::now())
}

fn accept(config: &Arc<ServerConfig>) -> Connection {
    Connection::server(config.clone(), address(40_000), Instant::now())
}

/// Shuttles bytes until both sides are established.
fn establish(c: ClientConfig, s: &Arc<ServerConfig>) -> Result<(Established, Established)> {
    let (mut c, mut s) = (dial(c), accept(s));
    for _ in 0..40 {
        let client = c.step(now())?;
        s.receive(&c.output().take());
        let server = s.step(now())?;
        c.receive(&s.output().take());
        if (client, server) == (HandshakeEvent::Ready, HandshakeEvent::Ready) {
            return Ok((c.into_session().unwrap(), s.into_session().unwrap()));
        }
    }
    panic!("stuck");
}

fn message(tid: u64) -> RawMessage {
    let mut message = RawMessage::new(MessageType::OSD_OP, 8, 3, Bytes::from_static(b"front")).with_tid(tid);
    message.data = [Bytes::from(vec![tid as u8; tid as usize * 37 % 300 + 1])].into();
    message
}

/// The numbers of the messages that have come.
fn received(session: &mut Established) -> Result<Vec<u64>> {
    let mut tids = Vec::new();
    while let Some(event) = session.read.poll_event()? {
        if let Event::Message(m) = event {
            tids.push(m.header.tid);
        }
    }
    session.write.pump();
    Ok(tids)
}

/// Lets both sides say all they have to say; what each has received.
fn talk(a: &mut Established, b: &mut Established) -> Result<(Vec<u64>, Vec<u64>)> {
    let mut seen = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let bytes = a.write.output().take();
        b.read.read_buf().extend_from_slice(&bytes);
        seen.1.extend(received(b)?);
        let bytes = b.write.output().take();
        a.read.read_buf().extend_from_slice(&bytes);
        seen.0.extend(received(a)?);
    }
    Ok(seen)
}
