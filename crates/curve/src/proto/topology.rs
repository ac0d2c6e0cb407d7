//! Messages of the MDS's topology (`topology.proto`).

use super::{methods, replies, wire_enum};

/// `curve.mds.topology.TopologyService`.
pub const SERVICE: &str = "curve.mds.topology.TopologyService";

wire_enum! {
    /// `kTopoErrCode*`: 0 or negative.
    TopologyStatus {
        /// All is well.
        Ok = 0,
        /// Internal error.
        InternalError = -1,
        /// A field is missing.
        InvalidParam = -2,
        /// No such chunkserver.
        ChunkServerNotFound = -6,
        /// No such server.
        ServerNotFound = -7,
        /// No such zone.
        ZoneNotFound = -8,
        /// No such physical pool.
        PhysicalPoolNotFound = -9,
        /// No such logical pool.
        LogicalPoolNotFound = -10,
        /// No such copyset.
        CopySetNotFound = -11,
        /// No such poolset.
        PoolsetNotFound = -20,
    }
}

wire_enum! {
    /// `OnlineState` of a chunkserver.
    OnlineState {
        /// Its heartbeats arrive.
        Online = 0,
        /// It is gone.
        Offline = 1,
        /// Heartbeats are missing.
        Unstable = 2,
    }
}

wire_enum! {
    /// `ChunkServerStatus`.
    ChunkServerStatus {
        /// In use.
        ReadWrite = 0,
        /// Being emptied.
        Pending = 1,
        /// Not used any more.
        Retired = 2,
    }
}

/// Where a chunkserver listens.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChunkServerLocation {
    /// Id.
    #[prost(uint32, optional, tag = "1")]
    pub chunk_server_id: Option<u32>,
    /// Internal address.
    #[prost(string, optional, tag = "2")]
    pub host_ip: Option<String>,
    /// Port of both addresses.
    #[prost(uint32, optional, tag = "3")]
    pub port: Option<u32>,
    /// The address for clients, if there is one.
    #[prost(string, optional, tag = "4")]
    pub external_ip: Option<String>,
}

/// The members of a copyset.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CopySetServerInfo {
    /// Copyset.
    #[prost(uint32, optional, tag = "1")]
    pub copyset_id: Option<u32>,
    /// Its chunkservers.
    #[prost(message, repeated, tag = "2")]
    pub cs_locs: Vec<ChunkServerLocation>,
}

/// A physical pool.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PhysicalPoolInfo {
    /// Id.
    #[prost(uint32, optional, tag = "1")]
    pub physical_pool_id: Option<u32>,
    /// Name.
    #[prost(string, optional, tag = "2")]
    pub physical_pool_name: Option<String>,
    /// Description.
    #[prost(string, optional, tag = "3")]
    pub desc: Option<String>,
    /// Poolset.
    #[prost(uint32, optional, tag = "4")]
    pub poolset_id: Option<u32>,
    /// Its name.
    #[prost(string, optional, tag = "5")]
    pub poolset_name: Option<String>,
}

/// A logical pool.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LogicalPoolInfo {
    /// Id.
    #[prost(uint32, optional, tag = "1")]
    pub logical_pool_id: Option<u32>,
    /// Name.
    #[prost(string, optional, tag = "2")]
    pub logical_pool_name: Option<String>,
    /// The physical pool it is on.
    #[prost(uint32, optional, tag = "3")]
    pub physical_pool_id: Option<u32>,
    /// 0: page files.
    #[prost(int32, optional, tag = "4")]
    pub kind: Option<i32>,
    /// Seconds since the epoch.
    #[prost(uint64, optional, tag = "5")]
    pub create_time: Option<u64>,
    /// JSON with replicaNum, copysetNum, zoneNum.
    #[prost(bytes = "vec", optional, tag = "6")]
    pub redundance_and_placement_policy: Option<Vec<u8>>,
    /// JSON.
    #[prost(bytes = "vec", optional, tag = "7")]
    pub user_policy: Option<Vec<u8>>,
    /// 0: takes new segments.
    #[prost(int32, optional, tag = "8")]
    pub allocate_status: Option<i32>,
    /// Scans run.
    #[prost(bool, optional, tag = "9")]
    pub scan_enable: Option<bool>,
}

/// A poolset.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PoolsetInfo {
    /// Id.
    #[prost(uint32, optional, tag = "1")]
    pub poolset_id: Option<u32>,
    /// Name.
    #[prost(string, optional, tag = "2")]
    pub poolset_name: Option<String>,
    /// Type.
    #[prost(string, optional, tag = "3")]
    pub kind: Option<String>,
    /// Description.
    #[prost(string, optional, tag = "4")]
    pub desc: Option<String>,
}

/// A chunkserver and its disk.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChunkServerInfo {
    /// Id.
    #[prost(uint32, optional, tag = "1")]
    pub chunk_server_id: Option<u32>,
    /// Type.
    #[prost(string, optional, tag = "2")]
    pub disk_type: Option<String>,
    /// Internal address.
    #[prost(string, optional, tag = "3")]
    pub host_ip: Option<String>,
    /// Port.
    #[prost(uint32, optional, tag = "4")]
    pub port: Option<u32>,
    /// [`ChunkServerStatus`].
    #[prost(int32, optional, tag = "5")]
    pub status: Option<i32>,
    /// 0: normal.
    #[prost(int32, optional, tag = "6")]
    pub disk_status: Option<i32>,
    /// [`OnlineState`].
    #[prost(int32, optional, tag = "7")]
    pub online_state: Option<i32>,
    /// Directory.
    #[prost(string, optional, tag = "8")]
    pub mount_point: Option<String>,
    /// Bytes of the file system.
    #[prost(uint64, optional, tag = "9")]
    pub disk_capacity: Option<u64>,
    /// Bytes used on it, by anything.
    #[prost(uint64, optional, tag = "10")]
    pub disk_used: Option<u64>,
    /// The address for clients.
    #[prost(string, optional, tag = "11")]
    pub external_ip: Option<String>,
    /// Software version.
    #[prost(string, optional, tag = "12")]
    pub version: Option<String>,
}

/// Reply of `GetChunkServerListInCopySets`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CopySetServersResponse {
    /// [`TopologyStatus`].
    #[prost(sint32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// The copysets.
    #[prost(message, repeated, tag = "2")]
    pub cs_info: Vec<CopySetServerInfo>,
}

/// Reply of `GetClusterInfo`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ClusterInfoResponse {
    /// [`TopologyStatus`].
    #[prost(sint32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// Id of the cluster.
    #[prost(string, optional, tag = "2")]
    pub cluster_id: Option<String>,
}

/// Reply of `ListPhysicalPool`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PhysicalPoolsResponse {
    /// [`TopologyStatus`].
    #[prost(sint32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// The pools.
    #[prost(message, repeated, tag = "2")]
    pub physical_pool_infos: Vec<PhysicalPoolInfo>,
}

/// Reply of `ListLogicalPool`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LogicalPoolsResponse {
    /// [`TopologyStatus`].
    #[prost(sint32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// The pools.
    #[prost(message, repeated, tag = "2")]
    pub logical_pool_infos: Vec<LogicalPoolInfo>,
}

/// Reply of `ListPoolset`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PoolsetsResponse {
    /// [`TopologyStatus`].
    #[prost(sint32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// The poolsets.
    #[prost(message, repeated, tag = "2")]
    pub poolset_infos: Vec<PoolsetInfo>,
}

/// Reply of `GetChunkServerInCluster`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChunkServersResponse {
    /// [`TopologyStatus`].
    #[prost(sint32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// The chunkservers.
    #[prost(message, repeated, tag = "2")]
    pub chunk_server_infos: Vec<ChunkServerInfo>,
}

/// Reply of `GetChunkServer`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChunkServerResponse {
    /// [`TopologyStatus`].
    #[prost(sint32, optional, tag = "1")]
    pub status_code: Option<i32>,
    /// The chunkserver.
    #[prost(message, optional, tag = "2")]
    pub chunk_server_info: Option<ChunkServerInfo>,
}

/// Request of `GetChunkServerListInCopySets`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetChunkServerListInCopySetsRequest {
    /// Logical pool.
    #[prost(uint32, required, tag = "1")]
    pub logical_pool_id: u32,
    /// Copysets.
    #[prost(uint32, repeated, packed = "false", tag = "2")]
    pub copyset_id: Vec<u32>,
}

/// Request of `GetClusterInfo`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetClusterInfoRequest {}

/// Request of `ListPhysicalPool`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListPhysicalPoolRequest {}

/// Request of `ListLogicalPool`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListLogicalPoolRequest {
    /// By id.
    #[prost(uint32, optional, tag = "1")]
    pub physical_pool_id: Option<u32>,
    /// Or by name.
    #[prost(string, optional, tag = "2")]
    pub physical_pool_name: Option<String>,
}

/// Request of `ListPoolset`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListPoolsetRequest {}

/// Request of `GetChunkServerInCluster`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetChunkServerInClusterRequest {}

/// Request of `GetChunkServer`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetChunkServerRequest {
    /// By id.
    #[prost(uint32, optional, tag = "1")]
    pub chunk_server_id: Option<u32>,
    /// Or by address
    #[prost(string, optional, tag = "2")]
    pub host_ip: Option<String>,
    /// and port.
    #[prost(uint32, optional, tag = "3")]
    pub port: Option<u32>,
}

replies!(status_code; CopySetServersResponse, ClusterInfoResponse, PhysicalPoolsResponse, LogicalPoolsResponse, PoolsetsResponse, ChunkServersResponse, ChunkServerResponse);

methods! { SERVICE;
    GetChunkServerListInCopySets: GetChunkServerListInCopySetsRequest [1] => CopySetServersResponse;
    GetClusterInfo: GetClusterInfoRequest [] => ClusterInfoResponse;
    ListPhysicalPool: ListPhysicalPoolRequest [] => PhysicalPoolsResponse;
    ListLogicalPool: ListLogicalPoolRequest [] => LogicalPoolsResponse;
    ListPoolset: ListPoolsetRequest [] => PoolsetsResponse;
    GetChunkServerInCluster: GetChunkServerInClusterRequest [] => ChunkServersResponse;
    GetChunkServer: GetChunkServerRequest [] => ChunkServerResponse;
}
