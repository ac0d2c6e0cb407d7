//! Chunks with their versions and snapshots, as a chunkserver keeps them. One copy stands for all replicas.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use curve::proto::chunk::ChunkStatus;

const PAGE: usize = 64 * 1024;
/// In a chunk's file, before its data: versions; in a snapshot's: its version and which blocks it has.
const HEADER: u64 = 64 * 1024;

/// Bytes, in memory or in a file.
enum Blob {
    Memory(BTreeMap<usize, Box<[u8]>>),
    Disk(File),
}

impl Blob {
    fn read(&self, offset: usize, len: usize) -> io::Result<Vec<u8>> {
        let mut data = vec![0; len];
        match self {
            Self::Disk(file) => {
                let mut done = 0;
                while done < len {
                    match file.read_at(&mut data[done..], HEADER + (offset + done) as u64)? {
                        0 => break,
                        count => done += count,
                    }
                }
            }
            Self::Memory(pages) => each_page(offset, len, |page, in_page, at, part| {
                if let Some(page) = pages.get(&page) {
                    data[at..at + part].copy_from_slice(&page[in_page..in_page + part]);
                }
            }),
        }
        Ok(data)
    }

    fn write(&mut self, offset: usize, data: &[u8]) -> io::Result<()> {
        match self {
            Self::Disk(file) => file.write_all_at(data, HEADER + offset as u64),
            Self::Memory(pages) => {
                each_page(offset, data.len(), |page, in_page, at, part| {
                    let page = pages.entry(page).or_insert_with(|| vec![0; PAGE].into());
                    page[in_page..in_page + part].copy_from_slice(&data[at..at + part]);
                });
                Ok(())
            }
        }
    }
}

fn each_page(offset: usize, len: usize, mut visit: impl FnMut(usize, usize, usize, usize)) {
    let mut done = 0;
    while done < len {
        let at = offset + done;
        let part = (PAGE - at % PAGE).min(len - done);
        visit(at / PAGE, at % PAGE, done, part);
        done += part;
    }
}

struct Snapshot {
    sn: u64,
    copied: Vec<bool>,
    data: Blob,
}

/// A chunk.
pub struct Chunk {
    path: Option<PathBuf>,
    block_size: usize,
    chunk_size: usize,
    sn: u64,
    corrected_sn: u64,
    data: Blob,
    snapshot: Option<Snapshot>,
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

impl Chunk {
    fn create(path: Option<PathBuf>, sn: u64, config: &StoreConfig) -> io::Result<Self> {
        let data = match &path {
            Some(path) => Blob::Disk(open(path)?),
            None => Blob::Memory(BTreeMap::new()),
        };
        let chunk = Self {
            path,
            block_size: config.block_size,
            chunk_size: config.chunk_size,
            sn,
            corrected_sn: 0,
            data,
            snapshot: None,
        };
        chunk.save()?;
        Ok(chunk)
    }

    fn load(path: PathBuf, config: &StoreConfig) -> io::Result<Self> {
        let file = open(&path)?;
        let mut header = [0; 24];
        file.read_exact_at(&mut header, 0)?;
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| header[at + n]));
        let (sn, corrected_sn, snapshot_sn) = (word(0), word(8), word(16));
        let snapshot = match snapshot_sn {
            0 => None,
            sn => {
                let file = open(&path.with_extension("snap"))?;
                let mut bits = vec![0; config.chunk_size / config.block_size];
                // A snapshot that has no block yet is an empty file.
                let _ = file.read_at(&mut bits, 0)?;
                Some(Snapshot {
                    sn,
                    copied: bits.into_iter().map(|bit| bit != 0).collect(),
                    data: Blob::Disk(file),
                })
            }
        };
        Ok(Self {
            path: Some(path),
            block_size: config.block_size,
            chunk_size: config.chunk_size,
            sn,
            corrected_sn,
            data: Blob::Disk(file),
            snapshot,
        })
    }

    fn save(&self) -> io::Result<()> {
        let Blob::Disk(file) = &self.data else {
            return Ok(());
        };
        let mut header = Vec::with_capacity(24);
        for word in [
            self.sn,
            self.corrected_sn,
            self.snapshot.as_ref().map_or(0, |snapshot| snapshot.sn),
        ] {
            header.extend_from_slice(&word.to_le_bytes());
        }
        file.write_all_at(&header, 0)
    }

    /// Its version, then its snapshot's.
    #[must_use]
    pub fn versions(&self) -> Vec<u64> {
        let snapshot = self.snapshot.iter().map(|snapshot| snapshot.sn);
        std::iter::once(self.sn).chain(snapshot).collect()
    }

    /// Reads what is written now.
    ///
    /// # Errors
    /// As the disk says.
    pub fn read(&self, offset: usize, len: usize) -> io::Result<Vec<u8>> {
        self.data.read(offset, len)
    }

    /// Writes with a version: the first newer one preserves what was there.
    ///
    /// # Errors
    /// As the disk says.
    pub fn write(&mut self, sn: u64, offset: usize, data: &[u8]) -> io::Result<ChunkStatus> {
        if sn < self.sn || sn < self.corrected_sn {
            return Ok(ChunkStatus::Backward);
        }
        let newer = sn > self.sn.max(self.corrected_sn);
        if newer && self.snapshot.is_some() {
            return Ok(ChunkStatus::FailureUnknown);
        }
        if newer {
            self.snapshot = Some(self.new_snapshot()?);
        }
        if sn > self.sn {
            self.sn = sn;
            self.save()?;
        }
        // After a corrected version nothing is preserved.
        if self.snapshot.is_some() && self.sn > self.corrected_sn {
            self.preserve(offset, data.len())?;
        }
        self.data.write(offset, data)?;
        Ok(ChunkStatus::Success)
    }

    fn new_snapshot(&self) -> io::Result<Snapshot> {
        let data = match &self.path {
            Some(path) => {
                let file = open(&path.with_extension("snap"))?;
                file.set_len(0)?;
                Blob::Disk(file)
            }
            None => Blob::Memory(BTreeMap::new()),
        };
        Ok(Snapshot {
            sn: self.sn,
            copied: vec![false; self.chunk_size / self.block_size],
            data,
        })
    }

    fn preserve(&mut self, offset: usize, len: usize) -> io::Result<()> {
        let Some(snapshot) = &mut self.snapshot else {
            return Ok(());
        };
        for block in offset / self.block_size..(offset + len).div_ceil(self.block_size) {
            if !snapshot.copied[block] {
                let old = self.data.read(block * self.block_size, self.block_size)?;
                snapshot.data.write(block * self.block_size, &old)?;
                snapshot.copied[block] = true;
                if let Blob::Disk(file) = &snapshot.data {
                    file.write_all_at(&[1], block as u64)?;
                }
            }
        }
        Ok(())
    }

    /// Reads a version; `None` if it has no such version.
    ///
    /// # Errors
    /// As the disk says.
    pub fn read_version(&self, sn: u64, offset: usize, len: usize) -> io::Result<Option<Vec<u8>>> {
        if sn == self.sn {
            return self.read(offset, len).map(Some);
        }
        let Some(snapshot) = self.snapshot.as_ref().filter(|snapshot| snapshot.sn == sn) else {
            return Ok(None);
        };
        let mut data = Vec::with_capacity(len);
        for block in offset / self.block_size..(offset + len) / self.block_size {
            let from = if snapshot.copied[block] {
                &snapshot.data
            } else {
                &self.data
            };
            data.extend(from.read(block * self.block_size, self.block_size)?);
        }
        Ok(Some(data))
    }

    /// Deletes the snapshot, or raises the version up to which writes make none.
    ///
    /// # Errors
    /// As the disk says.
    pub fn delete_snapshot(&mut self, corrected_sn: u64) -> io::Result<ChunkStatus> {
        if corrected_sn < self.sn || corrected_sn < self.corrected_sn {
            return Ok(ChunkStatus::Backward);
        }
        if self
            .snapshot
            .as_ref()
            .is_some_and(|snapshot| self.sn > snapshot.sn)
        {
            self.snapshot = None;
            if let Some(path) = &self.path {
                std::fs::remove_file(path.with_extension("snap"))?;
            }
        }
        if corrected_sn > self.corrected_sn.max(self.sn) {
            self.corrected_sn = corrected_sn;
        }
        self.save()?;
        Ok(ChunkStatus::Success)
    }
}

/// Sizes and place of chunks.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Where; in memory without.
    pub directory: Option<PathBuf>,
    /// Bytes.
    pub block_size: usize,
    /// Bytes.
    pub chunk_size: usize,
}

/// All chunks of a cluster.
pub struct Store {
    config: StoreConfig,
    chunks: Mutex<HashMap<u64, Arc<Mutex<Chunk>>>>,
}

/// Locks what a killed task may have left.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Loads what is there.
    ///
    /// # Errors
    /// As the disk says.
    pub fn open(config: StoreConfig) -> io::Result<Self> {
        let mut chunks = HashMap::new();
        if let Some(directory) = &config.directory {
            std::fs::create_dir_all(directory)?;
            for entry in std::fs::read_dir(directory)? {
                let path = entry?.path();
                let id = path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .and_then(|name| name.parse().ok());
                if let Some(id) = id {
                    chunks.insert(id, Arc::new(Mutex::new(Chunk::load(path, &config)?)));
                }
            }
        }
        Ok(Self {
            config,
            chunks: Mutex::new(chunks),
        })
    }

    /// A chunk that was written.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<Arc<Mutex<Chunk>>> {
        lock(&self.chunks).get(&id).cloned()
    }

    /// Writes, creating the chunk.
    ///
    /// # Errors
    /// As the disk says.
    pub fn write(&self, id: u64, sn: u64, offset: usize, data: &[u8]) -> io::Result<ChunkStatus> {
        if sn == 0 {
            return Ok(ChunkStatus::FailureUnknown);
        }
        let chunk = {
            let mut chunks = lock(&self.chunks);
            match chunks.get(&id) {
                Some(chunk) => chunk.clone(),
                None => {
                    let path = self
                        .config
                        .directory
                        .as_ref()
                        .map(|directory| directory.join(id.to_string()));
                    let chunk = Arc::new(Mutex::new(Chunk::create(path, sn, &self.config)?));
                    chunks.insert(id, chunk.clone());
                    chunk
                }
            }
        };
        lock(&chunk).write(sn, offset, data)
    }

    /// Deletes a chunk.
    ///
    /// # Errors
    /// As the disk says.
    pub fn delete(&self, id: u64) -> io::Result<()> {
        if lock(&self.chunks).remove(&id).is_some()
            && let Some(directory) = &self.config.directory
        {
            std::fs::remove_file(directory.join(id.to_string()))?;
        }
        Ok(())
    }

    /// Number of chunks.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.chunks).len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
