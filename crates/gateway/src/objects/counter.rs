//! Counters that never give a number twice, also not after a crash: numbers are handed out from blocks, and a
//! block is recorded before its first number is used.

use parking_lot::Mutex;
use store::{Store, StoreError, Transaction};

use super::keys;

/// A persistent counter.
#[derive(Debug)]
pub struct Counter {
    key: bytes::Bytes,
    block: u64,
    state: Mutex<Range>,
}

#[derive(Debug)]
struct Range {
    next: u64,
    end: u64,
}

impl Counter {
    /// Opens the counter `name`, which goes on behind the last block that was begun.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn open(store: &Store, name: &str, block: u64) -> Result<Self, StoreError> {
        let key = keys::counter(name);
        let end = store
            .get(&key)?
            .and_then(|v| v.as_ref().try_into().ok().map(u64::from_le_bytes))
            .unwrap_or(1);
        Ok(Self {
            key,
            block,
            state: Mutex::new(Range { next: end, end }),
        })
    }

    /// The next number. The record of a new block is submitted before any transaction that could use it.
    ///
    /// # Errors
    /// If the store refuses the record.
    pub fn next(&self, store: &Store) -> Result<u64, StoreError> {
        let mut range = self.state.lock();
        if range.next == range.end {
            let end = range.end + self.block;
            let mut tx = Transaction::new();
            tx.put(self.key.clone(), end.to_le_bytes().to_vec());
            store.submit(tx)?;
            range.end = end;
        }
        range.next += 1;
        Ok(range.next - 1)
    }

    /// The last number handed out.
    pub fn last(&self) -> u64 {
        self.state.lock().next - 1
    }
}
