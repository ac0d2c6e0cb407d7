//! How a store is opened.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    device::Devices,
    disk::{Disk, RealDisk},
    error::{Result, StoreError},
};

/// The unit of journal writes: what any disk writes without reading first.
pub(crate) const BLOCK: u64 = 4096;

/// How a store is opened. All sizes are in bytes.
#[derive(Clone)]
pub struct Options {
    /// The store's directory; made if it does not exist.
    pub dir: PathBuf,
    /// Capacity of the write-ahead journal: how much a burst of writes may be before the disk has to write it a second time, to the volumes. It
    /// bounds the time of a recovery and the memory of a busy store. Default 512 MiB; from 1 MiB to 16 GiB.
    pub journal_bytes: u64,
    /// Data writes of this length and more go straight to the volume, smaller ones through the journal.
    /// Default 128 KiB: a write of the journal and one of the file, grouped, cost less than a sync of their own.
    pub direct_threshold: u64,
    /// The same for a disk on which the journal's large writes have shown to be slow, less than 320 MiB a second: it should not have to write them
    /// twice. Default 64 KiB; of this and `direct_threshold` the smaller one counts.
    pub slow_direct_threshold: u64,
    /// Whole blocks of 4 KiB that travel in the journal, so many bytes and more of them, are written there from where they lie in memory, and not
    /// copied, if they are aligned there. Default 16 KiB.
    pub uncopied_threshold: u64,
    /// Data of direct writes that may wait in memory; submitters of more wait. Default 256 MiB.
    pub direct_bytes: u64,
    /// Transactions that do not free anything are refused with [`StoreError::NoSpace`] while the filesystem has
    /// less than this available (those that write no new data: half of this), so that deletions and checkpoints
    /// always find room. Default 512 MiB.
    pub reserve_bytes: u64,
    /// Volume space is taken from the filesystem in pieces of this size, aligned. Default 64 KiB.
    pub allocation_unit: u64,
    /// Metadata changes kept in memory before a checkpoint is started. Default 64 MiB.
    pub meta_dirty_bytes: usize,
    /// Cache of the metadata library. Default 128 MiB.
    pub meta_cache_bytes: usize,
    /// Memory for large pieces of volumes that were lately read or written, in which they are read again. Default 0: such memory is the
    /// system's to give away, whose cache has what was read from files.
    pub read_cache_bytes: usize,
    /// Pieces of this length and more are kept there. Default 256 KiB.
    pub read_cache_from: usize,
    /// Volume files kept open. Default 512.
    pub open_files: usize,
    /// A checkpoint is made after this long without transactions. Default 5 s.
    pub idle_checkpoint: Duration,
    /// Threads that write data directly to files. Default 4: more of them gain nothing on disks.
    pub direct_writers: usize,
    /// Where volumes lie. Default `None`: in files below `dir`. A store stays with what it was made with.
    pub devices: Option<Arc<dyn Devices>>,
    /// Opens the store even where the journal is damaged in its midst: without what was acknowledged from there on. Otherwise it is
    /// refused with [`StoreError::Corrupt`]. Default `false`.
    pub accept_damage: bool,
    /// New volumes in files get checksums: a block that is not what was written cannot be read ([`StoreError::Checksum`]). Those
    /// without keep doing without until a scrub comes to them. Default `true`.
    pub checksums: bool,
    /// Where direct writes are under way is recorded by regions of this size: after a crash, blocks there are not
    /// taken for damaged. Default 16 MiB; a multiple of 4 KiB.
    pub region_bytes: u64,
    /// Each volume with checksums is read and verified once in this time. Default 7 days; 0 for never.
    pub scrub_interval: Duration,
    /// How much of them is read in a second, at most. Default 32 MiB.
    pub scrub_bytes_per_second: u64,
    /// What the store's own files lie on. Default: the system's files.
    pub disk: Arc<dyn Disk>,
    /// The store has no threads: whoever holds it drives its stages with [`crate::Store::step`], so that a simulation does the same
    /// each time. Calls that would wait for a stage run it. Dropping the last handle is a crash, not a close. Default `false`.
    pub stepped: bool,
    /// Who gathers a single transaction ([`crate::Store::gather`]) may write it to the journal on its own thread, where the disk is quick.
    /// For callers that have other threads to go on with meanwhile. Default `true`.
    pub journal_alone: bool,
    /// Runs the callbacks of the transactions that became durable together: it has to call what it is given, once. So whoever
    /// answers by them can gather the answers. Default `None`: they are just called.
    pub around_callbacks: Option<Around>,
}

/// Calls what it is given, and does something before or after.
pub type Around = Arc<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("dir", &self.dir)
            .field("journal_bytes", &self.journal_bytes)
            .field("devices", &self.devices.is_some())
            .finish_non_exhaustive()
    }
}

impl Options {
    /// The defaults for a store in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            journal_bytes: 512 << 20,
            direct_threshold: 128 << 10,
            slow_direct_threshold: 64 << 10,
            uncopied_threshold: 16 << 10,
            direct_bytes: 256 << 20,
            reserve_bytes: 512 << 20,
            allocation_unit: 64 << 10,
            meta_dirty_bytes: 64 << 20,
            meta_cache_bytes: 128 << 20,
            read_cache_bytes: 0,
            read_cache_from: 256 << 10,
            open_files: 512,
            idle_checkpoint: Duration::from_secs(5),
            direct_writers: 4,
            devices: None,
            accept_damage: false,
            checksums: true,
            region_bytes: 16 << 20,
            scrub_interval: Duration::from_secs(7 * 24 * 3600),
            scrub_bytes_per_second: 32 << 20,
            disk: Arc::new(RealDisk),
            stepped: false,
            journal_alone: true,
            around_callbacks: None,
        }
    }

    /// The largest transaction, as it stands in the journal.
    pub(crate) fn max_transaction(&self) -> u64 {
        self.journal_bytes / 8 / BLOCK * BLOCK
    }

    /// The most data of one transaction that travels in the journal, whatever its pieces are.
    pub(crate) fn most_journaled(&self) -> u64 {
        self.max_transaction() / 2
    }

    /// With more in the journal a checkpoint begins. While it writes back so much, nearly as much may come again before the rest is urgent.
    pub(crate) fn checkpoint_from(&self) -> u64 {
        self.journal_bytes / 8 * 3
    }

    /// With more in the journal a checkpoint does not care for the journal's writes any more: they would soon wait for it.
    pub(crate) fn urgent_from(&self) -> u64 {
        self.journal_bytes / 4 * 3
    }

    /// The most that one journal write gathers.
    pub(crate) fn max_batch(&self) -> u64 {
        self.max_transaction().min(4 << 20)
    }

    /// Checks the values and rounds them to what the disk format wants.
    pub(crate) fn validated(mut self) -> Result<Self> {
        if !(1 << 20..=16 << 30).contains(&self.journal_bytes) {
            return Err(StoreError::Option {
                option: "journal_bytes",
                why: "must be from 1 MiB to 16 GiB",
            });
        }
        if self.direct_threshold == 0 {
            return Err(StoreError::Option {
                option: "direct_threshold",
                why: "must not be 0",
            });
        }
        if self.slow_direct_threshold == 0 {
            return Err(StoreError::Option {
                option: "slow_direct_threshold",
                why: "must not be 0",
            });
        }
        if !self.allocation_unit.is_power_of_two() || self.allocation_unit > 1 << 30 {
            return Err(StoreError::Option {
                option: "allocation_unit",
                why: "must be a power of two of at most 1 GiB",
            });
        }
        if self.region_bytes == 0 || !self.region_bytes.is_multiple_of(BLOCK) {
            return Err(StoreError::Option {
                option: "region_bytes",
                why: "must be a multiple of 4 KiB",
            });
        }
        self.journal_bytes = self.journal_bytes / BLOCK * BLOCK;
        // A small write must fit into a transaction, else it could never be stored at all.
        self.direct_threshold = self.direct_threshold.min(self.max_transaction() / 2);
        self.slow_direct_threshold = self.slow_direct_threshold.min(self.direct_threshold);
        self.open_files = self.open_files.max(8);
        self.direct_writers = self.direct_writers.clamp(1, 1024);
        Ok(self)
    }
}
