//! A scripted client on the wire: any feature word, any message, one step after the other.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use encoding::types::{EntityAddr, EntityType};
use encoding::{Features, MessageType, RawMessage};
use msgr::cephx::{AuthEntityName, CephxClient, Keyring};
use msgr::connection::{Connection, Event, HandshakeEvent, ReadHalf, WriteHalf};
use msgr::{ClientAuth, ClientConfig, PeerInfo, Protocol};

use crate::{Failure, Result};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A session with one daemon.
pub struct Peer {
    socket: TcpStream,
    read: ReadHalf,
    write: WriteHalf,
    info: PeerInfo,
    credentials: Option<CephxClient>,
}

/// A client of the protocol `protocol` with the feature word `supported`.
#[must_use]
pub fn config(
    server: EntityType,
    target: EntityAddr,
    auth: ClientAuth,
    protocol: Protocol,
    supported: Features,
) -> ClientConfig {
    let mut config = ClientConfig::new(server, target, auth);
    config.protocol = protocol;
    config.supported = supported;
    config
}

/// `client.admin` with its key, as it goes to a monitor for tickets to monitors and OSDs.
pub fn admin(keyring: &Path) -> Result<ClientAuth> {
    user(keyring, "client.admin")
}

/// Another user of the keyring, likewise.
pub fn user(keyring: &Path, name: &str) -> Result<ClientAuth> {
    let text = std::fs::read_to_string(keyring).map_err(|e| Failure::new(keyring.display(), e))?;
    let keyring = Keyring::parse(&text).map_err(|e| Failure::new("keyring", e))?;
    let entity = keyring.entities.get(name);
    let (Some(entity), Some(name)) = (entity, AuthEntityName::parse(name)) else {
        return Err(Failure(format!("no {name} in the keyring")));
    };
    let client = CephxClient::new(name, entity.key.clone());
    Ok(ClientAuth::Mon(
        Box::new(client),
        vec![EntityType::MON, EntityType::OSD],
    ))
}

impl Peer {
    /// Connects and shakes hands.
    pub fn connect(config: ClientConfig) -> Result<Self> {
        let address: SocketAddr = config
            .target
            .socket
            .ok_or_else(|| Failure("the target has no address".to_owned()))?;
        let what = format!("connecting to {address}");
        let mut socket = TcpStream::connect(address).map_err(|e| Failure::new(&what, e))?;
        socket
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| socket.set_nodelay(true))
            .map_err(|e| Failure::new(&what, e))?;
        let mut connection = Connection::client(config, address, Instant::now());
        loop {
            let step = connection.step(SystemTime::now());
            let output = connection.output().take();
            socket.write_all(&output).map_err(|e| Failure::new(&what, e))?;
            if step.map_err(|e| Failure::new(&what, e))? == HandshakeEvent::Ready {
                break;
            }
            let bytes = receive(&mut socket)?;
            connection.receive(&bytes);
        }
        let session = connection
            .into_session()
            .ok_or_else(|| Failure("no session after the handshake".to_owned()))?;
        Ok(Self {
            socket,
            read: session.read,
            write: session.write,
            info: session.peer,
            credentials: session.credentials,
        })
    }

    /// What the handshake told of the server; its features are those of both sides.
    #[must_use]
    pub fn info(&self) -> &PeerInfo {
        &self.info
    }

    /// The socket, both directions of the session, and what the handshake told.
    #[must_use]
    pub fn into_parts(self) -> (TcpStream, ReadHalf, WriteHalf, PeerInfo) {
        (self.socket, self.read, self.write, self.info)
    }

    /// The tickets that the monitor gave, for a connection to a service.
    pub fn tickets(&self) -> Result<ClientAuth> {
        let credentials = self.credentials.clone();
        let credentials = credentials.ok_or_else(|| Failure("no tickets".to_owned()))?;
        Ok(ClientAuth::Service(Box::new(credentials)))
    }

    /// Sends a message.
    pub fn send(&mut self, message: &RawMessage) -> Result<()> {
        self.write.send(message);
        let output = self.write.output().take();
        self.socket
            .write_all(&output)
            .map_err(|e| Failure::new("sending", e))
    }

    /// The next message of the type `kind`; others are passed over.
    pub fn receive(&mut self, kind: MessageType) -> Result<RawMessage> {
        loop {
            let message = self.next_message()?;
            if message.header.kind == kind {
                return Ok(message);
            }
        }
    }

    /// The next message of whatever type.
    pub fn next_message(&mut self) -> Result<RawMessage> {
        loop {
            match self.read.poll_event().map_err(|e| Failure::new("receiving", e))? {
                Some(Event::Message(message)) => return Ok(message),
                Some(Event::Keepalive(stamp)) => self.write.keepalive_ack(stamp),
                Some(Event::Close) => return Err(Failure("the server closed the session".to_owned())),
                Some(_) => {}
                None => {
                    let bytes = receive(&mut self.socket)?;
                    self.read.read_buf().extend_from_slice(&bytes);
                }
            }
        }
    }
}

fn receive(socket: &mut TcpStream) -> Result<Vec<u8>> {
    let mut buffer = vec![0; 64 << 10];
    match socket.read(&mut buffer) {
        Ok(0) => Err(Failure("the server closed the connection".to_owned())),
        Ok(n) => {
            buffer.truncate(n);
            Ok(buffer)
        }
        Err(e) => Err(Failure::new("receiving", e)),
    }
}
