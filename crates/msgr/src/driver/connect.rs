//! The client's side: for tests, tools and load generators.

use std::{net::SocketAddr, sync::Arc};

use tokio::{net::TcpStream, time::Instant};

use crate::{
    cephx::CephxClient,
    config::ClientConfig,
    connection::Connection,
    session::{Dispatcher, Session},
};

use super::{handshake::shake_hands, pump::run_session};

pub use super::handshake::HandshakeError as ConnectError;

/// An established session of ours with a server.
#[derive(Debug)]
pub struct Connected {
    /// The session; it runs in a task of its own.
    pub session: Arc<Session>,
    /// With cephx: the credentials, with the tickets received.
    pub credentials: Option<CephxClient>,
}

/// A client never stops reading: were both sides to wait for the other to take what they wrote, neither would.
const HIGH_WATER: usize = usize::MAX;

/// Connects and shakes hands.
pub async fn connect(
    address: SocketAddr,
    config: ClientConfig,
    dispatcher: Arc<dyn Dispatcher>,
) -> Result<Connected, ConnectError> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let connection = Connection::client(config, address, Instant::now().into_std());
    let established = shake_hands(&mut socket, connection).await?;
    let socket = Arc::new(socket);
    let session = Arc::new(Session::new(
        established.peer,
        established.mon_auth,
        established.write,
        socket.clone(),
        HIGH_WATER,
    ));
    tokio::spawn(run_session(session.clone(), established.read, socket, dispatcher));
    Ok(Connected {
        session,
        credentials: established.credentials,
    })
}
