//! The store's shared state, and how a transaction takes its place in the order.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, MutexGuard};
use smallvec::SmallVec;

use crate::{
    callbacks::Callbacks,
    damage::Damaged,
    directs::{self, DirectJob, Directs, Writing},
    error::{Context, Result, StoreError},
    journal::Journal,
    kv::Kv,
    meta::Meta,
    options::Options,
    pace::Pace,
    pending::{Extent, Pending},
    queue::Queue,
    read_cache::ReadCache,
    reclaim::Reclaim,
    record::Size,
    regions::{self, Held, Regions},
    remote::{self, Clear},
    scrub::Scrubber,
    step::Stepper,
    sums::SumCache,
    transaction::{Op, Seq, Seqs, Transaction},
    volume::Volume,
    volumes::Volumes,
    waiters::Waiters,
    write_back::Dirty,
};

/// How old the known free space may be for a transaction that allocates nothing.
const SPACE_MAX_AGE: Duration = Duration::from_millis(250);

/// The journal counts as slow until it has shown what it is.
const SLOW: Duration = Duration::from_millis(2);

/// A change of a volume that waits for the journal or for its file.
pub(crate) struct DataOp {
    /// Its index in [`Queued::ops`].
    pub(crate) op: usize,
    pub(crate) volume: Arc<Volume>,
    pub(crate) kind: DataKind,
}

impl DataOp {
    /// What of the volume may be touched by writing a range: devices are written by whole blocks.
    pub(crate) fn reach(&self, offset: u64, len: u64) -> (u64, u64) {
        match self.volume.remote() {
            Some(_) => remote::rounded(offset, len),
            None => (offset, len),
        }
    }
}

pub(crate) enum DataKind {
    /// Through the journal.
    Journaled {
        offset: u64,
        data: bytes::Bytes,
    },
    /// To the file first, then named by the journal.
    Direct {
        offset: u64,
        data: bytes::Bytes,
        /// Only on devices.
        clear: Clear,
    },
    Discard {
        offset: u64,
        len: u64,
    },
    Delete,
}

/// A submitted transaction.
pub(crate) struct Queued {
    pub(crate) seq: Seq,
    /// As it stands in the journal.
    pub(crate) ops: Vec<Op>,
    pub(crate) data: SmallVec<[DataOp; 1]>,
    /// What it takes in the journal.
    pub(crate) size: Size,
    /// Has direct writes that are not done yet, and must not start before everything up to this transaction has reached its files.
    pub(crate) direct_after: Option<Seq>,
    /// Nor before these have.
    pub(crate) direct_behind: Seqs,
    /// What else must be in the journal before it is.
    pub(crate) builds_on: Seqs,
    /// Bytes of its direct writes, which are held in memory and not in the journal.
    pub(crate) direct_bytes: u64,
    /// Pages of devices' volumes that hold no data from here on.
    pub(crate) emptied: Vec<(crate::VolumeId, u64)>,
    /// The regions that its direct writes go to, if their volumes have sums.
    pub(crate) held: Option<Held>,
}

impl Queued {
    /// Whether it only lists regions ([`crate::regions`]).
    pub(crate) fn marks_only(&self) -> bool {
        matches!(&self.ops[..], [Op::Put { key, .. }] if key == regions::ROW)
    }

    /// The most that it takes in the journal, standing in a batch alone.
    pub(crate) fn cost(&self) -> u64 {
        self.size.batch_len()
    }
}

/// A batch in the journal that no checkpoint has made superfluous yet.
pub(crate) struct Live {
    pub(crate) last: Seq,
    pub(crate) pos: u64,
}

/// What one lock guards: the order, and how far each stage has come.
pub(crate) struct Order {
    /// The newest transaction.
    pub(crate) submitted: Seq,
    /// Waiting for the journal.
    pub(crate) queue: Queue,
    /// Submitted, and not applied yet.
    pub(crate) open: BTreeSet<Seq>,
    /// A checkpoint is being made: what is newer than this must not be journaled before it.
    pub(crate) barrier: Option<Seq>,
    /// Direct writes of the queue that were not started yet.
    pub(crate) directs: Directs,
    /// Journal space promised to the queue.
    pub(crate) promised: u64,
    /// Bytes of direct writes on their way.
    pub(crate) direct_bytes: u64,
    /// A batch is being written to the journal.
    pub(crate) journaling: bool,
    /// Durable, waiting to reach the volume files.
    pub(crate) to_apply: VecDeque<Queued>,
    /// Somebody waits for that.
    pub(crate) apply_now: bool,
    /// The apply thread waits for more to do, and looks by itself.
    pub(crate) apply_lingers: bool,
    /// How long the journal's writes took lately.
    pub(crate) write_took: Duration,
    /// How many of them, the last ones, were for one transaction each.
    pub(crate) alone: u32,
    /// How many transactions are in the journal, since the store was made: the number that the journal knows the newest by. The
    /// same as its own, but on devices, where the journal's order may be another.
    pub(crate) journaled: Seq,
    /// Everything up to here is in a checkpoint.
    pub(crate) checkpointed: Seq,
    /// Where the next batch goes.
    pub(crate) head: u64,
    /// Where replay would start.
    pub(crate) tail: u64,
    pub(crate) live: VecDeque<Live>,
    pub(crate) checkpoint_wanted: bool,
    pub(crate) checkpointing: bool,
    /// How many checkpoints have been made.
    pub(crate) checkpoints: u64,
    pub(crate) last_batch: Instant,
    /// No more transactions are taken.
    pub(crate) closing: bool,
    /// The threads of the stages before have ended.
    pub(crate) journal_ended: bool,
    pub(crate) apply_ended: bool,
}

impl Order {
    /// Everything up to here has reached its files.
    pub(crate) fn applied(&self) -> Seq {
        self.open.first().map_or(self.submitted, |open| open - 1)
    }
}

/// Everything that the store's threads and handles share.
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) kv: Kv,
    pub(crate) meta: Meta,
    pub(crate) volumes: Volumes,
    pub(crate) read_cache: Arc<ReadCache>,
    pub(crate) waiters: Waiters,
    pub(crate) callbacks: Callbacks,
    pub(crate) order: Mutex<Order>,
    pub(crate) pace: Pace,
    /// There is something to journal, once its direct writes are done.
    pub(crate) work: Condvar,
    /// There may be a direct write to do.
    pub(crate) direct_work: Condvar,
    /// There is something to apply.
    pub(crate) apply_work: Condvar,
    /// There may be a checkpoint to make.
    pub(crate) checkpoint_work: Condvar,
    /// Some stage has moved on.
    pub(crate) progress: Condvar,
    /// What is in files that no fdatasync has covered.
    pub(crate) dirty: Mutex<BTreeMap<crate::VolumeId, Dirty>>,
    /// Volumes with sums that no fdatasync has covered.
    pub(crate) dirty_sums: Mutex<BTreeMap<crate::VolumeId, Arc<Volume>>>,
    /// The sums of blocks, as far as they are in memory.
    pub(crate) sums: SumCache,
    /// Where direct writes are under way, or were when the store ended.
    pub(crate) regions: Arc<Regions>,
    /// Blocks that are not what was written, as far as that was found.
    pub(crate) damaged: Damaged,
    pub(crate) scrubber: Scrubber,
    /// Volumes may have sums.
    pub(crate) with_sums: bool,
    pub(crate) epoch: u64,
    pub(crate) failed: OnceLock<Arc<str>>,
    /// Free bytes on the filesystem, and when they were asked for, in ms since `started`.
    available: AtomicU64,
    available_at: AtomicU64,
    started: Instant,
    /// Writes that devices were given and have not told the end of.
    pub(crate) writing: Arc<Writing>,
    /// Makes creating volumes one at a time.
    pub(crate) creating: Mutex<()>,
    /// Makes transactions with data on devices take their places one at a time.
    pub(crate) mapping: Mutex<()>,
    pub(crate) reclaim: Reclaim,
    /// Held locked as long as the store lives.
    pub(crate) _lock: Box<dyn Send + Sync>,
    /// Held by who writes to it; the order's lock is taken after it. None where there are no threads.
    pub(crate) journal: Mutex<Option<Journal>>,
    /// What the threads would hold, where there are none.
    pub(crate) stepper: Mutex<Option<Stepper>>,
}

impl Core {
    #[allow(
        clippy::too_many_arguments,
        reason = "built in one place, from what recovery found"
    )]
    pub(crate) fn new(
        options: Options,
        lock: Box<dyn Send + Sync>,
        kv: Kv,
        meta: Meta,
        volumes: Volumes,
        regions: Regions,
        with_sums: bool,
        epoch: u64,
        seq: Seq,
    ) -> Self {
        let order = Order {
            submitted: seq,
            queue: match options.devices {
                Some(_) => Queue::by_touch(),
                None => Queue::in_order(),
            },
            open: BTreeSet::new(),
            barrier: None,
            directs: Directs::default(),
            promised: 0,
            direct_bytes: 0,
            journaling: false,
            to_apply: VecDeque::new(),
            apply_now: false,
            apply_lingers: false,
            write_took: SLOW,
            alone: 0,
            journaled: seq,
            checkpointed: seq,
            head: 0,
            tail: 0,
            live: VecDeque::new(),
            checkpoint_wanted: false,
            checkpointing: false,
            checkpoints: 0,
            last_batch: Instant::now(),
            closing: false,
            journal_ended: false,
            apply_ended: false,
        };
        Self {
            callbacks: Callbacks::new(options.around_callbacks.clone(), !options.stepped),
            kv,
            meta,
            volumes,
            read_cache: Arc::new(ReadCache::new(options.read_cache_bytes, options.read_cache_from)),
            options,
            waiters: Waiters::new(seq),
            order: Mutex::new(order),
            pace: Pace::new(),
            work: Condvar::new(),
            direct_work: Condvar::new(),
            apply_work: Condvar::new(),
            checkpoint_work: Condvar::new(),
            progress: Condvar::new(),
            dirty: Mutex::default(),
            dirty_sums: Mutex::default(),
            sums: SumCache::default(),
            regions: Arc::new(regions),
            damaged: Damaged::default(),
            scrubber: Scrubber::default(),
            with_sums,
            epoch,
            failed: OnceLock::new(),
            available: AtomicU64::new(0),
            available_at: AtomicU64::new(u64::MAX),
            started: Instant::now(),
            writing: Arc::default(),
            creating: Mutex::new(()),
            mapping: Mutex::new(()),
            reclaim: Reclaim::default(),
            _lock: lock,
            journal: Mutex::default(),
            stepper: Mutex::default(),
        }
    }

    /// Takes a place in the order for `tx` and makes it visible.
    pub(crate) fn submit(self: &Arc<Self>, tx: Transaction) -> Result<Seq> {
        tx.check()?;
        self.submit_with(tx, |_| {})
    }

    /// Like `submit`; runs `placed` under the order's lock once the transaction has its place.
    pub(crate) fn submit_with(self: &Arc<Self>, tx: Transaction, placed: impl FnOnce(&Self)) -> Result<Seq> {
        let (seq, has_direct) = self.place(tx, placed)?;
        match has_direct {
            true if self.without_threads() => directs::start(self),
            true => {
                self.direct_work.notify_one();
            }
            false => self.submitted(),
        }
        Ok(seq)
    }

    /// Like `submit`, for the store's own changes of rows, which write no data.
    pub(crate) fn submit_rows(&self, tx: Transaction) -> Result<Seq> {
        let (seq, has_direct) = self.place(tx, |_| {})?;
        debug_assert!(!has_direct, "rows alone");
        self.submitted();
        Ok(seq)
    }

    /// Gives a transaction its place. Returns whether it has direct writes, which are to be started then.
    fn place(&self, tx: Transaction, placed: impl FnOnce(&Self)) -> Result<(Seq, bool)> {
        self.check_failed()?;
        if tx.is_empty() {
            return Ok((self.order.lock().submitted, false));
        }
        let frees = tx.frees();
        let mut mapping = None;
        let mut queued = if self.options.devices.is_some() {
            self.reserve(&tx)?;
            if tx.has_data() {
                mapping = Some(self.mapping.lock());
            }
            self.prepare_remote(tx)?
        } else {
            self.prepare(tx)?
        };
        let limit = self.options.max_transaction();
        if queued.cost() > limit {
            return Err(StoreError::TooLarge {
                what: "a transaction",
                size: queued.cost(),
                limit,
            });
        }
        self.check_space(0, frees)?;
        self.allocate(&queued, frees)?;
        self.mark_regions(&mut queued)?;
        loop {
            let bases = self.meta.bases(&queued.ops)?;
            let mut order = self.admit(queued.cost(), queued.direct_bytes)?;
            self.check_volumes(&queued)?;
            // A discard may have come in between and have taken the space away again.
            self.allocate(&queued, frees)?;
            if !self.meta.apply(&queued.ops, bases) {
                continue;
            }
            order.submitted += 1;
            let seq = order.submitted;
            queued.seq = seq;
            self.show_data(&mut queued);
            placed(self);
            order.promised += queued.cost();
            order.direct_bytes += queued.direct_bytes;
            let direct = DirectJob::of(&queued);
            let has_direct = direct.is_some();
            if has_direct && queued.direct_after > Some(order.applied()) {
                order.apply_at_once(self);
            }
            {
                let Order { directs, open, .. } = &mut *order;
                direct.into_iter().for_each(|job| directs.add(job, open));
            }
            order.open.insert(seq);
            order.queue.push(queued);
            drop(order);
            drop(mapping);
            return Ok((seq, has_direct));
        }
    }

    /// Whether writes are only started, and what is journaled needs no writing to files: on devices.
    pub(crate) fn without_threads(&self) -> bool {
        self.options.devices.is_some() && !self.options.stepped
    }

    /// Waits until the journal has room for `cost` more bytes, and memory has for those of direct writes.
    fn admit(&self, cost: u64, direct: u64) -> Result<MutexGuard<'_, Order>> {
        let mut order = self.order.lock();
        loop {
            self.check_failed()?;
            if order.closing {
                return Err(StoreError::Closed);
            }
            // One batch may have to skip the end of the file, which costs at most its own length.
            let used = order.head - order.tail + order.promised;
            let fits = used + cost + self.options.max_transaction() <= self.options.journal_bytes;
            let direct_fits =
                order.direct_bytes == 0 || order.direct_bytes + direct <= self.options.direct_bytes;
            if fits && (direct == 0 || direct_fits) {
                return Ok(order);
            }
            // On devices a checkpoint needs not wait for what is in the queue.
            if !fits && (self.options.devices.is_some() || order.queue.is_empty() && order.promised == 0) {
                order.want_checkpoint(self);
            }
            if !self.options.stepped {
                self.hurry();
                self.progress.wait(&mut order);
                continue;
            }
            drop(order);
            if !self.step_any()? {
                return Err(StoreError::Closed);
            }
            order = self.order.lock();
        }
    }

    fn check_volumes(&self, queued: &Queued) -> Result<()> {
        match queued.data.iter().find(|op| op.volume.deleted.load(Relaxed)) {
            Some(op) => Err(StoreError::UnknownVolume(op.volume.id)),
            None => Ok(()),
        }
    }

    /// Secures the space of all writes, so that they cannot fail for it once they are acknowledged.
    fn allocate(&self, queued: &Queued, frees: bool) -> Result<()> {
        for op in &queued.data {
            let (DataKind::Journaled { offset, data } | DataKind::Direct { offset, data, .. }) = &op.kind
            else {
                continue;
            };
            if op.volume.remote().is_some() {
                continue;
            }
            let len = data.len() as u64;
            if op.volume.is_allocated(*offset, len) {
                continue;
            }
            self.check_space(len, frees)?;
            let file = self.volumes.file_or_create(&op.volume);
            if let Err(error @ StoreError::Failed(_)) = &file {
                self.fail("new volume", error);
            }
            // No file: deleted meanwhile, which the caller finds out under the lock.
            if let Some(file) = file? {
                op.volume
                    .allocate(&*file, *offset, len, self.options.allocation_unit)?;
            }
        }
        Ok(())
    }

    /// Makes the data part of a transaction visible to readers, and notes what it waits for.
    fn show_data(&self, queued: &mut Queued) {
        let seq = queued.seq;
        for op in &queued.data {
            let pending = || op.volume.pending.read();
            match &op.kind {
                DataKind::Direct { offset, data, .. } => {
                    let (offset, len) = op.reach(*offset, data.len() as u64);
                    if op.volume.remote().is_some() {
                        queued.direct_behind.extend(pending().writers(offset, len));
                    } else {
                        queued.direct_after = queued.direct_after.max(Some(pending().newest(offset, len)));
                    }
                }
                // It hides writes that are under way from later ones, which must not overtake them on the way to the device.
                DataKind::Discard { offset, len } if op.volume.remote().is_some() => {
                    queued.builds_on.extend(pending().writers(*offset, *len));
                }
                _ => {}
            }
        }
        for op in &queued.data {
            let volume = &op.volume;
            let extent = |offset, len, data| Extent {
                offset,
                len,
                data,
                seq,
            };
            let show = |pending: &mut Pending, extent: Extent| {
                self.read_cache
                    .changed(volume.id, extent.offset, extent.len, extent.data.as_ref());
                pending.insert(extent);
            };
            match &op.kind {
                DataKind::Journaled { offset, data } => {
                    let extent = extent(*offset, data.len() as u64, Some(data.clone()));
                    show(&mut volume.pending.write(), extent);
                }
                DataKind::Direct { offset, data, clear } => {
                    let mut pending = volume.pending.write();
                    for extent in remote::extents_of(*offset, data, *clear, seq) {
                        show(&mut pending, extent);
                    }
                }
                DataKind::Discard { offset, len } => {
                    volume.forget_allocated(*offset, *len);
                    show(&mut volume.pending.write(), extent(*offset, *len, None));
                }
                DataKind::Delete => self.show_deleted(volume),
            }
        }
    }

    /// Makes the deletion of a volume visible.
    pub(crate) fn show_deleted(&self, volume: &Volume) {
        volume.deleted.store(true, Relaxed);
        self.volumes.unlist(volume);
        self.read_cache.forget(volume.id, 0, u64::MAX);
    }

    /// Refuses what would eat into the reserve. `more`: bytes about to be allocated. What allocates nothing
    /// may go on into the first half of the reserve, so that a full store can still be cleaned up: that takes
    /// records of its own, of locks and watches for example.
    fn check_space(&self, more: u64, frees: bool) -> Result<()> {
        if frees {
            return Ok(());
        }
        let now = self.started.elapsed().as_millis() as u64;
        let age = now.saturating_sub(self.available_at.load(Relaxed));
        if more > 0 || self.available_at.load(Relaxed) > now || age > SPACE_MAX_AGE.as_millis() as u64 {
            let dir = &self.options.dir;
            let space = self.options.disk.space(dir);
            let space = space.context(|| format!("statvfs {}", dir.display()))?;
            self.available.store(space.available, Relaxed);
            self.available_at.store(now, Relaxed);
        }
        let available = self.available.load(Relaxed);
        let reserve = if more == 0 {
            self.options.reserve_bytes / 2
        } else {
            self.options.reserve_bytes
        };
        if available < reserve.saturating_add(more) {
            let text = format!("{available} bytes available, {more} wanted, {reserve} kept in reserve");
            return Err(StoreError::NoSpace(Arc::from(text)));
        }
        Ok(())
    }
}
