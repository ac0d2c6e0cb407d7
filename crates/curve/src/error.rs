//! What goes wrong, and why.

use std::{io, time::Duration};

use crate::{
    proto::{chunk::ChunkStatus, namespace::StatusCode, topology::TopologyStatus},
    rpc::RpcError,
};

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed. What a retry can mend has been retried before.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The MDS refuses; its answer is final.
    #[error("{method} of {path}: {status}")]
    Mds {
        /// The method.
        method: &'static str,
        /// The file.
        path: String,
        /// The MDS's reason.
        status: StatusCode,
    },
    /// The MDS's topology service refuses.
    #[error("{method}: {status}")]
    Topology {
        /// The method.
        method: &'static str,
        /// The reason.
        status: TopologyStatus,
    },
    /// No MDS answered in time.
    #[error("no MDS answered {method} within {waited:?}: {last}")]
    NoMds {
        /// The method.
        method: &'static str,
        /// How long it was tried.
        waited: Duration,
        /// How the last try failed.
        last: RpcError,
    },
    /// A server cannot be talked to, and a retry cannot mend it.
    #[error("{0}")]
    Rpc(#[from] RpcError),
    /// The chunkserver refuses, and a retry cannot mend it.
    #[error("{op} of chunk {chunk}: {status}")]
    Chunk {
        /// The operation.
        op: &'static str,
        /// The chunk.
        chunk: u64,
        /// The reason.
        status: ChunkStatus,
    },
    /// Another client has raised the file's epoch: this one must not write any more. Nothing of the write is stored later.
    #[error("fenced: another client has raised the epoch of {path}")]
    Fenced {
        /// The file.
        path: String,
    },
    /// The volume is not what was opened any more.
    #[error("{path} is gone: {reason}")]
    Gone {
        /// The file.
        path: String,
        /// What happened to it.
        reason: Gone,
    },
    /// The volume was closed while the operation ran.
    #[error("volume closed")]
    Closed,
    /// The operation took longer than it may.
    #[error("no answer within {0:?}")]
    Deadline(Duration),
    /// The caller asks for what cannot be.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// The cluster's data makes no sense.
    #[error("{0}")]
    Inconsistent(#[from] Inconsistent),
    /// Not all chunkservers could be told of a new epoch.
    #[error("epoch {epoch} of {path} is not known to chunkserver {server}: {reason}")]
    EpochNotSpread {
        /// The file.
        path: String,
        /// The new epoch.
        epoch: u64,
        /// Address of the chunkserver.
        server: String,
        /// What it said, or did not.
        reason: String,
    },
}

/// What happened to a volume that was open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Gone {
    /// It was deleted or renamed.
    #[error("no such file")]
    Deleted,
    /// Another file has its name.
    #[error("another file has its name")]
    Replaced,
    /// It belongs to somebody else.
    #[error("owner refused")]
    Owner,
}

/// What a caller must not ask for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// Offsets and lengths are multiples of the block size.
    #[error("{len} bytes at {offset} are not multiples of {block_size}")]
    Alignment {
        /// In the volume.
        offset: u64,
        /// Bytes.
        len: u64,
        /// The volume's.
        block_size: u32,
    },
    /// Past the volume's end.
    #[error("{len} bytes at {offset} exceed the volume's {size}")]
    Range {
        /// In the volume.
        offset: u64,
        /// Bytes.
        len: u64,
        /// The volume's.
        size: u64,
    },
    /// Only whole segments can be given back.
    #[error("{len} bytes at {offset} are not whole segments of {segment_size}")]
    SegmentAlignment {
        /// In the volume.
        offset: u64,
        /// Bytes.
        len: u64,
        /// The volume's.
        segment_size: u64,
    },
    /// Striped across segments: a segment is no range of the volume.
    #[error("stripes cross segments: a segment is no range of this volume")]
    StripedSegments,
    /// Not an absolute path without empty parts and without a slash at its end.
    #[error("not a path: {0:?}")]
    Path(String),
    /// Only volumes can be opened.
    #[error("{0} is not a volume")]
    NotAVolume(String),
    /// A client without an MDS.
    #[error("no MDS address")]
    NoMds,
}

/// What a server should not have said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Inconsistent {
    /// A success without what was asked for.
    #[error("{method} succeeded without {what}")]
    Missing {
        /// The method.
        method: &'static str,
        /// What is not there.
        what: &'static str,
    },
    /// Sizes of a file that do not fit each other.
    #[error("geometry of {path}: {what}")]
    Geometry {
        /// The file.
        path: String,
        /// What does not fit.
        what: &'static str,
    },
    /// A segment that is not the file's.
    #[error("segment at {offset}: {what}")]
    Segment {
        /// In the volume.
        offset: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// A reply with the wrong amount of data.
    #[error("{got} bytes read where {wanted} were asked for")]
    ReadSize {
        /// Received.
        got: usize,
        /// Asked for.
        wanted: usize,
    },
    /// An address that is none.
    #[error("not an address: {0:?}")]
    Address(String),
    /// A chunk is at a version that its file has not reached.
    #[error("chunk {chunk} refuses version {sn}, and the MDS knows no newer one")]
    Version {
        /// The chunk.
        chunk: u64,
        /// The version tried.
        sn: u64,
    },
}

impl Error {
    /// The MDS's reason, if it is one.
    #[must_use]
    pub const fn mds_status(&self) -> Option<StatusCode> {
        match self {
            Self::Mds { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether another client has taken the volume over.
    #[must_use]
    pub const fn is_fenced(&self) -> bool {
        matches!(self, Self::Fenced { .. })
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Mds { status, .. } => match *status {
                StatusCode::FileExists => io::ErrorKind::AlreadyExists,
                StatusCode::FileNotExists | StatusCode::DirNotExist => io::ErrorKind::NotFound,
                StatusCode::OwnerAuthFail => io::ErrorKind::PermissionDenied,
                _ => io::ErrorKind::Other,
            },
            Error::Invalid(_) => io::ErrorKind::InvalidInput,
            Error::NoMds { .. } | Error::Deadline(_) => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
