//! The client's side: for tests, tools and load generators.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpStream, time::Instant};

use crate::{
    budget::Budget,
    cephx::CephxClient,
    config::ClientConfig,
    connection::{Connection, Established, ReadHalf},
    session::{Dispatcher, Session},
};

use super::{
    handshake::{finished, shake_hands},
    pump::{end, run_connection, run_session},
};

pub use super::handshake::HandshakeError as ConnectError;

/// An established session of ours with a server.
#[derive(Debug)]
pub struct Connected {
    /// The session; it runs in a task of its own.
    pub session: Arc<Session>,
    /// With cephx: the credentials, with the tickets received.
    pub credentials: Option<CephxClient>,
}

/// `ms_initial_backoff`: the pause before a failed attempt to reconnect is repeated; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// `ms_max_backoff`.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Connects and shakes hands. A lossless session connects again by itself when its connection breaks, until the server
/// does not know it any more or it has waited for too long.
pub async fn connect(
    address: SocketAddr,
    config: ClientConfig,
    dispatcher: Arc<dyn Dispatcher>,
) -> Result<Connected, ConnectError> {
    let (socket, established) = dial(address, config.clone()).await?;
    let link = established.link.clone();
    let transport = transport(&established);
    let session = Arc::new(Session::new(
        established.peer,
        established.mon_auth,
        established.write,
        socket.clone(),
        Arc::new(Budget::unlimited()),
    ));
    let (read, running) = (established.read, session.clone());
    if link.is_some() {
        let auth = config.auth.renewed(established.credentials.clone());
        let keep = Keep {
            session: running,
            address,
            config: ClientConfig { link, auth, ..config },
            dispatcher,
        };
        tokio::spawn(keep.run(transport, read, socket));
    } else {
        tokio::spawn(run_session(running, read, socket, dispatcher));
    }
    Ok(Connected {
        session,
        credentials: established.credentials,
    })
}

async fn dial(
    address: SocketAddr,
    config: ClientConfig,
) -> Result<(Arc<TcpStream>, Established), ConnectError> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let mut connection = Connection::client(config, address, Instant::now().into_std());
    shake_hands(&mut socket, &mut connection).await?;
    let established = finished(connection)?;
    Ok((Arc::new(socket), established))
}

fn transport(established: &Established) -> u64 {
    let attachment = established.write.attachment();
    attachment.map_or(0, |attachment| attachment.transport())
}

/// Keeps a lossless session.
struct Keep {
    session: Arc<Session>,
    address: SocketAddr,
    config: ClientConfig,
    dispatcher: Arc<dyn Dispatcher>,
}

impl Keep {
    async fn run(self, mut transport: u64, mut read: ReadHalf, mut socket: Arc<TcpStream>) {
        loop {
            let (session, dispatcher) = (self.session.clone(), self.dispatcher.clone());
            run_connection(session, transport, read, socket, dispatcher).await;
            match self.again().await {
                Some(next) => (transport, read, socket) = next,
                None => break,
            }
        }
        let reading = self.session.reading().await;
        end(&self.session, &*self.dispatcher);
        drop(reading);
    }

    fn is_over(&self) -> bool {
        !self.session.is_open() || self.config.link.as_ref().is_none_or(|link| link.is_closed())
    }

    /// Connects until it works. None if the session is over.
    async fn again(&self) -> Option<(u64, ReadHalf, Arc<TcpStream>)> {
        let link = self.config.link.as_ref()?;
        let mut pause = FIRST_PAUSE;
        loop {
            while self.config.policy.standby && !self.is_over() && !link.has_unacknowledged() {
                self.session.nudged(LONGEST_PAUSE).await;
            }
            link.expire(Instant::now().into_std());
            if self.is_over() {
                return None;
            }
            match dial(self.address, self.config.clone()).await {
                // The server began anew, or is lossy now: what it opened is not this session.
                Ok((_, established)) if established.link.as_ref().is_none_or(|l| l.id() != link.id()) => {
                    return None;
                }
                Ok((socket, established)) => {
                    let transport = transport(&established);
                    self.session.attach(established.write, socket.clone());
                    return Some((transport, established.read, socket));
                }
                Err(error) => {
                    tracing::debug!(session = self.session.id(), %error, "cannot connect again yet");
                    let until = Instant::now() + pause;
                    while !self.is_over() && Instant::now() < until {
                        self.session
                            .nudged(until.saturating_duration_since(Instant::now()))
                            .await;
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}
