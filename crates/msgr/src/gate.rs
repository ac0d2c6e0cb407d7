//! Who is let in: how many connections and handshakes there may be, and how often an address may fail to authenticate.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// Addresses that are remembered; when there are more, those that failed longest ago are forgotten.
const ADDRESSES: usize = 4096;
/// Failures are counted over this time.
const WINDOW: Duration = Duration::from_secs(60);

/// What a server takes of strangers and of clients. Listeners share one.
#[derive(Debug)]
pub struct Gate {
    limits: GateLimits,
    connections: AtomicUsize,
    handshakes: Mutex<Handshakes>,
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

/// The bounds of a [`Gate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateLimits {
    /// Connections of clients that are authenticated, or on the way there.
    pub connections: usize,
    /// Handshakes under way. When there are more, the one that takes longest is cut off: a client's takes milliseconds.
    pub handshakes: usize,
    /// Refused attempts to authenticate that an address may make in a minute; 0 for any number. With more, its
    /// connections are not accepted for a while.
    pub refusals: u32,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            handshakes: 4096,
            refusals: 600,
        }
    }
}

#[derive(Debug, Default)]
struct Handshakes {
    next: u64,
    running: BTreeMap<u64, Arc<Notify>>,
}

/// What an address has to its debit: a bucket that leaks [`GateLimits::refusals`] in [`WINDOW`].
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: f64,
    at: Instant,
}

impl Failures {
    fn now(self, now: Instant, limit: u32) -> f64 {
        let past = now.saturating_duration_since(self.at).as_secs_f64();
        (self.count - past * f64::from(limit) / WINDOW.as_secs_f64()).max(0.0)
    }
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Closed {
    #[error("there are {0} connections already")]
    Full(usize),
    #[error("its address failed to authenticate too often")]
    Failed,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new(GateLimits::default())
    }
}

impl Gate {
    /// With these bounds.
    #[must_use]
    pub fn new(limits: GateLimits) -> Self {
        Self {
            limits,
            connections: AtomicUsize::new(0),
            handshakes: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// Takes a connection, if there is room for it.
    pub(crate) fn enter(self: &Arc<Self>, from: IpAddr, now: Instant) -> Result<Entered, Closed> {
        if self.has_failed(from, now) {
            return Err(Closed::Failed);
        }
        if self.connections.fetch_add(1, Relaxed) >= self.limits.connections {
            self.connections.fetch_sub(1, Relaxed);
            return Err(Closed::Full(self.limits.connections));
        }
        Ok(Entered(Arc::clone(self)))
    }

    /// Begins a handshake. It is to end when the notification comes: others need the room.
    pub(crate) fn begin(self: &Arc<Self>) -> Handshake {
        let cut = Arc::new(Notify::new());
        let mut handshakes = self.handshakes();
        let number = handshakes.next;
        handshakes.next += 1;
        handshakes.running.insert(number, Arc::clone(&cut));
        if handshakes.running.len() > self.limits.handshakes
            && let Some((_, oldest)) = handshakes.running.pop_first()
        {
            oldest.notify_one();
        }
        drop(handshakes);
        Handshake {
            gate: Arc::clone(self),
            number,
            cut,
        }
    }

    /// Notes that so many of an address's attempts to authenticate were refused.
    pub(crate) fn refused(&self, from: IpAddr, count: u32, now: Instant) {
        let limit = self.limits.refusals;
        if limit == 0 || count == 0 {
            return;
        }
        let mut failures = self.failures();
        if failures.len() >= ADDRESSES && !failures.contains_key(&from) {
            forget(&mut failures, now, limit);
        }
        let entry = failures.entry(from).or_insert(Failures { count: 0.0, at: now });
        let before = entry.now(now, limit);
        // Twice the limit is a minute: nobody is shut out for longer than that after its last attempt.
        let after = (before + f64::from(count)).min(2.0 * f64::from(limit));
        *entry = Failures {
            count: after,
            at: now,
        };
        if before <= f64::from(limit) && after > f64::from(limit) {
            tracing::warn!(address = %from, limit, "too many refused attempts to authenticate: no connections from there for a while");
        }
    }

    fn has_failed(&self, from: IpAddr, now: Instant) -> bool {
        let limit = self.limits.refusals;
        let failures = self.failures();
        let entry = failures.get(&from);
        entry.is_some_and(|f| f.now(now, limit) > f64::from(limit))
    }

    fn handshakes(&self) -> MutexGuard<'_, Handshakes> {
        self.handshakes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<IpAddr, Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets addresses whose failures are past; if that makes no room, the one that failed longest ago.
fn forget(failures: &mut HashMap<IpAddr, Failures>, now: Instant, limit: u32) {
    failures.retain(|_, f| f.now(now, limit) > 0.0);
    if failures.len() >= ADDRESSES
        && let Some(oldest) = failures.iter().min_by_key(|(_, f)| f.at).map(|(a, _)| *a)
    {
        failures.remove(&oldest);
    }
}

/// A connection that was taken. Gives its place back when it is dropped.
#[derive(Debug)]
pub(crate) struct Entered(Arc<Gate>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

/// A handshake under way. Gives its place back when it is dropped.
#[derive(Debug)]
pub(crate) struct Handshake {
    gate: Arc<Gate>,
    number: u64,
    cut: Arc<Notify>,
}

impl Handshake {
    /// Waits until others need the room.
    pub(crate) async fn is_cut(&self) {
        self.cut.notified().await;
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.gate.handshakes().running.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    fn gate(connections: usize, handshakes: usize, refusals: u32) -> Arc<Gate> {
        Arc::new(Gate::new(GateLimits {
            connections,
            handshakes,
            refusals,
        }))
    }

    #[test]
    fn a_place_is_free_again_when_a_connection_ends() {
        let gate = gate(1, 1, 0);
        let now = Instant::now();
        let first = gate.enter(HERE, now).unwrap();
        assert_eq!(gate.enter(HERE, now).unwrap_err(), Closed::Full(1));
        drop(first);
        assert!(gate.enter(HERE, now).is_ok());
    }

    #[tokio::test]
    async fn the_oldest_handshake_makes_room_for_a_new_one() {
        let gate = gate(10, 2, 0);
        let (first, second) = (gate.begin(), gate.begin());
        let third = gate.begin();
        first.is_cut().await;
        drop(second);
        let fourth = gate.begin();
        assert_eq!(gate.handshakes().running.len(), 2);
        drop((third, fourth));
        assert_eq!(gate.handshakes().running.len(), 0);
    }

    #[test]
    fn an_address_that_fails_too_often_is_shut_out_for_a_while_and_others_are_not() {
        let gate = gate(10, 10, 60);
        let now = Instant::now();
        gate.refused(HERE, 60, now);
        assert!(gate.enter(HERE, now).is_ok());
        gate.refused(HERE, 10, now);
        assert_eq!(gate.enter(HERE, now).unwrap_err(), Closed::Failed);
        assert!(gate.enter(THERE, now).is_ok());
        assert!(gate.enter(HERE, now + Duration::from_secs(11)).is_ok());
    }

    #[test]
    fn what_is_remembered_of_addresses_is_bounded() {
        let gate = gate(10, 10, 60);
        let now = Instant::now();
        for n in 0..2 * ADDRESSES as u32 {
            gate.refused(IpAddr::V4(n.into()), 1, now);
        }
        assert_eq!(gate.failures().len(), ADDRESSES);
    }
}
