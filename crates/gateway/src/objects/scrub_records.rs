//! When each placement group was scrubbed, and what was found: a row for each group that ever was.

use bytes::{Bytes, BytesMut};
use encoding::{
    codec::{Decode, Encode, Reader},
    features::Features,
    types::{Pg, Utime},
};
use store::{Store, StoreError, Transaction};

use super::{Objects, keys};

/// The outcome of a group's last scrubs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScrubRecord {
    /// When the last one ended.
    pub last: Option<Utime>,
    /// When the last one ended that read data, too.
    pub last_deep: Option<Utime>,
    /// How many objects the last one could not read.
    pub errors: u64,
}

impl ScrubRecord {
    /// As it is stored: the two times, zero for none, and the count.
    fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(24);
        for stamp in [self.last, self.last_deep] {
            stamp.unwrap_or_default().encode(&mut out, Features::ALL);
        }
        self.errors.encode(&mut out, Features::ALL);
        out.freeze()
    }

    /// What is stored; none if it is damaged.
    #[must_use]
    pub fn decode(raw: &Bytes) -> Option<Self> {
        let mut r = Reader::new(raw);
        let mut stamp = || {
            let stamp = Utime::decode(&mut r).ok()?;
            Some((stamp != Utime::default()).then_some(stamp))
        };
        let (last, last_deep) = (stamp()?, stamp()?);
        let errors = r.u64().ok()?;
        r.is_empty().then_some(Self {
            last,
            last_deep,
            errors,
        })
    }
}

/// The group of a row.
#[must_use]
pub fn group_of(key: &[u8]) -> Option<Pg> {
    let (pool, seed) = key.get(1..)?.split_first_chunk()?;
    Some(Pg {
        pool: u64::from_be_bytes(*pool),
        seed: u32::from_be_bytes(seed.try_into().ok()?),
    })
}

/// All groups that were scrubbed.
///
/// # Errors
/// If the store fails, or a row is damaged.
pub fn all(store: &Store) -> Result<Vec<(Pg, ScrubRecord)>, StoreError> {
    let parse = |(key, value): (Bytes, Bytes)| {
        let row = group_of(&key).zip(ScrubRecord::decode(&value));
        row.ok_or_else(|| StoreError::Corrupt("record of a scrub".into()))
    };
    store
        .rows(keys::whole_table(b'G'))
        .map(|row| parse(row?))
        .collect()
}

impl Objects {
    /// Records the outcome of a group's scrub. It is durable with what comes next: nobody waits for it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn record_scrub(&self, pg: Pg, record: &ScrubRecord) -> Result<(), StoreError> {
        let mut tx = Transaction::new();
        tx.put(keys::scrub(pg.pool.cast_signed(), pg.seed), record.encode());
        self.store().submit(tx).map(drop)
    }

    /// Forgets the scrubs of a pool's groups.
    ///
    /// # Errors
    /// If the store fails.
    pub fn forget_scrubs(&self, pool: i64) -> Result<(), StoreError> {
        let (from, to) = keys::pool_range(b'G', pool);
        let mut tx = Transaction::new();
        tx.delete_range(from, to);
        self.store().submit(tx).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written_and_no_part_of_one_is() {
        let time = |sec| Some(Utime { sec, nsec: 5 });
        for record in [
            ScrubRecord::default(),
            ScrubRecord {
                last: time(7),
                last_deep: time(3),
                errors: 2,
            },
        ] {
            let raw = record.encode();
            assert_eq!(ScrubRecord::decode(&raw), Some(record));
            for len in 0..raw.len() {
                assert_eq!(ScrubRecord::decode(&raw.slice(..len)), None, "{len}");
            }
        }
        let pg = Pg { pool: 3, seed: 0x1f };
        assert_eq!(group_of(&keys::scrub(3, 0x1f)), Some(pg));
        assert_eq!(group_of(&keys::scrub(3, 0x1f)[..12]), None);
    }
}
