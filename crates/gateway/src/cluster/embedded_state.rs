//! The cluster's state in the embedded store, under the prefix `c/`.

use bytes::Bytes;
use store::{Store, StoreError, Transaction};

use super::state_store::{Change, StateError, StateStore};

/// The cluster's rows among all metadata.
const PREFIX: &[u8] = b"c/";

impl From<StoreError> for StateError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

fn row(key: &[u8]) -> Bytes {
    [PREFIX, key].concat().into()
}

impl StateStore for Store {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StateError> {
        Ok(Self::get(self, &row(key))?)
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<(Bytes, Bytes)>, StateError> {
        let rows = self.scan_prefix(&row(prefix), None, usize::MAX)?;
        Ok(rows
            .into_iter()
            .map(|(key, value)| (key.slice(PREFIX.len()..), value))
            .collect())
    }

    fn commit(&self, changes: Vec<Change>) -> Result<(), StateError> {
        let mut tx = Transaction::new();
        for change in changes {
            match change {
                Change::Put(key, value) => tx.put(row(&key), value),
                Change::Delete(key) => tx.delete(row(&key)),
            };
        }
        Self::commit(self, tx)?;
        Ok(())
    }
}
