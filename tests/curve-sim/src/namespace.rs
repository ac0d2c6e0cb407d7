//! The MDS's namespace: files, snapshots, segments. Rules as in CurveBS's `curvefs.cpp`.

pub mod files;
mod segments;
mod snapshots;

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use curve::{
    auth::sign,
    proto::namespace::{FileInfo, FileType, PageFileSegment, StatusCode},
};
use prost::Message;

use crate::{clock::Clock, config::SimConfig};

/// Inode of `/`.
pub const ROOT: u64 = 0;
/// Inode of `/RecycleBin`.
pub const RECYCLE_BIN: u64 = 1;
/// The root owner's name.
pub const ROOT_OWNER: &str = "root";
/// A date this far from the clock is refused, microseconds.
const MAX_SKEW: u64 = 15_000_000;

/// How a call of the namespace ends when it does not succeed.
pub type Outcome<T> = Result<T, StatusCode>;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Owner.
    pub owner: &'a str,
    /// Signature, if there is one.
    pub signature: Option<&'a str>,
    /// Client clock.
    pub date: u64,
}

/// What is left to do in the background.
#[derive(Debug, Clone, PartialEq)]
pub enum Cleaning {
    /// Delete these chunks.
    Chunks(Vec<u64>),
    /// Delete a file marked so, and its chunks.
    File(u64),
    /// Delete a snapshot of a file, by version.
    Snapshot(u64, u64),
}

#[derive(Clone, PartialEq, Message)]
struct StoredSegment {
    #[prost(uint64, required, tag = "1")]
    file: u64,
    #[prost(message, required, tag = "2")]
    segment: PageFileSegment,
}

/// What is kept on disk.
#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(uint64, required, tag = "1")]
    next_inode: u64,
    #[prost(uint64, required, tag = "2")]
    next_chunk: u64,
    #[prost(uint32, required, tag = "3")]
    next_copyset: u32,
    #[prost(message, repeated, tag = "4")]
    files: Vec<FileInfo>,
    #[prost(message, repeated, tag = "5")]
    snapshots: Vec<FileInfo>,
    #[prost(message, repeated, tag = "6")]
    segments: Vec<StoredSegment>,
}

struct Record {
    version: String,
    at: Instant,
}

/// The namespace, with what the leading MDS keeps in memory.
pub struct Namespace {
    config: SimConfig,
    clock: Arc<Clock>,
    path: Option<PathBuf>,
    next_inode: u64,
    next_chunk: u64,
    next_copyset: u32,
    /// By directory and name.
    files: BTreeMap<(u64, String), FileInfo>,
    /// By file and version.
    snapshots: BTreeMap<(u64, u64), FileInfo>,
    /// By file and offset.
    segments: BTreeMap<(u64, u64), PageFileSegment>,
    records: BTreeMap<(String, String, u32), Record>,
    leading_since: Instant,
    /// Not done yet.
    pub cleaning: Vec<Cleaning>,
}

impl Namespace {
    /// Loads what is there, or makes an empty namespace.
    ///
    /// # Errors
    /// As the disk says.
    pub fn open(config: SimConfig, clock: Arc<Clock>) -> io::Result<Self> {
        let path = config
            .directory
            .as_ref()
            .map(|directory| directory.join("namespace"));
        let mut namespace = Self {
            path,
            clock,
            next_inode: 3,
            next_chunk: 1,
            next_copyset: 1,
            files: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            segments: BTreeMap::new(),
            records: BTreeMap::new(),
            leading_since: Instant::now(),
            cleaning: Vec::new(),
            config,
        };
        match namespace.path.as_ref().map(std::fs::read) {
            Some(Ok(image)) => namespace.restore(Image::decode(&*image).map_err(io::Error::other)?),
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {
                let info = FileInfo {
                    id: Some(RECYCLE_BIN),
                    file_name: Some("RecycleBin".into()),
                    parent_id: Some(ROOT),
                    file_type: Some(FileType::Directory.0),
                    owner: Some(ROOT_OWNER.into()),
                    ctime: Some(namespace.clock.now()),
                    ..Default::default()
                };
                namespace.put(info);
            }
        }
        Ok(namespace)
    }

    fn restore(&mut self, image: Image) {
        (self.next_inode, self.next_chunk, self.next_copyset) =
            (image.next_inode, image.next_chunk, image.next_copyset);
        for file in image.files {
            if file.file_status == Some(1) {
                self.cleaning.push(Cleaning::File(file.id()));
            }
            self.put(file);
        }
        for snapshot in image.snapshots {
            let key = (snapshot.parent_id(), snapshot.seq_num());
            if snapshot.file_status == Some(1) {
                self.cleaning.push(Cleaning::Snapshot(key.0, key.1));
            }
            self.snapshots.insert(key, snapshot);
        }
        for stored in image.segments {
            self.segments
                .insert((stored.file, stored.segment.start_offset), stored.segment);
        }
    }

    /// Makes the state durable. Called after each change, before its reply.
    pub fn save(&self) {
        let Some(path) = &self.path else { return };
        let image = Image {
            next_inode: self.next_inode,
            next_chunk: self.next_chunk,
            next_copyset: self.next_copyset,
            files: self.files.values().cloned().collect(),
            snapshots: self.snapshots.values().cloned().collect(),
            segments: self
                .segments
                .iter()
                .map(|((file, _), segment)| StoredSegment {
                    file: *file,
                    segment: segment.clone(),
                })
                .collect(),
        };
        let new = path.with_extension("new");
        let saved = std::fs::write(&new, image.encode_to_vec()).and_then(|()| std::fs::rename(&new, path));
        if let Err(error) = saved {
            panic!("namespace not saved: {error}");
        }
    }

    /// Ids that come next, so that a recorded session gets the recorded ones.
    pub const fn set_next(&mut self, inode: u64, chunk: u64) {
        self.next_inode = inode;
        self.next_chunk = chunk;
    }

    /// Another MDS leads now: records are lost, and it is young.
    pub fn new_leader(&mut self) {
        self.records.clear();
        self.leading_since = Instant::now();
    }

    /// Puts a file where it is, whatever the rules say.
    pub fn put(&mut self, info: FileInfo) {
        let key = (info.parent_id(), info.file_name().to_owned());
        self.files.insert(key, info);
    }

    /// Epochs of all files that have one, as a chunkserver learns them when it starts.
    #[must_use]
    pub fn epochs(&self) -> Vec<(u64, u64)> {
        let files = self.files.values();
        files
            .filter_map(|file| file.epoch.map(|epoch| (file.id(), epoch)))
            .collect()
    }

    fn is_old_enough(&self, times: u32) -> bool {
        self.leading_since.elapsed() >= self.config.young * times
    }

    fn root_info() -> FileInfo {
        FileInfo {
            id: Some(ROOT),
            file_name: Some("/".into()),
            file_type: Some(FileType::Directory.0),
            owner: Some(ROOT_OWNER.into()),
            ..Default::default()
        }
    }

    fn check_date(&self, date: u64) -> Outcome<()> {
        if self.clock.now().abs_diff(date) < MAX_SKEW {
            Ok(())
        } else {
            Err(StatusCode::OwnerAuthFail)
        }
    }

    /// True: the root owner, who passes all checks.
    fn check_caller(&self, caller: Caller<'_>) -> Outcome<bool> {
        if caller.owner.is_empty() {
            return Err(StatusCode::OwnerAuthFail);
        }
        self.check_date(caller.date)?;
        if caller.owner != ROOT_OWNER {
            return Ok(false);
        }
        let expected = sign(&self.config.root_password, caller.date, caller.owner);
        if caller.signature == Some(expected.as_str()) {
            Ok(true)
        } else {
            Err(StatusCode::OwnerAuthFail)
        }
    }

    /// The directory and name of a path whose directories all belong to the caller.
    fn owned_directory<'p>(&self, path: &'p str, owner: &str) -> Outcome<(u64, &'p str)> {
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let last = parts.pop().ok_or(StatusCode::OwnerAuthFail)?;
        let mut directory = ROOT;
        for part in parts {
            let info = self.lookup(directory, part)?;
            if info.file_type() != FileType::Directory.0 {
                return Err(StatusCode::NotDirectory);
            }
            if info.owner() != owner {
                return Err(StatusCode::OwnerAuthFail);
            }
            directory = info.id();
        }
        Ok((directory, last))
    }

    /// `CheckFileOwner`: the directories and the file belong to the caller.
    ///
    /// # Errors
    /// `OwnerAuthFail`, `FileNotExists`, `NotDirectory`.
    pub fn check_file_owner(&self, path: &str, caller: Caller<'_>) -> Outcome<()> {
        check_path(path)?;
        if self.check_caller(caller)? {
            return Ok(());
        }
        let (directory, name) = self.owned_directory(path, caller.owner)?;
        let info = self.lookup(directory, name)?;
        if info.owner() == caller.owner {
            Ok(())
        } else {
            Err(StatusCode::OwnerAuthFail)
        }
    }

    /// `CheckPathOwner`: the directories belong to the caller.
    ///
    /// # Errors
    /// As [`Self::check_file_owner`].
    pub fn check_path_owner(&self, path: &str, caller: Caller<'_>) -> Outcome<()> {
        check_path(path)?;
        if self.check_caller(caller)? {
            return Ok(());
        }
        self.owned_directory(path, caller.owner).map(|_| ())
    }

    /// `CheckDestinationOwner`: the directories, and the file if there is one.
    ///
    /// # Errors
    /// As [`Self::check_file_owner`].
    pub fn check_destination_owner(&self, path: &str, caller: Caller<'_>) -> Outcome<()> {
        match self.check_file_owner(path, caller) {
            Err(StatusCode::FileNotExists) => self.check_path_owner(path, caller),
            other => other,
        }
    }

    /// `CheckRootOwner`.
    ///
    /// # Errors
    /// `OwnerAuthFail`.
    pub fn check_root_owner(&self, path: &str, caller: Caller<'_>) -> Outcome<()> {
        check_path(path)?;
        match self.check_caller(caller)? {
            true => Ok(()),
            false => Err(StatusCode::OwnerAuthFail),
        }
    }

    fn lookup(&self, directory: u64, name: &str) -> Outcome<&FileInfo> {
        self.files
            .get(&(directory, name.to_owned()))
            .ok_or(StatusCode::FileNotExists)
    }

    /// The directory and name of a path.
    fn walk<'p>(&self, path: &'p str) -> Outcome<(u64, &'p str)> {
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let Some(last) = parts.pop() else {
            return Ok((ROOT, ""));
        };
        let mut directory = ROOT;
        for part in parts {
            let info = self.lookup(directory, part)?;
            if info.file_type() != FileType::Directory.0 {
                return Err(StatusCode::NotDirectory);
            }
            directory = info.id();
        }
        Ok((directory, last))
    }

    /// `GetFileInfo`.
    ///
    /// # Errors
    /// `FileNotExists`.
    pub fn file(&self, path: &str) -> Outcome<FileInfo> {
        let (directory, name) = self.walk(path).map_err(|_| StatusCode::FileNotExists)?;
        if name.is_empty() {
            return Ok(Self::root_info());
        }
        self.lookup(directory, name).cloned()
    }

    fn volume(&self, path: &str, otherwise: StatusCode) -> Outcome<FileInfo> {
        let info = self.file(path)?;
        if info.file_type() == FileType::PageFile.0 {
            Ok(info)
        } else {
            Err(otherwise)
        }
    }

    /// `CheckFileCanChange`: no snapshot, no clone, nobody has it open.
    fn can_change(&mut self, path: &str, info: &FileInfo) -> Outcome<()> {
        if self.snapshots_of(info.id()).next().is_some() {
            return Err(StatusCode::FileUnderSnapShot);
        }
        if info.file_status() == 5 {
            return Err(StatusCode::DeleteFileBeingCloned);
        }
        if !self.is_old_enough(1) {
            return Err(StatusCode::NotSupported);
        }
        if self.mount_points(path).is_empty() {
            Ok(())
        } else {
            Err(StatusCode::FileOccupied)
        }
    }

    fn expire_records(&mut self) {
        let expiry: Duration = self.config.record_expiry;
        self.records.retain(|_, record| record.at.elapsed() < expiry);
    }

    /// Address and port of all records of a file.
    pub fn mount_points(&mut self, path: &str) -> Vec<(String, u32)> {
        self.expire_records();
        let records = self.records.keys().filter(|(file, ..)| file == path);
        records.map(|(_, ip, port)| (ip.clone(), *port)).collect()
    }

    /// `RefreshSession`.
    pub fn refresh(&mut self, path: &str, ip: String, port: u32, version: String) {
        let at = Instant::now();
        self.records
            .insert((path.to_owned(), ip, port), Record { version, at });
    }

    /// `CloseFile`.
    pub fn close(&mut self, path: &str, ip: String, port: u32) {
        self.records.remove(&(path.to_owned(), ip, port));
    }
}

/// `isPathValid`.
///
/// # Errors
/// `ParaError`.
pub fn check_path(path: &str) -> Outcome<()> {
    curve::mds::check_path(path).map_err(|_| StatusCode::ParaError)
}
