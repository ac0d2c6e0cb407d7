//! How the options came to be as they are (`ConfigChangeSet` in Ceph `src/mon/ConfigMap.cc`): each change is kept with what was there
//! before, and can be taken back.

use std::{collections::BTreeMap, time::SystemTime};

use encoding::types::Utime;

use super::{
    Cluster, ClusterError, Config,
    config::{SEPARATOR, apply},
    keys,
    state_store::Change,
};

/// How many changes are kept.
const KEPT: u64 = 1000;

/// An option that is to be set, or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// `global`, a kind of daemon, or an entity.
    pub section: String,
    /// The option's name.
    pub name: String,
    /// Its value from now on; none removes it.
    pub value: Option<String>,
}

/// What an option was before and after; none where it was not set.
pub(super) type Before = (Option<String>, Option<String>);

/// One change of options.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigChangeSet {
    /// Its number.
    pub version: u64,
    /// When it was made.
    pub stamp: Utime,
    /// What for; empty if an operator set an option.
    pub name: String,
    /// The options, as `SECTION/NAME`.
    pub changes: BTreeMap<String, Before>,
}

impl ConfigChangeSet {
    fn of(version: u64, name: &str, config: &Config, changes: &[ConfigChange]) -> Self {
        let before = |c: &ConfigChange| config.get(&c.section).and_then(|o| o.get(&c.name)).cloned();
        let entry = |c: &ConfigChange| (format!("{}/{}", c.section, c.name), (before(c), c.value.clone()));
        Self {
            version,
            stamp: Utime::from_system_time(SystemTime::now()),
            name: name.to_owned(),
            changes: changes.iter().map(entry).collect(),
        }
    }

    fn stored(&self) -> bytes::Bytes {
        keys::stored(&((self.stamp, self.name.clone()), self.changes.clone()))
    }

    fn load(version: u64, raw: bytes::Bytes) -> Result<Self, ClusterError> {
        let ((stamp, name), changes) = keys::load("configuration change", raw)?;
        Ok(Self {
            version,
            stamp,
            name,
            changes,
        })
    }
}

/// Changes of options.
impl Cluster {
    /// Sets and removes options, all in one. `name` says what for.
    ///
    /// # Errors
    /// EINVAL for a name that cannot be; if the store fails.
    pub fn change_config(&self, name: &str, changes: &[ConfigChange]) -> Result<(), ClusterError> {
        let bad = |s: &String| s.is_empty() || s.contains(SEPARATOR);
        if changes.iter().any(|c| bad(&c.section) || bad(&c.name)) {
            return Err(ClusterError::Invalid("invalid section or option name".to_owned()));
        }
        let _writer = self.writer.lock();
        let version = self.config_version()? + 1;
        let change_set = ConfigChangeSet::of(version, name, &self.config.read(), changes);
        let mut rows = vec![Change::Put(
            keys::numbered(keys::CONFIG_HISTORY, version),
            change_set.stored(),
        )];
        if let Some(old) = version.checked_sub(KEPT) {
            rows.push(Change::Delete(keys::numbered(keys::CONFIG_HISTORY, old)));
        }
        rows.extend(changes.iter().map(|c| {
            let key = keys::named(keys::CONFIG, &format!("{}{SEPARATOR}{}", c.section, c.name));
            match &c.value {
                Some(v) => Change::Put(key, keys::stored(v)),
                None => Change::Delete(key),
            }
        }));
        self.store.commit(rows)?;
        {
            let mut config = self.config.write();
            for change in changes {
                apply(&mut config, change);
            }
        }
        self.config_changed.send_modify(|n| *n += 1);
        Ok(())
    }

    /// The number of the last change; 0 before the first.
    fn config_version(&self) -> Result<u64, ClusterError> {
        let rows = self.store.scan(keys::CONFIG_HISTORY)?;
        let numbers = rows
            .iter()
            .filter_map(|(key, _)| keys::number_in(key, keys::CONFIG_HISTORY));
        Ok(numbers.max().unwrap_or(0))
    }

    /// All changes that are kept, the first one first.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn config_history(&self) -> Result<Vec<ConfigChangeSet>, ClusterError> {
        let rows = self.store.scan(keys::CONFIG_HISTORY)?;
        let loaded = rows.into_iter().filter_map(|(key, raw)| {
            let version = keys::number_in(&key, keys::CONFIG_HISTORY)?;
            Some(ConfigChangeSet::load(version, raw))
        });
        loaded.collect()
    }

    /// Takes back all changes after that one, which is a change itself.
    ///
    /// # Errors
    /// EINVAL if there is no such change, or if those after it are not kept any more; if the store fails.
    pub fn reset_config(&self, to: u64) -> Result<(), ClusterError> {
        let history = self.config_history()?;
        let last = history.last().map_or(0, |c| c.version);
        let first = history.first().map_or(1, |c| c.version);
        if to > last || to.saturating_add(1) < first {
            return Err(ClusterError::Invalid(
                "must specify a valid historical version to revert to; see 'ceph config log' for a list of available \
                 configuration historical versions"
                    .to_owned(),
            ));
        }
        if to == last {
            return Ok(());
        }
        let mut back = BTreeMap::new();
        for change_set in history.iter().rev().take_while(|c| c.version > to) {
            for (key, (before, _)) in &change_set.changes {
                back.insert(key.clone(), before.clone());
            }
        }
        let change = |(key, value): (String, Option<String>)| {
            let (section, name) = key.split_once('/')?;
            Some(ConfigChange {
                section: section.to_owned(),
                name: name.to_owned(),
                value,
            })
        };
        let changes: Vec<ConfigChange> = back.into_iter().filter_map(change).collect();
        self.change_config(&format!("reset to {to}"), &changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::cluster;

    #[test]
    fn changes_are_kept_with_what_was_before_and_can_be_taken_back() {
        let c = cluster();
        assert!(c.reset_config(1).is_err());
        c.set_config("global", "rbd_cache", Some("true")).unwrap();
        c.set_config("global", "rbd_cache", Some("false")).unwrap();
        c.set_config("client.a", "rbd_cache", Some("true")).unwrap();
        let history = c.config_history().unwrap();
        assert_eq!(history.iter().map(|h| h.version).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(
            history[1].changes["global/rbd_cache"],
            (Some("true".to_owned()), Some("false".to_owned()))
        );
        c.reset_config(1).unwrap();
        assert_eq!(c.config_of("client.a")["rbd_cache"], "true");
        assert!(!c.config().contains_key("client.a"));
        let last = c.config_history().unwrap().pop().unwrap();
        assert_eq!((last.version, last.name.as_str()), (4, "reset to 1"));
        c.reset_config(0).unwrap();
        assert!(c.config().is_empty());
    }

    #[test]
    fn changes_that_are_not_kept_any_more_cannot_be_taken_back() {
        let c = cluster();
        for i in 0..=KEPT {
            c.set_config("global", "debug_ms", Some(&i.to_string())).unwrap();
        }
        assert_eq!(c.config_history().unwrap().len() as u64, KEPT);
        assert!(c.reset_config(0).is_err());
        c.reset_config(1).unwrap();
        assert_eq!(c.config()["global"]["debug_ms"], "0");
    }
}
