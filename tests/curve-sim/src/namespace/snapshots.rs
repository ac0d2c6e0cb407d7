//! Snapshots: one at a time.

use curve::proto::namespace::{FileInfo, FileStatus, FileType, PageFileSegment, StatusCode};

use super::{Cleaning, Namespace, Outcome};

/// An opener whose version compares below this cannot live with snapshots.
const SNAPSHOT_VERSION: &str = "0.0.5.3";

impl Namespace {
    pub(super) fn snapshots_of(&self, id: u64) -> impl Iterator<Item = &FileInfo> {
        self.snapshots.range((id, 0)..(id + 1, 0)).map(|(_, info)| info)
    }

    /// `CreateSnapShot`. Where there is a snapshot already it is returned with the refusal.
    ///
    /// # Errors
    /// The MDS's, with what the reply holds.
    pub fn create_snapshot(&mut self, path: &str) -> Result<FileInfo, (StatusCode, Option<Box<FileInfo>>)> {
        let plain = |status| (status, None);
        let mut info = self.volume(path, StatusCode::NotSupported).map_err(plain)?;
        if !self.is_old_enough(10) {
            return Err((StatusCode::SnapshotFrozen, Some(Box::default())));
        }
        self.expire_records();
        let versions = self.records.iter().filter(|((file, ..), _)| file == path);
        if versions
            .map(|(_, record)| record.version.as_str())
            .min()
            .is_some_and(|lowest| lowest < SNAPSHOT_VERSION)
        {
            return Err((StatusCode::ClientVersionNotMatch, Some(Box::default())));
        }
        if let Some(existing) = self.snapshots_of(info.id()).next() {
            return Err((StatusCode::FileUnderSnapShot, Some(Box::new(existing.clone()))));
        }
        let mut snapshot = info.clone();
        snapshot.id = Some(self.next_inode);
        self.next_inode += 1;
        snapshot.file_type = Some(FileType::SnapshotPageFile.0);
        snapshot.ctime = Some(self.clock.now());
        snapshot.parent_id = info.id;
        snapshot.file_name = Some(format!("{}-{}", info.file_name(), info.seq_num()));
        snapshot.file_status = Some(FileStatus::Created.0);
        self.snapshots
            .insert((info.id(), info.seq_num()), snapshot.clone());
        info.seq_num = Some(info.seq_num() + 1);
        self.put(info);
        Ok(snapshot)
    }

    fn snapshot(&self, path: &str, seq: u64) -> Outcome<&FileInfo> {
        let id = self.file(path)?.id();
        self.snapshots
            .get(&(id, seq))
            .ok_or(StatusCode::SnapshotFileNotExists)
    }

    /// `ListSnapShot`.
    ///
    /// # Errors
    /// The MDS's.
    pub fn list_snapshots(&self, path: &str, seqs: &[u64]) -> Outcome<Vec<FileInfo>> {
        let id = self.volume(path, StatusCode::NotSupported)?.id();
        let snapshots = self.snapshots_of(id);
        Ok(snapshots
            .filter(|info| seqs.contains(&info.seq_num()))
            .cloned()
            .collect())
    }

    /// `GetSnapShotFileSegment`.
    ///
    /// # Errors
    /// The MDS's.
    pub fn snapshot_segment(&self, path: &str, seq: u64, offset: u64) -> Outcome<PageFileSegment> {
        let snapshot = self.snapshot(path, seq)?;
        let size = u64::from(snapshot.segment_size());
        if !offset.is_multiple_of(size) || offset.checked_add(size).is_none_or(|end| end > snapshot.length())
        {
            return Err(StatusCode::ParaError);
        }
        let key = (snapshot.parent_id(), offset);
        self.segments
            .get(&key)
            .cloned()
            .ok_or(StatusCode::SegmentNotAllocated)
    }

    /// `DeleteSnapShot`.
    ///
    /// # Errors
    /// The MDS's.
    pub fn delete_snapshot(&mut self, path: &str, seq: u64) -> Outcome<()> {
        let snapshot = self.snapshot(path, seq)?;
        if snapshot.file_status() == FileStatus::Deleting.0 {
            return Err(StatusCode::SnapshotDeleting);
        }
        let key = (snapshot.parent_id(), seq);
        if let Some(snapshot) = self.snapshots.get_mut(&key) {
            snapshot.file_status = Some(FileStatus::Deleting.0);
        }
        self.cleaning.push(Cleaning::Snapshot(key.0, key.1));
        Ok(())
    }

    /// `CheckSnapShotStatus`: status of the file, and percent done.
    ///
    /// # Errors
    /// The MDS's.
    pub fn snapshot_status(&self, path: &str, seq: u64) -> Outcome<(i32, u32)> {
        Ok((self.snapshot(path, seq)?.file_status(), 0))
    }

    /// A snapshot has been deleted.
    pub fn remove_snapshot(&mut self, file: u64, seq: u64) {
        self.snapshots.remove(&(file, seq));
    }
}
