//! One connection, shared by all calls to a peer.
//!
//! Two tasks move the bytes: one writes queued calls, several with one system call and without copying their data; one
//! reads replies and hands them to the callers. A small call that finds the connection all but idle is written by its caller
//! (`outlet`), which saves it the way over the writer's task.

use std::{
    collections::HashMap,
    io::{self, IoSlice},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use super::{
    error::{Closed, RpcError},
    frame::{Decoder, Frame, MAX_BODY, encode_head},
    outlet::Outlet,
};
use crate::{
    buffers::Buffers,
    proto::meta::{RpcMeta, RpcRequestMeta},
};

/// Calls that wait for the writer; more make their callers wait.
const QUEUE: usize = 256;
/// Calls written with one system call at most.
const BATCH: usize = 32;
/// Pieces given to one system call.
const MAX_IOVECS: usize = 64;
/// A caller writes its call itself if no more than so many are under way; with more, the writer makes fewer system calls.
const OWN_CALLS: usize = 3;
/// Most data, in bytes, of a call that its caller writes.
const OWN_BYTES: usize = 64 * 1024;
/// Room made for replies when nothing is known about them.
const READ_BUFFER: usize = 64 * 1024;
/// A reply's bytes besides what its caller asked for.
const REPLY_OVERHEAD: usize = 4 * 1024;

/// Settings of connections.
#[derive(Debug, Clone)]
pub struct RpcConfig {
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long calls may time out, without a single byte from the peer, before its connection is given up.
    pub silence: Duration,
}

impl Default for RpcConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            silence: Duration::from_secs(8),
        }
    }
}

/// A call to be made.
#[derive(Debug, Clone)]
pub struct Call {
    /// Full name of the service.
    pub service: &'static str,
    /// Name of the method.
    pub method: &'static str,
    /// The encoded message.
    pub payload: Bytes,
    /// Data behind the message.
    pub attachment: Buffers,
    /// How many bytes of data the reply is expected to bring.
    pub expect: usize,
}

struct Waiting {
    reply: oneshot::Sender<Result<Frame, RpcError>>,
    expect: usize,
}

#[derive(Default)]
struct Pending {
    calls: HashMap<i64, Waiting>,
    closed: Option<Closed>,
}

struct Shared {
    peer: SocketAddr,
    pending: Mutex<Pending>,
    next_id: AtomicI64,
    /// Since when calls time out with nothing received meanwhile.
    silent_since: Mutex<Option<Instant>>,
    silence: Duration,
    closing: watch::Sender<bool>,
    outlet: Outlet,
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, reason: Closed) {
        let mut pending = self.pending();
        if pending.closed.is_some() {
            return;
        }
        tracing::debug!(peer = %self.peer, %reason, calls = pending.calls.len(), "connection ends");
        pending.closed = Some(reason.clone());
        let calls = std::mem::take(&mut pending.calls);
        drop(pending);
        for (_, waiting) in calls {
            // A caller that has gone does not mind.
            let _ = waiting.reply.send(Err(RpcError::Closed(reason.clone())));
        }
        self.closing.send_replace(true);
    }

    fn answer(&self, id: i64, result: Result<Frame, RpcError>) {
        // Nobody waits for a reply that comes after its time-out.
        if let Some(waiting) = self.pending().calls.remove(&id) {
            let _ = waiting.reply.send(result);
        }
    }

    /// A call timed out. A peer that sends nothing at all for long is left: a new connection may do better. Not sooner, because what
    /// the old one carries may still be on its way, and its repetition is to stay behind it.
    fn timed_out(&self) {
        let mut since = self.silent_since.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = since.get_or_insert_with(Instant::now).elapsed();
        drop(since);
        if silent >= self.silence {
            self.close(Closed::GivenUp);
        }
    }

    fn heard(&self) {
        *self.silent_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The largest reply anybody waits for.
    fn expected(&self) -> usize {
        let pending = self.pending();
        pending
            .calls
            .values()
            .map(|waiting| waiting.expect)
            .max()
            .unwrap_or(0)
            + REPLY_OVERHEAD
    }
}

/// Takes the call out of the pending ones when its caller goes away.
struct Forget<'a> {
    shared: &'a Shared,
    id: i64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.pending().calls.remove(&self.id);
    }
}

struct Outgoing {
    id: i64,
    call: Call,
}

/// The socket, and then the end of `gone`: when the last task drops this, both go in this order.
struct Wire {
    stream: TcpStream,
    _gone: watch::Sender<()>,
}

/// A connection. Clones share it; it closes when the last one is dropped.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Outgoing>,
    /// The tasks hold it, and it closes when they end.
    wire: Weak<Wire>,
    /// Its sender goes when the socket is closed.
    gone: watch::Receiver<()>,
}

impl Connection {
    /// Connects to a peer.
    ///
    /// # Errors
    /// As the socket says; `TimedOut` after the configured time.
    pub async fn connect(peer: SocketAddr, config: &RpcConfig) -> io::Result<Self> {
        let stream = timeout(config.connect_timeout, TcpStream::connect(peer))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        // What is not sent when we close must not arrive later: another connection may have overtaken it.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        let (queue, calls) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            peer,
            pending: Mutex::default(),
            next_id: AtomicI64::new(1),
            silent_since: Mutex::default(),
            silence: config.silence,
            closing: watch::Sender::new(false),
            outlet: Outlet::default(),
        });
        let (sender, gone) = watch::channel(());
        let wire = Arc::new(Wire {
            stream,
            _gone: sender,
        });
        tokio::spawn(write_calls(shared.clone(), wire.clone(), calls));
        tokio::spawn(read_replies(shared.clone(), wire.clone()));
        Ok(Self {
            shared,
            queue,
            wire: Arc::downgrade(&wire),
            gone,
        })
    }

    /// The peer's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.shared.peer
    }

    /// Whether calls can be made.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.pending().closed.is_none()
    }

    /// Gives the connection up; all calls end with [`Closed::GivenUp`]. When this returns the socket is closed, with a reset: what was
    /// not sent never will be.
    pub async fn abort(&self) {
        self.shared.close(Closed::GivenUp);
        // Nothing is ever sent to it: this is the end of its sender.
        let _ = self.gone.clone().changed().await;
    }

    /// Makes a call and waits for its reply.
    ///
    /// # Errors
    /// See [`RpcError`]. If the caller goes away before the call is written, it is never sent.
    pub async fn call(&self, call: Call, limit: Duration) -> Result<Frame, RpcError> {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let (reply, answered) = oneshot::channel();
        let under_way = {
            let mut pending = self.shared.pending();
            if let Some(reason) = &pending.closed {
                return Err(RpcError::Closed(reason.clone()));
            }
            let expect = call.expect;
            pending.calls.insert(id, Waiting { reply, expect });
            pending.calls.len()
        };
        let _forget = Forget {
            shared: &self.shared,
            id,
        };
        let own = under_way <= OWN_CALLS && call.attachment.len() <= OWN_BYTES;
        let outgoing = Outgoing { id, call };
        let answered = async {
            let queued = match own {
                true => self.write_now(outgoing),
                false => Some(outgoing),
            };
            if let Some(outgoing) = queued
                && self.queue.send(outgoing).await.is_err()
            {
                return Err(RpcError::Closed(Closed::GivenUp));
            }
            answered.await.unwrap_or(Err(RpcError::Closed(Closed::GivenUp)))
        };
        let frame = match timeout(limit, answered).await {
            Ok(answer) => answer?,
            Err(_) => {
                self.shared.timed_out();
                return Err(RpcError::Timeout);
            }
        };
        let response = frame.meta.response.as_ref();
        match response.and_then(|response| response.error_code).unwrap_or(0) {
            0 => Ok(frame),
            code => Err(RpcError::Remote {
                code,
                text: response
                    .and_then(|response| response.error_text.clone())
                    .unwrap_or_default(),
            }),
        }
    }
}

impl Connection {
    /// Writes a call, without waiting, if nobody else writes; returns it if somebody does. What the socket does not take is left to
    /// the writer.
    fn write_now(&self, outgoing: Outgoing) -> Option<Outgoing> {
        let (Some(mut turn), Some(wire)) = (self.shared.outlet.try_turn(), self.wire.upgrade()) else {
            return Some(outgoing);
        };
        encode_call(&self.shared, outgoing, turn.pieces());
        match try_write(&wire.stream, turn.pieces()) {
            Ok(()) => turn.end(),
            Err(error) => self.shared.close(Closed::Socket(error.kind())),
        }
        None
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection to {}", self.shared.peer)
    }
}

async fn write_calls(shared: Arc<Shared>, wire: Arc<Wire>, mut calls: mpsc::Receiver<Outgoing>) {
    let mut closing = shared.closing.subscribe();
    let mut batch = Vec::with_capacity(BATCH);
    let mut pieces = Vec::new();
    let reason = loop {
        tokio::select! {
            count = calls.recv_many(&mut batch, BATCH) => if count == 0 { break Closed::GivenUp },
            () = shared.outlet.left() => {}
            _ = closing.wait_for(|closing| *closing) => break Closed::GivenUp,
        }
        // Before anything is encoded: what is, comes before all that is encoded later.
        shared.outlet.begin(&mut pieces);
        for outgoing in batch.drain(..) {
            encode_call(&shared, outgoing, &mut pieces);
        }
        let written = tokio::select! {
            written = write_all(&wire.stream, &mut pieces) => written,
            _ = closing.wait_for(|closing| *closing) => break Closed::GivenUp,
        };
        if let Err(error) = written {
            break Closed::Socket(error.kind());
        }
        shared.outlet.end();
    };
    shared.close(reason);
}

fn encode_call(shared: &Shared, outgoing: Outgoing, pieces: &mut Vec<Bytes>) {
    let Outgoing { id, call } = outgoing;
    if !shared.pending().calls.contains_key(&id) {
        return;
    }
    let attachment = call.attachment.len();
    let meta = RpcMeta {
        request: Some(RpcRequestMeta {
            service_name: call.service.to_owned(),
            method_name: call.method.to_owned(),
            log_id: None,
        }),
        response: None,
        compress_type: Some(0),
        correlation_id: Some(id),
        // encode_head refuses what does not fit.
        attachment_size: i32::try_from(attachment).ok().filter(|len| *len > 0),
    };
    match encode_head(&meta, &call.payload, attachment) {
        Ok(head) => {
            pieces.push(head);
            pieces.extend_from_slice(call.attachment.pieces());
        }
        Err(error) => {
            tracing::error!(peer = %shared.peer, method = call.method, %error, "call not sent");
            shared.answer(id, Err(error.into()));
        }
    }
}

async fn write_all(stream: &TcpStream, pieces: &mut Vec<Bytes>) -> io::Result<()> {
    while !pieces.is_empty() {
        stream.writable().await?;
        try_write(stream, pieces)?;
    }
    Ok(())
}

/// Writes as much as the socket takes; the rest stays in `pieces`.
fn try_write(stream: &TcpStream, pieces: &mut Vec<Bytes>) -> io::Result<()> {
    let mut first = 0;
    while first < pieces.len() {
        let mut slices = [IoSlice::new(&[]); MAX_IOVECS];
        let count = slices.len().min(pieces.len() - first);
        for (slice, piece) in slices.iter_mut().zip(&pieces[first..]) {
            *slice = IoSlice::new(piece);
        }
        let mut written = match stream.try_write_vectored(&slices[..count]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        };
        while written > 0 {
            let step = written.min(pieces[first].len());
            pieces[first].advance(step);
            written -= step;
            if pieces[first].is_empty() {
                first += 1;
            }
        }
    }
    pieces.drain(..first);
    Ok(())
}

async fn read_replies(shared: Arc<Shared>, wire: Arc<Wire>) {
    let mut closing = shared.closing.subscribe();
    let mut decoder = Decoder::new(MAX_BODY);
    let reason = loop {
        tokio::select! {
            ready = wire.stream.readable() => if let Err(error) = ready { break Closed::Socket(error.kind()) },
            _ = closing.wait_for(|closing| *closing) => break Closed::GivenUp,
        }
        make_room(&shared, &mut decoder);
        match wire.stream.try_read_buf(decoder.buffer()) {
            Ok(0) => break Closed::ByPeer,
            Ok(_) => shared.heard(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => break Closed::Socket(error.kind()),
        }
        if let Err(error) = deliver(&shared, &mut decoder) {
            break Closed::Frame(error);
        }
    };
    shared.close(reason);
}

/// Room for the rest of a reply at once if somebody asked for as much; else twice of what has arrived.
fn make_room(shared: &Shared, decoder: &mut Decoder) {
    let missing = decoder.missing().unwrap_or(0);
    let buffer = decoder.buffer();
    if missing > buffer.capacity() - buffer.len() {
        let allowed = shared.expected().max(buffer.len()).max(READ_BUFFER);
        buffer.reserve(missing.min(allowed));
    } else if buffer.capacity() - buffer.len() < REPLY_OVERHEAD {
        buffer.reserve(READ_BUFFER);
    }
}

fn deliver(shared: &Shared, decoder: &mut Decoder) -> Result<(), super::FrameError> {
    while let Some(frame) = decoder.next_frame()? {
        let id = frame.correlation_id();
        shared.answer(id, Ok(frame));
    }
    Ok(())
}
