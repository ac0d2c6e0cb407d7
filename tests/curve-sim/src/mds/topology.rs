//! The topology service.

use bytes::Bytes;
use curve::proto::{
    Request,
    topology::{self as topo, *},
};
use prost::Message;

use super::Mds;
use crate::server::{Answer, decode_request, no_method};

fn reply<M: Message>(message: &M) -> Answer {
    Answer::Reply(message.encode_to_vec(), Bytes::new())
}

impl Mds {
    pub(super) fn topology(&self, method: &str, payload: &Bytes) -> Answer {
        let shared = &self.shared;
        let ok = Some(TopologyStatus::Ok.0);
        match method {
            GetChunkServerListInCopySetsRequest::METHOD => match decode_request(payload) {
                Ok(request) => reply(&self.copyset_servers(&request)),
                Err(refusal) => refusal,
            },
            GetClusterInfoRequest::METHOD => reply(&ClusterInfoResponse {
                status_code: ok,
                cluster_id: Some(shared.config.cluster_id.clone()),
            }),
            ListPhysicalPoolRequest::METHOD => reply(&PhysicalPoolsResponse {
                status_code: ok,
                physical_pool_infos: vec![PhysicalPoolInfo {
                    physical_pool_id: Some(1),
                    physical_pool_name: Some("pool1".into()),
                    desc: Some(String::new()),
                    poolset_id: Some(1),
                    poolset_name: Some("default".into()),
                }],
            }),
            ListLogicalPoolRequest::METHOD => match decode_request(payload) {
                Ok(request) => reply(&self.logical_pools(&request)),
                Err(refusal) => refusal,
            },
            ListPoolsetRequest::METHOD => reply(&PoolsetsResponse {
                status_code: ok,
                poolset_infos: vec![PoolsetInfo {
                    poolset_id: Some(1),
                    poolset_name: Some("default".into()),
                    kind: Some("default".into()),
                    desc: Some("default".into()),
                }],
            }),
            GetChunkServerInClusterRequest::METHOD => reply(&ChunkServersResponse {
                status_code: ok,
                chunk_server_infos: (1..=shared.chunkserver_count())
                    .map(|id| self.chunkserver(id))
                    .collect(),
            }),
            GetChunkServerRequest::METHOD => match decode_request(payload) {
                Ok(request) => reply(&self.find_chunkserver(&request)),
                Err(refusal) => refusal,
            },
            method => no_method(topo::topology_service::NAME, method),
        }
    }

    fn copyset_servers(&self, request: &GetChunkServerListInCopySetsRequest) -> CopySetServersResponse {
        let known = |copyset: &u32| (1..=self.shared.config.copysets).contains(copyset);
        if request.logical_pool_id != self.shared.config.logical_pool || !request.copyset_id.iter().all(known)
        {
            return CopySetServersResponse {
                status_code: Some(TopologyStatus::CopySetNotFound.0),
                cs_info: Vec::new(),
            };
        }
        let info = |copyset: &u32| CopySetServerInfo {
            copyset_id: Some(*copyset),
            cs_locs: self
                .shared
                .members(*copyset)
                .into_iter()
                .map(|id| self.shared.location(id))
                .collect(),
        };
        CopySetServersResponse {
            status_code: Some(TopologyStatus::Ok.0),
            cs_info: request.copyset_id.iter().map(info).collect(),
        }
    }

    fn logical_pools(&self, request: &ListLogicalPoolRequest) -> LogicalPoolsResponse {
        let config = &self.shared.config;
        if request.physical_pool_id != Some(1) && request.physical_pool_name.as_deref() != Some("pool1") {
            return LogicalPoolsResponse {
                status_code: Some(TopologyStatus::PhysicalPoolNotFound.0),
                logical_pool_infos: Vec::new(),
            };
        }
        let policy = format!(
            "{{\n\t\"copysetNum\" : {},\n\t\"replicaNum\" : 3,\n\t\"zoneNum\" : 3\n}}\n",
            config.copysets
        );
        LogicalPoolsResponse {
            status_code: Some(TopologyStatus::Ok.0),
            logical_pool_infos: vec![LogicalPoolInfo {
                logical_pool_id: Some(config.logical_pool),
                logical_pool_name: Some("logicalPool1".into()),
                physical_pool_id: Some(1),
                kind: Some(0),
                create_time: Some(0),
                redundance_and_placement_policy: Some(policy.into_bytes()),
                user_policy: Some(b"{\"policy\" : 1}".to_vec()),
                allocate_status: Some(0),
                scan_enable: Some(true),
            }],
        }
    }

    fn chunkserver(&self, id: u32) -> ChunkServerInfo {
        let location = self.shared.location(id);
        let replicas = self.shared.chunkserver_count().min(3);
        let used = self.shared.store.len() as u64 * u64::from(self.shared.config.chunk_size);
        ChunkServerInfo {
            chunk_server_id: Some(id),
            disk_type: Some("ssd".into()),
            host_ip: location.host_ip,
            port: location.port,
            status: Some(ChunkServerStatus::ReadWrite.0),
            disk_status: Some(0),
            online_state: Some(if self.shared.is_up(id) {
                OnlineState::Online.0
            } else {
                OnlineState::Offline.0
            }),
            mount_point: Some(format!("local://data/cs{id}/")),
            disk_capacity: Some(self.shared.config.capacity),
            disk_used: Some(used * u64::from(replicas) / u64::from(self.shared.chunkserver_count())),
            external_ip: location.external_ip,
            version: Some("sim".into()),
        }
    }

    fn find_chunkserver(&self, request: &GetChunkServerRequest) -> ChunkServerResponse {
        let found = (1..=self.shared.chunkserver_count()).find(|id| {
            let location = self.shared.location(*id);
            request.chunk_server_id.map_or_else(
                || (&location.host_ip, location.port) == (&request.host_ip, request.port),
                |wanted| wanted == *id,
            )
        });
        ChunkServerResponse {
            status_code: Some(found.map_or(TopologyStatus::ChunkServerNotFound.0, |_| TopologyStatus::Ok.0)),
            chunk_server_info: found.map(|id| self.chunkserver(id)),
        }
    }
}
