//! Reading and writing chunks, with every answer that a chunkserver may give.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use prost::Message;

use crate::{
    backoff::Backoff,
    buffers::Buffers,
    config::Config,
    copyset::{CopysetId, Copysets, Leader, Unserved},
    error::{Error, Inconsistent, Result},
    proto::chunk::{
        ChunkRequest, ChunkResponse, ChunkStatus, GetChunkInfoRequest, GetChunkInfoResponse, OpType,
        chunk_service,
    },
    rpc::{Call, Frame, Rpc, RpcError, code},
};

/// Time-outs in a row that keep their first length: the leader may be changing.
const SHORT_TIMEOUTS: u32 = 5;
/// Pause before a leader that says it is none is asked again.
const REDIRECT_PAUSE: Duration = Duration::from_millis(10);
/// A chunk that refuses the newest known version so often has a version that cannot be.
const MAX_BACKWARD: u32 = 50;

/// Where a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkAddress {
    /// The raft group that keeps it.
    pub copyset: CopysetId,
    /// Its id.
    pub chunk: u64,
}

/// What writes carry besides their data.
pub trait Version: Send + Sync {
    /// The file's inode.
    fn file_id(&self) -> u64;
    /// The file's version, as far as is known.
    fn sn(&self) -> u64;
    /// The epoch this writer was given; without one its writes are not fenced.
    fn epoch(&self) -> Option<u64>;
    /// A chunk is ahead of `refused`: learns the file's version from the MDS.
    fn renew(&self, refused: u64) -> impl Future<Output = Result<()>> + Send;
}

/// A write was refused because another client has raised the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochTooOld;

/// The chunkservers. Clones share connections and what is known about leaders.
#[derive(Clone)]
pub struct Chunks {
    rpc: Rpc,
    copysets: Copysets,
    config: Arc<Config>,
    without_space: Arc<AtomicUsize>,
}

/// An operation that waits for space.
struct WithoutSpace(Arc<AtomicUsize>);

impl WithoutSpace {
    fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for WithoutSpace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// What follows from one try.
enum Verdict {
    Done(Box<Frame>),
    Status(ChunkStatus),
    Retry(Duration),
}

/// The tries of one operation.
struct Tries {
    timeouts: u32,
    overload: Backoff,
    backward: u32,
    /// Where a try may still be on its way.
    unknown_at: Option<SocketAddr>,
    redirected_by: Option<Leader>,
    /// The last try found no leader.
    unserved: Option<Unserved>,
    /// The last answer was NOSPACE.
    without_space: Option<WithoutSpace>,
}

impl Chunks {
    /// A client of the chunkservers.
    #[must_use]
    pub fn new(rpc: Rpc, copysets: Copysets, config: Arc<Config>) -> Self {
        Self {
            rpc,
            copysets,
            config,
            without_space: Arc::default(),
        }
    }

    /// How many operations are tried again because a chunkserver's disk is full.
    #[must_use]
    pub fn without_space(&self) -> usize {
        self.without_space.load(Relaxed)
    }

    /// The copysets.
    #[must_use]
    pub const fn copysets(&self) -> &Copysets {
        &self.copysets
    }

    fn tries(&self) -> Tries {
        Tries {
            timeouts: 0,
            overload: Backoff::new(self.config.overload_pause, self.config.overload_max_pause),
            backward: 0,
            unknown_at: None,
            redirected_by: None,
            unserved: None,
            without_space: None,
        }
    }

    /// Reads from a chunk; `None` if it was never written, which reads as zeros. Tries until a leader answers.
    ///
    /// # Errors
    /// [`Error::Chunk`] for requests that make no sense.
    pub async fn read(&self, address: ChunkAddress, offset: u32, size: u32) -> Result<Option<Bytes>> {
        let request = ChunkRequest {
            op_type: OpType::Read.0,
            offset: Some(offset),
            size: Some(size),
            ..base(address)
        };
        self.read_data(chunk_service::READ_CHUNK, address, &request, size)
            .await
    }

    /// Reads a chunk as of a snapshot; `None` if it has no such version.
    ///
    /// # Errors
    /// [`Error::Chunk`] for requests that make no sense.
    pub async fn read_snapshot(
        &self,
        address: ChunkAddress,
        sn: u64,
        offset: u32,
        size: u32,
    ) -> Result<Option<Bytes>> {
        let request = ChunkRequest {
            op_type: OpType::ReadSnap.0,
            offset: Some(offset),
            size: Some(size),
            sn: Some(sn),
            ..base(address)
        };
        self.read_data(chunk_service::READ_CHUNK_SNAPSHOT, address, &request, size)
            .await
    }

    async fn read_data(
        &self,
        method: &'static str,
        address: ChunkAddress,
        request: &ChunkRequest,
        size: u32,
    ) -> Result<Option<Bytes>> {
        let call = Call {
            service: chunk_service::NAME,
            method,
            payload: request.encode_to_vec().into(),
            attachment: Buffers::new(),
            expect: size as usize,
        };
        let mut tries = self.tries();
        loop {
            match self.attempt(address, &call, &mut tries).await? {
                Verdict::Done(frame) if frame.attachment.len() == size as usize => {
                    return Ok(Some(frame.attachment));
                }
                Verdict::Done(frame) => {
                    let (got, wanted) = (frame.attachment.len(), size as usize);
                    return Err(Inconsistent::ReadSize { got, wanted }.into());
                }
                Verdict::Status(ChunkStatus::ChunkNotExist) => return Ok(None),
                Verdict::Status(status) => return Err(refused(method, address, status)),
                Verdict::Retry(pause) => tokio::time::sleep(pause).await,
            }
        }
    }

    /// Writes to a chunk. Tries until the write is stored or refused: after a time-out it may already be stored, or yet be
    /// stored, so that nothing else may be written to the range before this returns.
    ///
    /// # Errors
    /// [`EpochTooOld`] when fenced; otherwise what a retry cannot mend.
    pub async fn write(
        &self,
        address: ChunkAddress,
        offset: u32,
        data: Buffers,
        version: &impl Version,
    ) -> Result<Result<(), EpochTooOld>> {
        const METHOD: &str = chunk_service::WRITE_CHUNK;
        let size =
            u32::try_from(data.len()).map_err(|_| refused(METHOD, address, ChunkStatus::InvalidRequest))?;
        let mut tries = self.tries();
        loop {
            let sn = version.sn();
            let request = ChunkRequest {
                op_type: OpType::Write.0,
                offset: Some(offset),
                size: Some(size),
                sn: Some(sn),
                file_id: Some(version.file_id()),
                epoch: version.epoch(),
                ..base(address)
            };
            let call = Call {
                service: chunk_service::NAME,
                method: METHOD,
                payload: request.encode_to_vec().into(),
                attachment: data.clone(),
                expect: 0,
            };
            match self.attempt(address, &call, &mut tries).await? {
                Verdict::Done(_) => return Ok(Ok(())),
                Verdict::Status(ChunkStatus::EpochTooOld) => return Ok(Err(EpochTooOld)),
                Verdict::Status(ChunkStatus::Backward) => {
                    self.backward(address, sn, version, &mut tries).await?;
                }
                Verdict::Status(status) => return Err(refused(METHOD, address, status)),
                Verdict::Retry(pause) => tokio::time::sleep(pause).await,
            }
        }
    }

    async fn backward(
        &self,
        address: ChunkAddress,
        sn: u64,
        version: &impl Version,
        tries: &mut Tries,
    ) -> Result<()> {
        tries.backward += 1;
        if tries.backward > MAX_BACKWARD {
            return Err(Inconsistent::Version {
                chunk: address.chunk,
                sn,
            }
            .into());
        }
        version.renew(sn).await?;
        if version.sn() <= sn {
            tokio::time::sleep(self.config.retry_pause).await;
        }
        Ok(())
    }

    /// A chunk's versions: its own, then its snapshot's; none if it was never written.
    ///
    /// # Errors
    /// [`Error::Chunk`].
    pub async fn versions(&self, address: ChunkAddress) -> Result<Vec<u64>> {
        let request = GetChunkInfoRequest {
            logic_pool_id: address.copyset.pool,
            copyset_id: address.copyset.copyset,
            chunk_id: address.chunk,
        };
        let call = Call {
            service: chunk_service::NAME,
            method: chunk_service::GET_CHUNK_INFO,
            payload: request.encode_to_vec().into(),
            attachment: Buffers::new(),
            expect: 0,
        };
        let mut tries = self.tries();
        loop {
            match self.attempt(address, &call, &mut tries).await? {
                Verdict::Done(frame) => {
                    let reply = GetChunkInfoResponse::decode(frame.payload);
                    return Ok(reply.map_err(|_| RpcError::Reply)?.chunk_sn);
                }
                Verdict::Status(status) => {
                    return Err(refused(chunk_service::GET_CHUNK_INFO, address, status));
                }
                Verdict::Retry(pause) => tokio::time::sleep(pause).await,
            }
        }
    }

    async fn attempt(&self, address: ChunkAddress, call: &Call, tries: &mut Tries) -> Result<Verdict> {
        let leader = self.copysets.leader(address.copyset).await?;
        if let Some(before) = tries.unknown_at.filter(|before| *before != leader.address) {
            // What was sent to the old leader must not reach it after this: it may lead again.
            self.rpc.abort(before).await;
            tries.unknown_at = None;
        }
        let limit = self.timeout(tries.timeouts);
        match self.rpc.call(leader.address, call.clone(), limit).await {
            Ok(frame) => Ok(self.answered(address, leader, frame, tries)),
            Err(error) => self.failed(address, leader, error, tries),
        }
    }

    fn no_leader(&self, address: ChunkAddress, leader: Leader, unreachable: bool, tries: &mut Tries) {
        self.copysets.suspect(address.copyset, leader, unreachable);
        tries
            .unserved
            .get_or_insert_with(|| self.copysets.unserved(address.copyset));
    }

    fn timeout(&self, timeouts: u32) -> Duration {
        let doublings = timeouts.saturating_sub(SHORT_TIMEOUTS).min(16);
        (self.config.chunk_timeout * (1 << doublings)).min(self.config.chunk_max_timeout)
    }

    fn answered(&self, address: ChunkAddress, leader: Leader, frame: Frame, tries: &mut Tries) -> Verdict {
        tries.timeouts = 0;
        tries.unknown_at = None;
        // The first field of all replies is their status.
        let status = ChunkResponse::decode(frame.payload.clone())
            .ok()
            .and_then(|reply| reply.status);
        let Some(status) = status.map(ChunkStatus) else {
            return Verdict::Retry(self.config.retry_pause);
        };
        if !matches!(status, ChunkStatus::Redirected | ChunkStatus::CopysetNotExist) {
            tries.unserved = None;
        }
        if status == ChunkStatus::NoSpace {
            tries
                .without_space
                .get_or_insert_with(|| WithoutSpace::new(Arc::clone(&self.without_space)));
        } else {
            tries.without_space = None;
        }
        match status {
            ChunkStatus::Success | ChunkStatus::ChunkExist => Verdict::Done(Box::new(frame)),
            ChunkStatus::Redirected | ChunkStatus::CopysetNotExist => {
                // The same leader twice: its lease has run out, or an election is on.
                let again = tries
                    .redirected_by
                    .is_some_and(|before| before.address == leader.address);
                tries.redirected_by = Some(leader);
                self.no_leader(address, leader, false, tries);
                Verdict::Retry(if again { REDIRECT_PAUSE } else { Duration::ZERO })
            }
            ChunkStatus::Overload => Verdict::Retry(tries.overload.pause()),
            ChunkStatus::DiskFail
            | ChunkStatus::CrcFail
            | ChunkStatus::NoSpace
            | ChunkStatus::FailureUnknown => {
                tracing::warn!(?address, %status, "chunkserver failed, trying again");
                Verdict::Retry(self.config.retry_pause)
            }
            status => Verdict::Status(status),
        }
    }

    fn failed(
        &self,
        address: ChunkAddress,
        leader: Leader,
        error: RpcError,
        tries: &mut Tries,
    ) -> Result<Verdict> {
        tracing::debug!(?address, leader = %leader.address, %error, "chunk operation failed");
        let unreachable = match &error {
            RpcError::Unsendable(_) => return Err(error.into()),
            RpcError::Remote { code, .. }
                if matches!(*code, code::EREQUEST | code::ENOMETHOD | code::ENOSERVICE) =>
            {
                return Err(error.into());
            }
            RpcError::Timeout => {
                tries.timeouts += 1;
                tries.unknown_at = Some(leader.address);
                false
            }
            RpcError::Connect(_) => true,
            _ => false,
        };
        self.no_leader(address, leader, unreachable, tries);
        let pause = match error {
            RpcError::Timeout | RpcError::Closed(_) => Duration::ZERO,
            RpcError::Connect(_) => REDIRECT_PAUSE,
            _ => self.config.retry_pause,
        };
        Ok(Verdict::Retry(pause))
    }
}

fn base(address: ChunkAddress) -> ChunkRequest {
    ChunkRequest {
        logic_pool_id: address.copyset.pool,
        copyset_id: address.copyset.copyset,
        chunk_id: address.chunk,
        ..Default::default()
    }
}

const fn refused(op: &'static str, address: ChunkAddress, status: ChunkStatus) -> Error {
    Error::Chunk {
        op,
        chunk: address.chunk,
        status,
    }
}
