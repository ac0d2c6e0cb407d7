//! Opening a store: what the journal has and the last checkpoint has not is applied again.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    core::Core,
    disk::Disk,
    error::{Context, Result, StoreError},
    journal::{self, Journal, Replay},
    kv::{Kv, Snapshot, Superblock},
    layer::{Found, Layer},
    map::RESERVED,
    meta::{Meta, apply_op},
    options::Options,
    ranges::RangeSet,
    regions::{self, Regions},
    remote::{PlaceRecord, Remote},
    resum::{Blocks, Resum},
    scrub,
    sums::whole_blocks,
    transaction::{Op, Seq, VolumeId},
    volume::Volume,
    volumes::Volumes,
};

/// Where the identity of the cluster of devices is recorded.
const IDENTITY: &[u8] = &[RESERVED, b'C'];
/// A replay that takes longer is reported as it goes on.
const REPORT_AFTER: Duration = Duration::from_secs(1);

/// Opens the store in `options.dir`, made if it is missing.
pub(crate) fn open(options: Options) -> Result<(Core, Journal)> {
    let options = options.validated()?;
    let dir = &options.dir;
    let disk = &options.disk;
    disk.create_dir(dir)
        .context(|| format!("create {}", dir.display()))?;
    let lock = lock(&**disk, dir)?;
    let kv = open_metadata(&options)?;
    let mut superblock = match kv.superblock()? {
        Some(superblock) => superblock,
        None => format(&**disk, &kv)?,
    };
    let volumes = Volumes::new(
        Arc::clone(disk),
        dir.join("volumes"),
        superblock.next_volume,
        options.open_files,
        kv.was_closed()?,
    )?;
    for (id, name) in kv.volumes()? {
        let name =
            std::str::from_utf8(&name).map_err(|_| StoreError::corrupt("a volume's name is not UTF-8"))?;
        volumes.list(&volumes.build(id, name)?);
    }
    let journal_path = dir.join("journal");
    let capacity = disk.stat(&journal_path).map_or(0, |stat| stat.len);
    // The superblock is stored before a journal is made, so one of another length holds nothing yet.
    if capacity > 0 && capacity == superblock.journal_bytes {
        superblock.checkpoint = replay(&options, &kv, &volumes, &journal_path, &superblock)?;
    }
    superblock.sums |= options.checksums && options.devices.is_none();
    superblock.epoch = random_epoch(&**disk)?;
    superblock.journal_pos = 0;
    superblock.journal_bytes = options.journal_bytes;
    superblock.next_volume = volumes.next_id();
    // Before anything is done to a device: reclaiming deletes volumes.
    let identity = check_identity(&options, &kv)?;
    kv.commit(&identity, &superblock)?;
    if capacity != options.journal_bytes {
        journal::create(&**disk, &journal_path, options.journal_bytes)?;
    }
    volumes.remove_orphans()?;
    disk.sync_dir(dir)
        .context(|| format!("fsync {}", dir.display()))?;
    let journal = Journal::open(
        &**disk,
        &journal_path,
        options.journal_bytes,
        superblock.epoch,
        options.uncopied_threshold,
    )?;
    let snapshot = kv.snapshot()?;
    let with_sums = scrub::keep_sums(&volumes, &Layer::default(), &snapshot)?;
    let marked = snapshot.get(regions::ROW)?.unwrap_or_default();
    let regions = Regions::new(options.region_bytes, &marked, &with_sums)?;
    let meta = Meta::new(Layer::default(), snapshot);
    attach_devices(&options, &meta, &volumes)?;
    let core = Core::new(
        options,
        lock,
        kv,
        meta,
        volumes,
        regions,
        superblock.sums,
        superblock.epoch,
        superblock.checkpoint,
    );
    core.load_scrubs()?;
    Ok((core, journal))
}

/// Makes sure that the devices are those of the store's cluster. Returns what is to be recorded of them.
fn check_identity(options: &Options, kv: &Kv) -> Result<Layer> {
    let mut layer = Layer::default();
    let Some(found) = options.devices.as_ref().and_then(|devices| devices.identity()) else {
        return Ok(layer);
    };
    match kv.snapshot()?.get(IDENTITY)? {
        Some(recorded) if recorded == found.as_bytes() => {}
        Some(recorded) => {
            return Err(StoreError::OtherCluster {
                recorded: String::from_utf8_lossy(&recorded).into(),
                found: found.into(),
            });
        }
        None => layer.put(Bytes::from_static(IDENTITY), found.as_bytes()),
    }
    Ok(layer)
}

/// Opens the metadata. A new store gets it under another name first, so that a crash leaves all of it or nothing.
fn open_metadata(options: &Options) -> Result<Kv> {
    let (disk, dir) = (&*options.disk, &options.dir);
    let (path, unfinished) = (dir.join("meta.redb"), dir.join("meta.unfinished"));
    let what = || format!("create {}", path.display());
    match disk.stat(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => {
            found.context(|| format!("stat {}", path.display()))?;
            return Kv::open(disk, &path, options.meta_cache_bytes);
        }
    }
    let volumes = match disk.list(&dir.join("volumes")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        files => files.context(what)?,
    };
    if !volumes.is_empty() {
        return Err(StoreError::corrupt(format!(
            "there are volumes, but {} is missing: restore a backup of it",
            path.display()
        )));
    }
    match disk.remove(&unfinished) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed.context(what)?,
    }
    format(disk, &Kv::open(disk, &unfinished, options.meta_cache_bytes)?)?;
    disk.rename(&unfinished, &path).context(what)?;
    disk.sync_dir(dir).context(what)?;
    Kv::open(disk, &path, options.meta_cache_bytes)
}

/// Gives volumes their devices, and makes sure that they lie where the options say.
fn attach_devices(options: &Options, meta: &Meta, volumes: &Volumes) -> Result<()> {
    let Some(devices) = &options.devices else {
        return match PlaceRecord::any(meta)? {
            true => Err(StoreError::Backend(
                "the store's volumes lie on devices, and it was opened without any",
            )),
            false => Ok(()),
        };
    };
    for volume in volumes.all() {
        let record = PlaceRecord::load(meta, volume.id)?.ok_or(StoreError::Backend(
            "the store's volumes lie in files, and it was opened with devices",
        ))?;
        volume.attach(Remote::new(devices.open(&record.place), record));
    }
    Ok(())
}

/// Makes sure that nobody else uses the store.
pub(crate) fn lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Send + Sync>> {
    let path = dir.join("LOCK");
    match disk.lock(&path) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(StoreError::InUse { dir: dir.to_owned() })
        }
        locked => locked.context(|| format!("lock {}", path.display())),
    }
}

/// The first commit of a new store makes its tables.
fn format(disk: &dyn Disk, kv: &Kv) -> Result<Superblock> {
    let superblock = Superblock {
        sums: false,
        epoch: random_epoch(disk)?,
        checkpoint: 0,
        journal_pos: 0,
        journal_bytes: 0,
        next_volume: 1,
    };
    kv.commit(&Layer::default(), &superblock)?;
    Ok(superblock)
}

fn random_epoch(disk: &dyn Disk) -> Result<u64> {
    disk.random().context(|| "draw a random number".into())
}

/// A data change found in the journal.
enum Change {
    Write(Bytes),
    /// Stands in the file; older changes must not overwrite it. With the sums of its whole blocks.
    Direct(Bytes),
    Discard,
}

struct DataChange {
    volume: VolumeId,
    offset: u64,
    len: u64,
    change: Change,
}

/// Applies what the journal has. Returns the newest transaction's number.
fn replay(
    options: &Options,
    kv: &Kv,
    volumes: &Volumes,
    path: &Path,
    superblock: &Superblock,
) -> Result<Seq> {
    let started = Instant::now();
    let mut reported = started;
    let mut state = State {
        layer: Layer::default(),
        changes: Vec::new(),
        snapshot: kv.snapshot()?,
    };
    let done = superblock.checkpoint;
    let mut last = done;
    let mut batches = Replay::new(
        &*options.disk,
        path,
        superblock.journal_bytes,
        superblock.epoch,
        superblock.journal_pos,
        done + 1,
    )?;
    while let Some(batch) = batches.next()? {
        for (seq, ops) in (batch.first..).zip(batch.transactions) {
            if seq > done {
                for op in ops {
                    state.take(volumes, op)?;
                }
                last = last.max(seq);
            }
        }
        if started.elapsed() > REPORT_AFTER && reported.elapsed() > REPORT_AFTER {
            reported = Instant::now();
            tracing::info!(transactions = last - done, "recovery: reading the journal");
        }
    }
    if let Some(lost) = batches.lost(last, 2 * options.max_transaction())? {
        if !options.accept_damage {
            return Err(StoreError::corrupt(lost.text()));
        }
        tracing::warn!("going on without what is lost: {}", lost.text());
        // What is lost may have changed data, and the sums of it.
        let row = regions::all_suspect();
        state.layer.put(Bytes::from_static(regions::ROW), &row);
    }
    if last == done && state.layer.bytes() == 0 {
        return Ok(done);
    }
    scrub::keep_sums(volumes, &state.layer, &state.snapshot)?;
    write_changes(volumes, &state.changes, options.allocation_unit, started)?;
    let superblock = Superblock {
        checkpoint: last,
        next_volume: volumes.next_id(),
        ..*superblock
    };
    // Replay would start there again if opening fails further on: the position stays, as later batches follow it.
    kv.commit(&state.layer, &superblock)?;
    let ms = started.elapsed().as_millis() as u64;
    tracing::info!(
        transactions = last - done,
        ms,
        "recovery: the journal was replayed"
    );
    Ok(last)
}

struct State {
    layer: Layer,
    changes: Vec<DataChange>,
    snapshot: Arc<Snapshot>,
}

impl State {
    fn take(&mut self, volumes: &Volumes, op: Op) -> Result<()> {
        let mut base = None;
        if let Op::Patch { key, .. } = &op
            && self.layer.get(key) == Found::Below
        {
            base = self.snapshot.get(key)?;
        }
        apply_op(&mut self.layer, &op, |_| base);
        match op {
            Op::Write {
                volume, offset, data, ..
            } => {
                self.push(volume, offset, data.len() as u64, Change::Write(data));
            }
            Op::Direct {
                volume,
                offset,
                len,
                sums,
            } => self.push(volume, offset, len, Change::Direct(sums)),
            Op::Discard { volume, offset, len } => self.push(volume, offset, len, Change::Discard),
            Op::CreateVolume { volume, name } => {
                let name = std::str::from_utf8(&name)
                    .map_err(|_| StoreError::corrupt("a volume's name in the journal is not UTF-8"))?;
                volumes.list(&volumes.build(volume, name)?);
            }
            Op::DeleteVolume { volume } => {
                if let Ok(volume) = volumes.get(volume) {
                    volumes.unlist(&volume);
                    volume.unlink()?;
                }
            }
            Op::Put { .. } | Op::Patch { .. } | Op::Delete { .. } | Op::DeleteRange { .. } => {}
        }
        Ok(())
    }

    fn push(&mut self, volume: VolumeId, offset: u64, len: u64, change: Change) {
        self.changes.push(DataChange {
            volume,
            offset,
            len,
            change,
        });
    }
}

/// Brings the volume files up to date, newest change first: what a newer one covers is not written at all, so that
/// an older journaled write never overwrites a newer direct one.
fn write_changes(volumes: &Volumes, changes: &[DataChange], unit: u64, started: Instant) -> Result<()> {
    let mut covered: HashMap<VolumeId, RangeSet> = HashMap::new();
    let mut touched: BTreeSet<VolumeId> = BTreeSet::new();
    let mut resum = Resum::default();
    let mut reported = Instant::now();
    for (done, found) in changes.iter().rev().enumerate() {
        // Changes of volumes that were deleted later are of no use.
        let Ok(volume) = volumes.get(found.volume) else {
            continue;
        };
        let covered = covered.entry(found.volume).or_default();
        let end = found.offset.saturating_add(found.len);
        for (from, to) in covered.gaps(found.offset, end) {
            let blocks = write_change(volumes, &volume, found, from, to, unit)?;
            resum.add(&volume, from, to, &blocks)?;
        }
        covered.insert(found.offset, end);
        touched.insert(found.volume);
        if started.elapsed() > REPORT_AFTER && reported.elapsed() > REPORT_AFTER {
            reported = Instant::now();
            tracing::info!(done, of = changes.len(), "recovery: writing to the volumes");
        }
    }
    let nothing = RangeSet::default();
    for id in touched {
        let volume = volumes.get(id)?;
        let file = volumes.file(&volume)?;
        let covered = covered.get(&id).unwrap_or(&nothing);
        resum.finish(&volume, file.as_deref(), covered)?;
        if let Some(file) = file {
            file.sync_data().context(|| format!("fdatasync of {id}"))?;
        }
    }
    Ok(())
}

/// Brings a range up to date. Returns what whole blocks of it are.
fn write_change<'a>(
    volumes: &Volumes,
    volume: &Arc<Volume>,
    found: &'a DataChange,
    from: u64,
    to: u64,
    unit: u64,
) -> Result<Blocks<'a>> {
    match &found.change {
        Change::Write(data) => {
            let part = data.get((from - found.offset) as usize..(to - found.offset) as usize);
            let part = part.unwrap_or_default();
            if let Some(file) = volumes.file_or_create(volume)? {
                volume.allocate(&*file, from, to - from, unit)?;
                volume.write_at(&*file, from, part)?;
            }
            Ok(Blocks::Data(part))
        }
        Change::Direct(sums) => {
            volumes.file_or_create(volume)?;
            let (first, _) = whole_blocks(found.offset, found.len);
            Ok(Blocks::Sums(first, sums))
        }
        Change::Discard => {
            if let Some(file) = volumes.file(volume)? {
                // Nothing is promised to anybody yet but what newer changes have written, which is covered.
                volume.forget_allocated(from, to - from);
                volume.punch(&*file, from, to - from)?;
            }
            Ok(Blocks::Nothing)
        }
    }
}
