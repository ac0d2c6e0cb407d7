//! What the messenger costs: a client and an echoing server in one process, over loopback.
//!
//! `echo_bench [crc|secure]`: latency with one message under way, and throughput with 32.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use encoding::{
    MessageType, RawMessage,
    types::{EntityAddr, EntityAddrVec, EntityName, EntityType},
};
use rbdgate_msgr::{
    Dispatcher, Session,
    auth::{AuthConfig, ConMode},
    cephx::{AuthEntityName, CephxClient, EntityAuth, Keyring, KeyringServer},
    driver::{connect, serve},
    v2::{ClientAuth, ClientConfig, ServerConfig},
};
use tokio::sync::mpsc;

struct Echo;

impl Dispatcher for Echo {
    fn on_ready(&self, _: &Arc<Session>) {}
    fn on_message(&self, session: &Arc<Session>, message: RawMessage) {
        session.send(message);
    }
    fn on_closed(&self, _: &Arc<Session>) {}
}

/// Keeps the pipe full: each echo is sent again.
struct Pump(mpsc::UnboundedSender<()>);

impl Dispatcher for Pump {
    fn on_ready(&self, _: &Arc<Session>) {}
    fn on_message(&self, session: &Arc<Session>, message: RawMessage) {
        session.send(message);
        let _ = self.0.send(());
    }
    fn on_closed(&self, _: &Arc<Session>) {}
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mode = match std::env::args().nth(1).as_deref() {
        Some("secure") => ConMode::SECURE,
        _ => ConMode::CRC,
    };
    let key = rbdgate_msgr::cephx::CryptoKey::generate(SystemTime::now());
    let mut ring = Keyring::default();
    let auth = EntityAuth {
        key: key.clone(),
        ..EntityAuth::default()
    };
    ring.entities
        .insert("client.admin".to_owned(), auth.with_caps("mon", "allow *"));
    let keys = Arc::new(KeyringServer::new(ring, 1, SystemTime::now()));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let name = EntityName {
        kind: EntityType::MON,
        num: 0,
    };
    let addrs = EntityAddrVec(vec![EntityAddr::v2(address, 0)]);
    let config = Arc::new(ServerConfig::new(name, addrs, AuthConfig::cephx(keys)));
    let (_running, shutdown) = tokio::sync::watch::channel(false);
    tokio::spawn(serve(listener, config, Arc::new(Echo), shutdown));

    let name = AuthEntityName::parse("client.admin").ok_or("name")?;
    for (depth, size, rounds) in [
        (1, 0, 50_000),
        (1, 4096, 50_000),
        (32, 4096, 200_000),
        (32, 4 << 20, 500),
    ] {
        let client = CephxClient::new(name.clone(), key.clone());
        let auth = ClientAuth::Mon(Box::new(client), vec![EntityType::OSD]);
        let mut config = ClientConfig::new(EntityType::MON, EntityAddr::v2(address, 0), auth);
        config.modes = vec![mode];
        let (sender, mut done) = mpsc::unbounded_channel();
        let connected = connect(address, config, Arc::new(Pump(sender))).await?;
        let mut message = RawMessage::new(MessageType::OSD_OP, 8, 3, Bytes::from(vec![1; 250]));
        message.data = [Bytes::from(vec![2; size])].into();
        let start = Instant::now();
        for _ in 0..depth {
            connected.session.send(message.clone());
        }
        for _ in 0..rounds {
            done.recv().await.ok_or("closed")?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let rate = f64::from(rounds) / seconds;
        println!(
            "depth {depth:2} size {size:7}: {rate:9.0} round trips/s, {:7.1} us each, {:7.1} MB/s each way",
            seconds * 1e6 / f64::from(rounds),
            rate * size as f64 / 1e6
        );
        connected.session.close();
    }
    Ok(())
}
