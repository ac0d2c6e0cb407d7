//! An open volume's record at the MDS, and what the MDS tells about the volume meanwhile.

use std::{
    future::Future,
    net::SocketAddr,
    sync::Weak,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::Inner;
use crate::{
    copyset::Peer,
    error::{Error, Gone, Result},
    mds::File,
    proto::{
        chunk::{ChunkStatus, UpdateEpochRequest},
        common::ChunkServerLocation,
        namespace::StatusCode,
    },
    rpc::{Rpc, RpcError},
};

/// A chunkserver that refuses connections for so long is taken for one that does not run. It asks the MDS for all epochs
/// before it serves again.
const DOWN_AFTER: Duration = Duration::from_secs(2);
/// Pause before an MDS that refuses everything is asked again.
const SHUT_OUT_PAUSE: Duration = Duration::from_millis(500);
/// Pause before a chunkserver is told again.
const EPOCH_PAUSE: Duration = Duration::from_millis(200);

/// Refreshes the record until the volume is closed or dropped.
pub(super) async fn keep(volume: Weak<Inner>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(volume) = volume.upgrade() else { return };
        let mut closed = volume.closed.subscribe();
        tokio::select! {
            refreshed = volume.refresh() => if let Err(error) = refreshed {
                tracing::warn!(path = volume.path, %error, "record not refreshed");
            },
            _ = closed.wait_for(|closed| *closed) => return,
        }
    }
}

impl Inner {
    /// Asks the MDS what the volume is now, which also keeps the record.
    pub(super) async fn refresh(&self) -> Result<()> {
        match self.client.mds.refresh(&self.path).await {
            Ok(file) => {
                self.learn(&file);
                Ok(())
            }
            Err(error) if self.is_shut_out(&error).await => Err(error),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Whether an MDS's refusal says nothing about the volume, because it refuses whatever this client asks for.
    async fn is_shut_out(&self, error: &Error) -> bool {
        error.mds_status() == Some(StatusCode::OwnerAuthFail)
            && self.client.mds.is_shut_out().await.unwrap_or(true)
    }

    /// What the MDS answers that I/O waits for. While it refuses whatever this client asks for, I/O goes on waiting, as libcurve's does: a
    /// clock that was stepped will be set right, and failing a write is for good.
    pub(super) async fn told<T, F>(&self, ask: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        loop {
            match ask().await {
                Err(error) if self.is_shut_out(&error).await => {
                    tracing::warn!(path = self.path, %error, "the MDS refuses everything: is the clock right? Trying again");
                    tokio::time::sleep(SHUT_OUT_PAUSE).await;
                }
                answer => return answer.map_err(|error| self.refused(error)),
            }
        }
    }

    /// What an MDS's refusal says about the volume: some are the end of it.
    pub(super) fn refused(&self, error: Error) -> Error {
        let end = match error.mds_status() {
            Some(StatusCode::FileNotExists | StatusCode::SessionNotExist) => self.gone(Gone::Deleted),
            Some(StatusCode::OwnerAuthFail) => self.gone(Gone::Owner),
            Some(StatusCode::EpochTooOld) => self.fenced(),
            _ => return error,
        };
        self.fail(end.clone());
        end
    }

    fn gone(&self, reason: Gone) -> Error {
        Error::Gone {
            path: self.path.clone(),
            reason,
        }
    }

    /// Takes over what an MDS says about the volume.
    pub(super) fn learn(&self, file: &File) {
        if file.id != self.file_id {
            self.fail(self.gone(Gone::Replaced));
            return;
        }
        self.raise_seq_num(file.seq_num);
        self.raise_length(file.length);
        if self.epoch.is_some_and(|mine| file.epoch > mine) {
            self.fail(self.fenced());
        }
    }
}

/// Tells all chunkservers of an epoch. Those that do not run are returned: they learn it from the MDS when they start, but
/// one that is starting now may have asked before.
pub(super) async fn spread_epoch(
    rpc: &Rpc,
    path: &str,
    request: UpdateEpochRequest,
    servers: &[ChunkServerLocation],
    timing: Timing,
) -> Result<Vec<SocketAddr>> {
    let mut telling = JoinSet::new();
    for server in servers {
        let (rpc, request, peer) = (rpc.clone(), request, Peer::from_location(server)?.external);
        telling.spawn(async move { (peer, tell(&rpc, &request, peer, timing).await) });
    }
    let mut down = Vec::new();
    while let Some(told) = telling.join_next().await {
        let Ok((peer, outcome)) = told else { continue };
        match outcome {
            Told::Yes => {}
            Told::Down => down.push(peer),
            Told::Superseded => {
                return Err(Error::Fenced {
                    path: path.to_owned(),
                });
            }
            Told::No(reason) => {
                return Err(Error::EpochNotSpread {
                    path: path.to_owned(),
                    epoch: request.epoch,
                    server: peer.to_string(),
                    reason,
                });
            }
        }
    }
    Ok(down)
}

/// How long telling a chunkserver may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// One call.
    pub(super) limit: Duration,
    /// All tries.
    pub(super) budget: Duration,
}

enum Told {
    Yes,
    /// It does not run.
    Down,
    /// It knows a later epoch.
    Superseded,
    No(String),
}

async fn tell(rpc: &Rpc, request: &UpdateEpochRequest, peer: SocketAddr, timing: Timing) -> Told {
    let started = Instant::now();
    let mut refused_since = None;
    loop {
        let reason = match rpc.request(peer, request, timing.limit).await {
            Ok(reply) => match ChunkStatus(reply.status.unwrap_or(ChunkStatus::FailureUnknown.0)) {
                ChunkStatus::Success => return Told::Yes,
                ChunkStatus::EpochTooOld => return Told::Superseded,
                status => status.to_string(),
            },
            Err(RpcError::Connect(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                if refused_since.get_or_insert_with(Instant::now).elapsed() >= DOWN_AFTER {
                    return Told::Down;
                }
                tokio::time::sleep(EPOCH_PAUSE).await;
                continue;
            }
            Err(error) => error.to_string(),
        };
        refused_since = None;
        if started.elapsed() >= timing.budget {
            return Told::No(reason);
        }
        tokio::time::sleep(EPOCH_PAUSE).await;
    }
}

/// Goes on telling the chunkservers that did not run, until all know the epoch or the volume is closed.
pub(super) async fn tell_late(
    volume: Weak<Inner>,
    request: UpdateEpochRequest,
    mut down: Vec<SocketAddr>,
    limit: Duration,
) {
    while !down.is_empty() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let Some(volume) = volume.upgrade() else { return };
        if *volume.closed.borrow() {
            return;
        }
        let mut left = Vec::new();
        for peer in down {
            match volume.client.rpc.request(peer, &request, limit).await {
                Ok(reply) if reply.status == Some(ChunkStatus::Success.0) => {}
                Ok(reply) if reply.status == Some(ChunkStatus::EpochTooOld.0) => volume.fail(volume.fenced()),
                _ => left.push(peer),
            }
        }
        down = left;
    }
}
