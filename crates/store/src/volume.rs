//! Volumes: sparse files, each with the space known to be allocated and the data not yet written to it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::{Mutex, RwLock};

use crate::{
    disk::{Access, Disk, DiskFile},
    error::{Context, Result, StoreError},
    options::BLOCK,
    pending::{Extent, Pending},
    ranges::RangeSet,
    remote::Remote,
    sums_file::SumsFile,
    transaction::VolumeId,
};

/// Reads of this length and more are worth a look whether they are cached before they are tried.
const LARGE: usize = 256 << 10;
/// From this length on, in bytes, a write leaves large folios in the page cache.
const LARGE_FOLIO: usize = 128 << 10;

/// A block volume. Offsets are bytes.
pub(crate) struct Volume {
    pub(crate) id: VolumeId,
    pub(crate) name: Box<str>,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Mutex<Option<Arc<dyn DiskFile>>>,
    /// Whether the file was made.
    exists: AtomicBool,
    /// The file's length.
    size: AtomicU64,
    /// When it was last used, by the clock of [`crate::volumes::Volumes`].
    pub(crate) used_at: AtomicU64,
    /// Ranges whose space is known to be taken, so that writing there cannot run out of it.
    allocated: Mutex<RangeSet>,
    /// Submitted data, newest state.
    pub(crate) pending: RwLock<Pending>,
    pub(crate) deleted: AtomicBool,
    /// The sums of its blocks, if it has any.
    pub(crate) sums: SumsFile,
    /// Held by who changes blocks in the file and their sums, where not all of the blocks is in `pending` meanwhile; and by who takes
    /// what left `pending` for settled.
    pub(crate) settling: Mutex<()>,
    /// Whether the system's cache may show what the disk does not have.
    stale: AtomicBool,
    /// Its device, if it does not lie in a file.
    remote: OnceLock<Remote>,
}

impl Volume {
    /// With `stale`, the first opening of the file forgets what the system's cache says of it: after a sync or a durable write
    /// that failed, the cache shows what the disk does not have.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        id: VolumeId,
        name: &str,
        path: PathBuf,
        stale: bool,
    ) -> Result<Self> {
        let (exists, size) = match disk.stat(&path) {
            Ok(stat) => (true, stat.len),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (false, 0),
            Err(error) => return Err(error).context(|| format!("stat {}", path.display())),
        };
        Ok(Self {
            id,
            name: name.into(),
            sums: SumsFile::new(Arc::clone(&disk), &path, stale),
            settling: Mutex::new(()),
            disk,
            path,
            file: Mutex::new(None),
            exists: AtomicBool::new(exists),
            size: AtomicU64::new(size),
            used_at: AtomicU64::new(0),
            allocated: Mutex::default(),
            pending: RwLock::default(),
            deleted: AtomicBool::new(false),
            stale: AtomicBool::new(stale),
            remote: OnceLock::new(),
        })
    }

    /// The file's path.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Its device, if it does not lie in a file.
    pub(crate) fn remote(&self) -> Option<&Remote> {
        self.remote.get()
    }

    /// Says that it lies on a device. Before anybody uses it.
    pub(crate) fn attach(&self, remote: Remote) {
        let _ = self.remote.set(remote);
    }

    /// The file, if it exists. The flag says whether it was opened by this call.
    pub(crate) fn file(&self) -> Result<Option<(Arc<dyn DiskFile>, bool)>> {
        let mut slot = self.file.lock();
        if let Some(file) = &*slot {
            return Ok(Some((Arc::clone(file), false)));
        }
        if !self.exists.load(Relaxed) {
            return Ok(None);
        }
        let file = open_file(&*self.disk, &self.path, &self.stale)?;
        *slot = Some(Arc::clone(&file));
        Ok(Some((file, true)))
    }

    /// Whether a file is to be made before data can be written.
    pub(crate) fn lacks_file(&self) -> bool {
        !self.exists.load(Relaxed) || self.sums.lacks_file()
    }

    /// Makes the file, and that of its sums if it has any, durably.
    pub(crate) fn create_file(&self) -> Result<()> {
        let _slot = self.file.lock();
        if !self.lacks_file() || self.deleted.load(Relaxed) {
            return Ok(());
        }
        let what = || format!("create {}", self.path.display());
        if !self.exists.load(Relaxed) {
            self.disk.open(&self.path, Access::Create).context(what)?;
        }
        let with_sums = self.sums.lacks_file();
        if with_sums {
            self.sums.make()?;
        }
        if let Some(dir) = self.path.parent() {
            let synced = self.disk.sync_dir(dir).context(what);
            // A sync that failed must not be tried again: it could only seem to work.
            synced.map_err(|error| StoreError::Failed(Arc::from(error.to_string())))?;
        }
        self.exists.store(true, Relaxed);
        if with_sums {
            self.sums.made();
        }
        Ok(())
    }

    /// Closes the file; it is opened again when needed.
    pub(crate) fn close_file(&self) {
        *self.file.lock() = None;
        self.sums.close();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.file.lock().is_some()
    }

    /// Removes the file, and that of its sums.
    pub(crate) fn unlink(&self) -> Result<()> {
        let mut slot = self.file.lock();
        *slot = None;
        self.sums.unlink()?;
        self.exists.store(false, Relaxed);
        self.size.store(0, Relaxed);
        *self.allocated.lock() = RangeSet::default();
        remove_file(&*self.disk, &self.path)
    }

    /// Whether the range's space is known to be taken.
    pub(crate) fn is_allocated(&self, offset: u64, len: u64) -> bool {
        self.allocated.lock().contains(offset, offset + len)
    }

    /// Takes the space for a range, rounded out to `unit` if there is room for that.
    pub(crate) fn allocate(&self, file: &dyn DiskFile, offset: u64, len: u64, unit: u64) -> Result<()> {
        let mut allocated = self.allocated.lock();
        let start = offset / unit * unit;
        let end = (offset + len).next_multiple_of(unit);
        for (from, to) in allocated.gaps(offset, offset + len) {
            let (wide_from, wide_to) = (from / unit * unit, to.next_multiple_of(unit));
            let (wide_from, wide_to) = (wide_from.max(start), wide_to.min(end));
            let take = |from, to: u64| file.allocate(from, to - from);
            let taken = match take(wide_from, wide_to) {
                Ok(()) => Ok((wide_from, wide_to)),
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    take(from, to).map(|()| (from, to))
                }
                Err(error) => Err(error),
            };
            let (from, to) = taken.context(|| format!("allocate space in volume {}", self.name))?;
            self.sums.allocate(from, to)?;
            allocated.insert(from, to);
        }
        Ok(())
    }

    /// Forgets that a range has its space: a discard of it was submitted.
    pub(crate) fn forget_allocated(&self, offset: u64, len: u64) {
        self.allocated.lock().remove(offset, offset + len);
    }

    /// Forgets of all ranges that they have their space: now it takes sums, too.
    pub(crate) fn forget_all_allocated(&self) {
        *self.allocated.lock() = RangeSet::default();
    }

    /// Carries out a discard. Parts that were taken again since it was submitted keep their space.
    pub(crate) fn punch(&self, file: &dyn DiskFile, offset: u64, len: u64) -> Result<()> {
        let allocated = self.allocated.lock();
        let end = (offset + len).min(self.size.load(Relaxed).max(offset));
        let what = || format!("discard in volume {}", self.name);
        for (from, to) in allocated.gaps(offset, offset + len) {
            file.punch(from, to - from).context(what)?;
        }
        for (from, to) in allocated.within(offset, end) {
            make_zeros(file, from, to).context(what)?;
        }
        Ok(())
    }

    /// Writes to the file.
    pub(crate) fn write_at(&self, file: &dyn DiskFile, offset: u64, data: &[u8]) -> Result<()> {
        file.write_at(offset, data)
            .context(|| format!("write to volume {}", self.name))?;
        self.size.fetch_max(offset + data.len() as u64, Relaxed);
        Ok(())
    }

    /// Writes to the file, durably.
    pub(crate) fn write_durable_at(&self, file: &dyn DiskFile, offset: u64, data: &[u8]) -> Result<()> {
        file.write_durable_at(offset, data)
            .context(|| format!("durable write to volume {}", self.name))?;
        self.size.fetch_max(offset + data.len() as u64, Relaxed);
        // Large writes leave large folios in the page cache, and ext4 walks all buffers of a folio for each small
        // write to it: ten times the processor time. So they are dropped; a failure to do so changes nothing else.
        if data.len() >= LARGE_FOLIO {
            file.drop_cache(offset, data.len() as u64);
        }
        Ok(())
    }

    /// Reads from the file; what it does not have is zeros.
    pub(crate) fn read_at(&self, file: &dyn DiskFile, offset: u64, buf: &mut [u8]) -> Result<()> {
        let read = file.read_at(offset, buf);
        let done = read.context(|| format!("read from volume {}", self.name))?;
        buf.get_mut(done..).unwrap_or_default().fill(0);
        Ok(())
    }

    /// Like [`Volume::read_at`], but returns false where the disk would have to be asked; the buffer's content is
    /// then of no use.
    pub(crate) fn read_cached_at(&self, file: &dyn DiskFile, offset: u64, buf: &mut [u8]) -> bool {
        let in_file = self
            .size
            .load(Relaxed)
            .saturating_sub(offset)
            .min(buf.len() as u64) as usize;
        let (in_file, behind) = buf.split_at_mut(in_file);
        behind.fill(0);
        // The system call copies all that is there before it says that the rest is not: ask at the end first.
        let tail = in_file.len().saturating_sub(BLOCK as usize);
        if in_file.len() >= LARGE && !file.read_cached_at(offset + tail as u64, &mut in_file[tail..]) {
            return false;
        }
        in_file.is_empty() || file.read_cached_at(offset, in_file)
    }

    /// What the file does not tell about a range yet.
    pub(crate) fn overlay(&self, offset: u64, len: u64) -> Vec<Extent> {
        let pending = self.pending.read();
        if pending.is_empty() {
            Vec::new()
        } else {
            pending.overlapping(offset, len)
        }
    }

    /// Where the file has data in a range; a filesystem that cannot tell has it everywhere.
    pub(crate) fn data_ranges(&self, file: &dyn DiskFile, offset: u64, len: u64) -> Result<RangeSet> {
        let mut found = RangeSet::default();
        let end = offset.saturating_add(len).min(self.size.load(Relaxed));
        let mut at = offset;
        while at < end {
            let next = file.next_data(at);
            let Some((start, hole)) = next.context(|| format!("find data in volume {}", self.name))? else {
                break;
            };
            found.insert(start, hole);
            at = hole.max(at + 1);
        }
        Ok(found)
    }

    /// The file's length.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Relaxed)
    }

    /// Bytes that the file takes on disk, without sums.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.disk.stat(&self.path).map_or(0, |stat| stat.allocated)
    }
}

/// Opens a file of a volume. Where the system's cache may show what the disk does not have (`stale`), the first opening drops it.
pub(crate) fn open_file(disk: &dyn Disk, path: &Path, stale: &AtomicBool) -> Result<Arc<dyn DiskFile>> {
    let file = disk.open(path, Access::Write);
    let file = file.context(|| format!("open {}", path.display()))?;
    if stale.swap(false, Relaxed) {
        file.drop_cache(0, u64::MAX);
    }
    Ok(file)
}

/// Removes a file of a volume, if it is there.
pub(crate) fn remove_file(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Makes a range that has its space zeros, by the filesystem if it can do that.
pub(crate) fn make_zeros(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    match file.zero(from, to - from) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => write_zeros(file, from, to),
        done => done,
    }
}

/// Writes zeros.
pub(crate) fn write_zeros(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; 64 << 10];
    let mut at = from;
    while at < to {
        let n = (to - at).min(zeros.len() as u64);
        file.write_at(at, zeros.get(..n as usize).unwrap_or_default())?;
        at += n;
    }
    Ok(())
}
