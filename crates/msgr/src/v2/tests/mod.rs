//! Tests of the protocol as a whole.

mod ciphers;
mod compressed;
mod frames;
mod fuzz;
mod handshake;
mod misbehaves;
mod replay;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use encoding::types::{EntityAddr, EntityAddrVec, EntityName, EntityType};

use super::*;
use crate::{
    auth::AuthConfig,
    cephx::{AuthEntityName, CephxClient, KeyType, Keyring, KeyringServer},
    error::Error,
};

/// The recordings' throw-away keys.
const KEYRING: &str = include_str!("../../../testdata/keyring");

fn keys() -> Arc<KeyringServer> {
    Arc::new(KeyringServer::new(Keyring::parse(KEYRING).unwrap(), 4100, now()))
}

fn now() -> SystemTime {
    UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000)
}

fn admin() -> CephxClient {
    let ring = Keyring::parse(KEYRING).unwrap();
    let name = AuthEntityName::parse("client.admin").unwrap();
    CephxClient::new(name, ring.entities["client.admin"].key.clone())
}

fn socket() -> SocketAddr {
    ([127, 0, 0, 1], 3300).into()
}

fn target() -> EntityAddr {
    EntityAddr::v2(socket(), 0)
}

fn server_config(kind: EntityType, keys: Arc<KeyringServer>) -> ServerConfig {
    let addrs = EntityAddrVec(vec![target()]);
    ServerConfig::new(EntityName { kind, num: 0 }, addrs, AuthConfig::cephx(keys))
}

fn client_config(server: EntityType, auth: ClientAuth) -> ClientConfig {
    ClientConfig::new(server, target(), auth)
}

fn server(config: ServerConfig) -> Connection {
    Connection::server(Arc::new(config), ([127, 0, 0, 1], 40000).into(), Instant::now())
}

fn client(config: ClientConfig) -> Connection {
    Connection::client(config, socket(), Instant::now())
}

fn mon_auth(client: CephxClient) -> ClientAuth {
    let services = [EntityType::MON, EntityType::OSD, EntityType::MGR, EntityType::MDS];
    ClientAuth::Mon(Box::new(client), services.to_vec())
}

/// The side that failed, and why.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    Client(Error),
    Server(Error),
    Stuck,
}

/// Shuttles bytes until both sides are established.
fn shake(client: &mut Connection, server: &mut Connection) -> Result<(), Failure> {
    for _ in 0..20 {
        let c = client.step(now()).map_err(Failure::Client)?;
        server.receive(&client.output().take());
        let s = server.step(now()).map_err(Failure::Server)?;
        client.receive(&server.output().take());
        if (c, s) == (HandshakeEvent::Ready, HandshakeEvent::Ready) {
            return Ok(());
        }
    }
    Err(Failure::Stuck)
}

/// Establishes a session: the client's side and the server's.
fn establish(c: ClientConfig, s: ServerConfig) -> Result<(Established, Established), Failure> {
    let (mut c, mut s) = (client(c), server(s));
    shake(&mut c, &mut s)?;
    Ok((c.into_session().unwrap(), s.into_session().unwrap()))
}
