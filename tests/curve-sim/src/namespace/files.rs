//! Files and directories.

use curve::proto::namespace::{
    FileInfo, FileStatus, FileThrottleParams, FileType, StatusCode, ThrottleParams, ThrottleType,
};

use super::{Cleaning, Namespace, Outcome, RECYCLE_BIN};

/// A file to be created.
#[derive(Debug, Clone)]
pub struct NewFile<'a> {
    /// Owner.
    pub owner: &'a str,
    /// Type on the wire.
    pub file_type: i32,
    /// Bytes.
    pub length: u64,
    /// Bytes, or 0.
    pub stripe_unit: u64,
    /// Chunks, or 0.
    pub stripe_count: u64,
    /// Name, or empty.
    pub poolset: &'a str,
}

impl Namespace {
    /// `CreateFile`.
    ///
    /// # Errors
    /// The MDS's.
    pub fn create(&mut self, path: &str, new: &NewFile<'_>) -> Outcome<()> {
        let is_volume = match FileType(new.file_type) {
            FileType::PageFile => true,
            FileType::Directory => false,
            _ => return Err(StatusCode::NotSupported),
        };
        let mut poolset = new.poolset;
        if is_volume {
            if poolset.is_empty() {
                poolset = "default";
            } else if poolset != "default" {
                return Err(StatusCode::PoolsetNotExist);
            }
            let config = &self.config;
            let allowed = config.min_file_length..=config.max_file_length;
            if !allowed.contains(&new.length) || !new.length.is_multiple_of(config.segment_size.into()) {
                return Err(StatusCode::FileLengthNotSupported);
            }
        }
        if new.length > self.config.capacity.saturating_sub(self.allocated()) {
            return Err(StatusCode::FileLengthNotSupported);
        }
        self.check_stripe(new.stripe_unit, new.stripe_count)?;
        let (directory, name) = self.walk(path)?;
        if name.is_empty() || self.lookup(directory, name).is_ok() {
            return Err(StatusCode::FileExists);
        }
        let info = FileInfo {
            id: Some(self.next_inode),
            file_name: Some(name.to_owned()),
            parent_id: Some(directory),
            file_type: Some(new.file_type),
            owner: Some(new.owner.to_owned()),
            chunk_size: Some(self.config.chunk_size),
            segment_size: Some(self.config.segment_size),
            length: Some(new.length),
            ctime: Some(self.clock.now()),
            seq_num: Some(1),
            file_status: Some(FileStatus::Created.0),
            stripe_unit: Some(new.stripe_unit),
            stripe_count: Some(new.stripe_count),
            throttle_params: is_volume.then(|| default_throttle(new.length)),
            poolset: Some(poolset.to_owned()),
            block_size: Some(self.config.block_size),
            ..Default::default()
        };
        self.next_inode += 1;
        self.put(info);
        Ok(())
    }

    fn check_stripe(&self, unit: u64, count: u64) -> Outcome<()> {
        let (chunk, segment) = (
            u64::from(self.config.chunk_size),
            u64::from(self.config.segment_size),
        );
        let fits = match (unit, count) {
            (0, 0) => true,
            (0, _) | (_, 0) => false,
            (unit, count) => {
                unit <= chunk
                    && chunk.is_multiple_of(unit)
                    && chunk.is_multiple_of(count)
                    && unit.is_multiple_of(4096)
                    && count <= segment / chunk
                    && (count != 1 || unit == chunk)
            }
        };
        if fits { Ok(()) } else { Err(StatusCode::ParaError) }
    }

    /// `DeleteFile`.
    ///
    /// # Errors
    /// The MDS's.
    pub fn delete(&mut self, path: &str, id: Option<u64>, force: bool) -> Outcome<()> {
        let (directory, name) = self.walk(path)?;
        if name.is_empty() {
            return Err(StatusCode::ParaError);
        }
        let info = self.lookup(directory, name)?.clone();
        if id.is_some_and(|id| id != info.id()) {
            return Err(StatusCode::FileIdNotMatch);
        }
        match FileType(info.file_type()) {
            FileType::Directory => {
                if self.list_directory(info.id()).next().is_some() {
                    return Err(StatusCode::DirNotEmpty);
                }
                self.files.remove(&(directory, name.to_owned()));
                Ok(())
            }
            FileType::PageFile => {
                match self.can_change(path, &info) {
                    // Whether there is a clone knows only a server that is not there.
                    Err(StatusCode::DeleteFileBeingCloned) => {
                        return Err(StatusCode::SnapshotCloneServerNotInit);
                    }
                    other => other?,
                }
                if force {
                    self.purge(info)
                } else {
                    let suffix = format!("-{}", self.clock.now() / 1_000_000);
                    self.recycle(path, info, &suffix);
                    Ok(())
                }
            }
            _ => Err(StatusCode::NotSupported),
        }
    }

    fn purge(&mut self, mut info: FileInfo) -> Outcome<()> {
        if info.parent_id() != RECYCLE_BIN {
            return Err(StatusCode::NotSupported);
        }
        if info.file_status() == FileStatus::Deleting.0 {
            return Err(StatusCode::FileUnderDeleting);
        }
        info.file_status = Some(FileStatus::Deleting.0);
        self.cleaning.push(Cleaning::File(info.id()));
        self.put(info);
        Ok(())
    }

    fn recycle(&mut self, path: &str, mut info: FileInfo, suffix: &str) {
        self.files
            .remove(&(info.parent_id(), info.file_name().to_owned()));
        info.file_name = Some(format!("{}-{}{suffix}", info.file_name(), info.id()));
        info.parent_id = Some(RECYCLE_BIN);
        info.original_full_path_name = Some(path.to_owned());
        self.put(info);
    }

    /// `RenameFile`.
    ///
    /// # Errors
    /// The MDS's.
    pub fn rename(&mut self, from: &str, to: &str, ids: (Option<u64>, Option<u64>)) -> Outcome<()> {
        if from == "/" || to == "/" {
            return Err(StatusCode::ParaError);
        }
        if from == to {
            return Err(StatusCode::FileExists);
        }
        let mut info = self.file(from)?;
        if ids.0.is_some_and(|id| id != info.id()) {
            return Err(StatusCode::FileIdNotMatch);
        }
        if info.file_type() != FileType::PageFile.0 {
            return Err(StatusCode::NotSupported);
        }
        self.can_change(from, &info)?;
        let (directory, name) = self.walk(to).map_err(|_| StatusCode::FileNotExists)?;
        if let Ok(existing) = self.lookup(directory, name).cloned() {
            if ids.1.is_some_and(|id| id != existing.id()) {
                return Err(StatusCode::FileIdNotMatch);
            }
            if existing.file_type() != FileType::PageFile.0 {
                return Err(StatusCode::FileExists);
            }
            self.can_change(to, &existing)?;
            self.recycle(to, existing, "");
        }
        self.files
            .remove(&(info.parent_id(), info.file_name().to_owned()));
        info.parent_id = Some(directory);
        info.file_name = Some(name.to_owned());
        self.put(info);
        Ok(())
    }

    /// `ExtendFile`.
    ///
    /// # Errors
    /// The MDS's.
    pub fn extend(&mut self, path: &str, length: u64) -> Outcome<()> {
        let mut info = self.volume(path, StatusCode::NotSupported)?;
        if length > self.config.max_file_length {
            return Err(StatusCode::FileLengthNotSupported);
        }
        let Some(more) = length.checked_sub(info.length()) else {
            return Err(StatusCode::ShrinkBiggerFile);
        };
        if !more.is_multiple_of(info.segment_size().into()) {
            return Err(StatusCode::ExtentUnitError);
        }
        if info.throttle_params == Some(default_throttle(info.length())) {
            info.throttle_params = Some(default_throttle(length));
        }
        info.length = Some(length);
        self.put(info);
        Ok(())
    }

    /// `ChangeOwner`.
    ///
    /// # Errors
    /// The MDS's.
    pub fn change_owner(&mut self, path: &str, owner: &str) -> Outcome<()> {
        let mut info = self.file(path)?;
        if info.owner() == owner {
            return Ok(());
        }
        match FileType(info.file_type()) {
            FileType::PageFile => self.can_change(path, &info)?,
            FileType::Directory if self.list_directory(info.id()).next().is_none() => {}
            FileType::Directory => return Err(StatusCode::DirNotEmpty),
            _ => return Err(StatusCode::NotSupported),
        }
        info.owner = Some(owner.to_owned());
        self.put(info);
        Ok(())
    }

    pub(super) fn list_directory(&self, id: u64) -> impl Iterator<Item = &FileInfo> {
        let files = self.files.range((id, String::new())..(id + 1, String::new()));
        files.map(|(_, info)| info)
    }

    /// `ListDir`.
    ///
    /// # Errors
    /// The MDS's.
    pub fn list(&self, path: &str) -> Outcome<Vec<FileInfo>> {
        let info = self.file(path).map_err(|_| StatusCode::DirNotExist)?;
        if info.file_type() != FileType::Directory.0 {
            return Err(StatusCode::NotDirectory);
        }
        Ok(self.list_directory(info.id()).cloned().collect())
    }

    /// `OpenFile`.
    ///
    /// # Errors
    /// The MDS's.
    pub fn open_file(&self, path: &str) -> Outcome<FileInfo> {
        self.volume(path, StatusCode::NotSupported)
    }

    /// `IncreaseFileEpoch`.
    ///
    /// # Errors
    /// The MDS's.
    pub fn increase_epoch(&mut self, path: &str) -> Outcome<FileInfo> {
        let (directory, name) = self.walk(path).map_err(|_| StatusCode::FileNotExists)?;
        if name.is_empty() {
            return Err(StatusCode::ParaError);
        }
        let mut info = self.lookup(directory, name)?.clone();
        info.epoch = Some(info.epoch.unwrap_or(0) + 1);
        self.put(info.clone());
        Ok(info)
    }

    /// `SetCloneFileStatus`, as far as it serves tests: sets a file's status.
    ///
    /// # Errors
    /// `FileNotExists`.
    pub fn set_status(&mut self, path: &str, status: FileStatus) -> Outcome<()> {
        let mut info = self.file(path)?;
        info.file_status = Some(status.0);
        self.put(info);
        Ok(())
    }

    /// Volumes at or below a path, with their lengths.
    ///
    /// # Errors
    /// `FileNotExists`.
    pub fn volumes_below(&self, path: &str) -> Outcome<Vec<FileInfo>> {
        let mut todo = vec![self.file(path)?];
        let mut volumes = Vec::new();
        while let Some(info) = todo.pop() {
            if info.file_type() == FileType::Directory.0 {
                todo.extend(self.list_directory(info.id()).cloned());
            } else {
                volumes.push(info);
            }
        }
        Ok(volumes)
    }
}

/// Limits of a new file: by its length, between a floor and a ceiling.
fn default_throttle(length: u64) -> FileThrottleParams {
    let gib = length >> 30;
    let limit = |kind: ThrottleType, limit: u64| ThrottleParams {
        kind: kind.0,
        limit,
        burst: None,
        burst_length: None,
    };
    // 0.3 MiB for each GiB, between 120 and 260 MiB.
    let bytes = (gib * 3 * (1 << 20) / 10).clamp(120 << 20, 260 << 20);
    FileThrottleParams {
        throttle_params: vec![
            limit(ThrottleType::IopsTotal, (gib * 30).clamp(2000, 26_000)),
            limit(ThrottleType::BpsTotal, bytes),
        ],
    }
}
