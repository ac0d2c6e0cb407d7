//! What operators have daemons do to their stores.

use std::time::Instant;

use rustix::io::Errno;
use serde_json::{Value, json};

use crate::{cluster::Cluster, mon::CommandError};

/// `compact`: a checkpoint of the metadata, which all daemons of this process share, and of what is in the journal. Returns how long
/// that took, in seconds. Blocks.
///
/// # Errors
/// EIO if the store fails.
pub fn compact(cluster: &Cluster) -> Result<f64, CommandError> {
    let begun = Instant::now();
    cluster.stats().compact().map_err(|why| {
        tracing::error!(error = %why, "compact: no checkpoint");
        CommandError::new(Errno::IO, why)
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    tracing::info!(seconds, "compact: the metadata has a checkpoint");
    Ok(seconds)
}

/// `smart [DEVICE]` of an OSD: what its disks tell of themselves, by device. Data is in files or on volumes of a cluster: there are no
/// disks that are the OSD's, and no answer of one, as of an OSD of Ceph that has logical devices alone (`OSD::probe_smart`).
#[must_use]
pub fn smart() -> Value {
    json!({})
}
