//! Settings of a client.

use std::{net::SocketAddr, time::Duration};

use crate::auth::Identity;

/// Settings of a client; the durations are libcurve's defaults where it has one.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses of all MDS; one of them leads.
    pub mds: Vec<SocketAddr>,
    /// On whose behalf.
    pub identity: Identity,
    /// Appears in the MDS's records. A snapshot is refused while an opener's compares below `0.0.5.3`.
    pub client_version: String,
    /// Names this client in the MDS's records. Without it the MDS takes the connection's address and port 0.
    pub client_address: Option<SocketAddr>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// First time-out of a call to the MDS; doubles with each time-out in a row.
    pub mds_timeout: Duration,
    /// Up to this.
    pub mds_max_timeout: Duration,
    /// Calls of the namespace fail when no MDS answered for so long. Calls that I/O waits for go on for ever.
    pub mds_budget: Duration,
    /// Pause before the same MDS is tried again.
    pub mds_pause: Duration,
    /// First time-out of a chunk operation; doubles after five time-outs in a row.
    pub chunk_timeout: Duration,
    /// Up to this.
    pub chunk_max_timeout: Duration,
    /// Time-out of `GetLeader`.
    pub leader_timeout: Duration,
    /// First pause after OVERLOAD; doubles each time, with 10 % jitter.
    pub overload_pause: Duration,
    /// Up to this.
    pub overload_max_pause: Duration,
    /// Pause before a failed chunk operation is tried again.
    pub retry_pause: Duration,
    /// Reads fail when they got no answer for so long. `None`: never. Writes have no limit: once sent they are known to be
    /// stored, refused, or still being tried.
    pub read_deadline: Option<Duration>,
    /// The largest part of a request that is sent as one chunk operation; at most a chunk.
    pub max_rpc: usize,
    /// Chunk operations of one volume at a time.
    pub max_in_flight: usize,
    /// How often an open volume's record at the MDS is refreshed.
    pub refresh_interval: Duration,
    /// How long a fence may take to reach a chunkserver that does not answer.
    pub epoch_budget: Duration,
}

impl Config {
    /// The default settings.
    #[must_use]
    pub fn new(mds: Vec<SocketAddr>, identity: Identity) -> Self {
        Self {
            mds,
            identity,
            client_version: concat!("rbdgate-", env!("CARGO_PKG_VERSION")).to_owned(),
            client_address: None,
            connect_timeout: Duration::from_secs(1),
            mds_timeout: Duration::from_millis(500),
            mds_max_timeout: Duration::from_secs(2),
            mds_budget: Duration::from_secs(8),
            mds_pause: Duration::from_millis(100),
            chunk_timeout: Duration::from_secs(1),
            chunk_max_timeout: Duration::from_secs(8),
            leader_timeout: Duration::from_millis(500),
            overload_pause: Duration::from_millis(100),
            overload_max_pause: Duration::from_secs(8),
            retry_pause: Duration::from_millis(100),
            read_deadline: None,
            max_rpc: 1 << 20,
            max_in_flight: 128,
            refresh_interval: Duration::from_millis(1250),
            epoch_budget: Duration::from_secs(10),
        }
    }
}
