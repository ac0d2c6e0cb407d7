//! A chunkserver: checks at its door, then its copysets' logs.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use curve::{
    proto::{
        Request,
        chunk::{
            ChunkRequest, ChunkResponse, ChunkStatus, GetChunkInfoRequest, GetChunkInfoResponse,
            GetLeaderRequest, GetLeaderResponse, OpType, UpdateEpochRequest, UpdateEpochResponse,
            chunk_service, cli_service2,
        },
    },
    rpc::{Frame, code},
};
use prost::Message;
use rand::RngExt as _;

use crate::{
    copyset::Copyset,
    server::{Answer, Service, decode, decode_request, no_method},
    sim::Shared,
    store::lock,
};

/// One chunkserver process.
pub(crate) struct ChunkServer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: u32,
    /// Epochs by file: in memory, as the MDS knew them when it started, and as clients told since.
    epochs: Mutex<HashMap<u64, u64>>,
    inflight: AtomicUsize,
}

fn reply(status: ChunkStatus, applied_index: Option<u64>, data: Bytes) -> Answer {
    let reply = ChunkResponse {
        status: Some(status.0),
        redirect: None,
        applied_index,
    };
    Answer::Reply(reply.encode_to_vec(), data)
}

fn refuse(status: ChunkStatus) -> Answer {
    reply(status, None, Bytes::new())
}

impl Service for ChunkServer {
    async fn run(&self, request: &Frame, _peer: SocketAddr, late: Option<Duration>) -> Answer {
        let Some(meta) = &request.meta.request else {
            return Answer::Close;
        };
        let method = meta.method_name.as_str();
        match (meta.service_name.as_str(), method) {
            (cli_service2::NAME, GetLeaderRequest::METHOD) => {
                decode_request(&request.payload).map_or_else(|no| no, |r| self.leader(&r))
            }
            (chunk_service::NAME, UpdateEpochRequest::METHOD) => {
                decode_request(&request.payload).map_or_else(|no| no, |r| self.update_epoch(&r))
            }
            (chunk_service::NAME, GetChunkInfoRequest::METHOD) => {
                decode_request(&request.payload).map_or_else(|no| no, |r| self.chunk_info(&r))
            }
            (chunk_service::NAME, _) => {
                match decode::<ChunkRequest>(&request.payload, ChunkRequest::REQUIRED) {
                    Ok(chunk) => {
                        self.chunk_operation(method, chunk, &request.attachment, late)
                            .await
                    }
                    Err(refusal) => refusal,
                }
            }
            (service, method) => no_method(service, method),
        }
    }

    fn status(&self, _service: &str, method: &str, status: i32) -> Option<Vec<u8>> {
        let reply = ChunkResponse {
            status: Some(status),
            ..Default::default()
        };
        (method != GetLeaderRequest::METHOD).then(|| reply.encode_to_vec())
    }
}

impl ChunkServer {
    pub(crate) fn new(shared: Arc<Shared>, id: u32, epochs: Vec<(u64, u64)>) -> Self {
        Self {
            shared,
            id,
            epochs: Mutex::new(epochs.into_iter().collect()),
            inflight: AtomicUsize::new(0),
        }
    }

    fn copyset(&self, pool: u32, copyset: u32) -> Option<&Copyset> {
        let here = self.shared.copyset(pool, copyset)?;
        here.members.contains(&self.id).then_some(here)
    }

    fn leader(&self, request: &GetLeaderRequest) -> Answer {
        let group = (u64::from(request.logic_pool_id) << 32) | u64::from(request.copyset_id);
        let Some(copyset) = self.copyset(request.logic_pool_id, request.copyset_id) else {
            return Answer::Error(code::ENOENT, format!("No nodes in group {group}"));
        };
        let leadership = copyset.leadership();
        let Some(named) = leadership
            .leader
            .or(leadership.last.filter(|last| *last != self.id))
        else {
            return Answer::Error(code::EAGAIN, "Unknown leader".into());
        };
        let reply = GetLeaderResponse {
            leader: Some(curve::proto::common::Peer {
                id: None,
                address: Some(format!("{}:0", self.shared.address(named))),
            }),
        };
        Answer::Reply(reply.encode_to_vec(), Bytes::new())
    }

    fn update_epoch(&self, request: &UpdateEpochRequest) -> Answer {
        let mut epochs = lock(&self.epochs);
        let known = epochs.entry(request.file_id).or_insert(0);
        let status = if request.epoch < *known {
            ChunkStatus::EpochTooOld
        } else {
            *known = request.epoch;
            ChunkStatus::Success
        };
        let reply = UpdateEpochResponse {
            status: Some(status.0),
        };
        Answer::Reply(reply.encode_to_vec(), Bytes::new())
    }

    fn chunk_info(&self, request: &GetChunkInfoRequest) -> Answer {
        let mut reply = GetChunkInfoResponse::default();
        let status = match self.copyset(request.logic_pool_id, request.copyset_id) {
            None => ChunkStatus::CopysetNotExist,
            Some(copyset) => match copyset.leadership().leader {
                Some(leader) if leader == self.id => {
                    let chunk = self.shared.store.get(request.chunk_id);
                    reply.chunk_sn = chunk.map(|chunk| lock(&chunk).versions()).unwrap_or_default();
                    ChunkStatus::Success
                }
                leader => {
                    reply.redirect = leader.map(|leader| format!("{}:0", self.shared.address(leader)));
                    ChunkStatus::Redirected
                }
            },
        };
        reply.status = Some(status.0);
        Answer::Reply(reply.encode_to_vec(), Bytes::new())
    }

    async fn chunk_operation(
        &self,
        method: &str,
        request: ChunkRequest,
        data: &Bytes,
        late: Option<Duration>,
    ) -> Answer {
        let op = OpType(request.op_type);
        if !ops().iter().any(|op| ChunkRequest::method(*op) == Some(method)) {
            return no_method(chunk_service::NAME, method);
        }
        if ChunkRequest::method(op) != Some(method) {
            // The log holds the request and not the method: replicas would run something else than the leader.
            self.shared.violation(format!("{method} with operation {op}"));
            return refuse(ChunkStatus::InvalidRequest);
        }
        let _counted = Counted::new(&self.inflight);
        if self.inflight.load(Ordering::Relaxed) > self.shared.config.max_inflight {
            return refuse(ChunkStatus::Overload);
        }
        if let Some(refusal) = self.check(op, &request) {
            return refusal;
        }
        let Some(copyset) = self.copyset(request.logic_pool_id, request.copyset_id) else {
            return refuse(ChunkStatus::CopysetNotExist);
        };
        let leadership = copyset.leadership();
        if leadership.leader != Some(self.id) {
            return refuse(ChunkStatus::Redirected);
        }
        if op == OpType::Read && late.is_none() {
            // Under the leader's lease, past the log.
            return self.apply(op, &request, data, copyset);
        }
        let _turn = copyset.log.lock().await;
        if let Some(late) = late {
            tokio::time::sleep(late).await;
        }
        // What an old leader had in its log is either committed before the next one serves, or never.
        if copyset.leadership().term != leadership.term && rand::rng().random_bool(0.5) {
            return refuse(ChunkStatus::Redirected);
        }
        self.apply(op, &request, data, copyset)
    }

    /// What is refused at the door, in the order of the real one.
    fn check(&self, op: OpType, request: &ChunkRequest) -> Option<Answer> {
        if op == OpType::Write
            && let Some(epoch) = request.epoch
            && let Some(known) = lock(&self.epochs).get(&request.file_id.unwrap_or(0))
            && *known != epoch
        {
            return Some(refuse(ChunkStatus::EpochTooOld));
        }
        let config = &self.shared.config;
        let (offset, size) = (request.offset.unwrap_or(0), request.size.unwrap_or(0));
        let fits = match op {
            OpType::Read | OpType::Write | OpType::ReadSnap | OpType::Recover => {
                offset
                    .checked_add(size)
                    .is_some_and(|end| end <= config.chunk_size)
                    && offset.is_multiple_of(config.block_size)
                    && size.is_multiple_of(config.block_size)
            }
            OpType::DeleteSnap => request.corrected_sn.is_some(),
            OpType::CreateClone => size == config.chunk_size,
            _ => true,
        };
        (!fits).then(|| refuse(ChunkStatus::InvalidRequest))
    }

    fn apply(&self, op: OpType, request: &ChunkRequest, data: &Bytes, copyset: &Copyset) -> Answer {
        let index = if op == OpType::Read {
            copyset.index()
        } else {
            copyset.next_index()
        };
        let done = |status, data| reply(status, Some(index), data);
        let (offset, size) = (
            request.offset.unwrap_or(0) as usize,
            request.size.unwrap_or(0) as usize,
        );
        let sn = request.sn.unwrap_or(0);
        let store = &self.shared.store;
        let chunk = store.get(request.chunk_id);
        let outcome = match op {
            OpType::Write if data.len() != size => {
                self.shared.poison(
                    copyset,
                    format!("WriteChunk of {size} bytes with {} of data", data.len()),
                );
                return Answer::Close;
            }
            OpType::Write => store
                .write(request.chunk_id, sn, offset, data)
                .map(|status| (status, None)),
            OpType::Read => match chunk {
                Some(chunk) => lock(&chunk)
                    .read(offset, size)
                    .map(|data| (ChunkStatus::Success, Some(data))),
                None => Ok((ChunkStatus::ChunkNotExist, None)),
            },
            OpType::ReadSnap => match chunk {
                Some(chunk) => lock(&chunk)
                    .read_version(sn, offset, size)
                    .map(|data| match data {
                        Some(data) => (ChunkStatus::Success, Some(data)),
                        None => (ChunkStatus::ChunkNotExist, None),
                    }),
                None => Ok((ChunkStatus::ChunkNotExist, None)),
            },
            OpType::DeleteSnap => match chunk {
                Some(chunk) => lock(&chunk)
                    .delete_snapshot(request.corrected_sn.unwrap_or(0))
                    .map(|status| (status, None)),
                None => Ok((ChunkStatus::Success, None)),
            },
            OpType::Delete => match chunk {
                Some(chunk) if sn < lock(&chunk).versions()[0] => Ok((ChunkStatus::Backward, None)),
                _ => store
                    .delete(request.chunk_id)
                    .map(|()| (ChunkStatus::Success, None)),
            },
            // Clones are not played.
            _ => Ok((ChunkStatus::FailureUnknown, None)),
        };
        match outcome {
            Ok((status, data)) => done(status, data.map(Bytes::from).unwrap_or_default()),
            Err(error) => {
                tracing::error!(%error, "disk");
                done(ChunkStatus::DiskFail, Bytes::new())
            }
        }
    }
}

const fn ops() -> [OpType; 7] {
    [
        OpType::Delete,
        OpType::Read,
        OpType::Write,
        OpType::ReadSnap,
        OpType::DeleteSnap,
        OpType::CreateClone,
        OpType::Recover,
    ]
}

struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
