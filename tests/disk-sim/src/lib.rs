//! A disk in memory for tests of the store. It keeps what was written and what of it is durable apart; at any call it can
//! say what a power loss at that moment might leave, with what was not synced lost, reordered and torn at sectors of 512
//! bytes; and any call can be made to fail.
//!
//! All choices follow from a seed.

mod pages;
mod random;
mod state;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use store::{Access, Disk, DiskFile, DiskSpace, DiskStat};

pub use pages::Pages;
pub use random::Random;
use state::{Entry, Node, State};

/// The kinds of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names of the calls")]
pub enum Call {
    CreateDir,
    List,
    Stat,
    Open,
    Create,
    Remove,
    Rename,
    SyncDir,
    Lock,
    Size,
    SetLen,
    Read,
    Write,
    WriteDurable,
    Sync,
    WriteBack,
    Allocate,
    Punch,
    Zero,
    NextData,
}

impl Call {
    /// Whether something is durable when it returns that was not before.
    #[must_use]
    pub const fn syncs(self) -> bool {
        matches!(
            self,
            Self::Sync | Self::SyncDir | Self::WriteDurable | Self::CreateDir
        )
    }

    /// Whether it changes anything.
    #[must_use]
    pub const fn changes(self) -> bool {
        self.syncs()
            || matches!(
                self,
                Self::Create
                    | Self::Remove
                    | Self::Rename
                    | Self::SetLen
                    | Self::Write
                    | Self::Punch
                    | Self::Zero
            )
    }
}

/// At which calls to look what a crash would leave.
#[derive(Debug, Clone, Copy, Default)]
pub struct CrashPoints {
    /// How often at each call that makes something durable.
    pub at_syncs: u32,
    /// Once in so many of the other calls that change something; 0 is never.
    pub others: u64,
}

/// What a crash at one call left.
#[derive(Clone)]
pub struct Image {
    /// The number of the call on its disk.
    pub at: u64,
    /// Its kind.
    pub call: Call,
    /// What [`SimDisk::note`] said last.
    pub note: u64,
    state: State,
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "crash at call {} ({:?})", self.at, self.call)
    }
}

/// What makes a call fail.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The number of the call.
    pub at: u64,
    /// The system's error.
    pub errno: rustix::io::Errno,
    /// All later calls that take space fail as well.
    pub stays: bool,
}

#[derive(Debug)]
struct Inner {
    state: State,
    random: Random,
    points: CrashPoints,
    note: u64,
    images: Vec<Image>,
    calls: u64,
    kinds: Vec<Call>,
    /// Durable writes of several pieces.
    gathered: u64,
    fault: Option<Fault>,
    failed: Option<Call>,
    locks: BTreeSet<PathBuf>,
    space: DiskSpace,
}

/// What is done at a call.
type Hook = Box<dyn FnOnce() + Send>;

/// A disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    inner: Arc<Mutex<Inner>>,
    /// Not within the rest, which is locked during a call.
    at_write_back: Arc<Mutex<Option<Hook>>>,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk")
    }
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with(State::default(), seed)
    }

    /// The disk that a crash left.
    #[must_use]
    pub fn of(image: &Image, seed: u64) -> Self {
        Self::with(image.state.clone(), seed)
    }

    fn with(state: State, seed: u64) -> Self {
        let inner = Inner {
            state,
            random: Random::new(seed),
            points: CrashPoints::default(),
            note: 0,
            images: Vec::new(),
            calls: 0,
            kinds: Vec::new(),
            gathered: 0,
            fault: None,
            failed: None,
            locks: BTreeSet::new(),
            space: DiskSpace {
                total: 1 << 40,
                available: 1 << 39,
            },
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            at_write_back: Arc::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A test that panicked has said why already.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on looks at these calls what a crash would leave.
    pub fn crash_at(&self, points: CrashPoints) {
        self.inner().points = points;
    }

    /// Gives later images a number, for example the last acknowledged transaction.
    pub fn note(&self, note: u64) {
        self.inner().note = note;
    }

    /// The images made since the last time.
    #[must_use]
    pub fn take_images(&self) -> Vec<Image> {
        std::mem::take(&mut self.inner().images)
    }

    /// What a crash now would leave.
    #[must_use]
    pub fn image(&self) -> Image {
        self.inner().image(Call::Sync)
    }

    /// What a killed process leaves: everything that it wrote.
    #[must_use]
    pub fn image_of_kill(&self) -> Image {
        let inner = self.inner();
        Image {
            at: inner.calls,
            call: Call::Sync,
            note: inner.note,
            state: inner.state.clone(),
        }
    }

    /// The calls so far. The next one has this number, counted from 0.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.inner().calls
    }

    /// The kinds of all calls so far.
    #[must_use]
    pub fn kinds(&self) -> Vec<Call> {
        self.inner().kinds.clone()
    }

    /// How many durable writes so far were of several pieces.
    #[must_use]
    pub fn gathered(&self) -> u64 {
        self.inner().gathered
    }

    /// Has a call fail.
    pub fn fail(&self, fault: Fault) {
        self.inner().fault = Some(fault);
    }

    /// Ends failures. Returns the first call that failed.
    pub fn heal(&self) -> Option<Call> {
        let mut inner = self.inner();
        inner.fault = None;
        inner.failed.take()
    }

    /// Does something before the next call of [`Call::WriteBack`], on the thread that makes it.
    pub fn at_write_back(&self, hook: impl FnOnce() + Send + 'static) {
        *self.hook() = Some(Box::new(hook));
    }

    fn hook(&self) -> MutexGuard<'_, Option<Hook>> {
        self.at_write_back.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how the disk is filled.
    pub fn set_space(&self, space: DiskSpace) {
        self.inner().space = space;
    }

    /// The bytes of a file as reads see them; `None` if there is no such file.
    #[must_use]
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let inner = self.inner();
        let node = inner.file(path).ok()?;
        let live = &inner.state.nodes.get(&node)?.live;
        let mut bytes = vec![0; live.len as usize];
        live.pages.read(0, &mut bytes);
        Some(bytes)
    }

    /// Changes bytes of a file behind everybody's back, durably.
    pub fn damage(&self, path: &Path, offset: u64, data: &[u8]) {
        let mut inner = self.inner();
        if let Ok(id) = inner.file(path) {
            let at = inner.state.next_change();
            if let Some(node) = inner.state.nodes.get_mut(&id) {
                node.write(at, offset, data);
                node.sync();
            }
        }
    }

    /// Makes a folder in one that is there. Unlike [`Disk::create_dir`] it is durable only when that one is synced, as with
    /// `mkdir(2)`.
    pub fn make_dir(&self, path: &Path) {
        let mut inner = self.inner();
        inner.state.make_dir(path);
        inner.crash_points(Call::Create);
    }

    /// The paths of all files.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let inner = self.inner();
        let files = inner.state.names.iter();
        files
            .filter(|(_, entry)| matches!(entry, Entry::File(_)))
            .map(|(path, _)| path.clone())
            .collect()
    }
}

impl Inner {
    fn image(&mut self, call: Call) -> Image {
        Image {
            at: self.calls,
            call,
            note: self.note,
            state: self.state.crashed(&mut self.random),
        }
    }

    /// Counts a call, and says whether it fails.
    fn call(&mut self, call: Call) -> io::Result<()> {
        let at = self.calls;
        self.calls += 1;
        self.kinds.push(call);
        let takes_space = matches!(
            call,
            Call::Allocate | Call::Write | Call::WriteDurable | Call::Create | Call::SetLen
        );
        match self.fault {
            Some(fault) if fault.at == at || (fault.stays && at > fault.at && takes_space) => {
                self.failed.get_or_insert(call);
                Err(fault.errno.into())
            }
            _ => Ok(()),
        }
    }

    /// Makes images, where it is time for that. What the call changes is there, and not durable.
    fn crash_points(&mut self, call: Call) {
        let count = if call.syncs() {
            self.points.at_syncs
        } else {
            u32::from(self.random.one_in(self.points.others))
        };
        for _ in 0..count {
            let image = self.image(call);
            self.images.push(image);
        }
    }

    fn file(&self, path: &Path) -> io::Result<u64> {
        match self.state.names.get(path) {
            Some(Entry::File(id)) => Ok(*id),
            Some(Entry::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        if inner.state.names.get(path) == Some(&Entry::Dir) {
            return inner.call(Call::Stat);
        }
        inner.call(Call::CreateDir)?;
        inner.crash_points(Call::CreateDir);
        inner.state.create_dir(path);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let mut inner = self.inner();
        inner.call(Call::List)?;
        let names = inner.state.names.keys();
        let inside = names.filter(|path| path.parent() == Some(dir));
        Ok(inside
            .filter_map(|path| path.file_name().map(OsString::from))
            .collect())
    }

    fn stat(&self, path: &Path) -> io::Result<DiskStat> {
        let mut inner = self.inner();
        inner.call(Call::Stat)?;
        let id = inner.file(path)?;
        let node = inner.state.nodes.get(&id);
        Ok(node.map_or_else(DiskStat::default, |node| DiskStat {
            len: node.live.len,
            allocated: node.live.pages.allocated(),
        }))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.inner();
        let creates = matches!(access, Access::Create | Access::CreateEmpty);
        let found = inner.file(path);
        let call = if creates && found.is_err() {
            Call::Create
        } else {
            Call::Open
        };
        inner.call(call)?;
        let node = match found {
            Err(error) if error.kind() == io::ErrorKind::NotFound && creates => {
                let parent = path.parent().unwrap_or(Path::new(""));
                if inner.state.names.get(parent) != Some(&Entry::Dir) {
                    return Err(error);
                }
                let node = inner.state.create_file(path);
                inner.crash_points(Call::Create);
                node
            }
            found => found?,
        };
        if access == Access::CreateEmpty {
            let at = inner.state.next_change();
            if let Some(node) = inner.state.nodes.get_mut(&node) {
                node.set_len(at, 0);
            }
        }
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            node,
            direct: access == Access::Journal,
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.call(Call::Remove)?;
        inner.file(path)?;
        inner.state.names.remove(path);
        inner.crash_points(Call::Remove);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.call(Call::Rename)?;
        inner.file(from)?;
        inner.state.rename(from, to);
        inner.crash_points(Call::Rename);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.call(Call::SyncDir)?;
        inner.crash_points(Call::SyncDir);
        inner.state.sync_dir(dir);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let mut inner = self.inner();
        inner.call(Call::Lock)?;
        if !inner.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock(self.clone(), path.to_owned())))
    }

    fn space(&self, _dir: &Path) -> io::Result<DiskSpace> {
        Ok(self.inner().space)
    }

    fn random(&self) -> io::Result<u64> {
        Ok(self.inner().random.number())
    }
}

struct SimLock(SimDisk, PathBuf);

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.inner().locks.remove(&self.1);
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    node: u64,
    /// Takes whole blocks alone, from memory that is aligned so.
    direct: bool,
}

impl SimFile {
    /// Makes a call that reads.
    fn ask<T>(&self, call: Call, answer: impl FnOnce(&Node) -> T) -> io::Result<T> {
        let mut inner = self.disk.inner();
        inner.call(call)?;
        let node = inner.state.nodes.get(&self.node);
        node.map(answer).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Makes a call that changes the file: `change` gets the change's number, and `then` makes it durable. `part` is
    /// what is done of it if it fails.
    fn change(
        &self,
        call: Call,
        change: impl FnOnce(&mut Node, u64),
        part: impl FnOnce(&mut Node, u64, &mut Random),
        then: impl FnOnce(&mut Node),
    ) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let called = inner.call(call);
        let at = inner.state.next_change();
        let mut random = inner.random.clone();
        let node = inner.state.nodes.get_mut(&self.node);
        let node = node.ok_or(io::ErrorKind::NotFound)?;
        if called.is_err() {
            part(node, at, &mut random);
            inner.random = random;
            return called;
        }
        change(node, at);
        inner.crash_points(call);
        if let Some(node) = inner.state.nodes.get_mut(&self.node) {
            then(node);
        }
        Ok(())
    }
}

/// What direct I/O wants, in bytes.
const DIRECT: u64 = 4096;

/// A copy that lies so many bytes behind what direct I/O wants: at 0, it can be written by it.
#[must_use]
pub fn placed(data: &[u8], behind: usize) -> Bytes {
    let mut memory = vec![0; data.len() + behind + DIRECT as usize];
    let start = memory.as_ptr().align_offset(DIRECT as usize) + behind;
    memory[start..start + data.len()].copy_from_slice(data);
    Bytes::from(memory).slice(start..start + data.len())
}

/// Some first part of what should have been written.
fn some_of<'a>(data: &'a [u8], random: &mut Random) -> &'a [u8] {
    &data[..random.below(data.len() as u64 + 1) as usize]
}

impl DiskFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        self.ask(Call::Size, |node| node.live.len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(
            Call::SetLen,
            |node, at| node.set_len(at, len),
            |_, _, _| {},
            |_| {},
        )
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.ask(Call::Read, |node| {
            let n = node.live.len.saturating_sub(offset).min(buf.len() as u64) as usize;
            node.live.pages.read(offset, &mut buf[..n]);
            n
        })
    }

    fn read_cached_at(&self, _offset: u64, _buf: &mut [u8]) -> bool {
        false
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(
            Call::Write,
            |node, at| node.write(at, offset, data),
            |node, at, random| node.write(at, offset, some_of(data, random)),
            |_| {},
        )
    }

    fn write_durable_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(
            Call::WriteDurable,
            |node, at| node.write(at, offset, data),
            |node, at, random| {
                node.write(at, offset, some_of(data, random));
                node.fail_sync(random);
            },
            |node| node.sync_range(offset, data.len() as u64),
        )
    }

    fn write_pieces_durable_at(&self, offset: u64, pieces: &[&[u8]]) -> io::Result<()> {
        let is_aligned = |piece: &&[u8]| {
            let (address, len) = (piece.as_ptr().addr() as u64, piece.len() as u64);
            (address | len).is_multiple_of(DIRECT)
        };
        if self.direct && !(offset.is_multiple_of(DIRECT) && pieces.iter().all(is_aligned)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.disk.inner().gathered += u64::from(pieces.len() > 1);
        // One change: any of its sectors may be lost.
        self.write_durable_at(offset, &pieces.concat())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(
            Call::Sync,
            |_, _| {},
            |node, _, random| node.fail_sync(random),
            Node::sync,
        )
    }

    // What is pending may be durable or not anyhow.
    fn start_write_back(&self, _offset: u64, _len: u64) -> io::Result<()> {
        let hook = self.disk.hook().take();
        if let Some(hook) = hook {
            hook();
        }
        self.change(
            Call::WriteBack,
            |_, _| {},
            |node, _, random| node.fail_sync(random),
            |_| {},
        )
    }

    fn wait_write_back(&self, offset: u64, len: u64) -> io::Result<()> {
        self.start_write_back(offset, len)
    }

    fn allocate(&self, _offset: u64, _len: u64) -> io::Result<()> {
        self.disk.inner().call(Call::Allocate)
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        self.change(
            Call::Punch,
            |node, at| node.zero(at, offset, len),
            |_, _, _| {},
            |_| {},
        )
    }

    fn zero(&self, offset: u64, len: u64) -> io::Result<()> {
        self.change(
            Call::Zero,
            |node, at| node.zero(at, offset, len),
            |_, _, _| {},
            |_| {},
        )
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<(u64, u64)>> {
        self.ask(Call::NextData, |node| {
            let (start, end) = node.live.pages.next_data(offset)?;
            (start < node.live.len).then(|| (start, end.min(node.live.len)))
        })
    }

    fn drop_cache(&self, _offset: u64, _len: u64) {
        if let Some(node) = self.disk.inner().state.nodes.get_mut(&self.node) {
            node.drop_cache();
        }
    }
}
