//! The kernel's requests as calls of a [`SimDisk`].

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use disk_sim::SimDisk;
use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rustix::{
    fs::{FallocateFlags, OFlags},
    process::{getegid, geteuid},
};
use store::{Access, Disk, DiskFile};

use crate::{
    Power,
    inodes::{Inode, Inodes, Kind},
};

/// The kernel asks again each time.
const TTL: Duration = Duration::ZERO;
/// What the kernel has of `st_mode` for the kind of a file, and that of a socket (`S_IFMT`, `S_IFSOCK`).
const KIND: u32 = 0o170_000;
const SOCKET: u32 = 0o140_000;
/// `lseek(2)`.
const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;

/// The file system.
#[derive(Debug)]
pub(crate) struct PowerFilesystem {
    power: Arc<Power>,
    inodes: Mutex<Inodes>,
}

type Answer<T> = Result<T, Errno>;

fn errno(error: &io::Error) -> Errno {
    match (error.raw_os_error(), error.kind()) {
        (Some(code), _) => Errno::from_i32(code),
        (_, io::ErrorKind::NotFound) => Errno::ENOENT,
        (_, io::ErrorKind::IsADirectory) => Errno::EISDIR,
        (_, io::ErrorKind::AlreadyExists) => Errno::EEXIST,
        _ => Errno::EIO,
    }
}

impl PowerFilesystem {
    pub(crate) fn new(power: Arc<Power>) -> Self {
        Self {
            power,
            inodes: Mutex::new(Inodes::new(INodeNo::ROOT.0)),
        }
    }

    fn inodes(&self) -> MutexGuard<'_, Inodes> {
        self.inodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call<T>(&self, call: impl FnOnce(&SimDisk) -> io::Result<T>) -> Answer<T> {
        self.power.call(call).map_err(|error| errno(&error))
    }

    fn inode(&self, number: INodeNo) -> Answer<Inode> {
        self.inodes().get(number.0).cloned().ok_or(Errno::ENOENT)
    }

    fn file(&self, number: INodeNo) -> Answer<Arc<dyn DiskFile>> {
        match self.inode(number)?.kind {
            Kind::File(file) => Ok(file),
            Kind::Dir => Err(Errno::EISDIR),
            Kind::Socket => Err(Errno::ENXIO),
        }
    }

    fn dir(&self, number: INodeNo) -> Answer<PathBuf> {
        self.inode(number)?.path.ok_or(Errno::ENOENT)
    }

    fn path(&self, parent: INodeNo, name: &OsStr) -> Answer<PathBuf> {
        Ok(self.dir(parent)?.join(name))
    }

    fn attributes(&self, number: u64) -> Answer<FileAttr> {
        let inode = self.inode(INodeNo(number))?;
        let (kind, size) = match &inode.kind {
            Kind::Dir => (FileType::Directory, 0),
            Kind::Socket => (FileType::Socket, 0),
            Kind::File(file) => (FileType::RegularFile, self.call(|_| file.size())?),
        };
        let stat = match (&inode.kind, &inode.path) {
            (Kind::File(_), Some(path)) => self.call(|disk| disk.stat(path)).unwrap_or_default(),
            _ => store::DiskStat::default(),
        };
        let time = SystemTime::UNIX_EPOCH;
        Ok(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: stat.allocated.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm: inode.mode,
            nlink: u32::from(inode.path.is_some()),
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    /// The inode of a path, which it is given with the first look at it.
    fn look_up(&self, path: &Path) -> Answer<u64> {
        let mut inodes = self.inodes();
        if let Some(number) = inodes.find(path) {
            return Ok(number);
        }
        let (kind, mode) = match self.call(|disk| disk.open(path, Access::Write)) {
            Ok(file) => (Kind::File(file), 0o600),
            Err(error) if error.code() == Errno::EISDIR.code() => (Kind::Dir, 0o755),
            Err(error) => return Err(error),
        };
        Ok(inodes.add(path.to_owned(), kind, mode))
    }

    fn make(&self, parent: INodeNo, name: &OsStr, mode: u32, what: Make) -> Answer<FileAttr> {
        let path = self.path(parent, name)?;
        if self.look_up(&path).is_ok() {
            return Err(Errno::EEXIST);
        }
        let kind = match what {
            Make::File => Kind::File(self.call(|disk| disk.open(&path, Access::Create))?),
            Make::Dir => {
                self.call(|disk| {
                    disk.make_dir(&path);
                    Ok(())
                })?;
                Kind::Dir
            }
            Make::Socket => Kind::Socket,
        };
        let number = self.inodes().add(path, kind, (mode & 0o7777) as u16);
        self.attributes(number)
    }

    fn unlink(&self, path: &Path) -> Answer<()> {
        let number = self.look_up(path)?;
        if !matches!(self.inode(INodeNo(number))?.kind, Kind::Socket) {
            self.call(|disk| disk.remove(path))?;
        }
        self.inodes().remove(path);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Answer<()> {
        self.look_up(from)?;
        self.call(|disk| disk.rename(from, to))?;
        self.inodes().rename(from, to);
        Ok(())
    }

    fn change(&self, number: INodeNo, mode: Option<u32>, size: Option<u64>) -> Answer<FileAttr> {
        if let Some(size) = size {
            let file = self.file(number)?;
            self.call(|_| file.set_len(size))?;
        }
        if let Some(mode) = mode
            && let Some(inode) = self.inodes().get_mut(number.0)
        {
            inode.mode = (mode & 0o7777) as u16;
        }
        self.attributes(number.0)
    }

    fn read(&self, number: INodeNo, offset: u64, size: u32) -> Answer<Vec<u8>> {
        let file = self.file(number)?;
        let mut buf = vec![0; size as usize];
        let read = self.call(|_| file.read_at(offset, &mut buf))?;
        buf.truncate(read);
        Ok(buf)
    }

    fn write(&self, number: INodeNo, offset: u64, data: &[u8], durable: bool) -> Answer<()> {
        let file = self.file(number)?;
        self.call(|_| {
            if durable {
                file.write_durable_at(offset, data)
            } else {
                file.write_at(offset, data)
            }
        })
    }

    fn list(&self, number: INodeNo) -> Answer<Vec<(u64, FileType, PathBuf)>> {
        let dir = self.dir(number)?;
        let mut names: Vec<PathBuf> = self
            .call(|disk| disk.list(&dir))?
            .into_iter()
            .map(PathBuf::from)
            .collect();
        {
            let inodes = self.inodes();
            names.extend(
                inodes
                    .sockets(&dir)
                    .filter_map(|path| path.file_name().map(PathBuf::from)),
            );
        }
        // The root's own name is listed as the empty one.
        names.retain(|name| !name.as_os_str().is_empty());
        let mut out = vec![
            (number.0, FileType::Directory, ".".into()),
            (number.0, FileType::Directory, "..".into()),
        ];
        for name in names {
            let found = self.look_up(&dir.join(&name))?;
            out.push((found, self.attributes(found)?.kind, name));
        }
        Ok(out)
    }

    fn allocate(&self, number: INodeNo, offset: u64, len: u64, mode: i32) -> Answer<()> {
        let file = self.file(number)?;
        let flags = FallocateFlags::from_bits_retain(mode.cast_unsigned());
        self.call(|_| {
            if flags.contains(FallocateFlags::PUNCH_HOLE) {
                file.punch(offset, len)
            } else if flags.contains(FallocateFlags::ZERO_RANGE) {
                file.zero(offset, len)
            } else {
                file.allocate(offset, len)
            }?;
            if flags.contains(FallocateFlags::KEEP_SIZE) || file.size()? >= offset + len {
                return Ok(());
            }
            file.set_len(offset + len)
        })
    }

    fn seek(&self, number: INodeNo, offset: i64, whence: i32) -> Answer<i64> {
        let file = self.file(number)?;
        let offset = u64::try_from(offset).map_err(|_| Errno::EINVAL)?;
        let (next, size) = self.call(|_| Ok((file.next_data(offset)?, file.size()?)))?;
        if offset >= size {
            return Err(Errno::ENXIO);
        }
        let found = match (whence, next) {
            (SEEK_DATA, Some((start, _))) => start,
            (SEEK_DATA, None) => return Err(Errno::ENXIO),
            (SEEK_HOLE, Some((start, end))) if start <= offset => end,
            (SEEK_HOLE, _) => offset,
            _ => return Err(Errno::EINVAL),
        };
        i64::try_from(found).map_err(|_| Errno::EOVERFLOW)
    }
}

/// What is made.
enum Make {
    File,
    Dir,
    Socket,
}

/// Whether a write must be durable when it returns: by a flag of the open file, or of the call.
fn is_durable(flags: OpenFlags) -> bool {
    let flags = OFlags::from_bits_retain(flags.0.cast_unsigned());
    flags.intersects(OFlags::DSYNC | OFlags::SYNC)
}

fn entry(reply: ReplyEntry, answer: Answer<FileAttr>) {
    match answer {
        Ok(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn attributes(reply: ReplyAttr, answer: Answer<FileAttr>) {
    match answer {
        Ok(attributes) => reply.attr(&TTL, &attributes),
        Err(error) => reply.error(error),
    }
}

fn done(reply: ReplyEmpty, answer: Answer<()>) {
    match answer {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for PowerFilesystem {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.path(parent, name).and_then(|path| self.look_up(&path));
        entry(reply, found.and_then(|number| self.attributes(number)));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        attributes(reply, self.attributes(ino.0));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        attributes(reply, self.change(ino, mode, size));
    }

    fn mknod(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let what = if mode & KIND == SOCKET {
            Make::Socket
        } else {
            Make::File
        };
        entry(reply, self.make(parent, name, mode & !umask, what));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        entry(reply, self.make(parent, name, mode & !umask, Make::Dir));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(reply, self.path(parent, name).and_then(|path| self.unlink(&path)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let paths = self
            .path(parent, name)
            .and_then(|from| Ok((from, self.path(newparent, newname)?)));
        done(reply, paths.and_then(|(from, to)| self.rename(&from, &to)));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match self.make(parent, name, mode & !umask, Make::File) {
            Ok(made) => reply.created(
                &TTL,
                &made,
                Generation(0),
                FileHandle(0),
                FopenFlags::FOPEN_DIRECT_IO,
            ),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.read(ino, offset, size) {
            Ok(data) => reply.data(&data),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.write(ino, offset, data, is_durable(flags)) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // A close makes nothing durable.
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let synced = self.file(ino).and_then(|file| self.call(|_| file.sync_data()));
        done(reply, synced);
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let all = match self.list(ino) {
            Ok(all) => all,
            Err(error) => return reply.error(error),
        };
        for (at, (number, kind, name)) in all.into_iter().enumerate().skip(offset as usize) {
            if reply.add(INodeNo(number), at as u64 + 1, kind, &name) {
                break;
            }
        }
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let synced = self
            .dir(ino)
            .and_then(|dir| self.call(|disk| disk.sync_dir(&dir)));
        done(reply, synced);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        match self.call(|disk| disk.space(Path::new("/"))) {
            Ok(space) => {
                let (all, free) = (space.total / 4096, space.available / 4096);
                reply.statfs(all, free, free, 1 << 20, 1 << 20, 4096, 255, 4096);
            }
            Err(error) => reply.error(error),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        done(reply, self.allocate(ino, offset, length, mode));
    }

    fn lseek(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        match self.seek(ino, offset, whence) {
            Ok(at) => reply.offset(at),
            Err(error) => reply.error(error),
        }
    }
}
