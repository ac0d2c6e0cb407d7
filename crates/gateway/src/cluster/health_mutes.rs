//! Which of the health checks nobody wants to hear of (`health mute`).

use std::{collections::BTreeMap, sync::Arc};

use encoding::types::Utime;

use super::{
    Cluster, ClusterError, keys,
    state_store::{Change, StateStore},
};

/// A health check that is muted (`health_mute_t`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthMute {
    /// Until then; for ever without.
    pub until: Option<Utime>,
    /// It stays when the check passes or becomes worse.
    pub sticky: bool,
    /// What the check said when it was muted.
    pub summary: String,
    /// How many things it was about.
    pub count: u64,
}

/// The muted checks by code, as they are stored.
pub(super) fn load(store: &dyn StateStore) -> Result<BTreeMap<String, HealthMute>, ClusterError> {
    let rows = store.scan(keys::HEALTH_MUTES)?.into_iter();
    let mutes = rows.map(|(key, raw)| {
        let ((until, sticky), (summary, count)): ((Utime, bool), (String, u64)) =
            keys::load("health mute", raw)?;
        let mute = HealthMute {
            until: (until != Utime::default()).then_some(until),
            sticky,
            summary,
            count,
        };
        Ok((keys::name_in(&key, keys::HEALTH_MUTES).unwrap_or_default(), mute))
    });
    mutes.collect()
}

impl Cluster {
    /// The muted checks, by code.
    #[must_use]
    pub fn health_mutes(&self) -> Arc<BTreeMap<String, HealthMute>> {
        Arc::clone(&self.health_mutes.read())
    }

    /// Mutes a check, or lets it be told again. Blocks until that is durable.
    ///
    /// # Errors
    /// If it cannot be stored.
    pub fn set_health_mute(&self, code: &str, mute: Option<&HealthMute>) -> Result<(), ClusterError> {
        let key = keys::named(keys::HEALTH_MUTES, code);
        let change = match mute {
            None => Change::Delete(key),
            Some(mute) => {
                let until = mute.until.unwrap_or_default();
                let value = ((until, mute.sticky), (mute.summary.clone(), mute.count));
                Change::Put(key, keys::stored(&value))
            }
        };
        // One change at a time, so that memory follows the store.
        let _writer = self.writer.lock();
        self.store.commit(vec![change])?;
        let mut mutes = BTreeMap::clone(&self.health_mutes.read());
        match mute {
            None => drop(mutes.remove(code)),
            Some(mute) => drop(mutes.insert(code.to_owned(), mute.clone())),
        }
        *self.health_mutes.write() = Arc::new(mutes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{state_store::MemoryState, tests::endpoints};

    #[test]
    fn mutes_are_kept_in_memory_as_they_are_stored() {
        let store: Arc<dyn StateStore> = Arc::new(MemoryState::default());
        let cluster = Cluster::open(Arc::clone(&store), &endpoints(1)).unwrap();
        let mute = |count| HealthMute {
            until: None,
            sticky: true,
            summary: "1 osds down".to_owned(),
            count,
        };
        cluster.set_health_mute("OSD_DOWN", Some(&mute(1))).unwrap();
        cluster.set_health_mute("OSD_FULL", Some(&mute(2))).unwrap();
        cluster.set_health_mute("OSD_DOWN", None).unwrap();
        let known = cluster.health_mutes();
        assert_eq!(*known, BTreeMap::from([("OSD_FULL".to_owned(), mute(2))]));
        assert_eq!(load(&*store).unwrap(), *known);
        drop(cluster);
        let again = Cluster::open(store, &endpoints(2)).unwrap();
        assert_eq!(again.health_mutes(), known);
    }
}
