//! A client of msgr v1 with any feature word, to see how old clients are served: it authenticates with a monitor,
//! asks for the maps, and prints what it is told; then it connects to the OSDs named.
//!
//! `v1_client MON KEYRING FEATURES [OSD/NONCE...]`, the features in hexadecimal

use std::{net::SocketAddr, sync::Arc, time::Duration};

use encoding::{
    Features, Message, RawMessage,
    messages::{MMonSubscribe, SubscribeItem},
    types::{EntityAddr, EntityType},
};
use rbdgate_msgr::{
    ClientAuth, ClientConfig, Dispatcher, Protocol, Session,
    cephx::{AuthEntityName, CephxClient, Keyring},
    driver::{Connected, connect},
};

struct Printer;

impl Dispatcher for Printer {
    fn on_ready(&self, session: &Arc<Session>) {
        println!("ready {:#?}", session.peer());
    }
    fn on_message(&self, _: &Arc<Session>, message: RawMessage) {
        let header = message.header;
        println!(
            "{:?} v{} front {} data {}",
            header.kind,
            header.version,
            message.front.len(),
            message.data_len()
        );
    }
    fn on_closed(&self, session: &Arc<Session>) {
        println!("closed {}", session.peer().name);
    }
}

async fn dial(
    server: EntityType,
    target: EntityAddr,
    auth: ClientAuth,
    supported: Features,
) -> Result<Connected, Box<dyn std::error::Error>> {
    let mut config = ClientConfig::new(server, target, auth);
    config.protocol = Protocol::V1;
    config.supported = supported;
    let address = target.socket.ok_or("no address")?;
    Ok(connect(address, config, Arc::new(Printer)).await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, mon, keyring, features, osds @ ..] = args.as_slice() else {
        return Err("usage: v1_client MON KEYRING FEATURES [OSD/NONCE...]".into());
    };
    let supported = Features(u64::from_str_radix(features.trim_start_matches("0x"), 16)?);
    let keyring = Keyring::parse(&std::fs::read_to_string(keyring)?)?;
    let admin = keyring
        .entities
        .get("client.admin")
        .ok_or("no key of client.admin")?;
    let name = AuthEntityName::parse("client.admin").ok_or("no name")?;
    let client = CephxClient::new(name, admin.key.clone());
    let services = vec![EntityType::MON, EntityType::OSD];
    let mon: SocketAddr = mon.parse()?;
    let auth = ClientAuth::Mon(Box::new(client), services);
    let at_mon = dial(EntityType::MON, EntityAddr::v1(mon, 0), auth, supported).await?;
    let mut subscribe = MMonSubscribe::default();
    for what in ["monmap", "osdmap"] {
        subscribe.what.insert(what.to_owned(), SubscribeItem::default());
    }
    at_mon
        .session
        .send(subscribe.encode(at_mon.session.peer().features));
    for osd in osds {
        let (address, nonce) = osd.split_once('/').ok_or("an OSD is ADDRESS/NONCE")?;
        let target = EntityAddr::v1(address.parse()?, nonce.parse()?);
        let credentials = at_mon.credentials.clone().ok_or("no tickets")?;
        let auth = ClientAuth::Service(Box::new(credentials));
        dial(EntityType::OSD, target, auth, supported).await?;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}
