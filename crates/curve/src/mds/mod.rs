//! The MDS: which one leads, and what it is asked.
//!
//! All MDS processes race for an election, and only the winner listens. There is no redirect: a follower refuses the
//! connection. [`Search`] holds the rules by which the next one is tried.

mod admission;
mod file;
mod namespace;
mod search;
mod snapshot;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

pub use file::{File, Geometry, check_path};
pub use namespace::{CreateVolume, Deletion, Segment, SegmentChunk};
pub use search::{Search, Step};
pub use snapshot::SnapshotState;

use crate::{
    auth::Stamp,
    config::Config,
    error::{Error, Inconsistent, Invalid, Result},
    proto::{Reply, Request, namespace::StatusCode, topology::TopologyStatus},
    rpc::{Rpc, RpcError},
};

/// How long a call is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// So long.
    Budget(Duration),
    /// Until the caller goes away: for what I/O waits for.
    Forever,
}

/// A reply, and whether an earlier try of the same call may have been run too.
#[derive(Debug)]
pub struct Answer<T> {
    /// The reply.
    pub reply: T,
    /// An earlier try got no reply: it may have been run.
    pub repeated: bool,
}

/// The leading MDS, wherever it is. Clones share what they know about it.
#[derive(Clone)]
pub struct Mds {
    rpc: Rpc,
    config: Arc<Config>,
    /// Index of the MDS that last worked.
    current: Arc<AtomicUsize>,
}

impl Mds {
    /// A client of the MDS in `config`.
    ///
    /// # Errors
    /// [`Invalid::NoMds`].
    pub fn new(rpc: Rpc, config: Arc<Config>) -> Result<Self> {
        if config.mds.is_empty() {
            return Err(Invalid::NoMds.into());
        }
        Ok(Self {
            rpc,
            config,
            current: Arc::default(),
        })
    }

    /// The same MDS, asked by other settings.
    pub(crate) fn configured(&self, config: Arc<Config>) -> Self {
        Self {
            config,
            ..self.clone()
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Calls a method of the leading MDS. Every try has a date of its own.
    ///
    /// # Errors
    /// [`Error::NoMds`] when patience ends; [`Error::Rpc`] for what a retry cannot mend.
    pub async fn call<R: Request>(
        &self,
        patience: Patience,
        build: impl Fn(Stamp) -> R + Send + Sync,
    ) -> Result<Answer<R::Reply>> {
        let started = Instant::now();
        let mut search = Search::new(&self.config, self.current.load(Ordering::Relaxed));
        let mut repeated = false;
        loop {
            let index = search.index();
            let request = build(self.config.identity.stamp());
            let error = match self
                .rpc
                .request(self.config.mds[index], &request, search.timeout())
                .await
            {
                Ok(reply) => {
                    self.current.store(index, Ordering::Relaxed);
                    return Ok(Answer { reply, repeated });
                }
                Err(error) => error,
            };
            repeated |= error.is_ambiguous();
            tracing::debug!(mds = %self.config.mds[index], method = R::METHOD, %error, "MDS call failed");
            let pause = match search.failed(&error, self.current.load(Ordering::Relaxed)) {
                Step::Retry(pause) => pause,
                Step::GiveUp => return Err(error.into()),
            };
            let waited = started.elapsed();
            if let Patience::Budget(budget) = patience
                && waited + pause >= budget
            {
                return Err(Error::NoMds {
                    method: R::METHOD,
                    waited,
                    last: error,
                });
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn budget(&self) -> Patience {
        Patience::Budget(self.config.mds_budget)
    }

    /// A call of the namespace whose only good answer is OK.
    async fn namespace<R: Request>(
        &self,
        path: &str,
        build: impl Fn(Stamp) -> R + Send + Sync,
    ) -> Result<Answer<R::Reply>> {
        let answer = self.call(self.budget(), build).await?;
        namespace_ok::<R>(path, &answer.reply)?;
        Ok(answer)
    }

    /// A call of the topology service.
    pub(crate) async fn topology<R: Request + Clone>(
        &self,
        patience: Patience,
        request: R,
    ) -> Result<R::Reply> {
        let answer = self.call(patience, |_| request.clone()).await?;
        match TopologyStatus(answer.reply.status().unwrap_or(TopologyStatus::InternalError.0)) {
            TopologyStatus::Ok => Ok(answer.reply),
            status => Err(Error::Topology {
                method: R::METHOD,
                status,
            }),
        }
    }
}

impl std::fmt::Debug for Mds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mds {:?}", self.config.mds)
    }
}

fn status_of(reply: &impl Reply) -> StatusCode {
    StatusCode(reply.status().unwrap_or(StatusCode::InternalError.0))
}

fn refusal(method: &'static str, path: &str, status: StatusCode) -> Error {
    Error::Mds {
        method,
        path: path.to_owned(),
        status,
    }
}

fn namespace_ok<R: Request>(path: &str, reply: &R::Reply) -> Result<()> {
    match status_of(reply) {
        StatusCode::Ok => Ok(()),
        status => Err(refusal(R::METHOD, path, status)),
    }
}

fn present<T>(method: &'static str, what: &'static str, value: Option<T>) -> Result<T> {
    Ok(value.ok_or(Inconsistent::Missing { method, what })?)
}

/// Whether another MDS may answer where this one did not.
fn is_transient(error: &RpcError) -> bool {
    match error {
        RpcError::Connect(_) | RpcError::Timeout | RpcError::Closed(_) => true,
        RpcError::Remote { code, .. } => !matches!(
            *code,
            crate::rpc::code::ENOSERVICE | crate::rpc::code::ENOMETHOD | crate::rpc::code::EREQUEST
        ),
        RpcError::Unsendable(_) | RpcError::Reply | RpcError::NoStatus => false,
    }
}
