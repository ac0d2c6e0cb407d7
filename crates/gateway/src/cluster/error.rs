//! Why the cluster's state could not be read or changed.

use rustix::io::Errno;

use super::{caps::CapsError, state_store::StateError};

/// Why the cluster's state could not be read or changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The store failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// A stored value that cannot be read.
    #[error("stored {what}: {why}")]
    Damaged {
        /// What it is.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such pool.
    #[error("pool id {0} does not exist")]
    NoSuchPool(i64),
    /// There is no such entity.
    #[error("entity {0} does not exist")]
    NoSuchEntity(String),
    /// The snapshot id was never given out.
    #[error("snapshot {0} does not exist")]
    NoSuchSnap(u64),
    /// Something of that name exists.
    #[error("{0} already exists")]
    Exists(String),
    /// The pool's snapshots are made another way (by clients, or for the whole pool).
    #[error("pool {0} is in the other snapshot mode")]
    SnapMode(i64),
    /// The pool is protected against deletion.
    #[error("pool {0} has the nodelete flag set")]
    NoDelete(String),
    /// A capability that does not follow the grammar.
    #[error(transparent)]
    Caps(#[from] CapsError),
    /// A value that is not accepted.
    #[error("{0}")]
    Invalid(String),
    /// Something that is refused for a reason of its own.
    #[error("{text}")]
    Refused {
        /// The error number that a peer is answered with.
        errno: Errno,
        /// Why.
        text: String,
    },
}

/// A refusal for a reason of its own.
pub(super) fn refused(errno: Errno, text: impl Into<String>) -> ClusterError {
    let text = text.into();
    ClusterError::Refused { errno, text }
}

impl ClusterError {
    /// The error number that a peer is answered with.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::State(_) | Self::Damaged { .. } => Errno::IO,
            Self::NoSuchPool(_) | Self::NoSuchEntity(_) | Self::NoSuchSnap(_) => Errno::NOENT,
            Self::Exists(_) => Errno::EXIST,
            Self::NoDelete(_) => Errno::PERM,
            Self::SnapMode(_) | Self::Caps(_) | Self::Invalid(_) => Errno::INVAL,
            Self::Refused { errno, .. } => *errno,
        }
    }
}
