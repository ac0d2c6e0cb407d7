//! What the cluster's state is kept in: an ordered key-value store whose transactions are durable when they
//! return.

use bytes::Bytes;

/// The state could not be read or stored.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cluster state: {0}")]
pub struct StateError(pub String);

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets a value.
    Put(Bytes, Bytes),
    /// Removes a key, if it is there.
    Delete(Bytes),
}

impl Change {
    /// Sets a value.
    pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self::Put(key.into(), value.into())
    }

    /// Removes a key.
    pub fn delete(key: impl Into<Bytes>) -> Self {
        Self::Delete(key.into())
    }
}

/// An ordered key-value store.
pub trait StateStore: Send + Sync + 'static {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StateError>;

    /// All keys that begin with `prefix` and their values, ascending.
    fn scan(&self, prefix: &[u8]) -> Result<Vec<(Bytes, Bytes)>, StateError>;

    /// Makes all changes or none; they are durable when this returns. Blocks.
    fn commit(&self, changes: Vec<Change>) -> Result<(), StateError>;
}

/// A store in memory: for tests.
#[derive(Debug, Default)]
pub struct MemoryState {
    values: parking_lot::RwLock<std::collections::BTreeMap<Bytes, Bytes>>,
}

impl StateStore for MemoryState {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StateError> {
        Ok(self.values.read().get(key).cloned())
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<(Bytes, Bytes)>, StateError> {
        let values = self.values.read();
        let from = values.range(Bytes::copy_from_slice(prefix)..);
        Ok(from
            .take_while(|(k, _)| k.starts_with(prefix))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect())
    }

    fn commit(&self, changes: Vec<Change>) -> Result<(), StateError> {
        let mut values = self.values.write();
        for change in changes {
            match change {
                Change::Put(key, value) => drop(values.insert(key, value)),
                Change::Delete(key) => drop(values.remove(&key)),
            }
        }
        Ok(())
    }
}
