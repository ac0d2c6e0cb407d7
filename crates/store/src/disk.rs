//! The file layer: every call that the store makes to the system for its own files goes through [`Disk`] and
//! [`DiskFile`]. [`RealDisk`] is the system's; tests put others in its place, which lose what was not synced, tear it,
//! or fail.
//!
//! What an implementation has to promise is what Linux promises, and no more. What was written is seen by later reads at
//! once, and survives a power loss only after [`DiskFile::sync_data`] of the file, or if it was written by
//! [`DiskFile::write_durable_at`]. Until then any part of it may be there and any not, in units of 512 bytes. A name
//! that was made or removed is durable after [`Disk::sync_dir`] of its folder.

use std::{
    ffi::OsString,
    fmt,
    fs::File,
    io::{self, IoSlice, IoSliceMut},
    num::NonZeroU64,
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    path::Path,
    sync::{Arc, OnceLock},
};

use pages::write_back;
use rustix::{
    fs::{Advice, FallocateFlags, FlockOperation, OFlags, SeekFrom, fadvise, fallocate, flock, seek},
    io::{Errno, ReadWriteFlags},
};

use crate::options::BLOCK;

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
    /// Reading and writing; made if it is missing.
    Create,
    /// Reading and writing; made if it is missing, emptied if it is there.
    CreateEmpty,
    /// Durable writes alone, of whole blocks of 4096 bytes from memory that is aligned so.
    Journal,
}

/// What is known of a file by its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskStat {
    /// Length in bytes.
    pub len: u64,
    /// Bytes that it takes on the disk.
    pub allocated: u64,
}

/// How a filesystem is filled, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskSpace {
    /// Its size.
    pub total: u64,
    /// What may still be written.
    pub available: u64,
}

/// A filesystem. All methods may be called from any thread, and may block. Errors are those of the system.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes a folder and those above it, as far as they are missing. Those made are durable.
    ///
    /// # Errors
    /// If it cannot be made.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// The names in a folder.
    ///
    /// # Errors
    /// If it cannot be read.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;

    /// What is known of a file.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    fn stat(&self, path: &Path) -> io::Result<DiskStat>;

    /// Opens a file.
    ///
    /// # Errors
    /// If it cannot be opened.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;

    /// Removes a file's name. Who has it open may go on using it.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name in the same folder, at once and as a whole, also if it is another file's so far.
    ///
    /// # Errors
    /// Then it has the old one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// Then nothing is known of names made or removed since the last time.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes a lock for as long as what it returns lives; the file is made if it is missing.
    ///
    /// # Errors
    /// `WouldBlock` if another has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;

    /// How the filesystem of a folder is filled.
    ///
    /// # Errors
    /// If it does not say.
    fn space(&self, dir: &Path) -> io::Result<DiskSpace>;

    /// A number that nobody can foretell.
    ///
    /// # Errors
    /// If the system has none.
    fn random(&self) -> io::Result<u64>;
}

/// An open file. Offsets and lengths are in bytes.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Its length.
    ///
    /// # Errors
    /// If it cannot be told.
    fn size(&self) -> io::Result<u64>;

    /// Cuts or extends it; what is added is zeros. Durable with the next sync.
    ///
    /// # Errors
    /// If it cannot be done.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Reads; returns how many bytes, which are fewer than wanted only at the end of the file.
    ///
    /// # Errors
    /// If the disk cannot read.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Fills the buffer if that needs no waiting for the disk; else returns false, and the buffer holds anything.
    fn read_cached_at(&self, offset: u64, buf: &mut [u8]) -> bool;

    /// Writes all of `data`.
    ///
    /// # Errors
    /// Some of it may be written.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Writes all of `data`; on return it is durable.
    ///
    /// # Errors
    /// Some of it may be written, and may be durable.
    fn write_durable_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Writes pieces one behind the other; on return they are durable.
    ///
    /// # Errors
    /// Some of it may be written, and may be durable.
    fn write_pieces_durable_at(&self, offset: u64, pieces: &[&[u8]]) -> io::Result<()>;

    /// Makes content and length durable.
    ///
    /// # Errors
    /// What was written since the last time may be lost then, though reads still show it.
    fn sync_data(&self) -> io::Result<()>;

    /// Takes space for a range without changing content or length.
    ///
    /// # Errors
    /// If there is no room, none or some of it was taken.
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Gives the space of a range back: it reads as zeros. The length stays.
    ///
    /// # Errors
    /// Some of it may be done.
    fn punch(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Makes a range zeros and keeps its space. The length stays.
    ///
    /// # Errors
    /// Some of it may be done.
    fn zero(&self, offset: u64, len: u64) -> io::Result<()>;

    /// The first range with data at or behind `offset`, as start and end; `None` if only zeros follow.
    ///
    /// # Errors
    /// If the filesystem cannot tell.
    fn next_data(&self, offset: u64) -> io::Result<Option<(u64, u64)>>;

    /// Has later reads of a range ask the disk. A hint.
    fn drop_cache(&self, offset: u64, len: u64);

    /// Has the system begin to read a range into its cache, without waiting for it. A hint; what has no such cache does nothing.
    fn read_ahead(&self, _offset: u64, _len: u64) {}

    /// Has the system begin to write what its cache has of a range. What has no such cache does nothing.
    ///
    /// # Errors
    /// As [`DiskFile::sync_data`], which may not tell them again.
    fn start_write_back(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }

    /// Waits until the writes of a range that were begun are over. Only a sync makes them durable.
    ///
    /// # Errors
    /// As [`DiskFile::sync_data`], which may not tell them again.
    fn wait_write_back(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }
}

/// Reads exactly the buffer's length.
pub(crate) fn read_exact(file: &dyn DiskFile, offset: u64, buf: &mut [u8]) -> io::Result<()> {
    if file.read_at(offset, buf)? == buf.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// The system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    File::open(dir)?.sync_all()
}

impl Disk for RealDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() || path.as_os_str().is_empty() {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        self.create_dir(parent)?;
        match std::fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => sync_dir(parent),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(dir)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect()
    }

    fn stat(&self, path: &Path) -> io::Result<DiskStat> {
        let metadata = std::fs::metadata(path)?;
        Ok(DiskStat {
            len: metadata.len(),
            allocated: metadata.blocks() * 512,
        })
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = File::options();
        options.read(true).write(access != Access::Read);
        match access {
            Access::Read | Access::Write => {}
            Access::Create => {
                options.create(true).truncate(false);
            }
            Access::CreateEmpty => {
                options.create(true).truncate(true);
            }
            Access::Journal => return open_journal(path),
        }
        let file = options.open(path)?;
        if access == Access::Write {
            // Reading ahead would leave large folios in the page cache, in which each small write costs ext4 several times
            // as much; and whoever reads an image in sequence reads ahead himself. If it cannot be said, nothing else changes.
            let _ = fadvise(&file, 0, None, Advice::Random);
        }
        Ok(Arc::new(RealFile {
            file,
            durable: Durable::Range,
            direct: OnceLock::new(),
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }

    fn space(&self, dir: &Path) -> io::Result<DiskSpace> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(DiskSpace {
            total: stat.f_blocks * stat.f_frsize,
            available: stat.f_bavail * stat.f_frsize,
        })
    }

    fn random(&self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        Ok(u64::from_le_bytes(bytes))
    }
}

fn open_journal(path: &Path) -> io::Result<Arc<dyn DiskFile>> {
    let flags = OFlags::DIRECT | OFlags::DSYNC;
    let direct = File::options()
        .write(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let (file, durable) = match direct {
        Ok(file) => (file, Durable::Opened),
        // A filesystem without direct I/O.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            (File::options().write(true).open(path)?, Durable::Sync)
        }
        Err(error) => return Err(error),
    };
    Ok(Arc::new(RealFile {
        file,
        durable,
        direct: OnceLock::new(),
    }))
}

/// From this length on, in bytes, what is aligned is written directly.
const DIRECT: usize = 128 << 10;

/// `IOV_MAX`: the most pieces that one call writes.
const MOST_PIECES: usize = 1024;

/// What makes a durable write durable.
#[derive(Debug, Clone, Copy)]
enum Durable {
    /// The way the file was opened.
    Opened,
    /// A sync of the file after it.
    Sync,
    /// A flag of the write, which syncs its range alone: fdatasync would wait for all the file's small writes too.
    Range,
}

/// Writes pieces one behind the other, with as few calls as the system allows.
fn write_pieces(file: &File, offset: u64, pieces: &[&[u8]], flags: ReadWriteFlags) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = &mut slices[..];
    // Skips what is empty.
    IoSlice::advance_slices(&mut rest, 0);
    let mut at = offset;
    while !rest.is_empty() {
        match rustix::io::pwritev2(file, &rest[..rest.len().min(MOST_PIECES)], at, flags) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                at += n as u64;
                IoSlice::advance_slices(&mut rest, n);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What only helps a later sync may be missing, where a kernel or what stands in for one does not have it.
fn or_not_at_all(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        result => result,
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
    durable: Durable,
    /// The same for direct I/O, once it is wanted; `None` where the filesystem has none.
    direct: OnceLock<Option<File>>,
}

impl RealFile {
    /// The file for direct I/O, if that is the way for a piece of it: from memory to disk without the page cache, which costs
    /// large pieces a copy and more. Reads go through the cache: several clients may read the same.
    fn direct(&self, offset: u64, piece: &[u8]) -> Option<&File> {
        let unit = BLOCK as usize;
        let whole = offset.is_multiple_of(BLOCK) && piece.len().is_multiple_of(unit);
        if piece.len() < DIRECT || !whole || !piece.as_ptr().addr().is_multiple_of(unit) {
            return None;
        }
        let open = || {
            let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let flags = OFlags::DIRECT.bits().cast_signed();
            let mut options = File::options();
            options.write(true).custom_flags(flags).open(path).ok()
        };
        self.direct.get_or_init(open).as_ref()
    }

    /// Writes to the file, or to the same one that is open for direct I/O.
    fn write_range_durable(file: &File, offset: u64, data: &[u8]) -> io::Result<()> {
        write_pieces(file, offset, &[data], ReadWriteFlags::DSYNC)
    }

    fn fallocate(&self, flags: FallocateFlags, offset: u64, len: u64) -> io::Result<()> {
        Ok(fallocate(
            &self.file,
            flags | FallocateFlags::KEEP_SIZE,
            offset,
            len,
        )?)
    }
}

impl DiskFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..)
            && !rest.is_empty()
        {
            match self.file.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn read_cached_at(&self, offset: u64, buf: &mut [u8]) -> bool {
        let wanted = buf.len();
        let flags = ReadWriteFlags::NOWAIT;
        let read = rustix::io::preadv2(&self.file, &mut [IoSliceMut::new(buf)], offset, flags);
        read.is_ok_and(|n| n == wanted)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    fn write_durable_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self.durable {
            Durable::Opened => self.file.write_all_at(data, offset),
            Durable::Sync => {
                self.file.write_all_at(data, offset)?;
                self.file.sync_data()
            }
            Durable::Range => match self.direct(offset, data) {
                Some(direct) => match Self::write_range_durable(direct, offset, data) {
                    // Not of this piece, though the filesystem has direct I/O.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                        Self::write_range_durable(&self.file, offset, data)
                    }
                    result => result,
                },
                None => Self::write_range_durable(&self.file, offset, data),
            },
        }
    }

    fn write_pieces_durable_at(&self, offset: u64, pieces: &[&[u8]]) -> io::Result<()> {
        match self.durable {
            Durable::Opened => write_pieces(&self.file, offset, pieces, ReadWriteFlags::empty()),
            Durable::Sync => {
                write_pieces(&self.file, offset, pieces, ReadWriteFlags::empty())?;
                self.file.sync_data()
            }
            Durable::Range => write_pieces(&self.file, offset, pieces, ReadWriteFlags::DSYNC),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.fallocate(FallocateFlags::empty(), offset, len)
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        self.fallocate(FallocateFlags::PUNCH_HOLE, offset, len)
    }

    fn zero(&self, offset: u64, len: u64) -> io::Result<()> {
        self.fallocate(FallocateFlags::ZERO_RANGE, offset, len)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<(u64, u64)>> {
        let start = match seek(&self.file, SeekFrom::Data(offset)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let end = seek(&self.file, SeekFrom::Hole(start))?;
        Ok(Some((start, end)))
    }

    fn drop_cache(&self, offset: u64, len: u64) {
        // A length of 0 would mean up to the end, and one beyond what offsets can be is refused.
        if let Some(len) = NonZeroU64::new(len.min(i64::MAX as u64 - offset)) {
            let _ = fadvise(&self.file, offset, Some(len), Advice::DontNeed);
        }
    }

    fn read_ahead(&self, offset: u64, len: u64) {
        if let Some(len) = NonZeroU64::new(len.min(i64::MAX as u64 - offset)) {
            let _ = fadvise(&self.file, offset, Some(len), Advice::WillNeed);
        }
    }

    fn start_write_back(&self, offset: u64, len: u64) -> io::Result<()> {
        or_not_at_all(write_back::start(&self.file, offset, len))
    }

    fn wait_write_back(&self, offset: u64, len: u64) -> io::Result<()> {
        or_not_at_all(write_back::wait(&self.file, offset, len))
    }
}

#[cfg(test)]
mod tests {
    use disk_sim::placed;

    use super::*;

    const LEN: usize = 4 << 20;

    fn file(dir: &tempfile::TempDir) -> Arc<dyn DiskFile> {
        RealDisk.open(&dir.path().join("file"), Access::Create).unwrap()
    }

    fn read(file: &dyn DiskFile, offset: u64, len: usize) -> Vec<u8> {
        let mut buffer = vec![0; len];
        let read = file.read_at(offset, &mut buffer).unwrap();
        buffer.truncate(read);
        buffer
    }

    #[test]
    fn what_goes_to_the_disk_directly_and_through_the_page_cache_is_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(&dir);
        let mut model = vec![0; LEN];
        for round in 1..9_u8 {
            let at = usize::from(round % 3) << 20;
            let large = placed(&vec![round; 1 << 20], 0);
            file.write_durable_at(at as u64, &large).unwrap();
            model[at..][..1 << 20].fill(round);
            let small = at + usize::from(round) * 5000;
            file.write_at(small as u64, &[round + 100; 3000]).unwrap();
            model[small..][..3000].fill(round + 100);
            let end = (3 << 20) + usize::from(round) * 100;
            file.write_at(end as u64, b"end").unwrap();
            model[end..][..3].copy_from_slice(b"end");
            let len = file.size().unwrap() as usize;
            assert!(read(&*file, 0, LEN) == model[..len]);
            assert!(read(&*file, 1 << 20, 1 << 20) == model[1 << 20..2 << 20]);
            assert!(read(&*file, 5, 2 << 20) == model[5..][..2 << 20]);
        }
    }

    #[test]
    fn pieces_stand_one_behind_the_other_however_many_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = file(&dir);
        let data: Vec<u8> = (0..300_000).map(|n| (n / 7) as u8).collect();
        let mut pieces: Vec<&[u8]> = data.chunks(100).collect();
        pieces.insert(0, b"");
        pieces.insert(2000, b"");
        file.write_pieces_durable_at(5, &pieces).unwrap();
        assert!(read(&*file, 5, LEN) == data);
        file.write_pieces_durable_at(0, &[]).unwrap();
        // Past the page cache, from memory that is aligned.
        file.set_len(1 << 20).unwrap();
        let journal = RealDisk.open(&path, Access::Journal).unwrap();
        let block = placed(&[7; 4096], 0);
        let pieces = vec![&block[..]; 200];
        journal.write_pieces_durable_at(8192, &pieces).unwrap();
        assert!(read(&*file, 8192, 200 * 4096) == [7; 200 * 4096]);
        assert!(read(&*file, 5, 8192 - 5) == data[..8192 - 5]);
    }

    #[test]
    fn ranges_are_written_back_and_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(&dir);
        file.write_at(0, &vec![1; 1 << 20]).unwrap();
        for offset in [0, 4096, 1 << 30] {
            file.start_write_back(offset, 64 << 10).unwrap();
            file.wait_write_back(offset, 64 << 10).unwrap();
        }
        let error = file.start_write_back(u64::MAX, 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn large_pieces_of_any_place_and_length_are_written_durably() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(&dir);
        let data: Vec<u8> = (0..LEN).map(|n| (n / 7) as u8).collect();
        for (at, from, len) in [
            (0, 0, LEN),
            (4096, 1, 1 << 20),
            (77, 0, 300_000),
            (1 << 20, 4096, 123_456),
        ] {
            file.write_durable_at(at, &data[from..][..len]).unwrap();
            assert!(read(&*file, at, len) == data[from..][..len]);
        }
    }
}
