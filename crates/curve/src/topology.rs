//! What the cluster is made of.

use serde_json::Value;

use crate::{
    error::{Inconsistent, Result},
    mds::{Mds, Patience},
    proto::topology::{
        ChunkServerInfo, ChunkServerStatus, CopySetServerInfo, GetChunkServerInClusterRequest,
        GetChunkServerListInCopySetsRequest, GetChunkServerRequest, GetClusterInfoRequest,
        ListLogicalPoolRequest, ListPhysicalPoolRequest, ListPoolsetRequest, LogicalPoolInfo,
        PhysicalPoolInfo, PoolsetInfo,
    },
};

/// A logical pool with what is allocated in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolUse {
    /// Id.
    pub id: u32,
    /// Name.
    pub name: String,
    /// Copies of each chunk.
    pub replicas: u32,
    /// Bytes of all allocated segments, before replication, recycle bin included.
    pub allocated: u64,
}

/// Space of a cluster, as far as its RPCs tell. `used` counts all that is on the chunkservers' file systems, and
/// preallocated chunk files too: it is no measure of what volumes hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes of all disks in use.
    pub raw_total: u64,
    /// Bytes used on them by anything.
    pub raw_used: u64,
    /// Chunkservers in use.
    pub chunkservers: usize,
    /// Those of them without a normal disk, or not online.
    pub unavailable: usize,
    /// Allocated bytes of all volumes, before replication.
    pub allocated: u64,
    /// The logical pools.
    pub pools: Vec<PoolUse>,
}

impl Capacity {
    /// The copies that the most redundant pool keeps.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        self.pools
            .iter()
            .map(|pool| pool.replicas)
            .max()
            .unwrap_or(1)
            .max(1)
    }

    /// Bytes that volumes could hold, were all disks theirs.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.raw_total / u64::from(self.replicas())
    }

    /// Bytes of it that are used on the disks.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.raw_used / u64::from(self.replicas())
    }
}

impl Mds {
    /// The cluster's id.
    ///
    /// # Errors
    /// [`crate::Error::NoMds`].
    pub async fn cluster_id(&self) -> Result<String> {
        let reply = self
            .topology(self.short(), GetClusterInfoRequest::default())
            .await?;
        Ok(reply.cluster_id.ok_or(Inconsistent::Missing {
            method: "GetClusterInfo",
            what: "an id",
        })?)
    }

    fn short(&self) -> Patience {
        Patience::Budget(self.config().mds_budget)
    }

    /// All poolsets.
    ///
    /// # Errors
    /// [`crate::Error::NoMds`].
    pub async fn poolsets(&self) -> Result<Vec<PoolsetInfo>> {
        Ok(self
            .topology(self.short(), ListPoolsetRequest::default())
            .await?
            .poolset_infos)
    }

    /// All physical pools.
    ///
    /// # Errors
    /// [`crate::Error::NoMds`].
    pub async fn physical_pools(&self) -> Result<Vec<PhysicalPoolInfo>> {
        let reply = self
            .topology(self.short(), ListPhysicalPoolRequest::default())
            .await?;
        Ok(reply.physical_pool_infos)
    }

    /// The logical pools of a physical pool.
    ///
    /// # Errors
    /// [`crate::Error::NoMds`], or no such pool.
    pub async fn logical_pools(&self, physical_pool: u32) -> Result<Vec<LogicalPoolInfo>> {
        let request = ListLogicalPoolRequest {
            physical_pool_id: Some(physical_pool),
            physical_pool_name: None,
        };
        Ok(self.topology(self.short(), request).await?.logical_pool_infos)
    }

    /// All chunkservers.
    ///
    /// # Errors
    /// [`crate::Error::NoMds`].
    pub async fn chunkservers(&self) -> Result<Vec<ChunkServerInfo>> {
        let reply = self
            .topology(self.short(), GetChunkServerInClusterRequest::default())
            .await?;
        Ok(reply.chunk_server_infos)
    }

    /// The chunkserver with an internal address. I/O may wait for this, so it goes on until an MDS answers.
    ///
    /// # Errors
    /// No such chunkserver.
    pub async fn chunkserver_at(&self, ip: &str, port: u16) -> Result<ChunkServerInfo> {
        let request = GetChunkServerRequest {
            chunk_server_id: None,
            host_ip: Some(ip.to_owned()),
            port: Some(port.into()),
        };
        let reply = self.topology(Patience::Forever, request).await?;
        Ok(reply.chunk_server_info.ok_or(Inconsistent::Missing {
            method: "GetChunkServer",
            what: "a chunkserver",
        })?)
    }

    /// The members of copysets. I/O waits for this, so it goes on until an MDS answers.
    ///
    /// # Errors
    /// No such copyset.
    pub async fn copyset_servers(&self, pool: u32, copysets: &[u32]) -> Result<Vec<CopySetServerInfo>> {
        let request = GetChunkServerListInCopySetsRequest {
            logical_pool_id: pool,
            copyset_id: copysets.to_vec(),
        };
        Ok(self.topology(Patience::Forever, request).await?.cs_info)
    }

    /// Space of the cluster and what is allocated of it.
    ///
    /// # Errors
    /// [`crate::Error::NoMds`].
    pub async fn capacity(&self) -> Result<Capacity> {
        let (allocated, by_pool) = self.allocated_size("/").await?;
        let mut pools = Vec::new();
        for physical in self.physical_pools().await? {
            for pool in self.logical_pools(physical.physical_pool_id.unwrap_or(0)).await? {
                let id = pool.logical_pool_id.unwrap_or(0);
                pools.push(PoolUse {
                    id,
                    name: pool.logical_pool_name.unwrap_or_default(),
                    replicas: replicas(
                        pool.redundance_and_placement_policy
                            .as_deref()
                            .unwrap_or_default(),
                    ),
                    allocated: by_pool.get(&id).copied().unwrap_or(0),
                });
            }
        }
        let servers = self.chunkservers().await?;
        let in_use = |server: &&ChunkServerInfo| server.status != Some(ChunkServerStatus::Retired.0);
        let mut capacity = Capacity {
            raw_total: 0,
            raw_used: 0,
            chunkservers: 0,
            unavailable: 0,
            allocated,
            pools,
        };
        for server in servers.iter().filter(in_use) {
            capacity.raw_total = capacity
                .raw_total
                .saturating_add(server.disk_capacity.unwrap_or(0));
            capacity.raw_used = capacity.raw_used.saturating_add(server.disk_used.unwrap_or(0));
            capacity.chunkservers += 1;
            let well = server.disk_status == Some(0) && server.online_state == Some(0);
            capacity.unavailable += usize::from(!well);
        }
        Ok(capacity)
    }
}

/// `replicaNum` of a pool's policy.
fn replicas(policy: &[u8]) -> u32 {
    let policy = serde_json::from_slice::<Value>(policy).unwrap_or_default();
    let replicas = policy.get("replicaNum").and_then(Value::as_u64);
    replicas
        .and_then(|replicas| u32::try_from(replicas).ok())
        .unwrap_or(1)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_replicas_is_in_the_policy() {
        assert_eq!(
            replicas(b"{\n\t\"copysetNum\" : 12,\n\t\"replicaNum\" : 3,\n\t\"zoneNum\" : 3\n}\n"),
            3
        );
        for odd in [
            &b""[..],
            b"{}",
            b"[]",
            b"{\"replicaNum\":0}",
            b"{\"replicaNum\":\"x\"}",
        ] {
            assert_eq!(replicas(odd), 1);
        }
    }
}
