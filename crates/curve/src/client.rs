//! A client of one cluster.

use std::sync::Arc;

use crate::{
    auth::Identity,
    chunk::Chunks,
    config::Config,
    copyset::Copysets,
    error::Result,
    mds::Mds,
    rpc::{Rpc, RpcConfig},
    volume::{OpenOptions, Volume},
};

/// A client of one cluster. Clones share connections and all that is known.
#[derive(Clone)]
pub struct Client {
    pub(crate) config: Arc<Config>,
    pub(crate) rpc: Rpc,
    pub(crate) mds: Mds,
    pub(crate) chunks: Chunks,
}

impl Client {
    /// A client. Connections are made when they are needed.
    ///
    /// # Errors
    /// [`crate::error::Invalid::NoMds`].
    pub fn new(config: Config) -> Result<Self> {
        let config = Arc::new(config);
        let rpc = Rpc::new(RpcConfig {
            connect_timeout: config.connect_timeout,
            silence: config.silence,
        });
        let mds = Mds::new(rpc.clone(), config.clone())?;
        let copysets = Copysets::new(rpc.clone(), mds.clone(), config.clone());
        let chunks = Chunks::new(rpc.clone(), copysets, config.clone());
        Ok(Self {
            config,
            rpc,
            mds,
            chunks,
        })
    }

    /// A client that works on another's behalf, and shares connections and all that is known with this one.
    #[must_use]
    pub fn on_behalf_of(&self, identity: Identity) -> Self {
        let config = Arc::new(Config {
            identity,
            ..Config::clone(&self.config)
        });
        Self {
            mds: self.mds.configured(Arc::clone(&config)),
            config,
            rpc: self.rpc.clone(),
            chunks: self.chunks.clone(),
        }
    }

    /// Files, directories, snapshots and topology.
    #[must_use]
    pub const fn mds(&self) -> &Mds {
        &self.mds
    }

    /// Chunks, below volumes.
    #[must_use]
    pub const fn chunks(&self) -> &Chunks {
        &self.chunks
    }

    /// Opens a volume.
    ///
    /// # Errors
    /// `FileNotExists`, `OwnerAuthFail`; [`crate::Error::EpochNotSpread`] if a chunkserver could not be told of a fence.
    pub async fn open(&self, path: &str, options: OpenOptions) -> Result<Volume> {
        Volume::open(self.clone(), path, options).await
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client of {:?} as {:?}", self.config.mds, self.config.identity)
    }
}
