//! The handle that users of the store hold.

use std::{
    ops::Range,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use crate::{
    core::Core,
    device::DEVICE_UNIT,
    directs::run_directs,
    error::{Context, Result, StoreError},
    failure::EndsWithPanic,
    map,
    options::Options,
    reclaim, recovery,
    remote::{PlaceRecord, Remote},
    rows::key_after,
    scrub, stages,
    step::{Stage, Stepper},
    transaction::{Op, Seq, Transaction, VolumeId},
    waiters::{Callback, DurableAt, Waiter},
};

/// How long writes that devices have not ended are waited for when a store that failed is closed.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// How the filesystem under the store is filled, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Size of the filesystem.
    pub total: u64,
    /// What may still be stored: free for us, less the reserve.
    pub available: u64,
    /// What the store takes: volumes, metadata and journal.
    pub used: u64,
}

/// How far the store's stages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The newest submitted transaction.
    pub submitted: Seq,
    /// Everything up to this one is durable.
    pub durable: Seq,
    /// Everything up to this one stands in the volume files.
    pub applied: Seq,
    /// Everything up to this one is in the last checkpoint.
    pub checkpointed: Seq,
    /// Whether a checkpoint is being made.
    pub checkpointing: bool,
    /// Bytes of the journal in use.
    pub journal_used: u64,
}

/// An open store. Clones are handles of the same store; it is closed with the last one, or by [`Store::close`].
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

struct Handle {
    core: Arc<Core>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Store {
    /// Opens the store in `options.dir`, and makes it if there is none. Replays the journal if the store was not
    /// closed, which takes time in proportion to [`Options::journal_bytes`].
    ///
    /// Blocks on I/O. Fails with [`StoreError::InUse`] if the store is open already.
    pub fn open(options: Options) -> Result<Self> {
        let (core, journal) = recovery::open(options)?;
        let core = Arc::new(core);
        let handle = Handle {
            core: Arc::clone(&core),
            threads: Mutex::default(),
        };
        let this = Self {
            handle: Arc::new(handle),
        };
        if this.core().options.stepped {
            *this.core().stepper.lock() = Some(Stepper::new(journal));
            return Ok(this);
        }
        *this.core().journal.lock() = Some(journal);
        this.spawn("store-journal", stages::run_journal)?;
        if !this.core().without_threads() {
            for _ in 0..this.core().options.direct_writers {
                this.spawn("store-direct", |core| run_directs(core))?;
            }
        }
        this.spawn("store-callback", |core| core.callbacks.run_thread())?;
        this.spawn("store-apply", |core| stages::run_apply(core))?;
        this.spawn("store-checkpoint", |core| stages::run_checkpoints(core))?;
        if this.core().with_sums {
            this.spawn("store-scrub", |core| scrub::run_scrub(core))?;
        }
        if let Some(devices) = &this.core().options.devices {
            let mut in_use = Vec::new();
            for volume in this.core().volumes.all() {
                in_use.extend(volume.remote().map(|remote| remote.record.place.clone()));
            }
            for (id, place) in PlaceRecord::doomed(&this.core().meta)? {
                // Removed before the end, and its place was taken by another.
                if !in_use.contains(&place) {
                    this.core().reclaim.doom(id, devices.open(&place));
                }
            }
            this.spawn("store-reclaim", reclaim::run_reclaim)?;
        }
        Ok(this)
    }

    fn spawn(&self, name: &str, run: impl FnOnce(&Arc<Core>) + Send + 'static) -> Result<()> {
        let (core, what) = (Arc::clone(self.core()), name.to_owned());
        let run = move || {
            let _ends = EndsWithPanic {
                core: &core,
                what: &what,
            };
            run(&core);
        };
        let thread = thread::Builder::new().name(name.into()).spawn(run);
        self.handle
            .threads
            .lock()
            .push(thread.context(|| format!("start thread {name}"))?);
        Ok(())
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.handle.core
    }

    /// Takes a place in the total order for a transaction. On return, all of it is visible to [`Store::get`],
    /// [`Store::scan`] and [`Store::read`], and nothing of it is durable yet: see [`Store::after`].
    ///
    /// An error means that nothing of it was applied. Blocks while the journal is full, so it must not be called from
    /// a callback of [`Store::after`]; may read metadata from disk (for patches), and may allocate disk space (for
    /// first writes).
    pub fn submit(&self, tx: Transaction) -> Result<Seq> {
        self.core().submit(tx)
    }

    /// Runs `callback` once everything up to `seq` is durable: at once if it is, else on the thread that made it so or,
    /// where that has more to journal, on one for callbacks; in the order of the sequence numbers. An error means that
    /// this was not and will not be reached in this process's life.
    ///
    /// The callback holds up others and may hold up the journal, so it must be short, and must neither block nor submit.
    pub fn after(&self, seq: Seq, callback: impl FnOnce(Result<()>) + Send + 'static) {
        self.core().waiters.after(seq, Box::new(callback));
    }

    /// Runs `callback` once transaction `seq` is durable, with what it builds on: on devices that may be before older ones are, which
    /// wait for a device. Else as [`Store::after`].
    pub fn after_alone(&self, seq: Seq, callback: impl FnOnce(Result<()>) + Send + 'static) {
        self.tell_alone(seq, Box::new(callback));
    }

    /// As [`Store::after_alone`].
    pub fn tell_alone(&self, seq: Seq, waiter: Box<dyn Waiter>) {
        self.core().waiters.after_alone(seq, waiter);
    }

    /// Whether transaction `seq` is durable, with what it builds on.
    #[must_use]
    pub fn is_durable(&self, seq: Seq) -> bool {
        self.core().waiters.is_durable(seq)
    }

    /// A future that resolves once everything up to `seq` is durable.
    pub fn durable_at(&self, seq: Seq) -> DurableAt {
        let future = DurableAt::new(&self.core().waiters, seq);
        self.core().hurry();
        future
    }

    /// Runs a stage of a stepped store ([`Options::stepped`]) once. Returns whether there was anything to do.
    ///
    /// # Errors
    /// The stage's, which is the end of the store; or [`StoreError::Closed`] if the store has threads of its own.
    pub fn step(&self, stage: Stage) -> Result<bool> {
        self.core().step(stage)
    }

    /// Blocks until everything up to `seq` is durable.
    pub fn wait(&self, seq: Seq) -> Result<()> {
        self.step_until(|| self.durable() >= seq)?;
        self.core().hurry();
        wait_for(|told| self.core().waiters.after(seq, told))
    }

    /// Submits, and waits until it is durable with what it builds on.
    pub fn commit(&self, tx: Transaction) -> Result<Seq> {
        let seq = self.submit(tx)?;
        self.step_until(|| self.is_durable(seq))?;
        self.core().hurry();
        wait_for(|told| self.tell_alone(seq, told))?;
        Ok(seq)
    }

    /// Where there are no threads, does their work until this is so.
    fn step_until(&self, done: impl Fn() -> bool) -> Result<()> {
        while self.core().options.stepped && !done() {
            if !self.core().step_any()? {
                return Err(StoreError::Closed);
            }
        }
        Ok(())
    }

    /// Everything up to this transaction is durable.
    #[must_use]
    pub fn durable(&self) -> Seq {
        self.core().waiters.durable()
    }

    /// How far the stages are.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let order = self.core().order.lock();
        Progress {
            submitted: order.submitted,
            durable: self.durable(),
            applied: order.applied(),
            checkpointed: order.checkpointed.min(order.applied()),
            checkpointing: order.checkpointing,
            journal_used: order.head - order.tail,
        }
    }

    /// Whether a durable write failed: nothing is acknowledged any more, and every call says why.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.core().has_failed()
    }

    /// The newest submitted value of a key. May read from disk.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.core().check_failed()?;
        self.core().meta.get(key)
    }

    /// Up to `limit` pairs in ascending order of keys, from `range.start` up to and without `range.end`, as of the
    /// newest submitted transaction. An empty end means to the last key.
    ///
    /// Scans of more than a few hundred changed keys are not one view: transactions may come in between.
    pub fn scan(&self, range: Range<&[u8]>, limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        self.core().check_failed()?;
        let end = if range.end.is_empty() {
            &[map::RESERVED]
        } else {
            range.end
        };
        self.core().meta.scan(range.start, Some(end), limit)
    }

    /// Like [`Store::scan`], over the keys that start with `prefix`, those after `after` (`None`: all).
    pub fn scan_prefix(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>> {
        let end = prefix_end(prefix);
        match after {
            Some(after) => {
                let start = key_after(after);
                self.scan((&start[..]).max(prefix)..&end, limit)
            }
            None => self.scan(prefix..&end, limit),
        }
    }

    /// The id of a volume, made if there is none of this name.
    pub fn volume(&self, name: &str) -> Result<VolumeId> {
        self.volume_for(name, None)
    }

    /// The id of a volume; if there is none of this name it is made for `creator`, which is handed to [`crate::Devices::place`].
    pub fn volume_for(&self, name: &str, creator: Option<&str>) -> Result<VolumeId> {
        let core = self.core();
        if let Some(id) = core.volumes.find(name) {
            return Ok(id);
        }
        let _creating = core.creating.lock();
        if let Some(id) = core.volumes.find(name) {
            return Ok(id);
        }
        let devices = core.options.devices.as_ref();
        let place = devices
            .map(|devices| {
                devices
                    .place(name, creator)
                    .context(|| format!("place volume {name}"))
            })
            .transpose()?;
        self.make_volume(name, place, false, |_| Transaction::new())
    }

    /// Makes a volume of what lies on a device already: all of it counts as data. What `more` adds becomes durable with it.
    ///
    /// Fails if there is a volume of this name, or the store has no devices.
    pub fn adopt_volume(
        &self,
        name: &str,
        place: &str,
        more: impl FnOnce(VolumeId) -> Transaction,
    ) -> Result<VolumeId> {
        let core = self.core();
        let _creating = core.creating.lock();
        if core.volumes.find(name).is_some() || core.options.devices.is_none() {
            return Err(StoreError::Backend(
                "only a store on devices can take over a volume, under a name that is free",
            ));
        }
        self.make_volume(name, Some(place.to_owned()), true, more)
    }

    /// Forgets a volume and leaves its device as it is, with what was discarded zeroed. Returns where it lies.
    /// What `more` changes becomes durable with it. Nobody may write to the volume meanwhile.
    pub fn release_volume(&self, id: VolumeId, len: u64, more: Transaction) -> Result<String> {
        let core = self.core();
        core.check_failed()?;
        self.wait(self.progress().submitted)?;
        let volume = core.volumes.get(id)?;
        let remote = volume.remote().ok_or(StoreError::Backend(
            "only a volume on a device can be handed back",
        ))?;
        let reserved = remote.device.reserve(len.next_multiple_of(DEVICE_UNIT));
        reserved.context(|| format!("make {}", remote.record.place))?;
        core.zero_holes(&volume, remote, len)?;
        let mut tx = Transaction::new();
        map::push_removal(id, &mut tx.ops);
        tx.ops.push(PlaceRecord::delete(id));
        tx.append(more);
        tx.ops.push(Op::DeleteVolume { volume: id });
        tx.keeps_devices = true;
        let seq = core.submit_with(tx, |core| core.show_deleted(&volume))?;
        self.wait(seq)?;
        Ok(remote.record.place.clone())
    }

    /// Where a volume lies: the place of its device, or the path of the file that it has once it is written to.
    pub fn volume_place(&self, id: VolumeId) -> Result<String> {
        let volume = self.core().volumes.get(id)?;
        Ok(match volume.remote() {
            Some(remote) => remote.record.place.clone(),
            None => volume.path().display().to_string(),
        })
    }

    /// How long, in bytes, the device of a volume must be for what it holds; 0 if it holds nothing, or is no device's.
    pub fn volume_end(&self, id: VolumeId) -> Result<u64> {
        let core = self.core();
        let volume = core.volumes.get(id)?;
        match volume.remote() {
            Some(remote) => map::data_end(&core.meta, id, remote.record.filled),
            None => Ok(0),
        }
    }

    /// Whether volumes lie on devices: then no data travels in the journal.
    #[must_use]
    pub fn on_devices(&self) -> bool {
        self.core().options.devices.is_some()
    }

    fn make_volume(
        &self,
        name: &str,
        place: Option<String>,
        filled: bool,
        more: impl FnOnce(VolumeId) -> Transaction,
    ) -> Result<VolumeId> {
        let core = self.core();
        let volume = core.volumes.prepare(name)?;
        let mut tx = Transaction::new();
        if let (Some(place), Some(devices)) = (place, &core.options.devices) {
            let record = PlaceRecord { place, filled };
            tx.ops.push(record.put(volume.id));
            volume.attach(Remote::new(devices.open(&record.place), record));
        }
        tx.ops.push(Op::CreateVolume {
            volume: volume.id,
            name: Bytes::copy_from_slice(name.as_bytes()),
        });
        if core.options.devices.is_none() && core.options.checksums {
            volume.sums.keep()?;
            let now = scrub::now();
            tx.ops.extend(scrub::rows_of_new(volume.id, now));
            core.scrubber.made(volume.id, now);
        }
        tx.append(more(volume.id));
        core.submit_with(tx, |core| core.volumes.list(&volume))?;
        Ok(volume.id)
    }

    /// The id of a volume, if there is one of this name.
    #[must_use]
    pub fn find_volume(&self, name: &str) -> Option<VolumeId> {
        self.core().volumes.find(name)
    }

    /// All volumes, by name.
    #[must_use]
    pub fn volume_names(&self) -> Vec<(String, VolumeId)> {
        self.core().volumes.names()
    }

    /// Bytes that a volume takes on disk.
    pub fn volume_allocated(&self, volume: VolumeId) -> Result<u64> {
        let volume = self.core().volumes.get(volume)?;
        match volume.remote() {
            Some(remote) => remote
                .device
                .allocated()
                .context(|| format!("size of {}", remote.record.place)),
            None => Ok(volume.disk_bytes()),
        }
    }

    /// The most data, in bytes, that one transaction can have travel in the journal: writes below the direct
    /// threshold are atomic up to this sum.
    #[must_use]
    pub fn most_journaled(&self) -> u64 {
        self.core().options.most_journaled()
    }

    /// How the filesystem, or what the devices are of, is filled. Looks at every volume's file.
    pub fn space(&self) -> Result<Space> {
        let core = self.core();
        if let Some(devices) = &core.options.devices {
            let space = devices.space();
            return Ok(Space {
                total: space.total,
                available: space.available,
                used: space.used,
            });
        }
        let dir = &core.options.dir;
        let disk = &core.options.disk;
        let space = disk.space(dir);
        let space = space.context(|| format!("statvfs {}", dir.display()))?;
        let volumes = core.volumes.all();
        let volumes: u64 = volumes
            .iter()
            .map(|volume| volume.disk_bytes() + volume.sums.disk_bytes())
            .sum();
        let meta = disk.stat(&dir.join("meta.redb")).map_or(0, |stat| stat.len);
        Ok(Space {
            total: space.total,
            available: space.available.saturating_sub(core.options.reserve_bytes),
            used: volumes + meta + core.options.journal_bytes,
        })
    }

    /// Makes everything submitted durable, makes a checkpoint and stops. Other handles get [`StoreError::Closed`] from
    /// then on; the directory can be opened again when the last handle is dropped. Returns the error if the store has failed, now or before.
    pub fn close(&self) -> Result<()> {
        if self.core().options.stepped {
            return self.core().step_to_the_end();
        }
        self.handle.close();
        self.core().check_failed()
    }
}

impl Handle {
    fn close(&self) {
        if self.core.options.stepped {
            return;
        }
        self.core.reclaim.close();
        self.core.scrubber.close();
        self.core.order.lock().closing = true;
        self.core.work.notify_all();
        self.core.progress.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock());
        // The last handle may be dropped by a callback: that thread ends by itself.
        if threads
            .iter()
            .any(|thread| thread.thread().id() == thread::current().id())
        {
            return;
        }
        for thread in threads {
            // One that panicked has ended the store with that.
            let _ = thread.join();
        }
        self.core.writing.wait(LAST_WRITES);
        if let Some(devices) = &self.core.options.devices {
            devices.close();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

/// Waits for what a callback is told.
pub(crate) fn wait_for(ask: impl FnOnce(Callback)) -> Result<()> {
    let slot = Arc::new((Mutex::new(None), Condvar::new()));
    let told = Arc::clone(&slot);
    ask(Box::new(move |outcome| {
        *told.0.lock() = Some(outcome);
        told.1.notify_one();
    }));
    let mut outcome = slot.0.lock();
    loop {
        if let Some(outcome) = outcome.take() {
            return outcome;
        }
        slot.1.wait(&mut outcome);
    }
}

/// The least byte string that is greater than all with this prefix; empty if there is none.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}
