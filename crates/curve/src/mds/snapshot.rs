//! Snapshots of files. A file has at most one at a time; while it exists, writes carry the next version.

use super::{File, Mds, check_path, namespace::described, namespace_ok, refusal, status_of};
use crate::{
    error::Result,
    proto::{
        Request,
        namespace::{
            CheckSnapShotStatusRequest, CreateSnapShotRequest, DeleteSnapShotRequest, ListSnapShotRequest,
            StatusCode,
        },
    },
};

/// How far the deletion of a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotState {
    /// It exists.
    Present,
    /// It is being deleted; percent done.
    Deleting(u32),
    /// There is no such snapshot.
    Absent,
}

impl Mds {
    /// Makes a snapshot. Its version is the file's until then; the file's is one more afterwards, which writers learn from
    /// their next refresh. Drain writes before, so that it shows one point in time.
    ///
    /// # Errors
    /// `FileUnderSnapShot` (there is one), `ClientVersionNotMatch`, `SnapshotFrozen` (the MDS leads for less than 50 s).
    pub async fn create_snapshot(&self, path: &str) -> Result<File> {
        check_path(path)?;
        let before = self.file(path).await?;
        let answer = self
            .call(self.budget(), |stamp| CreateSnapShotRequest {
                file_name: path.to_owned(),
                owner: stamp.owner,
                signature: Some(stamp.signature),
                date: stamp.date,
            })
            .await?;
        let status = status_of(&answer.reply);
        let snapshot = answer.reply.snap_shot_file_info;
        let ours = answer.repeated && snapshot.as_ref().and_then(|info| info.seq_num) == Some(before.seq_num);
        match status {
            StatusCode::Ok => described::<CreateSnapShotRequest>(path, snapshot),
            StatusCode::FileUnderSnapShot if ours => described::<CreateSnapShotRequest>(path, snapshot),
            status => Err(refusal(CreateSnapShotRequest::METHOD, path, status)),
        }
    }

    /// Those of the snapshots with these versions that exist.
    ///
    /// # Errors
    /// `FileNotExists`, `OwnerAuthFail`.
    pub async fn snapshots(&self, path: &str, versions: &[u64]) -> Result<Vec<File>> {
        check_path(path)?;
        let answer = self
            .namespace(path, |stamp| ListSnapShotRequest {
                file_name: path.to_owned(),
                owner: stamp.owner,
                seq: versions.to_vec(),
                signature: Some(stamp.signature),
                date: stamp.date,
            })
            .await?;
        let files = answer.reply.file_info.into_iter();
        files.map(|info| File::from_info(path, info)).collect()
    }

    /// Begins to delete a snapshot; the MDS does it in the background.
    ///
    /// # Errors
    /// `SnapshotFileNotExists`.
    pub async fn delete_snapshot(&self, path: &str, version: u64) -> Result<()> {
        check_path(path)?;
        let answer = self
            .call(self.budget(), |stamp| DeleteSnapShotRequest {
                file_name: path.to_owned(),
                owner: stamp.owner,
                seq: version,
                signature: Some(stamp.signature),
                date: stamp.date,
            })
            .await?;
        match status_of(&answer.reply) {
            StatusCode::SnapshotDeleting => Ok(()),
            StatusCode::SnapshotFileNotExists if answer.repeated => Ok(()),
            _ => namespace_ok::<DeleteSnapShotRequest>(path, &answer.reply),
        }
    }

    /// Whether a snapshot is still there.
    ///
    /// # Errors
    /// `SnapshotFileDeleteError`: its deletion failed for good.
    pub async fn snapshot_state(&self, path: &str, version: u64) -> Result<SnapshotState> {
        check_path(path)?;
        let answer = self
            .call(self.budget(), |stamp| CheckSnapShotStatusRequest {
                file_name: path.to_owned(),
                owner: stamp.owner,
                seq: version,
                signature: Some(stamp.signature),
                date: stamp.date,
            })
            .await?;
        match status_of(&answer.reply) {
            StatusCode::SnapshotFileNotExists => Ok(SnapshotState::Absent),
            StatusCode::Ok => Ok(match answer.reply.file_status {
                Some(1) => SnapshotState::Deleting(answer.reply.progress.unwrap_or(0)),
                _ => SnapshotState::Present,
            }),
            status => Err(refusal(CheckSnapShotStatusRequest::METHOD, path, status)),
        }
    }
}
