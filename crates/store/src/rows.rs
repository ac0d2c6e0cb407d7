//! Walks over the rows of the metadata.

use std::vec;

use bytes::Bytes;

use crate::{error::Result, store::Store};

/// So many rows are read at a time, if nobody says otherwise.
const BATCH: usize = 512;

type Row = (Bytes, Bytes);

/// The least key behind `key`: where a walk goes on.
#[must_use]
pub fn key_after(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}

/// Rows in ascending order of their keys, read some at a time. They are not one view: transactions may come in between. Ends
/// behind an error.
pub struct Rows<'a> {
    store: &'a Store,
    /// Where the next ones begin. None: all were read.
    from: Option<Bytes>,
    to: Bytes,
    batch: usize,
    read: vec::IntoIter<Row>,
}

impl Store {
    /// The rows from key `from` up to and without `to`. An empty `to` means to the last key.
    #[must_use]
    pub fn rows(&self, (from, to): (Bytes, Bytes)) -> Rows<'_> {
        Rows {
            store: self,
            from: Some(from),
            to,
            batch: BATCH,
            read: Vec::new().into_iter(),
        }
    }
}

impl Rows<'_> {
    /// Reads so many rows at a time: few where they are large.
    #[must_use]
    pub fn at_a_time(mut self, batch: usize) -> Self {
        self.batch = batch.max(1);
        self
    }

    /// False: there are no more.
    fn read_on(&mut self) -> Result<bool> {
        let Some(from) = self.from.take() else {
            return Ok(false);
        };
        let rows = self.store.scan(&from..&self.to, self.batch)?;
        if rows.len() == self.batch {
            self.from = rows.last().map(|(key, _)| key_after(key));
        }
        self.read = rows.into_iter();
        Ok(true)
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.read.next() {
                return Some(Ok(row));
            }
            match self.read_on() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, StoreError, Transaction};

    fn store_of(dir: &tempfile::TempDir, rows: u8) -> Store {
        let store = Store::open(Options::new(dir.path())).unwrap();
        let mut tx = Transaction::new();
        for n in 0..rows {
            tx.put(vec![n], vec![n, n]);
        }
        store.commit(tx).unwrap();
        store
    }

    fn keys(rows: Rows<'_>) -> Vec<u8> {
        rows.map(|row| row.unwrap().0[0]).collect()
    }

    fn key(n: u8) -> Bytes {
        Bytes::from(vec![n])
    }

    #[test]
    fn every_row_of_the_range_comes_once_however_many_are_read_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = store_of(&dir, 12);
        for batch in [1, 2, 4, 5, 8, 100] {
            let rows = || store.rows((key(2), key(10))).at_a_time(batch);
            assert_eq!(keys(rows()), (2..10).collect::<Vec<_>>(), "{batch} at a time");
            assert!(rows().all(|row| row.is_ok_and(|(key, value)| value == [key[0]; 2][..])));
        }
        assert_eq!(keys(store.rows((key(9), Bytes::new()))), [9, 10, 11]);
        assert_eq!(keys(store.rows((key(3), key(3)))), [0; 0]);
    }

    #[test]
    fn rows_that_come_meanwhile_are_met_if_they_lie_ahead() {
        let dir = tempfile::tempdir().unwrap();
        let store = store_of(&dir, 4);
        let mut rows = store.rows((key(0), Bytes::new())).at_a_time(2);
        rows.next().unwrap().unwrap();
        let mut tx = Transaction::new();
        tx.put(vec![2, 7], vec![]);
        store.commit(tx).unwrap();
        assert_eq!(keys(rows), [1, 2, 2, 3]);
    }

    #[test]
    fn a_walk_ends_behind_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let store = store_of(&dir, 4);
        let mut rows = store.rows((key(0), Bytes::new())).at_a_time(2);
        assert!(rows.next().unwrap().is_ok());
        store.core().fail("test", &StoreError::corrupt("nothing"));
        let left: Vec<_> = rows.map(|row| row.is_ok()).collect();
        assert_eq!(left, [true, false]);
    }
}
