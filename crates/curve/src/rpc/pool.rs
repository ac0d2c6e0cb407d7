//! Calls by address: one connection a peer, made when it is needed.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use prost::Message;

use super::{
    connection::{Call, Connection, RpcConfig},
    error::RpcError,
    frame::Frame,
};
use crate::proto::{Reply, Request};

#[derive(Default)]
struct Slot {
    state: tokio::sync::Mutex<State>,
    /// Attempts that failed.
    failures: AtomicU64,
}

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    failure: Option<RpcError>,
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
        let before = slot.failures.load(Ordering::Acquire);
        let mut state = slot.state.lock().await;
        if let Some(open) = state
            .connection
            .as_ref()
            .filter(|connection| connection.is_open())
        {
            return Ok(open.clone());
        }
        // Callers that waited here share the attempt's failure: one after the other they would wait for ever.
        if let Some(failure) = &state.failure
            && slot.failures.load(Ordering::Acquire) != before
        {
            return Err(failure.clone());
        }
        match Connection::connect(peer, &self.config).await {
            Ok(made) => {
                state.connection = Some(made.clone());
                state.failure = None;
                Ok(made)
            }
            Err(error) => {
                let failure = RpcError::Connect(Arc::new(error));
                state.failure = Some(failure.clone());
                slot.failures.fetch_add(1, Ordering::AcqRel);
                Err(failure)
            }
        }
    }

    /// Gives up the connection to a peer, if there is one: what it has not sent never will be, and what was called ends
    /// as [`RpcError::Closed`].
    pub async fn abort(&self, peer: SocketAddr) {
        if let Some(connection) = self.slot(peer).state.lock().await.connection.take() {
            connection.abort().await;
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
