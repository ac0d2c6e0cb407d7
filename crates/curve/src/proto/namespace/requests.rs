//! Requests to the namespace, and the fields that the MDS insists on.

use super::*;
use crate::proto::methods;

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
