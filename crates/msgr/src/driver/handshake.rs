//! Drives a handshake over a socket.

use std::{io, time::SystemTime};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout_at,
};

use crate::{
    connection::{Connection, Established, HandshakeEvent},
    error::{Error, Misbehaved},
};

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer broke the protocol, or could not be served.
    #[error(transparent)]
    Protocol(#[from] Error),
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Shakes hands until the session is established.
pub(super) async fn shake_hands(
    socket: &mut TcpStream,
    connection: &mut Connection,
) -> Result<(), HandshakeError> {
    let deadline = tokio::time::Instant::from_std(connection.deadline());
    let result = timeout_at(deadline, run(socket, connection)).await;
    match result {
        Ok(done) => done,
        Err(_) => Err(Error::from(Misbehaved::HandshakeTimeout).into()),
    }
}

/// The session of a handshake that is done.
pub(super) fn finished(connection: Connection) -> Result<Established, HandshakeError> {
    let established = connection.into_session();
    established.ok_or_else(|| Error::from(Misbehaved::HandshakeTimeout).into())
}

async fn run(socket: &mut TcpStream, connection: &mut Connection) -> Result<(), HandshakeError> {
    loop {
        let step = connection.step(SystemTime::now());
        // Also after an error: the output may tell the peer why.
        let output = connection.output().take();
        if !output.is_empty() {
            socket.write_all(&output).await?;
        }
        if step? == HandshakeEvent::Ready {
            return Ok(());
        }
        if socket.read_buf(connection.read_buf()).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}
