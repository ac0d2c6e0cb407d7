//! Calls by address: one connection a peer, made when it is needed.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use prost::Message;

use super::{
    connection::{Call, Connection},
    error::RpcError,
    frame::Frame,
};
use crate::proto::{Reply, Request};

/// Settings of connections.
#[derive(Debug, Clone)]
pub struct RpcConfig {
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
}

impl Default for RpcConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
        }
    }
}

#[derive(Default)]
struct Slot {
    connection: tokio::sync::Mutex<Option<Connection>>,
}

/// All connections of a client. Clones share them.
#[derive(Clone)]
pub struct Rpc {
    config: RpcConfig,
    slots: Arc<Mutex<HashMap<SocketAddr, Arc<Slot>>>>,
}

impl Rpc {
    /// No connection is made yet.
    #[must_use]
    pub fn new(config: RpcConfig) -> Self {
        Self {
            config,
            slots: Arc::default(),
        }
    }

    fn slot(&self, peer: SocketAddr) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(peer).or_default().clone()
    }

    async fn connection(&self, peer: SocketAddr) -> Result<Connection, RpcError> {
        let slot = self.slot(peer);
        let mut connection = slot.connection.lock().await;
        if let Some(open) = connection.as_ref().filter(|connection| connection.is_open()) {
            return Ok(open.clone());
        }
        // Callers that come meanwhile wait here, so a peer that is down sees one attempt at a time.
        let made = Connection::connect(peer, self.config.connect_timeout)
            .await
            .map_err(|error| RpcError::Connect(Arc::new(error)))?;
        *connection = Some(made.clone());
        Ok(made)
    }

    /// Gives up the connection to a peer, if there is one: what it has not sent never will be, and what was called ends
    /// as [`RpcError::Closed`].
    pub async fn abort(&self, peer: SocketAddr) {
        if let Some(connection) = self.slot(peer).connection.lock().await.take() {
            connection.abort();
        }
    }

    /// Calls a method with its data, and returns the reply with its own.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn call(&self, peer: SocketAddr, call: Call, limit: Duration) -> Result<Frame, RpcError> {
        // The time to connect has its own limit.
        self.connection(peer).await?.call(call, limit).await
    }

    /// Calls a method that has no data besides its messages.
    ///
    /// # Errors
    /// See [`RpcError`]. A reply without a status is an error too.
    pub async fn request<R: Request>(
        &self,
        peer: SocketAddr,
        request: &R,
        limit: Duration,
    ) -> Result<R::Reply, RpcError> {
        let call = Call {
            service: R::SERVICE,
            method: R::METHOD,
            payload: Bytes::from(request.encode_to_vec()),
            attachment: Default::default(),
            expect: 0,
        };
        let frame = self.call(peer, call, limit).await?;
        let reply = R::Reply::decode(frame.payload).map_err(|_| RpcError::Reply)?;
        match reply.status() {
            Some(_) => Ok(reply),
            None => Err(RpcError::NoStatus),
        }
    }
}
