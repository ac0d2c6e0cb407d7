//! The lossless sessions of a side, and what becomes of one when its peer connects (`handle_existing_connection` and
//! `handle_reconnect` in Ceph `src/msg/async/ProtocolV2.cc`, `handle_connect_message_2` in `ProtocolV1.cc`).
//!
//! A session belongs to who authenticated: it is found only by that entity, from those addresses. So nobody else can
//! resume, replace or reset it, whatever addresses and cookies it claims.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
    time::Instant,
};

use encoding::types::{EntityAddr, EntityAddrVec, EntityType};

use crate::session::PeerInfo;

use super::{Attachment, Bounds, Link, Phase, Policy, link::State, order::order};

/// Whose a session is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PeerKey {
    /// The peer's type.
    pub kind: EntityType,
    /// The entity that authenticated.
    pub entity: String,
    /// The peer's own addresses.
    pub addrs: EntityAddrVec,
}

/// A peer that is authenticated and wants a session.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) key: PeerKey,
    pub(crate) policy: Policy,
    /// The peer's address and ours, for when both connect.
    pub(crate) addrs: (EntityAddr, EntityAddr),
    pub(crate) global_seq: u64,
    /// Who the peer is, by its authentication on this connection.
    pub(crate) peer: &'a PeerInfo,
}

/// What to tell the peer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The session stands. `reset` says that it begins anew.
    Open { attachment: Attachment, reset: bool },
    /// There is no such session; whether the peer is to drop what it has of it.
    Reset { full: bool },
    /// Try again with a higher connect sequence than this.
    RetrySession(u64),
    /// Try again with a higher global sequence than this.
    RetryGlobal(u64),
    /// Wait for the connection of ours.
    Wait,
    /// A newer connection of the same peer has come.
    Stale,
    /// There are too many sessions.
    Full,
}

/// Sessions that outlive their transports.
#[derive(Debug)]
pub struct SessionTable {
    bounds: Bounds,
    total: Arc<AtomicUsize>,
    links: Mutex<HashMap<PeerKey, Arc<Link>>>,
}

impl Default for SessionTable {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

impl SessionTable {
    /// An empty table.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            total: Arc::default(),
            links: Mutex::default(),
        }
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.links().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The session with a peer to which this side connects too: what the peer's own connections are weighed against.
    /// None if there are too many.
    pub fn dialled(&self, key: PeerKey) -> Option<Arc<Link>> {
        let mut links = self.links();
        if let Some(link) = links.get(&key).filter(|link| !link.is_closed()) {
            return Some(Arc::clone(link));
        }
        self.fresh(&mut links, key)
    }

    /// Ends the sessions whose peers have not come back for too long, and forgets those that are over.
    pub fn sweep(&self, now: Instant) {
        self.links().retain(|_, link| {
            link.expire(now);
            !link.is_closed()
        });
    }

    fn links(&self) -> MutexGuard<'_, HashMap<PeerKey, Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session. If there are too many, the one that has waited longest for its peer makes room.
    fn fresh(&self, links: &mut HashMap<PeerKey, Arc<Link>>, key: PeerKey) -> Option<Arc<Link>> {
        if links.len() >= self.bounds.sessions && !links.contains_key(&key) {
            links.retain(|_, link| !link.is_closed());
            if links.len() >= self.bounds.sessions {
                let waiting = links
                    .iter()
                    .filter_map(|(key, link)| Some((link.waits_since()?, key)));
                let (_, oldest) = waiting.min_by_key(|(since, _)| *since)?;
                let oldest = oldest.clone();
                links.remove(&oldest)?.close();
            }
        }
        let link = Link::sharing(self.bounds, Arc::clone(&self.total));
        if let Some(old) = links.insert(key, Arc::clone(&link)) {
            old.close();
        }
        Some(link)
    }

    fn begin(
        &self,
        links: &mut HashMap<PeerKey, Arc<Link>>,
        claim: Claim<'_>,
        start: impl FnOnce(&mut State),
    ) -> Answer {
        match self.fresh(links, claim.key) {
            Some(link) => take(&link, claim.peer, claim.global_seq, true, start),
            None => Answer::Full,
        }
    }

    /// A peer introduces itself (msgr v2).
    pub(crate) fn identify(&self, claim: Claim<'_>, client_cookie: u64) -> Answer {
        let mut links = self.links();
        let start = |state: &mut State| {
            state.client_cookie = client_cookie;
            state.server_cookie = rand::random_range(1..=u64::MAX);
            state.connect_seq = 0;
            state.in_seq = 0;
        };
        let existing = links.get(&claim.key).map(Arc::clone);
        let Some(link) = existing.filter(|link| !link.is_closed()) else {
            return self.begin(&mut links, claim, start);
        };
        let state = link.state();
        if state.peer_global_seq > claim.global_seq {
            return Answer::Stale;
        }
        let known = state.server_cookie != 0 && state.client_cookie != 0;
        let began_anew = known && state.client_cookie != client_cookie;
        let race = !began_anew && state.client_cookie != client_cookie && state.phase == Phase::Dialling;
        if race && ours_wins(&claim) {
            return Answer::Wait;
        }
        let other_rights = !same_rights(&state, claim.peer);
        drop(state);
        if began_anew && claim.policy.reset_check || other_rights {
            return self.begin(&mut links, claim, start);
        }
        // What waits to be sent is sent in the session that begins.
        take(&link, claim.peer, claim.global_seq, true, start)
    }

    /// A peer wants to resume (msgr v2).
    pub(crate) fn reconnect(
        &self,
        claim: &Claim<'_>,
        cookies: (u64, u64),
        connect_seq: u64,
        msg_seq: u64,
    ) -> Answer {
        let links = self.links();
        let Some(link) = links.get(&claim.key).filter(|link| !link.is_closed()) else {
            return Answer::Reset { full: true };
        };
        let state = link.state();
        if state.client_cookie != cookies.0 {
            return Answer::Reset {
                full: claim.policy.reset_check,
            };
        }
        if state.server_cookie == 0 {
            // Our introduction was answered, but the answer did not come.
            return Answer::Reset { full: false };
        }
        if state.server_cookie != cookies.1 || !same_rights(&state, claim.peer) {
            return Answer::Reset { full: true };
        }
        if state.peer_global_seq > claim.global_seq {
            return Answer::RetryGlobal(state.peer_global_seq);
        }
        if state.connect_seq > connect_seq {
            return Answer::RetrySession(state.connect_seq);
        }
        if state.connect_seq == connect_seq && state.phase == Phase::Dialling && ours_wins(claim) {
            return Answer::Wait;
        }
        drop(state);
        take(link, claim.peer, claim.global_seq, false, |state| {
            state.connect_seq = connect_seq;
            link.forget(state, msg_seq);
        })
    }

    /// A peer connects (msgr v1).
    pub(crate) fn connect(&self, claim: Claim<'_>, connect_seq: u64) -> Answer {
        let mut links = self.links();
        let start = |state: &mut State| state.connect_seq = connect_seq + 1;
        let existing = links.get(&claim.key).map(Arc::clone);
        let Some(link) = existing.filter(|link| !link.is_closed()) else {
            if connect_seq > 0 {
                return Answer::Reset { full: true };
            }
            return self.begin(&mut links, claim, start);
        };
        let state = link.state();
        if state.peer_global_seq > claim.global_seq {
            return Answer::RetryGlobal(state.peer_global_seq);
        }
        if connect_seq == 0 && state.connect_seq > 0 {
            drop(state);
            if claim.policy.reset_check || !same_rights(&link.state(), claim.peer) {
                return self.begin(&mut links, claim, start);
            }
            return take(&link, claim.peer, claim.global_seq, true, |state| {
                start(state);
                state.in_seq = 0;
            });
        }
        if !same_rights(&state, claim.peer) {
            return Answer::Reset { full: true };
        }
        if connect_seq < state.connect_seq {
            return Answer::RetrySession(state.connect_seq + 1);
        }
        if connect_seq == state.connect_seq && connect_seq > 0 && state.phase != Phase::Dialling {
            return Answer::RetrySession(state.connect_seq + 1);
        }
        if connect_seq == state.connect_seq && state.phase == Phase::Dialling && ours_wins(&claim) {
            return Answer::Wait;
        }
        if connect_seq > 0 && state.connect_seq == 0 && claim.policy.reset_check {
            return Answer::Reset { full: true };
        }
        drop(state);
        take(&link, claim.peer, claim.global_seq, false, start)
    }
}

/// A session keeps what its peer may do; who may do something else now begins another.
fn same_rights(state: &State, peer: &PeerInfo) -> bool {
    state
        .peer
        .as_ref()
        .is_none_or(|known| known.caps == peer.caps && known.global_id == peer.global_id)
}

/// Whether, of both sides' connections, ours goes on.
fn ours_wins(claim: &Claim<'_>) -> bool {
    let (theirs, ours) = &claim.addrs;
    !claim.policy.server && order(theirs, ours).is_gt()
}

fn take(
    link: &Arc<Link>,
    peer: &PeerInfo,
    global_seq: u64,
    reset: bool,
    with: impl FnOnce(&mut State),
) -> Answer {
    let mut state = link.state();
    let attachment = link.take_over(&mut state, Phase::Open);
    state.peer_global_seq = global_seq;
    with(&mut state);
    state.all_told();
    // A resumed session is what it was, over another connection.
    let known = state.peer.take().filter(|_| !reset);
    state.peer = Some(match known {
        Some(known) => PeerInfo {
            socket: peer.socket,
            method: peer.method,
            mode: peer.mode,
            compression: peer.compression,
            key_type: peer.key_type,
            ..known
        },
        None => peer.clone(),
    });
    drop(state);
    Answer::Open { attachment, reset }
}
