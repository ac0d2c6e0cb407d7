//! How the cluster below is: space, servers, operations that wait. Asked for now and then, told at once.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use curve::{Client, copyset::CopysetId, topology::Capacity};
use parking_lot::Mutex;
use store::DeviceSpace;

use crate::cluster::BackendCheck;

/// How long an operation on a volume may take before it is reported.
pub(super) const SLOW: Duration = Duration::from_secs(10);
/// How often the cluster is asked.
const EVERY: Duration = Duration::from_secs(5);

/// What is known of the cluster.
#[derive(Debug, Default)]
pub(super) struct Health {
    state: Mutex<State>,
    running: Mutex<HashMap<u64, (Instant, String)>>,
    next: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    capacity: Option<Capacity>,
    /// Why the last question was not answered.
    silent: Option<String>,
    /// The MDS refuses whatever it is asked in an owner's name.
    shut_out: bool,
}

/// An operation under way.
pub(super) struct Timed {
    health: Arc<Health>,
    number: u64,
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.health.running.lock().remove(&self.number);
    }
}

impl Health {
    /// Notes an operation until what is returned is dropped.
    pub(super) fn started(self: &Arc<Self>, place: &str, at: Instant) -> Timed {
        let number = self.next.fetch_add(1, Relaxed);
        self.running.lock().insert(number, (at, place.to_owned()));
        Timed {
            health: Arc::clone(self),
            number,
        }
    }

    pub(super) fn measured(&self, capacity: Capacity) {
        let mut state = self.state.lock();
        state.capacity = Some(capacity);
        state.silent = None;
    }

    fn shut_out(&self, shut_out: bool) {
        self.state.lock().shut_out = shut_out;
    }

    fn silent(&self, why: String) {
        self.state.lock().silent = Some(why);
    }

    pub(super) fn space(&self) -> DeviceSpace {
        let state = self.state.lock();
        let Some(capacity) = &state.capacity else {
            return DeviceSpace::default();
        };
        let (total, used) = (capacity.total(), capacity.used());
        DeviceSpace {
            total,
            available: total.saturating_sub(used),
            used,
        }
    }

    pub(super) fn checks(&self, now: Instant, leaderless: &[(CopysetId, Duration)]) -> Vec<BackendCheck> {
        let mut checks = Vec::new();
        let state = self.state.lock();
        if let Some(why) = &state.silent {
            checks.push(BackendCheck {
                code: "CURVE_MDS_UNREACHABLE",
                error: true,
                summary: "no MDS of the CurveBS cluster answers".to_owned(),
                detail: vec![why.clone()],
            });
        }
        if state.shut_out {
            checks.push(BackendCheck {
                code: "CURVE_MDS_REFUSES",
                error: true,
                summary: "the MDS of the CurveBS cluster refuses every call: this host's clock is 15 s off, or the root owner's \
                          password is wrong"
                    .to_owned(),
                detail: Vec::new(),
            });
        }
        if let Some(capacity) = &state.capacity
            && capacity.unavailable > 0
        {
            let (down, of) = (capacity.unavailable, capacity.chunkservers);
            checks.push(BackendCheck {
                code: "CURVE_CHUNKSERVER_DOWN",
                error: false,
                summary: format!("{down} of {of} CurveBS chunkservers are not online or have a bad disk"),
                detail: Vec::new(),
            });
        }
        drop(state);
        checks.extend(no_leader(leaderless));
        checks.extend(self.slow(now));
        checks
    }

    /// Operations that wait.
    fn slow(&self, now: Instant) -> Option<BackendCheck> {
        let running = self.running.lock();
        let mut by_place: HashMap<&str, (usize, Duration)> = HashMap::new();
        for (since, place) in running.values() {
            let age = now.saturating_duration_since(*since);
            if age >= SLOW {
                let entry = by_place.entry(place).or_default();
                *entry = (entry.0 + 1, entry.1.max(age));
            }
        }
        let mut detail: Vec<String> = by_place
            .iter()
            .map(|(place, (n, age))| format!("{place}: {n} waiting, the oldest for {} s", age.as_secs()))
            .collect();
        detail.sort_unstable();
        let count: usize = by_place.values().map(|(n, _)| n).sum();
        (count > 0).then(|| BackendCheck {
            code: "CURVE_SLOW_OPS",
            error: false,
            summary: format!(
                "{count} operations on CurveBS volumes have waited for more than {} s",
                SLOW.as_secs()
            ),
            detail,
        })
    }
}

/// Copysets that nobody leads.
fn no_leader(copysets: &[(CopysetId, Duration)]) -> Option<BackendCheck> {
    let detail = copysets.iter().map(|(id, time)| {
        let (pool, copyset) = (id.pool, id.copyset);
        format!(
            "copyset {copyset} of logical pool {pool}: no leader for {} s",
            time.as_secs()
        )
    });
    (!copysets.is_empty()).then(|| BackendCheck {
        code: "CURVE_COPYSET_NO_LEADER",
        error: false,
        summary: format!(
            "{} CurveBS copysets have no leader: I/O to their chunks waits",
            copysets.len()
        ),
        detail: detail.collect(),
    })
}

/// Asks the cluster until nobody wants to know.
pub(super) async fn watch(client: Client, health: Weak<Health>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let answer = client.mds().capacity().await;
        let shut_out = client.mds().is_shut_out().await;
        let Some(health) = health.upgrade() else { return };
        // Without an answer, what was known stays.
        if let Ok(shut_out) = shut_out {
            health.shut_out(shut_out);
        }
        match answer {
            Ok(capacity) => health.measured(capacity),
            Err(error) => {
                tracing::warn!(%error, "the CurveBS cluster does not answer");
                health.silent(error.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_long_is_told_and_what_is_done_is_not() {
        let health = Arc::new(Health::default());
        let begun = Instant::now();
        let first = health.started("/rbd/1", begun);
        assert!(health.checks(begun + Duration::from_secs(5), &[]).is_empty());
        let later = health.checks(begun + Duration::from_secs(12), &[]);
        assert_eq!((later.len(), later[0].code), (1, "CURVE_SLOW_OPS"));
        assert_eq!(later[0].detail, ["/rbd/1: 1 waiting, the oldest for 12 s"]);
        drop(first);
        assert!(health.checks(begun + Duration::from_secs(12), &[]).is_empty());
    }

    #[test]
    fn a_silent_or_refusing_cluster_and_lost_servers_are_told() {
        let health = Arc::new(Health::default());
        health.measured(Capacity {
            raw_total: 300,
            raw_used: 30,
            chunkservers: 3,
            unavailable: 1,
            allocated: 0,
            pools: Vec::new(),
        });
        assert_eq!(
            health.space(),
            DeviceSpace {
                total: 300,
                available: 270,
                used: 30
            }
        );
        health.shut_out(true);
        health.silent("refused".to_owned());
        let codes: Vec<_> = health
            .checks(Instant::now(), &[])
            .iter()
            .map(|c| (c.code, c.error))
            .collect();
        assert_eq!(
            codes,
            [
                ("CURVE_MDS_UNREACHABLE", true),
                ("CURVE_MDS_REFUSES", true),
                ("CURVE_CHUNKSERVER_DOWN", false)
            ]
        );
    }

    #[test]
    fn a_copyset_without_a_leader_is_named() {
        let id = CopysetId { pool: 2, copyset: 7 };
        let checks = Health::default().checks(Instant::now(), &[(id, Duration::from_secs(12))]);
        assert_eq!((checks.len(), checks[0].code), (1, "CURVE_COPYSET_NO_LEADER"));
        assert_eq!(
            checks[0].detail,
            ["copyset 7 of logical pool 2: no leader for 12 s"]
        );
    }
}
