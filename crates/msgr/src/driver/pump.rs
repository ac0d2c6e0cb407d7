//! An established session's two loops: one reads and dispatches, the other writes what senders could not.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::FAILURES;
use crate::{
    budget::Share,
    connection::{Event, ReadHalf},
    error::Error,
    session::{Dispatcher, Flushed, Session},
};

/// `ms_connection_idle_timeout`: a peer that is silent for so long is gone.
const IDLE: Duration = Duration::from_secs(900);
/// A peer that says nothing for so long need not be expected to go on as before.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a reader looks whether it may go on where memory for unfinished messages is scarce.
const LOOK: Duration = Duration::from_millis(20);
/// What is left to write when a session is closed has so long to go out.
const LINGER: Duration = Duration::from_secs(5);

/// Calls `on_closed` however the session ends.
struct Closing<'a> {
    session: &'a Arc<Session>,
    dispatcher: &'a dyn Dispatcher,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        end(self.session, self.dispatcher);
    }
}

/// Ends a session for good. Nothing of it may be read any more.
pub(super) fn end(session: &Arc<Session>, dispatcher: &dyn Dispatcher) {
    if session.end() {
        dispatcher.on_closed(session);
    }
}

/// Runs a lossy session until it ends.
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
    let mut writer = tokio::spawn(write_loop(session.clone(), 0, socket.clone()));
    dispatcher.on_ready(&session);
    read_loop(&session, 0, read, &socket, &*dispatcher).await;
    drop(closing);
    if timeout(LINGER, &mut writer).await.is_err() {
        writer.abort();
    }
    session.hang_up();
}

/// Runs a lossless session over one of its connections, once the one before has ended. If the session is over then,
/// ends it.
pub(super) async fn run_connection(
    session: Arc<Session>,
    transport: u64,
    read: ReadHalf,
    socket: Arc<TcpStream>,
    dispatcher: Arc<dyn Dispatcher>,
) {
    let reading = session.reading().await;
    if session.serves(transport) {
        if session.announce() {
            dispatcher.on_ready(&session);
        }
        let mut writer = tokio::spawn(write_loop(session.clone(), transport, socket.clone()));
        read_loop(&session, transport, read, &socket, &*dispatcher).await;
        if session.is_open() {
            session.detach(transport);
        }
        // Nothing is handed on any more; what remains to be written keeps nobody waiting.
        drop(reading);
        session.wake_writer();
        if timeout(LINGER, &mut writer).await.is_err() {
            writer.abort();
        }
    }
    session.detach(transport);
    if !session.is_open() {
        end(&session, &*dispatcher);
    }
}

async fn read_loop(
    session: &Arc<Session>,
    transport: u64,
    mut read: ReadHalf,
    socket: &TcpStream,
    dispatcher: &dyn Dispatcher,
) {
    let mut share = Share::of(session.budget());
    // How long the peer has kept this waiting for the rest of a message.
    let mut waited = Duration::ZERO;
    // The handshake may have left bytes that the client sent right behind it.
    while session.serves(transport) {
        session.cork();
        let mut result = Ok(Received::Nothing);
        dispatcher
            .on_batch(&mut || result = dispatch(session, &mut read, dispatcher, &mut share, &mut waited));
        session.uncork();
        match result {
            Ok(Received::Nothing) => {}
            Ok(Received::More) => {
                session.may_be_read(transport, &mut share).await;
                continue;
            }
            Err(Error::Superseded) => {
                tracing::debug!(
                    session = session.id(),
                    "connection ends: the session has another one"
                );
                return;
            }
            Err(error) => {
                if FAILURES.allows() {
                    tracing::info!(session = session.id(), peer = %session.peer().name, %error, "session ends");
                }
                return;
            }
        }
        session.may_be_read(transport, &mut share).await;
        let received = tokio::select! {
            biased;
            received = timeout(IDLE, receive(socket, &mut read, &mut share, &mut waited)) => received,
            () = session.served(transport) => return,
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

/// What is left of what was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Received {
    /// No whole message.
    Nothing,
    /// Perhaps more; but the session holds too much for now.
    More,
}

fn dispatch(
    session: &Arc<Session>,
    read: &mut ReadHalf,
    dispatcher: &dyn Dispatcher,
    share: &mut Share<'_>,
    waited: &mut Duration,
) -> crate::Result<Received> {
    while session.is_open()
        && let Some(event) = read.poll_event()?
    {
        match event {
            Event::Message(message) => {
                *waited = Duration::ZERO;
                dispatcher.on_message(session, message);
            }
            Event::Keepalive(stamp) => session.send_keepalive_ack(stamp),
            // Lossy sessions keep nothing to be acknowledged; lossless ones have seen to it.
            Event::KeepaliveAck(_) | Event::Ack(_) => {}
            Event::Close => session.close(),
        }
        if session.holds_too_much(share) {
            return Ok(Received::More);
        }
    }
    Ok(Received::Nothing)
}

/// Receives more bytes: at once if they are there, and memory for unfinished messages is not scarce.
async fn receive(
    socket: &TcpStream,
    read: &mut ReadHalf,
    share: &mut Share<'_>,
    waited: &mut Duration,
) -> io::Result<usize> {
    let counts = share.hold_unfinished(read.buffered());
    loop {
        if counts && share.is_scarce() {
            wait_for_rest(socket, share, waited).await?;
        }
        match socket.try_read_buf(read.read_buf()) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock && !counts && read.holds_room() => {
                match timeout(PAUSE, socket.readable()).await {
                    Ok(readable) => readable?,
                    Err(_) => read.give_room_back(),
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock && !counts => socket.readable().await?,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let begun = Instant::now();
                // Memory may get scarce meanwhile.
                if let Ok(readable) = timeout(LOOK, socket.readable()).await {
                    readable?;
                }
                *waited += begun.elapsed();
            }
            result => return result,
        }
    }
}

/// Waits until more of a message is there and may be read.
///
/// # Errors
/// If it does not come, though others need the memory.
async fn wait_for_rest(socket: &TcpStream, share: &mut Share<'_>, waited: &mut Duration) -> io::Result<()> {
    loop {
        let begun = Instant::now();
        let there = timeout(LOOK, socket.peek(&mut [0])).await;
        *waited += begun.elapsed();
        if share.is_too_slow(*waited) {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the rest of a message does not come, and others need the memory",
            ));
        }
        if let Ok(there) = there {
            there?;
            break;
        }
    }
    // Others' messages get whole, or these are left.
    while !share.may_grow() {
        sleep(LOOK).await;
    }
    Ok(())
}

async fn write_loop(session: Arc<Session>, transport: u64, socket: Arc<TcpStream>) {
    loop {
        session.writer_woken().await;
        while session.flush() == Flushed::Blocked {
            if session.transport() != transport {
                break;
            }
            if socket.writable().await.is_err() {
                match session.link() {
                    Some(_) => session.detach(transport),
                    None => session.close(),
                }
                break;
            }
        }
        if !session.serves(transport) {
            // The call may have been for the next connection's task.
            session.wake_writer();
            return;
        }
    }
}
