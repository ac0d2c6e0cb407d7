//! Opening what a server works on: the data folder with its store, and the backend that images lie on.

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use store::{Disk, Options, RealDisk, Store, StoreError};

use crate::{
    backend::CurveDevices,
    cluster::ClusterError,
    config::{LEAST_JOURNAL, Settings},
};

/// Why `serve` could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another server has the data folder.
    #[error("{}: another rbdgate serves this data folder; stop it, or choose another --data", .0.display())]
    InUse(PathBuf),
    /// The data folder cannot be made or used.
    #[error("data folder {}: {reason}", dir.display())]
    Data {
        /// The folder.
        dir: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {at} ({setting}): {reason}; stop what listens there, or set another address")]
    Listen {
        /// The setting that the address is from.
        setting: &'static str,
        /// The address.
        at: SocketAddr,
        /// Why.
        reason: io::Error,
    },
    /// The backend cannot be used.
    #[error("CurveBS cluster at {mds}: {reason}")]
    Backend {
        /// Its addresses.
        mds: String,
        /// Why.
        reason: io::Error,
    },
    /// What is in the data folder is damaged.
    #[error("{0}; `rbdgate fsck` tells more")]
    Damaged(StoreError),
    /// The store failed.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// The cluster's state cannot be used.
    #[error("cluster: {0}")]
    Cluster(#[from] ClusterError),
    /// The runtime or a signal handler could not be set up.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Where the store lies within the data folder.
#[must_use]
pub fn store_dir(data: &Path) -> PathBuf {
    data.join("store")
}

/// Whether a server has the data folder open.
#[must_use]
pub fn is_in_use(data: &Path) -> bool {
    let Ok(lock) = std::fs::File::open(store_dir(data).join("LOCK")) else {
        return false;
    };
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared).is_err()
}

/// The CurveBS cluster that images lie on, if one is configured.
///
/// # Errors
/// If it does not answer.
pub fn connect_backend(settings: &Settings) -> Result<Option<CurveDevices>, ServeError> {
    let connect = |curve| {
        CurveDevices::connect(curve).map_err(|reason| ServeError::Backend {
            mds: curve
                .mds
                .iter()
                .map(SocketAddr::to_string)
                .collect::<Vec<_>>()
                .join(", "),
            reason,
        })
    };
    settings.curve.as_ref().map(connect).transpose()
}

/// Opens the store in the data folder, with volumes in the cluster if there is one.
///
/// # Errors
/// If it cannot be opened.
pub fn open_store(
    data: &Path,
    settings: &Settings,
    devices: Option<&CurveDevices>,
) -> Result<Store, ServeError> {
    let fail = |reason| ServeError::Data {
        dir: data.to_owned(),
        reason,
    };
    // What images hold, and the keys, are nobody else's business.
    RealDisk.create_dir(data).map_err(fail)?;
    match std::fs::DirBuilder::new().mode(0o700).create(store_dir(data)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fail(error)),
        Err(_) => {}
        Ok(()) => RealDisk.sync_dir(data).map_err(fail)?,
    }
    open_with(store_options(data, settings)?, data, settings, devices)
}

/// How the store in the data folder is opened.
///
/// # Errors
/// If the folder cannot be looked at.
pub fn store_options(data: &Path, settings: &Settings) -> Result<Options, ServeError> {
    let fail = |reason| ServeError::Data {
        dir: data.to_owned(),
        reason,
    };
    let fs = rustix::fs::statvfs(data).map_err(|e| fail(e.into()))?;
    let total = fs.f_blocks.saturating_mul(fs.f_frsize);
    let mut options = Options::new(store_dir(data));
    // On a small disk the journal and the reserve must leave room for data.
    options.journal_bytes = settings.journal_size.min((total / 16).max(LEAST_JOURNAL));
    options.reserve_bytes = options.reserve_bytes.min(total / 20);
    // The thread may be one of the runtime's: only where there is another.
    options.journal_alone = std::thread::available_parallelism().is_ok_and(|threads| threads.get() > 1);
    // Answers to what became durable together go out together.
    options.around_callbacks = Some(Arc::new(|callbacks| msgr::gather(callbacks)));
    Ok(options)
}

/// Opens the store with such options.
///
/// # Errors
/// If it cannot be opened.
pub fn open_with(
    mut options: Options,
    data: &Path,
    settings: &Settings,
    devices: Option<&CurveDevices>,
) -> Result<Store, ServeError> {
    options.read_cache_bytes = settings.read_cache;
    options.checksums = settings.integrity.checksums;
    options.scrub_interval = settings.integrity.scrub_interval;
    options.scrub_bytes_per_second = settings.integrity.scrub_rate;
    if let (Some(_), Some(devices)) = (&settings.curve, devices) {
        options.devices = Some(Arc::new(devices.clone()));
    }
    match Store::open(options) {
        Err(StoreError::InUse { .. }) => Err(ServeError::InUse(data.to_owned())),
        Err(error @ StoreError::Corrupt(_)) => Err(ServeError::Damaged(error)),
        other => Ok(other?),
    }
}
