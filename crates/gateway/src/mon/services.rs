//! Daemons of services that are no part of a Ceph cluster proper (tcmu-runner, rbd-mirror, ...): they introduce themselves to the
//! manager and are shown for as long as they stay connected (`ServiceMap`, Ceph `src/mgr/ServiceMap.h`, `DaemonServer.cc`).

use std::{collections::BTreeMap, time::SystemTime};

use encoding::types::{EntityAddrVec, Utime};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::{show::legacy_addr, time};

/// Most daemons that are kept: what they say of themselves is held in memory.
const MAX_DAEMONS: usize = 1000;

/// A daemon of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceDaemon {
    /// Which of its sessions introduced it.
    pub session: u64,
    /// Its id as a client.
    pub gid: u64,
    /// Where it is.
    pub addrs: EntityAddrVec,
    /// When it came.
    pub since: Utime,
    /// The map's epoch when it came.
    pub epoch: u64,
    /// What it says of itself.
    pub metadata: BTreeMap<String, String>,
    /// What it said last of its state.
    pub status: BTreeMap<String, String>,
    /// When it said so.
    pub status_at: Utime,
    /// Its tasks and how far they are.
    pub tasks: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    modified: Utime,
    /// By service and daemon.
    daemons: BTreeMap<(String, String), ServiceDaemon>,
}

/// The daemons that are there.
#[derive(Debug, Default)]
pub struct Services(Mutex<State>);

fn now() -> Utime {
    Utime::from_system_time(SystemTime::now())
}

impl Services {
    /// A daemon introduces itself; one of that name from before is replaced.
    pub fn opened(&self, service: &str, name: &str, mut daemon: ServiceDaemon) {
        let mut state = self.0.lock();
        let key = (service.to_owned(), name.to_owned());
        if state.daemons.len() >= MAX_DAEMONS && !state.daemons.contains_key(&key) {
            tracing::warn!(service, name, "too many service daemons: this one is not shown");
            return;
        }
        state.epoch += 1;
        state.modified = now();
        daemon.epoch = state.epoch;
        daemon.since = state.modified;
        tracing::info!(service, name, "a service daemon is there");
        state.daemons.insert(key, daemon);
    }

    /// It tells its state, and perhaps its tasks.
    pub fn reported(
        &self,
        service: &str,
        name: &str,
        status: Option<BTreeMap<String, String>>,
        tasks: Option<BTreeMap<String, String>>,
    ) {
        let mut state = self.0.lock();
        if let Some(daemon) = state.daemons.get_mut(&(service.to_owned(), name.to_owned())) {
            if let Some(status) = status {
                daemon.status = status;
                daemon.status_at = now();
            }
            if let Some(tasks) = tasks {
                daemon.tasks = tasks;
            }
        }
    }

    /// A session ended: its daemons are gone.
    pub fn closed(&self, session: u64) {
        let mut state = self.0.lock();
        let before = state.daemons.len();
        state.daemons.retain(|_, daemon| daemon.session != session);
        if state.daemons.len() != before {
            state.epoch += 1;
            state.modified = now();
        }
    }

    /// The daemons by service, then by name.
    fn by_service(&self) -> BTreeMap<String, BTreeMap<String, ServiceDaemon>> {
        let mut out = BTreeMap::<String, BTreeMap<String, ServiceDaemon>>::new();
        for ((service, name), daemon) in &self.0.lock().daemons {
            out.entry(service.clone())
                .or_default()
                .insert(name.clone(), daemon.clone());
        }
        out
    }

    /// The map as `service dump` and `status` show it. `created`: when it was made, if it never changed.
    #[must_use]
    pub fn map_value(&self, created: Utime) -> Value {
        let (epoch, modified) = {
            let state = self.0.lock();
            let modified = if state.epoch == 0 { created } else { state.modified };
            (state.epoch + 1, modified)
        };
        let services: Map<String, Value> = self
            .by_service()
            .into_iter()
            .map(|(service, daemons)| {
                let mut all = Map::new();
                // A summary of the service's own making: none here has one.
                all.insert("summary".into(), "".into());
                all.extend(daemons.into_iter().map(|(name, daemon)| (name, daemon.dump())));
                (service, json!({ "daemons": all }))
            })
            .collect();
        json!({"epoch": epoch, "modified": time::local(modified), "services": services})
    }

    /// What each daemon said last of its state, as `service status` shows it.
    #[must_use]
    pub fn status_value(&self) -> Value {
        let of_service = |daemons: BTreeMap<String, ServiceDaemon>| -> Value {
            let each = daemons.into_iter().map(|(name, daemon)| {
                let value = json!({
                    "status_stamp": time::local(daemon.status_at), "last_beacon": time::local(daemon.since),
                    "status": daemon.status,
                });
                (name, value)
            });
            each.collect()
        };
        self.by_service()
            .into_iter()
            .map(|(service, daemons)| (service, of_service(daemons)))
            .collect()
    }

    /// `3 daemons active (3 hosts)` for each service.
    #[must_use]
    pub fn summaries(&self) -> Vec<(String, String)> {
        self.by_service()
            .into_iter()
            .map(|(service, daemons)| (service, summary(&daemons)))
            .collect()
    }

    /// The versions of the daemons of each service, counted.
    #[must_use]
    pub fn versions(&self) -> BTreeMap<String, BTreeMap<String, u64>> {
        let mut out = BTreeMap::<String, BTreeMap<String, u64>>::new();
        for (service, daemons) in self.by_service() {
            for daemon in daemons.values() {
                let version = daemon
                    .metadata
                    .get("ceph_version")
                    .map_or("unknown", String::as_str);
                *out.entry(service.clone())
                    .or_default()
                    .entry(version.to_owned())
                    .or_default() += 1;
            }
        }
        out
    }
}

fn summary(daemons: &BTreeMap<String, ServiceDaemon>) -> String {
    let mut kinds = daemons.values().filter_map(|d| d.metadata.get("daemon_type"));
    let kind = kinds.next_back().map_or("daemon", String::as_str);
    let n = daemons.len();
    let mut out = format!("{n} {kind}{} active", if n > 1 { "s" } else { "" });
    let mut groups = Vec::new();
    for (word, key) in [("host", "hostname"), ("zone", "zone_id")] {
        let names: std::collections::BTreeSet<&String> =
            daemons.values().filter_map(|d| d.metadata.get(key)).collect();
        if !names.is_empty() {
            groups.push(format!("{} {word}s", names.len()));
        }
    }
    if !groups.is_empty() {
        out += &format!(" ({})", groups.join(", "));
    }
    out
}

impl ServiceDaemon {
    fn dump(&self) -> Value {
        json!({
            "start_epoch": self.epoch, "start_stamp": time::local(self.since), "gid": self.gid,
            "addr": legacy_addr(&self.addrs), "metadata": self.metadata, "task_status": self.tasks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon(session: u64, host: &str) -> ServiceDaemon {
        ServiceDaemon {
            session,
            gid: 4100 + session,
            addrs: EntityAddrVec::default(),
            since: Utime::default(),
            epoch: 0,
            metadata: BTreeMap::from([
                ("hostname".to_owned(), host.to_owned()),
                ("ceph_version".to_owned(), "ceph version 16.2.15".to_owned()),
            ]),
            status: BTreeMap::new(),
            status_at: Utime::default(),
            tasks: BTreeMap::new(),
        }
    }

    #[test]
    fn a_daemon_is_shown_until_its_session_ends() {
        let services = Services::default();
        services.opened("tcmu-runner", "a:rbd/one", daemon(1, "a"));
        services.opened("tcmu-runner", "b:rbd/one", daemon(2, "b"));
        let status = BTreeMap::from([("lock_owner".to_owned(), "true".to_owned())]);
        services.reported("tcmu-runner", "a:rbd/one", Some(status), None);
        services.reported("tcmu-runner", "nobody", None, None);
        let dump = services.map_value(Utime::default());
        assert_eq!(dump["epoch"], 3);
        assert_eq!(
            dump["services"]["tcmu-runner"]["daemons"]["a:rbd/one"]["gid"],
            4101
        );
        assert_eq!(
            services.status_value()["tcmu-runner"]["a:rbd/one"]["status"]["lock_owner"],
            "true"
        );
        let expected = [("tcmu-runner".to_owned(), "2 daemons active (2 hosts)".to_owned())];
        assert_eq!(services.summaries(), expected);
        assert_eq!(services.versions()["tcmu-runner"]["ceph version 16.2.15"], 2);
        services.closed(1);
        services.closed(2);
        assert!(services.summaries().is_empty());
    }

    #[test]
    fn a_daemon_that_comes_back_under_its_name_outlives_its_old_session() {
        let services = Services::default();
        services.opened("rbd-mirror", "x", daemon(1, "a"));
        services.opened("rbd-mirror", "x", daemon(2, "a"));
        services.closed(1);
        assert_eq!(services.summaries().len(), 1);
    }
}
