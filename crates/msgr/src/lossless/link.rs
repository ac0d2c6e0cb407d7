//! What a lossless session keeps while transports come and go: numbers, cookies, and the messages that the peer has
//! not acknowledged.
//!
//! A link is owned by one transport at a time. Whoever takes it over gets a new [`Attachment`]; from that moment the
//! older one can neither deliver nor send, so that what the peer is told about the messages received stays true.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use encoding::RawMessage;

use crate::{
    error::{Error, Result},
    session::PeerInfo,
};

/// How much lossless sessions may keep. What does not fit ends a session: its peer is told so when it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Sessions in a table.
    pub sessions: usize,
    /// Messages of one session that are not acknowledged.
    pub messages: usize,
    /// Their bytes.
    pub bytes: usize,
    /// The bytes of all sessions of a table together.
    pub total: usize,
    /// How long a session waits for its peer.
    pub age: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            sessions: 4096,
            messages: 64 << 10,
            bytes: 256 << 20,
            total: 1 << 30,
            age: Duration::from_secs(900),
        }
    }
}

/// Bytes that a message takes beside its sections, roughly.
const OVERHEAD: usize = 96;

fn cost(message: &RawMessage) -> usize {
    OVERHEAD + message.front.len() + message.middle.len() + message.data_len()
}

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has no transport.
    Standby,
    /// This side is connecting.
    Dialling,
    /// It has a transport.
    Open,
    /// It is over.
    Closed,
}

/// What both sides of a handshake look at.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// Counts transports: the newest owns the session.
    transport: u64,
    /// Dead once nobody has that transport any more.
    holder: Weak<()>,
    pub(crate) client_cookie: u64,
    pub(crate) server_cookie: u64,
    pub(crate) connect_seq: u64,
    /// The newest of the peer's connections that was seen, by its count.
    pub(crate) peer_global_seq: u64,
    /// The last message received.
    pub(crate) in_seq: u64,
    /// The last message received of which the peer was told.
    told: u64,
    /// The last number given to a message.
    out_seq: u64,
    /// Not acknowledged: the messages up to `out_seq`.
    queue: VecDeque<RawMessage>,
    bytes: usize,
    /// When it lost its transport.
    since: Option<Instant>,
    /// Who the peer is, at a server.
    pub(crate) peer: Option<PeerInfo>,
}

/// A lossless session, over any number of transports.
pub struct Link {
    id: u64,
    bounds: Bounds,
    /// Bytes of all sessions that share a table.
    total: Arc<AtomicUsize>,
    state: Mutex<State>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Link")
            .field("id", &self.id)
            .field("phase", &state.phase)
            .field("in_seq", &state.in_seq)
            .field("out_seq", &state.out_seq)
            .field("unacknowledged", &state.queue.len())
            .finish_non_exhaustive()
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Link {
    /// A session that has never had a transport.
    #[must_use]
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Self::sharing(bounds, Arc::default())
    }

    /// One of several whose bytes are bounded together.
    pub(crate) fn sharing(bounds: Bounds, total: Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            bounds,
            total,
            state: Mutex::new(State {
                phase: Phase::Standby,
                transport: 0,
                holder: Weak::new(),
                client_cookie: 0,
                server_cookie: 0,
                connect_seq: 0,
                peer_global_seq: 0,
                in_seq: 0,
                told: 0,
                out_seq: 0,
                queue: VecDeque::new(),
                bytes: 0,
                since: None,
                peer: None,
            }),
        })
    }

    /// Another session in the place of this one, which is over.
    pub(crate) fn successor(&self) -> Arc<Self> {
        self.close();
        Self::sharing(self.bounds, Arc::clone(&self.total))
    }

    /// Unique in this process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the session is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state().phase == Phase::Closed
    }

    /// Whether messages wait to be sent or acknowledged.
    #[must_use]
    pub fn has_unacknowledged(&self) -> bool {
        !self.state().queue.is_empty()
    }

    /// Ends the session; what waits is dropped.
    pub fn close(&self) {
        let mut state = self.state();
        state.phase = Phase::Closed;
        let all = state.out_seq;
        self.forget(&mut state, all);
    }

    /// Queues a message, whether there is a transport or not. False if the session is over, or now is for want
    /// of room.
    pub fn send(&self, message: RawMessage) -> bool {
        let cost = cost(&message);
        let mut state = self.state();
        if state.phase == Phase::Closed {
            return false;
        }
        let total = self.total.load(Ordering::Relaxed);
        if state.queue.len() >= self.bounds.messages
            || state.bytes.saturating_add(cost) > self.bounds.bytes
            || total.saturating_add(cost) > self.bounds.total
        {
            tracing::info!(
                link = self.id,
                messages = state.queue.len(),
                bytes = state.bytes,
                "session given up: too much is not acknowledged"
            );
            drop(state);
            self.close();
            return false;
        }
        state.out_seq += 1;
        state.bytes += cost;
        self.total.fetch_add(cost, Ordering::Relaxed);
        state.queue.push_back(message);
        true
    }

    /// The peer has all messages up to this number.
    pub(crate) fn forget(&self, state: &mut State, seq: u64) {
        let mut freed = 0;
        while !state.queue.is_empty() && state.out_seq - (state.queue.len() as u64) < seq {
            freed += state.queue.pop_front().as_ref().map_or(0, cost);
        }
        state.bytes -= freed;
        self.total.fetch_sub(freed, Ordering::Relaxed);
    }

    /// The transport broke. Nothing if it was not the owner any more.
    pub(crate) fn lost(&self, transport: u64, now: Instant) {
        let mut state = self.state();
        if state.transport == transport && state.phase != Phase::Closed {
            state.phase = Phase::Standby;
            state.since = Some(now);
        }
    }

    /// Since when the session waits for its peer, if it does; None inside if its transport went away unseen.
    pub(crate) fn waits_since(&self) -> Option<Option<Instant>> {
        let state = self.state();
        state.waits().then_some(state.since)
    }

    /// Ends the session if it has waited for too long.
    pub(crate) fn expire(&self, now: Instant) {
        let mut state = self.state();
        if !state.waits() {
            return;
        }
        state.phase = Phase::Standby;
        let since = *state.since.get_or_insert(now);
        drop(state);
        if now.saturating_duration_since(since) >= self.bounds.age {
            self.close();
        }
    }

    /// A transport takes the session over.
    pub(crate) fn take_over(self: &Arc<Self>, state: &mut State, phase: Phase) -> Attachment {
        let alive = Arc::new(());
        state.phase = phase;
        state.since = None;
        state.transport += 1;
        state.holder = Arc::downgrade(&alive);
        Attachment {
            link: Arc::clone(self),
            transport: state.transport,
            _alive: alive,
        }
    }
}

impl State {
    /// Whether there was a transport, and is none now.
    fn waits(&self) -> bool {
        self.phase != Phase::Closed
            && self.transport > 0
            && (self.phase == Phase::Standby || self.holder.strong_count() == 0)
    }

    /// The peer knows, or is about to be told, which messages were received.
    pub(crate) fn all_told(&mut self) {
        self.told = self.in_seq;
    }
}

/// A transport's hold on a session.
#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    link: Arc<Link>,
    transport: u64,
    _alive: Arc<()>,
}

/// The messages that a transport is to send next.
pub(crate) struct Batch {
    /// The number of the first one.
    pub(crate) first: u64,
    pub(crate) messages: Vec<RawMessage>,
    /// The last message received.
    pub(crate) in_seq: u64,
}

/// Messages sent at a time, so that senders do not wait for the lock for long.
const BATCH: usize = 64;

impl Attachment {
    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    pub(crate) fn transport(&self) -> u64 {
        self.transport
    }

    /// The session's state, as long as this transport owns it.
    pub(crate) fn owned(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.link.state();
        if state.transport != self.transport || state.phase == Phase::Closed {
            return Err(Error::Superseded);
        }
        Ok(state)
    }

    /// A message has come. False if it came before.
    pub(crate) fn accept(&self, seq: u64) -> Result<bool> {
        let mut state = self.owned()?;
        // Numbers may skip ahead; what is not newer was seen before.
        let new = seq > state.in_seq;
        if !new {
            // The peer does not know that it came.
            state.told = 0;
        }
        state.in_seq = state.in_seq.max(seq);
        Ok(new)
    }

    /// The peer has all messages up to this number.
    pub(crate) fn acknowledged(&self, seq: u64) -> Result<()> {
        let mut state = self.owned()?;
        self.link.forget(&mut state, seq);
        Ok(())
    }

    /// The messages behind number `sent`, which also `tell` the peer what was received, or not. None if there are none,
    /// or if the session has moved on.
    pub(crate) fn batch(&self, sent: u64, tell: bool) -> Option<Batch> {
        let mut state = self.owned().ok()?;
        let first = (state.out_seq - state.queue.len() as u64 + 1).max(sent + 1);
        if first > state.out_seq {
            return None;
        }
        let skip = state.queue.len() - usize::try_from(state.out_seq - first + 1).ok()?;
        if tell {
            state.all_told();
        }
        Some(Batch {
            first,
            messages: state.queue.iter().skip(skip).take(BATCH).cloned().collect(),
            in_seq: state.in_seq,
        })
    }

    /// The last message received, if the peer was not told of it.
    pub(crate) fn untold(&self) -> Option<u64> {
        let mut state = self.owned().ok()?;
        let untold = state.in_seq > state.told;
        state.all_told();
        untold.then_some(state.in_seq)
    }
}
