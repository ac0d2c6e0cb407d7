//! What can go wrong in the store.

use std::{io, path::PathBuf, sync::Arc};

use crate::VolumeId;

/// Why the store refused or could not do something. Cheap to clone: one failure is told to every waiter.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process, or another handle of this one, has the store open.
    #[error("{}: the store is in use by another process", dir.display())]
    InUse {
        /// The store's directory.
        dir: PathBuf,
    },
    /// The filesystem has no room for this, or less than the configured reserve would be left. Nothing of the
    /// transaction was applied; the store goes on.
    #[error("no space left: {0}")]
    NoSpace(Arc<str>),
    /// A transaction, key or value that exceeds a limit. Nothing of it was applied.
    #[error("{what} of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The volume was deleted, or never existed.
    #[error("no such volume: {0}")]
    UnknownVolume(VolumeId),
    /// A durable write failed, so the store can no longer promise anything. It stays so until it is reopened.
    #[error("the store has failed: {0}")]
    Failed(Arc<str>),
    /// A thread panicked in the middle of its work, so nothing is known of that.
    #[error("the thread panicked")]
    Panicked,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// What is on disk is not what was written.
    #[error("the store is damaged: {0}")]
    Corrupt(Arc<str>),
    /// A block of a volume is not what was written to it. It cannot be read until it is written anew; the store goes on.
    #[error("volume {volume}: the block at {offset} is not what was written to it")]
    Checksum {
        /// The volume's name.
        volume: Arc<str>,
        /// The first byte of the block, which has 4096.
        offset: u64,
    },
    /// An I/O error outside of the write path.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: Arc<str>,
        /// The operating system's error.
        source: Arc<io::Error>,
    },
    /// The metadata library reported an error.
    #[error("metadata: {0}")]
    Meta(Arc<str>),
    /// The store's volumes lie elsewhere than it was opened with.
    #[error("{0}")]
    Backend(&'static str),
    /// The store's volumes lie in another cluster of devices.
    #[error("the volumes lie in cluster {recorded}, and this is cluster {found}")]
    OtherCluster {
        /// The identity that the store recorded.
        recorded: Arc<str>,
        /// The identity of what it was opened with.
        found: Arc<str>,
    },
    /// Keys that start with 0xff belong to the store.
    #[error("the key belongs to the store itself")]
    ReservedKey,
    /// An option that makes no sense.
    #[error("option {option}: {why}")]
    Option {
        /// The field of [`crate::Options`].
        option: &'static str,
        /// Why it was refused.
        why: &'static str,
    },
}

/// The result of a store operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

impl StoreError {
    pub(crate) fn corrupt(text: impl Into<String>) -> Self {
        Self::Corrupt(Arc::from(text.into()))
    }
}

/// Turns an I/O error into a [`StoreError`], telling a full disk from the rest.
pub(crate) trait Context<T> {
    /// Names what was being done.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| {
            let error: io::Error = error.into();
            match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    StoreError::NoSpace(Arc::from(format!("{}: {error}", what())))
                }
                _ => StoreError::Io {
                    what: Arc::from(what()),
                    source: Arc::new(error),
                },
            }
        })
    }
}
