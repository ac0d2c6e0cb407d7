//! What a cluster is made of.

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

/// Settings of a cluster. The defaults are CurveBS's, but for times, which tests have not got.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Where all is kept; in memory without.
    pub directory: Option<PathBuf>,
    /// Where servers listen.
    pub address: Ipv4Addr,
    /// Ports of the MDS; 0 is any.
    pub mds_ports: Vec<u16>,
    /// Ports of the chunkservers, by id from 1; 0 is any.
    pub chunkserver_ports: Vec<u16>,
    /// Copysets of the only logical pool.
    pub copysets: u32,
    /// Its id.
    pub logical_pool: u32,
    /// The root owner's password.
    pub root_password: String,
    /// Id of the cluster.
    pub cluster_id: String,
    /// Smallest length of a volume, bytes.
    pub min_file_length: u64,
    /// Largest length of a volume, bytes.
    pub max_file_length: u64,
    /// Bytes.
    pub segment_size: u32,
    /// Bytes.
    pub chunk_size: u32,
    /// Bytes.
    pub block_size: u32,
    /// Raw space that volumes may claim, bytes.
    pub capacity: u64,
    /// How long an MDS is too young to delete, rename or change owners.
    pub young: Duration,
    /// How long a record lives after its last refresh.
    pub record_expiry: Duration,
    /// How long a copyset without a leader takes to elect one.
    pub election: Duration,
    /// How long the MDS take to elect one.
    pub mds_election: Duration,
    /// How long chunks of deleted files and segments, and snapshots, stay.
    pub clean_delay: Duration,
    /// Requests in a chunkserver at a time before it answers OVERLOAD.
    pub max_inflight: usize,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            directory: None,
            address: Ipv4Addr::LOCALHOST,
            mds_ports: vec![0],
            chunkserver_ports: vec![0; 3],
            copysets: 12,
            logical_pool: 2,
            root_password: "root_password".into(),
            cluster_id: "5ac19b2b-4f53-4f35-8e5b-2f7f0a0a9a01".into(),
            min_file_length: 10 << 30,
            max_file_length: 20 << 40,
            segment_size: 1 << 30,
            chunk_size: 16 << 20,
            block_size: 4096,
            capacity: 1 << 40,
            young: Duration::ZERO,
            record_expiry: Duration::from_secs(50),
            election: Duration::from_millis(300),
            mds_election: Duration::from_millis(300),
            clean_delay: Duration::from_millis(50),
            max_inflight: 5000,
        }
    }
}
