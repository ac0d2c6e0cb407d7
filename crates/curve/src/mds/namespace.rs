//! Files, directories and segments.
//!
//! The MDS does not recognise a repeated call. Where an earlier try may have been run, a refusal that it would explain is
//! taken for success.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Answer, File, Geometry, Mds, Patience, check_path, namespace_ok, present, refusal, status_of};
use crate::{
    auth::Stamp,
    error::{Inconsistent, Result},
    proto::{
        Request,
        common::ChunkServerLocation,
        namespace::{
            ChangeOwnerRequest, CloseFileRequest, CreateFileRequest, DeAllocateSegmentRequest,
            DeleteFileRequest, ExtendFileRequest, FileInfo, FileType, FindFileMountPointRequest,
            GetAllocatedSizeRequest, GetFileInfoRequest, GetFileSizeRequest, GetOrAllocateSegmentRequest,
            IncreaseFileEpochRequest, ListDirRequest, OpenFileRequest, PageFileSegment,
            RefreshSessionRequest, RenameFileRequest, StatusCode,
        },
    },
};

/// Pause before an MDS that is too young to know who has files open is asked again.
const YOUNG_PAUSE: Duration = Duration::from_millis(250);

/// A volume to be created.
#[derive(Debug, Clone, Default)]
pub struct CreateVolume {
    /// Bytes: a multiple of the segment size (1 GiB), and at least the cluster's minimum (10 GiB by default).
    pub length: u64,
    /// Bytes of a stripe and number of chunks side by side.
    pub stripe: Option<(u64, u64)>,
    /// Name of the poolset; the cluster chooses without one.
    pub poolset: Option<String>,
}

/// What becomes of a deleted volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It moves to `/RecycleBin`; its space is not freed.
    Recycle,
    /// It is removed for good. Only below `/RecycleBin`, and only by the root owner.
    Force,
}

/// A chunk of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentChunk {
    /// Unique in the cluster and never used again.
    pub id: u64,
    /// In the segment's logical pool.
    pub copyset: u32,
}

/// An allocated segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Of all chunks.
    pub pool: u32,
    /// In the order of their offsets.
    pub chunks: Vec<SegmentChunk>,
}

fn stamped(path: &str, stamp: Stamp) -> (String, String, Option<String>, u64) {
    (path.to_owned(), stamp.owner, Some(stamp.signature), stamp.date)
}

/// Asks for what is at a path.
pub(super) fn file_info_request(path: &str, stamp: Stamp) -> GetFileInfoRequest {
    let (file_name, owner, signature, date) = stamped(path, stamp);
    GetFileInfoRequest {
        file_name,
        owner,
        signature,
        date,
    }
}

impl Mds {
    /// Makes a directory.
    ///
    /// # Errors
    /// `FileExists`, `FileNotExists` (its parent), `NotDirectory`, `OwnerAuthFail`.
    pub async fn create_directory(&self, path: &str) -> Result<()> {
        self.create(path, FileType::Directory, None).await
    }

    /// Creates a volume. It has no segments until it is written.
    ///
    /// # Errors
    /// `FileExists`, `FileNotExists` (its parent), `FileLengthNotSupported`, `ParaError` (stripes), `PoolsetNotExist`.
    pub async fn create_volume(&self, path: &str, volume: &CreateVolume) -> Result<()> {
        self.create(path, FileType::PageFile, Some(volume)).await
    }

    async fn create(&self, path: &str, file_type: FileType, volume: Option<&CreateVolume>) -> Result<()> {
        check_path(path)?;
        let (unit, count) = volume.and_then(|volume| volume.stripe).unwrap_or((0, 0));
        let answer = self
            .call(self.budget(), |stamp| {
                let (file_name, owner, signature, date) = stamped(path, stamp);
                CreateFileRequest {
                    file_name,
                    owner,
                    signature,
                    date,
                    file_type: file_type.0,
                    file_length: volume.map(|volume| volume.length),
                    stripe_unit: volume.map(|_| unit),
                    stripe_count: volume.map(|_| count),
                    poolset: volume.map(|volume| volume.poolset.clone().unwrap_or_default()),
                }
            })
            .await?;
        match status_of(&answer.reply) {
            StatusCode::Ok => Ok(()),
            StatusCode::FileExists
                if answer.repeated && self.is_as_created(path, file_type, volume).await? =>
            {
                Ok(())
            }
            status => Err(refusal(CreateFileRequest::METHOD, path, status)),
        }
    }

    /// Whether what has the name is what a lost try would have made.
    async fn is_as_created(
        &self,
        path: &str,
        file_type: FileType,
        volume: Option<&CreateVolume>,
    ) -> Result<bool> {
        let file = self.file(path).await?;
        Ok(file.file_type == file_type
            && file.owner == self.config().identity.name()
            && volume.is_none_or(|volume| volume.length == file.length))
    }

    /// Deletes a volume or an empty directory.
    ///
    /// # Errors
    /// `FileNotExists`, `DirNotEmpty`, `FileOccupied` (open somewhere), `FileUnderSnapShot`, `NotSupported`.
    pub async fn delete(&self, path: &str, deletion: Deletion) -> Result<()> {
        check_path(path)?;
        let answer = self
            .when_old_enough(|stamp| {
                let (file_name, owner, signature, date) = stamped(path, stamp);
                DeleteFileRequest {
                    file_name,
                    owner,
                    signature,
                    date,
                    file_id: None,
                    force_delete: Some(deletion == Deletion::Force),
                }
            })
            .await?;
        match status_of(&answer.reply) {
            StatusCode::Ok => Ok(()),
            StatusCode::FileNotExists | StatusCode::FileUnderDeleting if answer.repeated => Ok(()),
            status => Err(refusal(DeleteFileRequest::METHOD, path, status)),
        }
    }

    /// Renames a volume. One that has the new name moves to the recycle bin.
    ///
    /// # Errors
    /// As [`Mds::delete`], for both.
    pub async fn rename(&self, from: &str, to: &str) -> Result<()> {
        check_path(from)?;
        check_path(to)?;
        let answer = self
            .when_old_enough(|stamp| {
                let (old_file_name, owner, signature, date) = stamped(from, stamp);
                RenameFileRequest {
                    old_file_name,
                    new_file_name: to.to_owned(),
                    owner,
                    signature,
                    date,
                    ..Default::default()
                }
            })
            .await?;
        match status_of(&answer.reply) {
            StatusCode::Ok => Ok(()),
            StatusCode::FileNotExists if answer.repeated && self.file(to).await.is_ok() => Ok(()),
            status => Err(refusal(RenameFileRequest::METHOD, from, status)),
        }
    }

    /// Gives a file to another owner. Only for the root owner.
    ///
    /// # Errors
    /// `OwnerAuthFail`, `FileNotExists`, `FileOccupied`.
    pub async fn change_owner(&self, path: &str, new_owner: &str) -> Result<()> {
        check_path(path)?;
        let answer = self
            .when_old_enough(|stamp| ChangeOwnerRequest {
                file_name: path.to_owned(),
                new_owner: new_owner.to_owned(),
                root_owner: stamp.owner,
                signature: stamp.signature,
                date: stamp.date,
            })
            .await?;
        namespace_ok::<ChangeOwnerRequest>(path, &answer.reply)
    }

    /// An MDS that has just become leader does not know yet who has files open, and says `NotSupported`.
    async fn when_old_enough<R: Request>(
        &self,
        build: impl Fn(Stamp) -> R + Send + Sync,
    ) -> Result<Answer<R::Reply>> {
        let started = Instant::now();
        let mut repeated = false;
        loop {
            let mut answer = self.call(self.budget(), &build).await?;
            repeated |= answer.repeated;
            answer.repeated = repeated;
            let young = status_of(&answer.reply) == StatusCode::NotSupported;
            if !young || started.elapsed() + YOUNG_PAUSE >= self.config().mds_budget {
                return Ok(answer);
            }
            tokio::time::sleep(YOUNG_PAUSE).await;
        }
    }

    /// Makes a volume longer; the same length is fine.
    ///
    /// # Errors
    /// `ShrinkBiggerFile`, `ExtentUnitError` (not a multiple of the segment size), `FileLengthNotSupported`.
    pub async fn extend(&self, path: &str, length: u64) -> Result<()> {
        check_path(path)?;
        self.namespace(path, |stamp| {
            let (file_name, owner, signature, date) = stamped(path, stamp);
            ExtendFileRequest {
                file_name,
                owner,
                signature,
                date,
                new_size: length,
            }
        })
        .await?;
        Ok(())
    }

    /// A file or directory.
    ///
    /// # Errors
    /// `FileNotExists`, `OwnerAuthFail`.
    pub async fn file(&self, path: &str) -> Result<File> {
        check_path(path)?;
        let answer = self
            .namespace(path, |stamp| file_info_request(path, stamp))
            .await?;
        described::<GetFileInfoRequest>(path, answer.reply.file_info)
    }

    /// What is in a directory; all of it at once.
    ///
    /// # Errors
    /// `DirNotExist`, `NotDirectory`, `OwnerAuthFail`.
    pub async fn list(&self, path: &str) -> Result<Vec<File>> {
        check_path(path)?;
        let answer = self
            .namespace(path, |stamp| {
                let (file_name, owner, signature, date) = stamped(path, stamp);
                ListDirRequest {
                    file_name,
                    owner,
                    signature,
                    date,
                }
            })
            .await?;
        answer
            .reply
            .file_info
            .into_iter()
            .map(|info| File::from_info(path, info))
            .collect()
    }

    /// Opens a file. That records nothing: see [`Mds::refresh`].
    ///
    /// # Errors
    /// `FileNotExists`, `OwnerAuthFail`.
    pub async fn open(&self, path: &str) -> Result<File> {
        check_path(path)?;
        let answer = self
            .namespace(path, |stamp| {
                let (file_name, owner, signature, date) = stamped(path, stamp);
                OpenFileRequest {
                    file_name,
                    owner,
                    signature,
                    date,
                    client_version: Some(self.config().client_version.clone()),
                }
            })
            .await?;
        described::<OpenFileRequest>(path, answer.reply.file_info)
    }

    /// Keeps the record that this client has the file open, which expires after 50 s, and tells what the file is now.
    ///
    /// # Errors
    /// `FileNotExists`, `SessionNotExist`, `OwnerAuthFail`: the file is not ours any more.
    pub async fn refresh(&self, path: &str) -> Result<File> {
        let address = self.config().client_address;
        let answer = self
            .namespace(path, |stamp| {
                let (file_name, owner, signature, date) = stamped(path, stamp);
                RefreshSessionRequest {
                    file_name,
                    session_id: String::new(),
                    owner,
                    date,
                    signature,
                    client_version: Some(self.config().client_version.clone()),
                    client_ip: address.map(|address| address.ip().to_string()),
                    client_port: address.map(|address| address.port().into()),
                }
            })
            .await?;
        described::<RefreshSessionRequest>(path, answer.reply.file_info)
    }

    /// Removes the record that this client has the file open.
    ///
    /// # Errors
    /// `FileNotExists`, `OwnerAuthFail`.
    pub async fn close(&self, path: &str) -> Result<()> {
        let address = self.config().client_address;
        self.namespace(path, |stamp| {
            let (file_name, owner, signature, date) = stamped(path, stamp);
            CloseFileRequest {
                file_name,
                session_id: String::new(),
                owner,
                signature,
                date,
                client_ip: address.map(|address| address.ip().to_string()),
                client_port: address.map(|address| address.port().into()),
            }
        })
        .await?;
        Ok(())
    }

    /// Raises a file's epoch, and says which chunkservers are to be told.
    ///
    /// # Errors
    /// `FileNotExists`, `OwnerAuthFail`.
    pub async fn increase_epoch(&self, path: &str) -> Result<(File, Vec<ChunkServerLocation>)> {
        check_path(path)?;
        let answer = self
            .namespace(path, |stamp| {
                let (file_name, owner, signature, date) = stamped(path, stamp);
                IncreaseFileEpochRequest {
                    file_name,
                    owner,
                    signature,
                    date,
                }
            })
            .await?;
        let file = described::<IncreaseFileEpochRequest>(path, answer.reply.file_info)?;
        Ok((file, answer.reply.cs_locs))
    }

    /// Where a segment is; `None` if it is not allocated. I/O waits for this, so it goes on until an MDS answers.
    ///
    /// # Errors
    /// `ParaError` (past the end), `EpochTooOld`, `SegmentAllocateError` (no space).
    pub async fn segment(
        &self,
        path: &str,
        geometry: &Geometry,
        offset: u64,
        allocate: bool,
        epoch: Option<u64>,
    ) -> Result<Option<Segment>> {
        loop {
            let answer = self
                .call(Patience::Forever, |stamp| {
                    let (file_name, owner, signature, date) = stamped(path, stamp);
                    GetOrAllocateSegmentRequest {
                        file_name,
                        owner,
                        signature,
                        date,
                        offset,
                        allocate_if_not_exist: allocate,
                        seq_num: None,
                        epoch,
                    }
                })
                .await?;
            match status_of(&answer.reply) {
                StatusCode::Ok => {}
                StatusCode::SegmentNotAllocated if !allocate => return Ok(None),
                status => return Err(refusal(GetOrAllocateSegmentRequest::METHOD, path, status)),
            }
            let segment = present(
                GetOrAllocateSegmentRequest::METHOD,
                "a segment",
                answer.reply.page_file_segment,
            )?;
            // An allocation that is still under way has no chunks yet.
            if allocate && segment.chunks.is_empty() {
                tokio::time::sleep(self.config().mds_pause).await;
                continue;
            }
            return checked_segment(geometry, offset, segment).map(Some);
        }
    }

    /// Gives a segment back; it reads as zeros afterwards. One that is not allocated is fine.
    ///
    /// # Errors
    /// `FileUnderSnapShot`, `NotSupported` (source of a clone), `ParaError`.
    pub async fn deallocate_segment(&self, path: &str, offset: u64) -> Result<()> {
        let answer = self
            .call(self.budget(), |stamp| {
                let (file_name, owner, signature, date) = stamped(path, stamp);
                DeAllocateSegmentRequest {
                    file_name,
                    owner,
                    signature,
                    date,
                    offset,
                }
            })
            .await?;
        match status_of(&answer.reply) {
            StatusCode::Ok | StatusCode::SegmentNotAllocated => Ok(()),
            status => Err(refusal(DeAllocateSegmentRequest::METHOD, path, status)),
        }
    }

    /// Allocated bytes below a path, before replication, and the same by logical pool.
    ///
    /// # Errors
    /// `FileNotExists`.
    pub async fn allocated_size(&self, path: &str) -> Result<(u64, BTreeMap<u32, u64>)> {
        check_path(path)?;
        let answer = self
            .namespace(path, |_| GetAllocatedSizeRequest {
                file_name: path.to_owned(),
            })
            .await?;
        let pools = answer.reply.alloc_size_map;
        Ok((answer.reply.allocated_size.unwrap_or(0), pools))
    }

    /// Sum of the lengths of all volumes below a path.
    ///
    /// # Errors
    /// `FileNotExists`.
    pub async fn file_size(&self, path: &str) -> Result<u64> {
        check_path(path)?;
        let answer = self
            .namespace(path, |_| GetFileSizeRequest {
                file_name: path.to_owned(),
            })
            .await?;
        Ok(answer.reply.file_size.unwrap_or(0))
    }

    /// Address and port of each client that keeps a record of the file.
    ///
    /// # Errors
    /// `FileNotExists`.
    pub async fn mount_points(&self, path: &str) -> Result<Vec<(String, u32)>> {
        check_path(path)?;
        let answer = self
            .namespace(path, |_| FindFileMountPointRequest {
                file_name: path.to_owned(),
            })
            .await?;
        let clients = answer.reply.client_info.into_iter();
        Ok(clients
            .map(|client| (client.ip.unwrap_or_default(), client.port.unwrap_or(0)))
            .collect())
    }
}

pub(super) fn described<R: Request>(path: &str, info: Option<FileInfo>) -> Result<File> {
    File::from_info(path, present(R::METHOD, "a file", info)?)
}

fn checked_segment(geometry: &Geometry, offset: u64, segment: PageFileSegment) -> Result<Segment> {
    let wrong = |what| Inconsistent::Segment { offset, what };
    if segment.start_offset != offset {
        return Err(wrong("another offset").into());
    }
    if segment.chunks.len() != geometry.chunks_per_segment() as usize {
        return Err(wrong("another number of chunks").into());
    }
    let chunks = segment.chunks.iter().map(|chunk| SegmentChunk {
        id: chunk.chunk_id,
        copyset: chunk.copyset_id,
    });
    Ok(Segment {
        pool: segment.logical_pool_id,
        chunks: chunks.collect(),
    })
}
