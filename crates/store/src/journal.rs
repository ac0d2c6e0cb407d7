//! The journal file: preallocated, written in a circle, every write durable when it returns.

use std::{io, path::Path, sync::Arc};

use bytes::Bytes;

use crate::{
    disk::{Access, Disk, DiskFile, read_exact},
    error::{Context, Result, StoreError},
    options::BLOCK,
    record::{self, HEADER, Header, Size},
    sums,
    transaction::{Op, Seq},
};

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
    /// From which length on data is not copied, [`crate::Options::uncopied_threshold`].
    uncopied: u64,
    buffer: Vec<u8>,
}

impl Journal {
    pub(crate) fn open(
        disk: &dyn Disk,
        path: &Path,
        capacity: u64,
        epoch: u64,
        uncopied: u64,
    ) -> Result<Self> {
        let file = disk.open(path, Access::Journal);
        Ok(Self {
            file: file.context(|| format!("open {}", path.display()))?,
            capacity,
            epoch,
            uncopied,
            buffer: Vec::new(),
        })
    }

    /// Whether whole blocks are copied, and not written from where they lie. Direct I/O wants them aligned, as the messenger receives much data.
    fn is_copied(&self, blocks: &[u8]) -> bool {
        (blocks.len() as u64) < self.uncopied || !blocks.as_ptr().addr().is_multiple_of(BLOCK as usize)
    }

    /// Writes a batch of transactions, the first numbered `first`, of this size together, at `pos`. Durable when it returns.
    pub(crate) fn write<'a>(
        &mut self,
        pos: u64,
        first: Seq,
        size: Size,
        transactions: impl Iterator<Item = &'a [Op]> + Clone,
    ) -> Result<()> {
        let align = BLOCK as usize;
        let head_len = size.head_len() as usize;
        let outlined = || transactions.clone().flat_map(record::outlined);
        let copied: usize = outlined()
            .filter(|data| self.is_copied(data))
            .map(Bytes::len)
            .sum();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.reserve(head_len + copied + align);
        // Direct I/O wants aligned memory: start at the first aligned byte of the spare capacity.
        let start = buffer.as_ptr().align_offset(align);
        buffer.resize(start + HEADER, 0);
        let mut count = 0u32;
        for ops in transactions.clone() {
            record::encode(ops, &mut buffer);
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
        let found = Size {
            records: payload.len() as u64,
            outlined: outlined().map(|data| data.len() as u64).sum(),
        };
        if found != size {
            return Err(StoreError::corrupt(
                "a transaction changed its size on the way to the journal",
            ));
        }
        if let Some(target) = buffer.get_mut(start..start + HEADER) {
            target.copy_from_slice(&header);
        }
        buffer.resize(start + head_len, 0);
        for data in outlined().filter(|data| self.is_copied(data)) {
            buffer.extend_from_slice(data);
        }
        let pieces = self.pieces(&buffer[start..], head_len, outlined());
        let written = self
            .file
            .write_pieces_durable_at(pos % self.capacity, &pieces)
            .context(|| "write the journal".into());
        self.buffer = buffer;
        written
    }

    /// A batch in pieces: what was copied, the first `head_len` bytes the head and the rest data, with data from where it lies in between.
    fn pieces<'a, 'b: 'a>(
        &self,
        copied: &'a [u8],
        head_len: usize,
        outlined: impl Iterator<Item = &'b Bytes>,
    ) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        let (mut left, mut run) = (copied, head_len);
        for data in outlined {
            if self.is_copied(data) {
                run += data.len();
            } else {
                let (before, behind) = left.split_at(run);
                pieces.extend([before, data]);
                (left, run) = (behind, 0);
            }
        }
        pieces.push(left);
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }
}

/// One batch found by a replay.
pub(crate) struct Batch {
    pub(crate) first: Seq,
    pub(crate) transactions: Vec<Vec<Op>>,
    /// Behind it in the journal.
    end: u64,
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
            if let Some(batch) = self.read(pos)? {
                self.pos = batch.end;
                self.next = Some(batch.first + batch.transactions.len() as u64);
                return Ok(Some(batch));
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

    fn read(&self, pos: u64) -> Result<Option<Batch>> {
        self.read_batch(pos, |header| {
            self.next
                .map_or(header.first <= self.wanted, |next| header.first == next)
        })
    }

    /// The batch at a place, if it is whole and the one that is wanted.
    fn read_batch(&self, pos: u64, follows: impl FnOnce(&Header) -> bool) -> Result<Option<Batch>> {
        let at = pos % self.capacity;
        let what = || "read the journal".to_owned();
        let mut head = [0; HEADER];
        read_exact(&*self.file, at, &mut head).context(what)?;
        let Some((header, crc)) = Header::parse(&head) else {
            return Ok(None);
        };
        let mut size = Size {
            records: u64::from(header.len),
            outlined: 0,
        };
        let fits = |size: Size| at + size.batch_len() <= self.capacity;
        if header.epoch != self.epoch || header.pos != pos || !fits(size) || !follows(&header) {
            return Ok(None);
        }
        let mut payload = vec![0; header.len as usize];
        read_exact(&*self.file, at + HEADER as u64, &mut payload).context(what)?;
        if !header.matches(&payload, crc) {
            return Ok(None);
        }
        let unknown = || StoreError::corrupt("a journal record of unknown form");
        let mut rest = Bytes::from(payload);
        let mut transactions = Vec::new();
        for _ in 0..header.count {
            transactions.push(record::decode(&mut rest).ok_or_else(unknown)?);
        }
        let from = at + size.batch_len();
        let outlined = transactions.iter().flatten().map(|op| match op {
            Op::Write { sums, .. } => sums::blocks_len(sums),
            _ => 0,
        });
        size.outlined = outlined.sum();
        if !fits(size) {
            return Err(unknown());
        }
        let mut found = vec![0; size.outlined as usize];
        read_exact(&*self.file, from, &mut found).context(what)?;
        let mut found = Bytes::from(found);
        for op in transactions.iter_mut().flatten() {
            if let Op::Write { data, sums, .. } = op
                && !sums.is_empty()
            {
                *data = found.split_to(sums::blocks_len(sums) as usize);
                // Torn, though the records are whole.
                if !sums::are_of(sums, data) {
                    return Ok(None);
                }
            }
        }
        Ok(Some(Batch {
            first: header.first,
            transactions,
            end: pos + size.batch_len(),
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]
mod tests {
    use super::*;
    use crate::{disk::RealDisk, transaction::VolumeId};

    const CAPACITY: u64 = 8 * BLOCK;
    const EPOCH: u64 = 0x5eed;

    /// A change that makes its batch `size` bytes long, and more.
    fn put(seq: u64, size: usize) -> Op {
        Op::Put {
            key: Bytes::from_static(b"key"),
            value: Bytes::from(vec![seq as u8; size]),
        }
    }

    /// Whole blocks, so many bytes behind where they would be aligned in memory.
    fn blocks(fill: u8, count: usize, shift: usize) -> Bytes {
        let mut data = vec![fill; count * BLOCK as usize];
        // No two blocks are the same.
        for (n, block) in data.chunks_mut(BLOCK as usize).enumerate() {
            block[100] = n as u8;
        }
        disk_sim::placed(&data, shift)
    }

    /// A change whose data stands behind the records. From two blocks on it is not copied there.
    fn outlined(seq: u64, count: usize) -> Op {
        outlined_from(seq, blocks(seq as u8, count, 0))
    }

    fn outlined_from(seq: u64, data: Bytes) -> Op {
        Op::Write {
            volume: VolumeId(seq),
            offset: seq * BLOCK,
            sums: sums::encode(&data).collect(),
            data,
        }
    }

    /// A journal with these batches. Returns where they are.
    fn journal_of(path: &Path, batches: &[Vec<Vec<Op>>]) -> Vec<u64> {
        create(&RealDisk, path, CAPACITY).unwrap();
        let mut journal = Journal::open(&RealDisk, path, CAPACITY, EPOCH, 2 * BLOCK).unwrap();
        let (mut head, mut seq) = (0, 1);
        let mut write = |batch: &Vec<Vec<Op>>| {
            let size: Size = batch.iter().map(|ops| Size::of(ops)).sum();
            let pos = place(head, size.batch_len(), CAPACITY);
            let transactions = batch.iter().map(|ops| &ops[..]);
            journal.write(pos, seq, size, transactions).unwrap();
            head = pos + size.batch_len();
            seq += batch.len() as u64;
            pos
        };
        batches.iter().map(&mut write).collect()
    }

    /// A journal with batches of one transaction; the data makes each `size` bytes long.
    fn written(path: &Path, count: u64, size: usize) -> Vec<u64> {
        let batches: Vec<_> = (1..=count).map(|seq| vec![vec![put(seq, size)]]).collect();
        journal_of(path, &batches)
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
    fn data_behind_the_records_is_found_again_in_its_order_and_so_is_the_next_batch() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let first = vec![
            vec![outlined(1, 1), put(1, 10)],
            vec![put(2, 20)],
            vec![outlined(3, 2), outlined(4, 1)],
            // Not aligned, and so copied.
            vec![outlined_from(5, blocks(5, 2, 1))],
        ];
        let second = vec![vec![put(6, 30)]];
        let pos = journal_of(&path, &[first.clone(), second.clone()]);
        assert_eq!(pos, [0, 7 * BLOCK]);
        let mut replay = Replay::new(&RealDisk, &path, CAPACITY, EPOCH, 0, 1).unwrap();
        assert_eq!(replay.next().unwrap().unwrap().transactions, first);
        assert_eq!(replay.next().unwrap().unwrap().transactions, second);
        assert!(replay.next().unwrap().is_none());
    }

    #[test]
    fn a_batch_whose_data_behind_the_records_is_torn_is_none_and_not_a_damaged_journal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let last = vec![vec![outlined(2, 1), put(2, 10)], vec![outlined(3, 2)]];
        let pos = journal_of(&path, &[vec![vec![put(1, 10)]], last]);
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(replayed(&path, EPOCH, 0, 1), [1, 2]);
        let (start, end) = ((pos[1] + BLOCK) as usize, (pos[1] + 4 * BLOCK) as usize);
        for sector in (start..end).step_by(512) {
            let mut torn = whole.clone();
            torn[sector..sector + 512].fill(0);
            std::fs::write(&path, &torn).unwrap();
            let mut replay = Replay::new(&RealDisk, &path, CAPACITY, EPOCH, 0, 1).unwrap();
            assert_eq!(replay.next().unwrap().map(|batch| batch.first), Some(1));
            assert!(replay.next().unwrap().is_none(), "torn at {}", sector - start);
            assert!(replay.lost(1, CAPACITY).unwrap().is_none());
        }
        // Blocks in another order are not what was written either.
        let mut turned = whole;
        let (one, other) = turned[start..].split_at_mut(BLOCK as usize);
        one.swap_with_slice(&mut other[..BLOCK as usize]);
        std::fs::write(&path, &turned).unwrap();
        assert_eq!(replayed(&path, EPOCH, 0, 1), [1]);
    }

    #[test]
    fn a_batch_that_is_damaged_in_its_data_is_missed_where_another_follows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        journal_of(&path, &[vec![vec![outlined(1, 1)]], vec![vec![outlined(2, 1)]]]);
        let mut damaged = std::fs::read(&path).unwrap();
        damaged[BLOCK as usize + 77] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let mut replay = Replay::new(&RealDisk, &path, CAPACITY, EPOCH, 0, 1).unwrap();
        assert!(replay.next().unwrap().is_none());
        assert_eq!(
            replay.lost(0, CAPACITY).unwrap(),
            Some(Lost { first: 1, seen: 2 })
        );
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
