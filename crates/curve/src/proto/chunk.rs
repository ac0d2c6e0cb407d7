//! Messages of the chunkserver (`chunk.proto`, `cli2.proto`, `common.proto`).

use super::{methods, replies, wire_enum};

/// `curve.chunkserver.ChunkService`.
pub const CHUNK_SERVICE: &str = "curve.chunkserver.ChunkService";
/// `curve.chunkserver.CliService2`.
pub const CLI_SERVICE: &str = "curve.chunkserver.CliService2";

wire_enum! {
    /// `CHUNK_OP_TYPE`. It has to agree with the method: the serialized request is what goes through the raft log.
    OpType {
        /// Delete a chunk.
        Delete = 0,
        /// Read.
        Read = 1,
        /// Write.
        Write = 2,
        /// Read as of a snapshot.
        ReadSnap = 3,
        /// Delete a chunk's snapshot, or correct its version.
        DeleteSnap = 4,
        /// Create a chunk that is filled from elsewhere.
        CreateClone = 5,
        /// Copy a clone chunk's data into it.
        Recover = 6,
    }
}

wire_enum! {
    /// `CHUNK_OP_STATUS`.
    ChunkStatus {
        /// Done.
        Success = 0,
        /// Not the leader, or its lease has run out.
        Redirected = 1,
        /// The disk failed.
        DiskFail = 2,
        /// Checksum mismatch.
        CrcFail = 3,
        /// The request makes no sense: alignment, bounds, a missing field.
        InvalidRequest = 4,
        /// The disk is full.
        NoSpace = 5,
        /// This chunkserver has no such copyset.
        CopysetNotExist = 6,
        /// Never written, or no such snapshot.
        ChunkNotExist = 7,
        /// Anything else.
        FailureUnknown = 8,
        /// Too many requests in flight.
        Overload = 9,
        /// The write's version is behind the chunk's.
        Backward = 10,
        /// The chunk exists with other parameters.
        ChunkExist = 11,
        /// Another client has raised the file's epoch.
        EpochTooOld = 12,
    }
}

/// `ChunkRequest`: all operations on a chunk's data.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChunkRequest {
    /// [`OpType`].
    #[prost(int32, required, tag = "1")]
    pub op_type: i32,
    /// Logical pool.
    #[prost(uint32, required, tag = "2")]
    pub logic_pool_id: u32,
    /// Copyset in the pool.
    #[prost(uint32, required, tag = "3")]
    pub copyset_id: u32,
    /// Unique in the cluster and never used again.
    #[prost(uint64, required, tag = "4")]
    pub chunk_id: u64,
    /// Not looked at by today's chunkservers.
    #[prost(uint64, optional, tag = "5")]
    pub applied_index: Option<u64>,
    /// In the chunk, bytes.
    #[prost(uint32, optional, tag = "6")]
    pub offset: Option<u32>,
    /// Bytes; of a write exactly the attachment's.
    #[prost(uint32, optional, tag = "7")]
    pub size: Option<u32>,
    /// The file's version for writes; the version wanted for reads of a snapshot.
    #[prost(uint64, optional, tag = "9")]
    pub sn: Option<u64>,
    /// For [`OpType::DeleteSnap`] and [`OpType::CreateClone`].
    #[prost(uint64, optional, tag = "10")]
    pub corrected_sn: Option<u64>,
    /// For [`OpType::CreateClone`]: where the data comes from.
    #[prost(string, optional, tag = "11")]
    pub location: Option<String>,
    /// Lazy clones: path of the source.
    #[prost(string, optional, tag = "12")]
    pub clone_file_source: Option<String>,
    /// Lazy clones: offset in the source.
    #[prost(uint64, optional, tag = "13")]
    pub clone_file_offset: Option<u64>,
    /// The file, for the fence.
    #[prost(uint64, optional, tag = "18")]
    pub file_id: Option<u64>,
    /// The epoch the writer was given. Absent: not fenced.
    #[prost(uint64, optional, tag = "19")]
    pub epoch: Option<u64>,
}

/// `ChunkResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChunkResponse {
    /// [`ChunkStatus`].
    #[prost(int32, optional, tag = "1")]
    pub status: Option<i32>,
    /// `ip:port:index` of the leader. Today's chunkservers leave it out.
    #[prost(string, optional, tag = "2")]
    pub redirect: Option<String>,
    /// The copyset's applied log index.
    #[prost(uint64, optional, tag = "3")]
    pub applied_index: Option<u64>,
}

/// `GetChunkInfoRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetChunkInfoRequest {
    /// Logical pool.
    #[prost(uint32, required, tag = "1")]
    pub logic_pool_id: u32,
    /// Copyset.
    #[prost(uint32, required, tag = "2")]
    pub copyset_id: u32,
    /// Chunk.
    #[prost(uint64, required, tag = "3")]
    pub chunk_id: u64,
}

/// `GetChunkInfoResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetChunkInfoResponse {
    /// [`ChunkStatus`].
    #[prost(int32, optional, tag = "1")]
    pub status: Option<i32>,
    /// `ip:port:index` of the leader.
    #[prost(string, optional, tag = "2")]
    pub redirect: Option<String>,
    /// The chunk's version, then its snapshot's; nothing if it was never written.
    #[prost(uint64, repeated, packed = "false", tag = "3")]
    pub chunk_sn: Vec<u64>,
}

/// `UpdateEpochRequest`: the fence, told to one chunkserver.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UpdateEpochRequest {
    /// The file.
    #[prost(uint64, required, tag = "1")]
    pub file_id: u64,
    /// From now on only writes with this epoch, or without any, are taken.
    #[prost(uint64, required, tag = "2")]
    pub epoch: u64,
}

/// `UpdateEpochResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UpdateEpochResponse {
    /// [`ChunkStatus`].
    #[prost(int32, optional, tag = "1")]
    pub status: Option<i32>,
}

/// `Peer` of a raft group.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Peer {
    /// Not set by chunkservers.
    #[prost(uint64, optional, tag = "1")]
    pub id: Option<u64>,
    /// `ip:port:index`, the internal address.
    #[prost(string, optional, tag = "3")]
    pub address: Option<String>,
}

/// `GetLeaderRequest2`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetLeaderRequest {
    /// Logical pool.
    #[prost(uint32, required, tag = "1")]
    pub logic_pool_id: u32,
    /// Copyset.
    #[prost(uint32, required, tag = "2")]
    pub copyset_id: u32,
    /// Ignored.
    #[prost(message, optional, tag = "3")]
    pub peer: Option<Peer>,
}

/// `GetLeaderResponse2`. Failures are failures of the call: 2 (no such copyset here), 11 (no leader known).
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetLeaderResponse {
    /// Who leads.
    #[prost(message, optional, tag = "1")]
    pub leader: Option<Peer>,
}

replies!(status; ChunkResponse, GetChunkInfoResponse, UpdateEpochResponse);

impl super::Reply for GetLeaderResponse {
    fn status(&self) -> Option<i32> {
        Some(0)
    }
}

methods! { CHUNK_SERVICE;
    GetChunkInfo: GetChunkInfoRequest [1, 2, 3] => GetChunkInfoResponse;
    UpdateEpoch: UpdateEpochRequest [1, 2] => UpdateEpochResponse;
}

methods! { CLI_SERVICE;
    GetLeader: GetLeaderRequest [1, 2] => GetLeaderResponse;
}

impl ChunkRequest {
    /// The fields every chunk operation has.
    pub const REQUIRED: &'static [u32] = &[1, 2, 3, 4];

    /// The method that belongs to the operation.
    #[must_use]
    pub const fn method(op: OpType) -> Option<&'static str> {
        Some(match op {
            OpType::Delete => "DeleteChunk",
            OpType::Read => "ReadChunk",
            OpType::Write => "WriteChunk",
            OpType::ReadSnap => "ReadChunkSnapshot",
            OpType::DeleteSnap => "DeleteChunkSnapshotOrCorrectSn",
            OpType::CreateClone => "CreateCloneChunk",
            OpType::Recover => "RecoverChunk",
            _ => return None,
        })
    }
}
