//! Messages of the MDS's namespace (`nameserver2.proto`).
//!
//! Mind the numbers of owner, date and signature: they differ in almost every message.

use super::{methods, replies, wire_enum};

/// `curve.mds.CurveFSService`.
pub const SERVICE: &str = "curve.mds.CurveFSService";

wire_enum! {
    /// `StatusCode` of the MDS.
    StatusCode {
        /// `kOK`.
        OK = 0,
        /// `kFileExists`.
        FileExists = 101,
        /// `kFileNotExists`.
        FileNotExists = 102,
        /// `kNotDirectory`.
        NotDirectory = 103,
        /// `kParaError`.
        ParaError = 104,
        /// `kShrinkBiggerFile`.
        ShrinkBiggerFile = 105,
        /// `kExtentUnitError`.
        ExtentUnitError = 106,
        /// `kSegmentNotAllocated`.
        SegmentNotAllocated = 107,
        /// `kSegmentAllocateError`.
        SegmentAllocateError = 108,
        /// `kDirNotExist`.
        DirNotExist = 109,
        /// `kNotSupported`.
        NotSupported = 110,
        /// `kOwnerAuthFail`.
        OwnerAuthFail = 111,
        /// `kDirNotEmpty`.
        DirNotEmpty = 112,
        /// `kFileUnderSnapShot`.
        FileUnderSnapShot = 120,
        /// `kFileNotUnderSnapShot`.
        FileNotUnderSnapShot = 121,
        /// `kSnapshotDeleting`.
        SnapshotDeleting = 122,
        /// `kSnapshotFileNotExists`.
        SnapshotFileNotExists = 123,
        /// `kSnapshotFileDeleteError`.
        SnapshotFileDeleteError = 124,
        /// `kSessionNotExist`.
        SessionNotExist = 125,
        /// `kFileOccupied`.
        FileOccupied = 126,
        /// `kCloneFileNameIllegal`.
        CloneFileNameIllegal = 127,
        /// `kCloneStatusNotMatch`.
        CloneStatusNotMatch = 128,
        /// `kCommonFileDeleteError`.
        CommonFileDeleteError = 129,
        /// `kFileIdNotMatch`.
        FileIdNotMatch = 130,
        /// `kFileUnderDeleting`.
        FileUnderDeleting = 131,
        /// `kFileLengthNotSupported`.
        FileLengthNotSupported = 132,
        /// `kDeleteFileBeingCloned`.
        DeleteFileBeingCloned = 133,
        /// `kClientVersionNotMatch`.
        ClientVersionNotMatch = 134,
        /// `kSnapshotFrozen`.
        SnapshotFrozen = 135,
        /// `kSnapshotCloneConnectFail`.
        SnapshotCloneConnectFail = 136,
        /// `kSnapshotCloneServerNotInit`.
        SnapshotCloneServerNotInit = 137,
        /// `kRecoverFileCloneMetaInstalled`.
        RecoverFileCloneMetaInstalled = 138,
        /// `kRecoverFileError`.
        RecoverFileError = 139,
        /// `kEpochTooOld`.
        EpochTooOld = 140,
        /// `kPoolsetNotExist`.
        PoolsetNotExist = 141,
        /// `kStorageError`.
        StorageError = 501,
        /// `kInternalError`.
        InternalError = 502,
    }
}

wire_enum! {
    /// `FileType`.
    FileType {
        /// A directory.
        Directory = 0,
        /// A volume.
        PageFile = 1,
        /// A snapshot of a volume.
        SnapshotPageFile = 4,
    }
}

wire_enum! {
    /// `FileStatus`.
    FileStatus {
        /// In use.
        Created = 0,
        /// Being removed in the background.
        Deleting = 1,
        /// A clone without its metadata.
        Cloning = 2,
        /// A clone that reads its source.
        CloneMetaInstalled = 3,
        /// A clone with all its data.
        Cloned = 4,
        /// Source of a clone.
        BeingCloned = 5,
    }
}

wire_enum! {
    /// `ThrottleType`.
    ThrottleType {
        /// Requests a second.
        IopsTotal = 1,
        /// Reads a second.
        IopsRead = 2,
        /// Writes a second.
        IopsWrite = 3,
        /// Bytes a second.
        BpsTotal = 4,
        /// Bytes read a second.
        BpsRead = 5,
        /// Bytes written a second.
        BpsWrite = 6,
    }
}

/// One limit.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ThrottleParams {
    /// [`ThrottleType`].
    #[prost(int32, required, tag = "1")]
    pub kind: i32,
    /// A second; 0 is none.
    #[prost(uint64, required, tag = "2")]
    pub limit: u64,
    /// A second, while a burst lasts.
    #[prost(uint64, optional, tag = "3")]
    pub burst: Option<u64>,
    /// Seconds.
    #[prost(uint64, optional, tag = "4")]
    pub burst_length: Option<u64>,
}

/// Limits of a file; clients enforce them on themselves.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FileThrottleParams {
    /// The limits.
    #[prost(message, repeated, tag = "1")]
    pub throttle_params: Vec<ThrottleParams>,
}

/// `FileInfo`: a file or directory.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FileInfo {
    /// Inode.
    #[prost(uint64, optional, tag = "1")]
    pub id: Option<u64>,
    /// The last component of the path.
    #[prost(string, optional, tag = "2")]
    pub file_name: Option<String>,
    /// Inode of the directory.
    #[prost(uint64, optional, tag = "3")]
    pub parent_id: Option<u64>,
    /// [`FileType`].
    #[prost(int32, optional, tag = "4")]
    pub file_type: Option<i32>,
    /// Owner.
    #[prost(string, optional, tag = "5")]
    pub owner: Option<String>,
    /// Bytes.
    #[prost(uint32, optional, tag = "6")]
    pub chunk_size: Option<u32>,
    /// Bytes.
    #[prost(uint32, optional, tag = "7")]
    pub segment_size: Option<u32>,
    /// Bytes.
    #[prost(uint64, optional, tag = "8")]
    pub length: Option<u64>,
    /// Microseconds since the epoch.
    #[prost(uint64, optional, tag = "9")]
    pub ctime: Option<u64>,
    /// The version that writes carry.
    #[prost(uint64, optional, tag = "10")]
    pub seq_num: Option<u64>,
    /// [`FileStatus`].
    #[prost(int32, optional, tag = "11")]
    pub file_status: Option<i32>,
    /// Where a file in the recycle bin was.
    #[prost(string, optional, tag = "12")]
    pub original_full_path_name: Option<String>,
    /// Path of a clone's source.
    #[prost(string, optional, tag = "13")]
    pub clone_source: Option<String>,
    /// Bytes of the source.
    #[prost(uint64, optional, tag = "14")]
    pub clone_length: Option<u64>,
    /// Bytes; 0 is not striped.
    #[prost(uint64, optional, tag = "15")]
    pub stripe_unit: Option<u64>,
    /// Chunks side by side.
    #[prost(uint64, optional, tag = "16")]
    pub stripe_count: Option<u64>,
    /// Limits.
    #[prost(message, optional, tag = "17")]
    pub throttle_params: Option<FileThrottleParams>,
    /// The fence; absent is 0.
    #[prost(uint64, optional, tag = "18")]
    pub epoch: Option<u64>,
    /// Name of the poolset.
    #[prost(string, optional, tag = "19")]
    pub poolset: Option<String>,
    /// 512 or 4096; absent is 4096.
    #[prost(uint32, optional, tag = "20")]
    pub block_size: Option<u32>,
}

/// A chunk of a segment.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PageFileChunkInfo {
    /// Unique in the cluster.
    #[prost(uint64, required, tag = "2")]
    pub chunk_id: u64,
    /// In the segment's logical pool.
    #[prost(uint32, required, tag = "3")]
    pub copyset_id: u32,
}

/// `PageFileSegment`: where a segment's chunks are, in the order of their offsets.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PageFileSegment {
    /// Of all the chunks.
    #[prost(uint32, required, tag = "1")]
    pub logical_pool_id: u32,
    /// In the file.
    #[prost(uint64, required, tag = "2")]
    pub start_offset: u64,
    /// Bytes.
    #[prost(uint32, required, tag = "3")]
    pub segment_size: u32,
    /// Bytes.
    #[prost(uint32, required, tag = "4")]
    pub chunk_size: u32,
    /// The chunks.
    #[prost(message, repeated, tag = "5")]
    pub chunks: Vec<PageFileChunkInfo>,
}

/// `ProtoSession`: not a lock, only how often to refresh.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProtoSession {
    /// Empty.
    #[prost(string, optional, tag = "1")]
    pub session_id: Option<String>,
    /// Microseconds.
    #[prost(uint32, optional, tag = "2")]
    pub lease_time: Option<u32>,
    /// Microseconds since the epoch.
    #[prost(uint64, optional, tag = "3")]
    pub create_time: Option<u64>,
    /// 0.
    #[prost(int32, optional, tag = "4")]
    pub session_status: Option<i32>,
}

/// Where a file is in use.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ClientInfo {
    /// Address.
    #[prost(string, optional, tag = "1")]
    pub ip: Option<String>,
    /// Port.
    #[prost(uint32, optional, tag = "2")]
    pub port: Option<u32>,
}

/// A reply that is a status only.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StatusResponse {
    /// [`StatusCode`].
    #[prost(int32, optional, tag = "1")]
    pub status_code: Option<i32>,
}

/// A reply with one file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FileInfoResponse {
    /// [`StatusCode`].
    #[prost(int32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// The file.
    #[prost(message, optional, tag = "2")]
    pub file_info: Option<FileInfo>,
}

/// A reply with any number of files.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FileListResponse {
    /// [`StatusCode`].
    #[prost(int32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// The files.
    #[prost(message, repeated, tag = "2")]
    pub file_info: Vec<FileInfo>,
}

/// A reply with a segment.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SegmentResponse {
    /// [`StatusCode`].
    #[prost(int32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// The segment.
    #[prost(message, optional, tag = "2")]
    pub page_file_segment: Option<PageFileSegment>,
}

/// Reply of `CheckSnapShotStatus`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckSnapShotStatusResponse {
    /// [`StatusCode`].
    #[prost(int32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// [`FileStatus`].
    #[prost(int32, optional, tag = "2")]
    pub file_status: Option<i32>,
    /// Percent.
    #[prost(uint32, optional, tag = "3")]
    pub progress: Option<u32>,
}

/// Reply of `OpenFile`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OpenFileResponse {
    /// [`StatusCode`].
    #[prost(int32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// How often to refresh.
    #[prost(message, optional, tag = "2")]
    pub proto_session: Option<ProtoSession>,
    /// The file.
    #[prost(message, optional, tag = "3")]
    pub file_info: Option<FileInfo>,
}

/// Reply of `RefreshSession`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RefreshSessionResponse {
    /// [`StatusCode`].
    #[prost(int32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// Echo.
    #[prost(string, optional, tag = "2")]
    pub session_id: Option<String>,
    /// The file.
    #[prost(message, optional, tag = "3")]
    pub file_info: Option<FileInfo>,
    /// Not sent.
    #[prost(message, optional, tag = "4")]
    pub proto_session: Option<ProtoSession>,
}

/// Reply of `IncreaseFileEpoch`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct IncreaseFileEpochResponse {
    /// [`StatusCode`].
    #[prost(int32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// The file, with its new epoch.
    #[prost(message, optional, tag = "2")]
    pub file_info: Option<FileInfo>,
    /// All chunkservers.
    #[prost(message, repeated, tag = "3")]
    pub cs_locs: Vec<super::topology::ChunkServerLocation>,
}

/// Reply of `GetAllocatedSize`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AllocatedSizeResponse {
    /// [`StatusCode`].
    #[prost(int32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// Bytes, before replication.
    #[prost(uint64, optional, tag = "2")]
    pub allocated_size: Option<u64>,
    /// The same for each logical pool.
    #[prost(message, repeated, tag = "3")]
    pub alloc_size_map: Vec<PoolSize>,
}

/// Reply of `GetFileSize`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FileSizeResponse {
    /// [`StatusCode`].
    #[prost(int32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// Bytes.
    #[prost(uint64, optional, tag = "2")]
    pub file_size: Option<u64>,
}

/// Reply of `FindFileMountPoint`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FindFileMountPointResponse {
    /// [`StatusCode`].
    #[prost(int32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// Who refreshes a record of the file.
    #[prost(message, repeated, tag = "2")]
    pub client_info: Vec<ClientInfo>,
}

/// An entry of a map from logical pool to bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PoolSize {
    /// Logical pool.
    #[prost(uint32, optional, tag = "1")]
    pub key: Option<u32>,
    /// Bytes.
    #[prost(uint64, optional, tag = "2")]
    pub value: Option<u64>,
}

/// Request of `CreateFile`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CreateFileRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
    /// Who asks.
    #[prost(string, required, tag = "2")]
    pub owner: String,
    /// [`FileType`].
    #[prost(int32, required, tag = "3")]
    pub file_type: i32,
    /// Bytes; volumes only.
    #[prost(uint64, optional, tag = "4")]
    pub file_length: Option<u64>,
    /// Proof of the root owner; empty or absent for others.
    #[prost(string, optional, tag = "5")]
    pub signature: Option<String>,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "6")]
    pub date: u64,
    /// Bytes; 0 is not striped.
    #[prost(uint64, optional, tag = "7")]
    pub stripe_unit: Option<u64>,
    /// Chunks side by side.
    #[prost(uint64, optional, tag = "8")]
    pub stripe_count: Option<u64>,
    /// Empty: the cluster chooses.
    #[prost(string, optional, tag = "9")]
    pub poolset: Option<String>,
}

/// Request of `DeleteFile`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeleteFileRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
    /// Who asks.
    #[prost(string, required, tag = "2")]
    pub owner: String,
    /// Proof of the root owner; empty or absent for others.
    #[prost(string, optional, tag = "3")]
    pub signature: Option<String>,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "4")]
    pub date: u64,
    /// Only if this is the inode.
    #[prost(uint64, optional, tag = "5")]
    pub file_id: Option<u64>,
    /// Out of the recycle bin, for good.
    #[prost(bool, optional, tag = "6")]
    pub force_delete: Option<bool>,
}

/// Request of `GetFileInfo`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetFileInfoRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
    /// Who asks.
    #[prost(string, required, tag = "2")]
    pub owner: String,
    /// Proof of the root owner; empty or absent for others.
    #[prost(string, optional, tag = "3")]
    pub signature: Option<String>,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "4")]
    pub date: u64,
}

/// Request of `GetOrAllocateSegment`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetOrAllocateSegmentRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
    /// Who asks.
    #[prost(string, required, tag = "2")]
    pub owner: String,
    /// In the file, a multiple of the segment size.
    #[prost(uint64, required, tag = "3")]
    pub offset: u64,
    /// Allocate it.
    #[prost(bool, required, tag = "4")]
    pub allocate_if_not_exist: bool,
    /// Ignored.
    #[prost(uint64, optional, tag = "5")]
    pub seq_num: Option<u64>,
    /// Proof of the root owner; empty or absent for others.
    #[prost(string, optional, tag = "6")]
    pub signature: Option<String>,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "7")]
    pub date: u64,
    /// The epoch the writer was given.
    #[prost(uint64, optional, tag = "8")]
    pub epoch: Option<u64>,
}

/// Request of `GetSnapShotFileSegment`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetSnapShotFileSegmentRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
    /// Who asks.
    #[prost(string, required, tag = "2")]
    pub owner: String,
    /// In the file, a multiple of the segment size.
    #[prost(uint64, required, tag = "3")]
    pub offset: u64,
    /// False.
    #[prost(bool, required, tag = "4")]
    pub allocate_if_not_exist: bool,
    /// The snapshot.
    #[prost(uint64, optional, tag = "5")]
    pub seq_num: Option<u64>,
    /// Proof of the root owner; empty or absent for others.
    #[prost(string, optional, tag = "6")]
    pub signature: Option<String>,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "7")]
    pub date: u64,
}

/// Request of `DeAllocateSegment`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeAllocateSegmentRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
    /// Who asks.
    #[prost(string, required, tag = "2")]
    pub owner: String,
    /// In the file, a multiple of the segment size.
    #[prost(uint64, required, tag = "3")]
    pub offset: u64,
    /// Proof of the root owner; empty or absent for others.
    #[prost(string, optional, tag = "4")]
    pub signature: Option<String>,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "5")]
    pub date: u64,
}

/// Request of `RenameFile`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RenameFileRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub old_file_name: String,
    /// Absolute path.
    #[prost(string, required, tag = "2")]
    pub new_file_name: String,
    /// Who asks.
    #[prost(string, required, tag = "3")]
    pub owner: String,
    /// Proof of the root owner; empty or absent for others.
    #[prost(string, optional, tag = "4")]
    pub signature: Option<String>,
    /// Only if this is the inode.
    #[prost(uint64, optional, tag = "5")]
    pub old_file_id: Option<u64>,
    /// Only if this is what is replaced.
    #[prost(uint64, optional, tag = "6")]
    pub new_file_id: Option<u64>,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "7")]
    pub date: u64,
}

/// Request of `ExtendFile`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExtendFileRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
    /// Who asks.
    #[prost(string, required, tag = "2")]
    pub owner: String,
    /// Bytes.
    #[prost(uint64, required, tag = "3")]
    pub new_size: u64,
    /// Proof of the root owner; empty or absent for others.
    #[prost(string, optional, tag = "4")]
    pub signature: Option<String>,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "5")]
    pub date: u64,
}

/// Request of `ChangeOwner`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChangeOwnerRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
    /// Whose it becomes.
    #[prost(string, required, tag = "2")]
    pub new_owner: String,
    /// Who asks; only root may.
    #[prost(string, required, tag = "3")]
    pub root_owner: String,
    /// Proof of the root owner.
    #[prost(string, required, tag = "4")]
    pub signature: String,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "5")]
    pub date: u64,
}

/// Request of `ListDir`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListDirRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
    /// Who asks.
    #[prost(string, required, tag = "2")]
    pub owner: String,
    /// Proof of the root owner; empty or absent for others.
    #[prost(string, optional, tag = "3")]
    pub signature: Option<String>,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "4")]
    pub date: u64,
}

/// Reply of `CreateSnapShot`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CreateSnapShotResponse {
    /// [`StatusCode`].
    #[prost(int32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// The snapshot; also where there was one already.
    #[prost(message, optional, tag = "2")]
    pub snap_shot_file_info: Option<FileInfo>,
}

/// Request of `CreateSnapShot`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CreateSnapShotRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
    /// Who asks.
    #[prost(string, required, tag = "2")]
    pub owner: String,
    /// Proof of the root owner; empty or absent for others.
    #[prost(string, optional, tag = "3")]
    pub signature: Option<String>,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "4")]
    pub date: u64,
}

/// Request of `ListSnapShot`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListSnapShotRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
    /// Who asks.
    #[prost(string, required, tag = "2")]
    pub owner: String,
    /// The snapshots asked for; none lists none.
    #[prost(uint64, repeated, packed = "false", tag = "3")]
    pub seq: Vec<u64>,
    /// Proof of the root owner; empty or absent for others.
    #[prost(string, optional, tag = "4")]
    pub signature: Option<String>,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "5")]
    pub date: u64,
}

/// Request of `DeleteSnapShot`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeleteSnapShotRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
    /// Who asks.
    #[prost(string, required, tag = "2")]
    pub owner: String,
    /// The snapshot.
    #[prost(uint64, required, tag = "3")]
    pub seq: u64,
    /// Proof of the root owner; empty or absent for others.
    #[prost(string, optional, tag = "4")]
    pub signature: Option<String>,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "5")]
    pub date: u64,
}

/// Request of `CheckSnapShotStatus`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckSnapShotStatusRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
    /// Who asks.
    #[prost(string, required, tag = "2")]
    pub owner: String,
    /// The snapshot.
    #[prost(uint64, required, tag = "3")]
    pub seq: u64,
    /// Proof of the root owner; empty or absent for others.
    #[prost(string, optional, tag = "4")]
    pub signature: Option<String>,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "5")]
    pub date: u64,
}

/// Request of `OpenFile`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OpenFileRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
    /// Who asks.
    #[prost(string, required, tag = "2")]
    pub owner: String,
    /// Proof of the root owner; empty or absent for others.
    #[prost(string, optional, tag = "3")]
    pub signature: Option<String>,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "4")]
    pub date: u64,
    /// Free text, compared as a string.
    #[prost(string, optional, tag = "5")]
    pub client_version: Option<String>,
}

/// Request of `CloseFile`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CloseFileRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
    /// Empty.
    #[prost(string, required, tag = "2")]
    pub session_id: String,
    /// Who asks.
    #[prost(string, required, tag = "3")]
    pub owner: String,
    /// Proof of the root owner; empty or absent for others.
    #[prost(string, optional, tag = "4")]
    pub signature: Option<String>,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "5")]
    pub date: u64,
    /// As in RefreshSession.
    #[prost(string, optional, tag = "6")]
    pub client_ip: Option<String>,
    /// As in RefreshSession.
    #[prost(uint32, optional, tag = "7")]
    pub client_port: Option<u32>,
}

/// Request of `RefreshSession`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RefreshSessionRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
    /// Echoed.
    #[prost(string, required, tag = "2")]
    pub session_id: String,
    /// Who asks.
    #[prost(string, required, tag = "3")]
    pub owner: String,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "4")]
    pub date: u64,
    /// Proof of the root owner; empty or absent for others.
    #[prost(string, optional, tag = "5")]
    pub signature: Option<String>,
    /// Free text, compared as a string.
    #[prost(string, optional, tag = "6")]
    pub client_version: Option<String>,
    /// Names the record, with the port.
    #[prost(string, optional, tag = "7")]
    pub client_ip: Option<String>,
    /// Names the record, with the address.
    #[prost(uint32, optional, tag = "8")]
    pub client_port: Option<u32>,
}

/// Request of `IncreaseFileEpoch`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct IncreaseFileEpochRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
    /// Who asks.
    #[prost(string, required, tag = "2")]
    pub owner: String,
    /// Proof of the root owner; empty or absent for others.
    #[prost(string, optional, tag = "3")]
    pub signature: Option<String>,
    /// Client clock, microseconds since the epoch.
    #[prost(uint64, required, tag = "4")]
    pub date: u64,
}

/// Request of `GetAllocatedSize`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetAllocatedSizeRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
}

/// Request of `GetFileSize`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetFileSizeRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
}

/// Request of `FindFileMountPoint`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FindFileMountPointRequest {
    /// Absolute path.
    #[prost(string, required, tag = "1")]
    pub file_name: String,
}

replies!(status_code; StatusResponse, FileInfoResponse, FileListResponse, SegmentResponse, CheckSnapShotStatusResponse, OpenFileResponse, RefreshSessionResponse, IncreaseFileEpochResponse, AllocatedSizeResponse, FileSizeResponse, FindFileMountPointResponse, CreateSnapShotResponse);

methods! { SERVICE;
    CreateFile: CreateFileRequest [1, 2, 3, 6] => StatusResponse;
    DeleteFile: DeleteFileRequest [1, 2, 4] => StatusResponse;
    GetFileInfo: GetFileInfoRequest [1, 2, 4] => FileInfoResponse;
    GetOrAllocateSegment: GetOrAllocateSegmentRequest [1, 2, 3, 4, 7] => SegmentResponse;
    GetSnapShotFileSegment: GetSnapShotFileSegmentRequest [1, 2, 3, 4, 7] => SegmentResponse;
    DeAllocateSegment: DeAllocateSegmentRequest [1, 2, 3, 5] => StatusResponse;
    RenameFile: RenameFileRequest [1, 2, 3, 7] => StatusResponse;
    ExtendFile: ExtendFileRequest [1, 2, 3, 5] => StatusResponse;
    ChangeOwner: ChangeOwnerRequest [1, 2, 3, 4, 5] => StatusResponse;
    ListDir: ListDirRequest [1, 2, 4] => FileListResponse;
    CreateSnapShot: CreateSnapShotRequest [1, 2, 4] => CreateSnapShotResponse;
    ListSnapShot: ListSnapShotRequest [1, 2, 5] => FileListResponse;
    DeleteSnapShot: DeleteSnapShotRequest [1, 2, 3, 5] => StatusResponse;
    CheckSnapShotStatus: CheckSnapShotStatusRequest [1, 2, 3, 5] => CheckSnapShotStatusResponse;
    OpenFile: OpenFileRequest [1, 2, 4] => OpenFileResponse;
    CloseFile: CloseFileRequest [1, 2, 3, 5] => StatusResponse;
    RefreshSession: RefreshSessionRequest [1, 2, 3, 4] => RefreshSessionResponse;
    IncreaseFileEpoch: IncreaseFileEpochRequest [1, 2, 4] => IncreaseFileEpochResponse;
    GetAllocatedSize: GetAllocatedSizeRequest [1] => AllocatedSizeResponse;
    GetFileSize: GetFileSizeRequest [1] => FileSizeResponse;
    FindFileMountPoint: FindFileMountPointRequest [1] => FindFileMountPointResponse;
}
