//! The journal file: preallocated, written in a circle, every write durable when it returns.

use std::{fs::File, io, os::unix::fs::FileExt, os::unix::fs::OpenOptionsExt, path::Path};

use bytes::Bytes;
use rustix::fs::OFlags;

use crate::{
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
pub(crate) fn create(path: &Path, capacity: u64) -> Result<()> {
    let write = || -> io::Result<()> {
        let file = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .open(path)?;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, capacity)?;
        let zeros = vec![0; 1 << 20];
        let mut at = 0;
        while at < capacity {
            let n = (capacity - at).min(zeros.len() as u64);
            file.write_all_at(zeros.get(..n as usize).unwrap_or_default(), at)?;
            at += n;
        }
        file.sync_all()
    };
    write().context(|| format!("create the journal {}", path.display()))
}

/// The open journal.
pub(crate) struct Journal {
    file: File,
    /// Opened with O_DSYNC; else each write is followed by fdatasync.
    dsync: bool,
    capacity: u64,
    epoch: u64,
    buffer: Vec<u8>,
}

impl Journal {
    pub(crate) fn open(path: &Path, capacity: u64, epoch: u64) -> Result<Self> {
        let flags = OFlags::DIRECT | OFlags::DSYNC;
        let direct = File::options()
            .write(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path);
        let (file, dsync) = match direct {
            Ok(file) => (file, true),
            // A filesystem without direct I/O.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                let file = File::options().write(true).open(path);
                (file.context(|| format!("open {}", path.display()))?, false)
            }
            Err(error) => return Err(error).context(|| format!("open {}", path.display())),
        };
        Ok(Self {
            file,
            dsync,
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
        let write = || -> io::Result<()> {
            self.file
                .write_all_at(buffer.get(start..).unwrap_or_default(), pos % self.capacity)?;
            if self.dsync { Ok(()) } else { self.file.sync_data() }
        };
        write().context(|| "write the journal".into())
    }
}

/// One batch found by a replay.
pub(crate) struct Batch {
    pub(crate) first: Seq,
    pub(crate) transactions: Vec<Vec<Op>>,
}

/// Reads batches in order until the first one that is missing, torn or stale.
pub(crate) struct Replay {
    file: File,
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
    pub(crate) fn new(path: &Path, capacity: u64, epoch: u64, pos: u64, wanted: Seq) -> Result<Self> {
        let file = File::open(path).context(|| format!("open {}", path.display()))?;
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

    fn read(&self, pos: u64) -> Result<Option<(Header, Bytes)>> {
        let at = pos % self.capacity;
        let what = || "read the journal".to_owned();
        let mut head = [0; HEADER];
        self.file.read_exact_at(&mut head, at).context(what)?;
        let Some((header, crc)) = Header::parse(&head) else {
            return Ok(None);
        };
        let fits = at + batch_len(u64::from(header.len)) <= self.capacity;
        let follows = self
            .next
            .map_or(header.first <= self.wanted, |next| header.first == next);
        if header.epoch != self.epoch || header.pos != pos || !fits || !follows {
            return Ok(None);
        }
        let mut payload = vec![0; header.len as usize];
        self.file
            .read_exact_at(&mut payload, at + HEADER as u64)
            .context(what)?;
        Ok(header
            .matches(&payload, crc)
            .then(|| (header, Bytes::from(payload))))
    }
}
