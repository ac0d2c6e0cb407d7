//! Tests of the protocol as a whole.

mod fuzz;
mod handshake;
mod misbehaves;
mod replay;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use encoding::{
    Features,
    types::{EntityAddr, EntityAddrVec, EntityName, EntityType},
};

use super::*;
use crate::{
    ClientAuth, ClientConfig, Error, Protocol, ServerConfig,
    auth::{AuthConfig, AuthMethod},
    cephx::{AuthEntityName, CephxClient, Keyring, KeyringServer},
    connection::HandshakeEvent,
};

/// The recordings' throw-away keys.
const KEYRING: &str = include_str!("../../../testdata/keyring");
/// The words of old clients: before CEPHX_V2, and before MSG_AUTH.
const HAMMER: Features = Features(0x0083_ffff_ffff_ffff);
const UNSIGNED: Features = Features(HAMMER.0 & !(1 << 23));

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
    ([127, 0, 0, 1], 6789).into()
}

fn target() -> EntityAddr {
    EntityAddr::v1(socket(), 0)
}

fn server_config(kind: EntityType, keys: Arc<KeyringServer>) -> ServerConfig {
    let addrs = EntityAddrVec(vec![EntityAddr::v2(([127, 0, 0, 1], 3300).into(), 0), target()]);
    let mut config = ServerConfig::new(EntityName { kind, num: 0 }, addrs, AuthConfig::cephx(keys));
    config.protocol = Protocol::V1;
    config
}

fn without_auth(kind: EntityType) -> ServerConfig {
    let mut config = server_config(kind, keys());
    config.auth.methods = vec![AuthMethod::NONE];
    config
}

fn client_config(server: EntityType, auth: ClientAuth) -> ClientConfig {
    let mut config = ClientConfig::new(server, target(), auth);
    config.protocol = Protocol::V1;
    config
}

fn nobody() -> ClientAuth {
    ClientAuth::None {
        name: AuthEntityName::parse("client.x").unwrap(),
        global_id: 0,
    }
}

fn server(config: ServerConfig) -> Connection {
    Connection::server(Arc::new(config), ([127, 0, 0, 1], 40000).into(), Instant::now())
}

fn client(config: ClientConfig) -> Connection {
    Connection::client(config, socket(), Instant::now())
}

fn mon_auth(client: CephxClient) -> ClientAuth {
    let services = [EntityType::MON, EntityType::OSD, EntityType::MGR];
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
    for _ in 0..40 {
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

/// Credentials with tickets of `keys`.
fn with_tickets(keys: &Arc<KeyringServer>) -> (CephxClient, Established) {
    let c = client_config(EntityType::MON, mon_auth(admin()));
    let (c, s) = establish(c, server_config(EntityType::MON, keys.clone())).unwrap();
    (c.credentials.unwrap(), s)
}

/// A signed session with an OSD.
fn with_osd(supported: Features) -> (Established, Established) {
    let keys = keys();
    let (credentials, _) = with_tickets(&keys);
    let mut c = client_config(EntityType::OSD, ClientAuth::Service(Box::new(credentials)));
    c.supported = supported;
    establish(c, server_config(EntityType::OSD, keys)).unwrap()
}
