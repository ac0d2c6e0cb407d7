//! The file of a volume's sums: beside the volume's own, with `.sums` behind its name.

use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

use crate::{
    disk::{Access, Disk, DiskFile},
    error::{Context, Result},
    options::BLOCK,
    sums::{PAGE_SPAN, PageSums, SUM, no_sums},
    volume::{make_zeros, open_file, remove_file, write_zeros},
};

/// What the name of such a file ends with.
pub(crate) const SUFFIX: &str = ".sums";
/// The most zeros that are written; more of them are left to the filesystem.
const ZEROS: u64 = 64 << 10;

pub(crate) struct SumsFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Whether the volume has sums.
    wanted: AtomicBool,
    exists: AtomicBool,
    /// The file's length: whole pages.
    size: AtomicU64,
    file: Mutex<Option<Arc<dyn DiskFile>>>,
    /// Whether the system's cache may show what the disk does not have.
    stale: AtomicBool,
}

impl fmt::Debug for SumsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

impl SumsFile {
    /// That of the volume in the file `volume`; `stale` as for it.
    pub(crate) fn new(disk: Arc<dyn Disk>, volume: &Path, stale: bool) -> Self {
        let mut path = OsString::from(volume);
        path.push(SUFFIX);
        Self {
            disk,
            path: path.into(),
            wanted: AtomicBool::new(false),
            exists: AtomicBool::new(false),
            size: AtomicU64::new(0),
            file: Mutex::new(None),
            stale: AtomicBool::new(stale),
        }
    }

    /// Whether the volume has sums.
    pub(crate) fn are_kept(&self) -> bool {
        self.wanted.load(Relaxed)
    }

    /// Says that the volume has sums.
    pub(crate) fn keep(&self) -> Result<()> {
        match self.disk.stat(&self.path) {
            Ok(stat) => {
                self.size.store(stat.len.next_multiple_of(BLOCK), Relaxed);
                self.exists.store(true, Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(|| format!("stat {}", self.path.display())),
        }
        self.wanted.store(true, Relaxed);
        Ok(())
    }

    /// Has sums kept from now on, without any so far.
    pub(crate) fn begin(&self) -> Result<()> {
        self.remove()?;
        self.wanted.store(true, Relaxed);
        Ok(())
    }

    pub(crate) fn lacks_file(&self) -> bool {
        self.are_kept() && !self.exists.load(Relaxed)
    }

    /// Makes the file, without any sums. It is durable with its folder.
    pub(crate) fn make(&self) -> Result<()> {
        let file = self.disk.open(&self.path, Access::CreateEmpty);
        file.context(|| format!("create {}", self.path.display()))
            .map(drop)
    }

    /// Notes that the file was made durable.
    pub(crate) fn made(&self) {
        self.exists.store(true, Relaxed);
    }

    pub(crate) fn close(&self) {
        *self.file.lock() = None;
    }

    pub(crate) fn unlink(&self) -> Result<()> {
        self.close();
        if !self.are_kept() {
            return Ok(());
        }
        self.remove()
    }

    fn remove(&self) -> Result<()> {
        self.exists.store(false, Relaxed);
        self.size.store(0, Relaxed);
        remove_file(&*self.disk, &self.path)
    }

    fn open(&self) -> Result<Option<Arc<dyn DiskFile>>> {
        let mut slot = self.file.lock();
        if let Some(file) = &*slot {
            return Ok(Some(Arc::clone(file)));
        }
        if !self.exists.load(Relaxed) {
            return Ok(None);
        }
        let file = open_file(&*self.disk, &self.path, &self.stale)?;
        *slot = Some(Arc::clone(&file));
        Ok(Some(file))
    }

    /// Takes the space for the sums of a range of the volume.
    pub(crate) fn allocate(&self, from: u64, to: u64) -> Result<()> {
        let Some(file) = self.open()? else { return Ok(()) };
        let (first, end) = (from / PAGE_SPAN, to.div_ceil(PAGE_SPAN));
        file.allocate(first * BLOCK, (end - first) * BLOCK)
            .context(|| format!("allocate space in {}", self.path.display()))
    }

    /// Reads a page. `None`: the disk would have to be waited for.
    pub(crate) fn read(&self, page: u64, may_block: bool) -> Result<Option<PageSums>> {
        let mut sums = no_sums();
        if (page + 1) * BLOCK > self.size.load(Relaxed) {
            return Ok(Some(sums));
        }
        let Some(file) = self.open()? else {
            return Ok(Some(sums));
        };
        let mut bytes = [0; BLOCK as usize];
        if !file.read_cached_at(page * BLOCK, &mut bytes) {
            if !may_block {
                return Ok(None);
            }
            let read = file.read_at(page * BLOCK, &mut bytes);
            let done = read.context(|| format!("read {}", self.path.display()))?;
            bytes[done..].fill(0);
        }
        for (sum, bytes) in sums.iter_mut().zip(bytes.as_chunks().0) {
            *sum = u32::from_le_bytes(*bytes);
        }
        Ok(Some(sums))
    }

    /// Writes a page.
    pub(crate) fn write(&self, page: u64, sums: &PageSums) -> Result<()> {
        // None: the volume was deleted.
        let Some(file) = self.open()? else { return Ok(()) };
        let mut bytes = [0; BLOCK as usize];
        for (bytes, sum) in bytes.as_chunks_mut().0.iter_mut().zip(sums.iter()) {
            *bytes = sum.to_le_bytes();
        }
        file.write_at(page * BLOCK, &bytes)
            .context(|| format!("write {}", self.path.display()))?;
        self.size.fetch_max((page + 1) * BLOCK, Relaxed);
        Ok(())
    }

    /// Writes one sum, durably.
    pub(crate) fn write_durable(&self, block: u64, sum: u32) -> Result<()> {
        let Some(file) = self.open()? else { return Ok(()) };
        file.write_durable_at(block * SUM, &sum.to_le_bytes())
            .context(|| format!("write {} durably", self.path.display()))?;
        self.size
            .fetch_max(((block + 1) * SUM).next_multiple_of(BLOCK), Relaxed);
        Ok(())
    }

    /// Takes away what there is of sums between two places of the file.
    pub(crate) fn clear(&self, start: u64, end: u64) -> Result<()> {
        let Some(file) = self.open()? else { return Ok(()) };
        let what = || format!("clear in {}", self.path.display());
        let end = end.min(self.size.load(Relaxed));
        let mut at = start;
        while at < end {
            let Some((from, to)) = file.next_data(at).context(what)? else {
                break;
            };
            let (from, to) = (from.max(at), to.min(end));
            if from < to {
                zero(&*file, from, to).context(what)?;
            }
            at = to.max(at + 1);
        }
        Ok(())
    }

    pub(crate) fn sync(&self) -> Result<()> {
        let Some(file) = self.open()? else { return Ok(()) };
        file.sync_data()
            .context(|| format!("fdatasync of {}", self.path.display()))
    }

    /// The first page at or behind `page` that the file has anything of.
    pub(crate) fn next_used(&self, page: u64) -> Result<Option<u64>> {
        let Some(file) = self.open()? else { return Ok(None) };
        let next = file.next_data(page * BLOCK);
        let next = next.context(|| format!("find sums in {}", self.path.display()))?;
        Ok(next.map(|(start, _)| (start / BLOCK).max(page)))
    }

    /// Bytes that the file takes on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        if !self.are_kept() {
            return 0;
        }
        self.disk.stat(&self.path).map_or(0, |stat| stat.allocated)
    }
}

/// Makes a range that has its space zeros.
fn zero(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    if to - from > ZEROS {
        make_zeros(file, from, to)
    } else {
        write_zeros(file, from, to)
    }
}
