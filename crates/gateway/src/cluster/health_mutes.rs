//! Which of the health checks nobody wants to hear of (`health mute`).

use std::collections::BTreeMap;

use encoding::types::Utime;

use super::{Cluster, ClusterError, keys, state_store::Change};

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

impl Cluster {
    /// The muted checks, by code.
    #[must_use]
    pub fn health_mutes(&self) -> BTreeMap<String, HealthMute> {
        self.stored_mutes().unwrap_or_else(|error| {
            tracing::error!(%error, "muted health checks cannot be read: all are told");
            BTreeMap::new()
        })
    }

    fn stored_mutes(&self) -> Result<BTreeMap<String, HealthMute>, ClusterError> {
        let rows = self.store.scan(keys::HEALTH_MUTES)?.into_iter();
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
        Ok(self.store.commit(vec![change])?)
    }
}
