//! A monitor that does nothing but shake hands and print what it is sent: to look at clients with.
//!
//! `mon_handshake ADDRESS KEYRING [crc|secure|none]`

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use encoding::{
    RawMessage,
    types::{EntityAddr, EntityAddrVec, EntityName, EntityType},
};
use rbdgate_msgr::{
    Dispatcher, Session,
    auth::{AuthConfig, AuthMethod, ConMode},
    cephx::{Keyring, KeyringServer},
    driver::serve,
    v2::ServerConfig,
};

struct Printer;

impl Dispatcher for Printer {
    fn on_ready(&self, session: &Arc<Session>) {
        println!(
            "ready {:#?} caps {:?}",
            session.peer(),
            session.peer().caps.text()
        );
    }
    fn on_message(&self, session: &Arc<Session>, message: RawMessage) {
        println!(
            "{}: {:?} front {} data {}",
            session.peer().name,
            message.header,
            message.front.len(),
            message.data_len()
        );
    }
    fn on_closed(&self, session: &Arc<Session>) {
        println!("closed {}", session.peer().name);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, address, keyring, rest @ ..] = args.as_slice() else {
        return Err("usage: mon_handshake ADDRESS KEYRING [crc|secure|none]".into());
    };
    let address: SocketAddr = address.parse()?;
    let keyring = Keyring::parse(&std::fs::read_to_string(keyring)?)?;
    let keys = Arc::new(KeyringServer::new(keyring, 4100, SystemTime::now()));
    let mut auth = AuthConfig::cephx(keys);
    match rest.first().map(String::as_str) {
        Some("crc") => auth.modes = vec![ConMode::CRC],
        Some("secure") => auth.modes = vec![ConMode::SECURE],
        Some("none") => auth.methods = vec![AuthMethod::NONE],
        _ => {}
    }
    let name = EntityName {
        kind: EntityType::MON,
        num: 0,
    };
    let addrs = EntityAddrVec(vec![EntityAddr::v2(address, 0)]);
    let config = Arc::new(ServerConfig::new(name, addrs, auth));
    let listener = tokio::net::TcpListener::bind(address).await?;
    let (_running, shutdown) = tokio::sync::watch::channel(false);
    serve(listener, config, Arc::new(Printer), shutdown).await;
    Ok(())
}
