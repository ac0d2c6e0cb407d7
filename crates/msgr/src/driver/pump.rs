//! An established session's two loops: one reads and dispatches, the other writes what senders could not.

use std::{io, sync::Arc, time::Duration};

use tokio::{net::TcpStream, time::timeout};

use super::FAILURES;
use crate::{
    connection::{Event, ReadHalf},
    session::{Dispatcher, Flushed, Session},
};

/// `ms_connection_idle_timeout`: a peer that is silent for so long is gone.
const IDLE: Duration = Duration::from_secs(900);
/// What is left to write when a session is closed has so long to go out.
const LINGER: Duration = Duration::from_secs(5);

/// Calls `on_closed` however the session ends.
struct Closing<'a> {
    session: &'a Arc<Session>,
    dispatcher: &'a dyn Dispatcher,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.session.close();
        self.dispatcher.on_closed(self.session);
    }
}

/// Runs a session until it ends.
pub(super) async fn run_session(
    session: Arc<Session>,
    read: ReadHalf,
    socket: Arc<TcpStream>,
    dispatcher: Arc<dyn Dispatcher>,
) {
    let closing = Closing {
        session: &session,
        dispatcher: &*dispatcher,
    };
    let mut writer = tokio::spawn(write_loop(session.clone(), socket.clone()));
    dispatcher.on_ready(&session);
    read_loop(&session, read, &socket, &*dispatcher).await;
    drop(closing);
    if timeout(LINGER, &mut writer).await.is_err() {
        writer.abort();
    }
}

async fn read_loop(
    session: &Arc<Session>,
    mut read: ReadHalf,
    socket: &TcpStream,
    dispatcher: &dyn Dispatcher,
) {
    // The handshake may have left bytes that the client sent right behind it.
    while session.is_open() {
        session.cork();
        let result = dispatch(session, &mut read, dispatcher);
        session.uncork();
        if let Err(error) = result {
            if FAILURES.allows() {
                tracing::info!(session = session.id(), peer = %session.peer().name, %error, "session ends");
            }
            return;
        }
        session.writable_again().await;
        let received = tokio::select! {
            biased;
            received = timeout(IDLE, receive(socket, &mut read)) => received,
            () = session.closed() => return,
        };
        match received {
            Ok(Ok(0)) | Err(_) => return,
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::debug!(session = session.id(), %error, "read failed");
                return;
            }
        }
    }
}

fn dispatch(session: &Arc<Session>, read: &mut ReadHalf, dispatcher: &dyn Dispatcher) -> crate::Result<()> {
    while session.is_open()
        && let Some(event) = read.poll_event()?
    {
        match event {
            Event::Message(message) => dispatcher.on_message(session, message),
            Event::Keepalive(stamp) => session.send_keepalive_ack(stamp),
            // Lossy sessions keep nothing to be acknowledged.
            Event::KeepaliveAck(_) | Event::Ack(_) => {}
            Event::Close => session.close(),
        }
    }
    Ok(())
}

async fn receive(socket: &TcpStream, read: &mut ReadHalf) -> io::Result<usize> {
    loop {
        match socket.try_read_buf(read.read_buf()) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => socket.readable().await?,
            result => return result,
        }
    }
}

async fn write_loop(session: Arc<Session>, socket: Arc<TcpStream>) {
    loop {
        session.writer_woken().await;
        while session.flush() == Flushed::Blocked {
            if socket.writable().await.is_err() {
                session.close();
                return;
            }
        }
        if !session.is_open() {
            return;
        }
    }
}
