//! The journal file: preallocated, written in a circle, every write durable when it returns.

use std::{io, path::Path, sync::Arc};

use bytes::Bytes;

use crate::{
    disk::{Access, Disk, DiskFile, read_exact},
    error::{Context, Result, StoreError},
    options::BLOCK,
    record::{self, HEADER, Header},
    transaction::{Op, Seq},
};

/// Bytes that a batch with this payload takes in the journal.
pub(crate) fn batch_len(payload: u64) -> u64 {
    (HEADER as u64 + payload).next_multiple_of(BLOCK)
}

/// Where a batch of `len` bytes goes if the last one ended at `head`: batches do not wrap around.
pub(crate) fn place(head: u64, len: u64, capacity: u64) -> u64 {
    let end_of_lap = (head / capacity + 1) * capacity;
    if head + len <= end_of_lap {
        head
    } else {
        end_of_lap
    }
}

/// Makes a journal file of zeros, so that later writes change no metadata of the filesystem.
pub(crate) fn create(disk: &dyn Disk, path: &Path, capacity: u64) -> Result<()> {
    let write = || -> io::Result<()> {
        let file = disk.open(path, Access::CreateEmpty)?;
        file.allocate(0, capacity)?;
        let zeros = vec![0; 1 << 20];
        let mut at = 0;
        while at < capacity {
            let n = (capacity - at).min(zeros.len() as u64);
            file.write_at(at, zeros.get(..n as usize).unwrap_or_default())?;
            at += n;
        }
        file.sync_data()
    };
    write().context(|| format!("create the journal {}", path.display()))
}

/// The open journal.
pub(crate) struct Journal {
    file: Arc<dyn DiskFile>,
    capacity: u64,
    epoch: u64,
    buffer: Vec<u8>,
}

impl Journal {
    pub(crate) fn open(disk: &dyn Disk, path: &Path, capacity: u64, epoch: u64) -> Result<Self> {
        let file = disk.open(path, Access::Journal);
        Ok(Self {
            file: file.context(|| format!("open {}", path.display()))?,
            capacity,
            epoch,
            buffer: Vec::new(),
        })
    }

    /// Writes a batch of transactions, the first numbered `first`, at `pos`. Durable when it returns.
    pub(crate) fn write<'a>(
        &mut self,
        pos: u64,
        first: Seq,
        payload_len: u64,
        transactions: impl Iterator<Item = &'a [Op]>,
    ) -> Result<()> {
        let align = BLOCK as usize;
        let total = batch_len(payload_len) as usize;
        let buffer = &mut self.buffer;
        buffer.clear();
        buffer.reserve(total + align);
        // Direct I/O wants aligned memory: start at the first aligned byte of the spare capacity.
        let start = buffer.as_ptr().align_offset(align);
        buffer.resize(start + HEADER, 0);
        let mut count = 0u32;
        for ops in transactions {
            record::encode(ops, buffer);
            count += 1;
        }
        let payload = buffer.get(start + HEADER..).unwrap_or_default();
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let header = Header {
            epoch: self.epoch,
            pos,
            first,
            count,
            len,
        }
        .seal(payload);
        if payload.len() as u64 != payload_len {
            return Err(StoreError::corrupt(
                "a transaction changed its size on the way to the journal",
            ));
        }
        if let Some(target) = buffer.get_mut(start..start + HEADER) {
            target.copy_from_slice(&header);
        }
        buffer.resize(start + total, 0);
        self.file
            .write_durable_at(pos % self.capacity, buffer.get(start..).unwrap_or_default())
            .context(|| "write the journal".into())
    }
}

/// One batch found by a replay.
pub(crate) struct Batch {
    pub(crate) first: Seq,
    pub(crate) transactions: Vec<Vec<Op>>,
}

/// Transactions that the journal had and that cannot be read any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost {
    /// The first of them.
    first: Seq,
    /// One that is there again.
    seen: Seq,
}

impl Lost {
    pub(crate) fn text(&self) -> String {
        format!(
            "the journal is damaged: transaction {} and those behind it were acknowledged and cannot be read, \
             transaction {} can",
            self.first, self.seen
        )
    }
}

/// Reads batches in order until the first one that is missing, torn or stale.
pub(crate) struct Replay {
    file: Arc<dyn DiskFile>,
    capacity: u64,
    epoch: u64,
    pos: u64,
    /// The number that the next batch starts with, once the first was read.
    next: Option<Seq>,
    /// The transaction that replay has to start at or before.
    wanted: Seq,
}

impl Replay {
    /// Starts at `pos`, where the batch stands that has transaction `wanted`, if there is one.
    pub(crate) fn new(
        disk: &dyn Disk,
        path: &Path,
        capacity: u64,
        epoch: u64,
        pos: u64,
        wanted: Seq,
    ) -> Result<Self> {
        let file = disk.open(path, Access::Read);
        let file = file.context(|| format!("open {}", path.display()))?;
        // What counts is what the disk has, also after a write that failed.
        file.drop_cache(0, u64::MAX);
        Ok(Self {
            file,
            capacity,
            epoch,
            pos,
            next: None,
            wanted,
        })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Batch>> {
        // The next batch follows at once or, where it did not fit, at the start of the file.
        let lap = self.pos.next_multiple_of(self.capacity);
        for pos in [self.pos, lap] {
            if let Some((header, payload)) = self.read(pos)? {
                let mut rest = payload;
                let mut transactions = Vec::new();
                for _ in 0..header.count {
                    let ops = record::decode(&mut rest)
                        .ok_or_else(|| StoreError::corrupt("a journal record of unknown form"))?;
                    transactions.push(ops);
                }
                self.pos = pos + batch_len(u64::from(header.len));
                self.next = Some(header.first + u64::from(header.count));
                return Ok(Some(Batch {
                    first: header.first,
                    transactions,
                }));
            }
        }
        Ok(None)
    }

    /// Looks for batches behind the last one that was found, up to `reach` bytes on. There are none but if one in between was
    /// damaged after it was written: each is written when the one before is durable. `last` is the newest transaction found.
    pub(crate) fn lost(&self, last: Seq, reach: u64) -> Result<Option<Lost>> {
        const CHUNK: u64 = 1 << 20;
        let mut chunk = Vec::new();
        let end = self.pos + reach.min(self.capacity);
        let mut pos = self.pos;
        while pos < end {
            let at = pos % self.capacity;
            let len = CHUNK.min(end - pos).min(self.capacity - at);
            chunk.resize(len as usize, 0);
            read_exact(&*self.file, at, &mut chunk).context(|| "read the journal".into())?;
            for (block, head) in (pos..).step_by(BLOCK as usize).zip(chunk.chunks(BLOCK as usize)) {
                let Some((header, _)) = Header::parse(head) else {
                    continue;
                };
                let ours = header.epoch == self.epoch && header.pos == block && header.first > last;
                if ours && self.read_batch(block, |_| true)?.is_some() {
                    return Ok(Some(Lost {
                        first: last + 1,
                        seen: header.first,
                    }));
                }
            }
            pos += len;
        }
        Ok(None)
    }

    fn read(&self, pos: u64) -> Result<Option<(Header, Bytes)>> {
        self.read_batch(pos, |header| {
            self.next
                .map_or(header.first <= self.wanted, |next| header.first == next)
        })
    }

    /// The batch at a place, if it is whole and the one that is wanted.
    fn read_batch(&self, pos: u64, follows: impl FnOnce(&Header) -> bool) -> Result<Option<(Header, Bytes)>> {
        let at = pos % self.capacity;
        let what = || "read the journal".to_owned();
        let mut head = [0; HEADER];
        read_exact(&*self.file, at, &mut head).context(what)?;
        let Some((header, crc)) = Header::parse(&head) else {
            return Ok(None);
        };
        let fits = at + batch_len(u64::from(header.len)) <= self.capacity;
        if header.epoch != self.epoch || header.pos != pos || !fits || !follows(&header) {
            return Ok(None);
        }
        let mut payload = vec![0; header.len as usize];
        read_exact(&*self.file, at + HEADER as u64, &mut payload).context(what)?;
        Ok(header
            .matches(&payload, crc)
            .then(|| (header, Bytes::from(payload))))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    const CAPACITY: u64 = 8 * BLOCK;
    const EPOCH: u64 = 0x5eed;

    /// A journal with batches of one transaction; the data makes each `size` bytes long.
    fn written(path: &Path, count: u64, size: usize) -> Vec<u64> {
        create(&RealDisk, path, CAPACITY).unwrap();
        let mut journal = Journal::open(&RealDisk, path, CAPACITY, EPOCH).unwrap();
        let mut head = 0;
        (1..=count)
            .map(|seq| {
                let value = Bytes::from(vec![seq as u8; size]);
                let ops = [Op::Put {
                    key: Bytes::from_static(b"key"),
                    value,
                }];
                let len = record::encoded_len(&ops);
                let pos = place(head, batch_len(len), CAPACITY);
                journal.write(pos, seq, len, [&ops[..]].into_iter()).unwrap();
                head = pos + batch_len(len);
                pos
            })
            .collect()
    }

    fn replayed(path: &Path, epoch: u64, pos: u64, wanted: Seq) -> Vec<Seq> {
        let mut replay = Replay::new(&RealDisk, path, CAPACITY, epoch, pos, wanted).unwrap();
        std::iter::from_fn(|| replay.next().unwrap())
            .map(|batch| batch.first)
            .collect()
    }

    #[test]
    fn a_torn_last_batch_ends_the_replay_cleanly_wherever_it_is_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let pos = written(&path, 3, 100);
        assert_eq!(replayed(&path, EPOCH, 0, 1), [1, 2, 3]);
        let whole = std::fs::read(&path).unwrap();
        let start = pos[2] as usize;
        for at in start..start + HEADER + 120 {
            let mut torn = whole.clone();
            torn[at] ^= 0x10;
            std::fs::write(&path, &torn).unwrap();
            // The bytes behind the payload are padding.
            let wanted: &[Seq] = if at < start + HEADER + 4 + 1 + 8 + 3 + 100 {
                &[1, 2]
            } else {
                &[1, 2, 3]
            };
            assert_eq!(replayed(&path, EPOCH, 0, 1), wanted, "flipped at {}", at - start);
            let mut cut = whole.clone();
            cut[at..].fill(0);
            std::fs::write(&path, &cut).unwrap();
            assert_eq!(replayed(&path, EPOCH, 0, 1), wanted, "cut at {}", at - start);
        }
    }

    #[test]
    fn batches_of_an_earlier_lap_are_not_replayed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        // Three blocks each, so that every lap takes two and skips the last two blocks.
        let pos = written(&path, 5, 10_000);
        assert_eq!(pos, [0, 3 * BLOCK, 8 * BLOCK, 11 * BLOCK, 16 * BLOCK]);
        // Behind batch 5 lies batch 4 of the lap before, with a good checksum.
        assert_eq!(replayed(&path, EPOCH, pos[3], 4), [4, 5]);
        assert_eq!(replayed(&path, EPOCH, pos[4], 5), [5]);
        // Nothing was written yet where the next batch would go.
        assert_eq!(replayed(&path, EPOCH, 19 * BLOCK, 6), [0; 0]);
    }

    #[test]
    fn batches_of_another_opening_are_not_replayed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        written(&path, 2, 10);
        assert_eq!(replayed(&path, EPOCH + 1, 0, 1), [0; 0]);
        assert_eq!(replayed(&path, EPOCH, 0, 1), [1, 2]);
        // A gap: the wanted transaction is older than what is there.
        assert_eq!(replayed(&path, EPOCH, 0, 0), [0; 0]);
    }
}
