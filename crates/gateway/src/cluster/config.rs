//! Configuration options that clients are told (`ceph config set`), and the `config-key` store.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Cluster, ClusterError, ConfigChange, keys, state_store::Change};

/// Options by section (`global`, `client`, `client.admin`, ...), then by name.
pub type Config = BTreeMap<String, BTreeMap<String, String>>;

/// Between section and name in a stored key. Neither contains it.
pub(super) const SEPARATOR: char = '\0';

pub(super) fn load(scan: Vec<(Bytes, Bytes)>) -> Result<Config, ClusterError> {
    let mut config = Config::new();
    for (key, raw) in scan {
        let name = keys::name_in(&key, keys::CONFIG).unwrap_or_default();
        if let Some((section, option)) = name.split_once(SEPARATOR) {
            let value = keys::load("option", raw)?;
            let options = config.entry(section.to_owned()).or_default();
            options.insert(option.to_owned(), value);
        }
    }
    Ok(config)
}

/// Makes a change to options in memory.
pub(super) fn apply(config: &mut Config, change: &ConfigChange) {
    match &change.value {
        Some(value) => {
            let options = config.entry(change.section.clone()).or_default();
            options.insert(change.name.clone(), value.clone());
        }
        None => {
            if let Some(options) = config.get_mut(&change.section) {
                options.remove(&change.name);
            }
            config.retain(|_, options| !options.is_empty());
        }
    }
}

/// An option's name as it is compared: blanks and dashes are underscores.
#[must_use]
pub fn normalized(name: &str) -> String {
    name.trim().replace([' ', '-'], "_")
}

/// The sections that apply to an entity, the most general first.
fn sections_of(entity: &str) -> Vec<String> {
    let mut sections = vec!["global".to_owned()];
    if let Some((kind, _)) = entity.split_once('.') {
        sections.push(kind.to_owned());
    }
    // `client.a.b` is told what `client.a` is told.
    let dots = entity.match_indices('.').skip(1).map(|(i, _)| i);
    sections.extend(dots.filter_map(|i| entity.get(..i)).map(str::to_owned));
    sections.push(entity.to_owned());
    sections
}

/// Options and stored values.
impl Cluster {
    /// All options.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config.read().clone()
    }

    /// The options that apply to an entity (`client.admin`, or a kind such as `osd`), by name.
    #[must_use]
    pub fn config_of(&self, entity: &str) -> BTreeMap<String, String> {
        let config = self.config.read();
        let mut out = BTreeMap::new();
        for options in sections_of(entity).iter().filter_map(|s| config.get(s)) {
            out.extend(options.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
        if let Some(options) = self.overrides.read().get(entity) {
            out.extend(options.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
        out
    }

    /// The value of an option of Ceph's that the way in which this process was started decides.
    #[must_use]
    pub fn fixed_option(&self, name: &str) -> Option<String> {
        match name {
            "fsid" => Some(self.fsid.to_string()),
            "mon_host" => {
                let map = self.monmap();
                let hosts: Vec<String> = map.mons.values().map(|m| m.public_addrs.to_string()).collect();
                Some(hosts.join(" "))
            }
            "auth_client_required" | "auth_cluster_required" | "auth_service_required" => {
                self.auth_method.get().map(|method| (*method).to_owned())
            }
            _ => None,
        }
    }

    /// Says how clients authenticate, in the words of `auth_service_required`. The first time counts.
    pub fn set_auth_method(&self, method: &'static str) {
        // It is said once, as the server starts.
        let _ = self.auth_method.set(method);
    }

    /// Sets an option of one daemon for as long as this process runs; none takes that back.
    pub fn override_option(&self, daemon: &str, name: &str, value: Option<&str>) {
        let mut overrides = self.overrides.write();
        let options = overrides.entry(daemon.to_owned()).or_default();
        match value {
            Some(v) => drop(options.insert(name.to_owned(), v.to_owned())),
            None => drop(options.remove(name)),
        }
        drop(overrides);
        self.config_changed.send_modify(|n| *n += 1);
    }

    /// Sets an option; none removes it.
    pub fn set_config(&self, section: &str, name: &str, value: Option<&str>) -> Result<(), ClusterError> {
        let change = ConfigChange {
            section: section.to_owned(),
            name: name.to_owned(),
            value: value.map(str::to_owned),
        };
        self.change_config("", &[change])
    }

    /// A value of the `config-key` store.
    pub fn config_key(&self, key: &str) -> Result<Option<Bytes>, ClusterError> {
        let raw = self.store.get(&keys::named(keys::CONFIG_KEYS, key))?;
        raw.map(|raw| keys::load("config-key", raw)).transpose()
    }

    /// Sets a value of the `config-key` store; none removes it.
    pub fn set_config_key(&self, key: &str, value: Option<Bytes>) -> Result<(), ClusterError> {
        let key = keys::named(keys::CONFIG_KEYS, key);
        Ok(self.store.commit(vec![match value {
            Some(v) => Change::Put(key, keys::stored(&v)),
            None => Change::Delete(key),
        }])?)
    }

    /// All keys and values of the `config-key` store that begin with `prefix`.
    pub fn config_keys(&self, prefix: &str) -> Result<BTreeMap<String, Bytes>, ClusterError> {
        let mut out = BTreeMap::new();
        for (key, raw) in self.store.scan(&keys::named(keys::CONFIG_KEYS, prefix))? {
            if let Some(name) = keys::name_in(&key, keys::CONFIG_KEYS) {
                out.insert(name, keys::load("config-key", raw)?);
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sections_of_an_entity_go_from_general_to_special() {
        assert_eq!(
            sections_of("client.a.b"),
            ["global", "client", "client.a", "client.a.b"]
        );
        assert_eq!(sections_of("osd"), ["global", "osd"]);
    }
}
