//! The chunkserver (`chunk.proto`, `cli2.proto`).

pub use super::generated::curve::chunkserver::*;

impl ChunkRequest {
    /// The method that belongs to the operation.
    #[must_use]
    pub const fn method(op: OpType) -> Option<&'static str> {
        Some(match op {
            OpType::Delete => chunk_service::DELETE_CHUNK,
            OpType::Read => chunk_service::READ_CHUNK,
            OpType::Write => chunk_service::WRITE_CHUNK,
            OpType::ReadSnap => chunk_service::READ_CHUNK_SNAPSHOT,
            OpType::DeleteSnap => chunk_service::DELETE_CHUNK_SNAPSHOT_OR_CORRECT_SN,
            OpType::CreateClone => chunk_service::CREATE_CLONE_CHUNK,
            OpType::Recover => chunk_service::RECOVER_CHUNK,
            _ => return None,
        })
    }
}
