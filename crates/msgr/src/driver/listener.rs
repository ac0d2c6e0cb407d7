//! A daemon's listening socket.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, interval, sleep, timeout},
};

use crate::{
    config::ServerConfig,
    connection::{Connection, Established},
    session::{Dispatcher, Session},
};

use super::{
    FAILURES,
    handshake::{finished, shake_hands},
    live::Live,
    pump::{run_connection, run_session},
};

/// Sessions have so long to end on shutdown.
const GRACE: Duration = Duration::from_secs(6);
/// How often sessions are looked for whose peers do not come back.
const SWEEP: Duration = Duration::from_secs(5);
/// Pause after accepting failed, as when file descriptors run out.
const BACKOFF: Duration = Duration::from_millis(100);

/// Accepts connections until `shutdown` becomes true (or its sender is gone), then ends all sessions, letting
/// out what they were sent. Failures to accept are logged and retried.
pub async fn serve(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    dispatcher: Arc<dyn Dispatcher>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let live = Arc::<Live>::default();
    let mut sweep = interval(SWEEP);
    loop {
        let accepted = tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => break,
            _ = sweep.tick() => {
                config.sessions.sweep(Instant::now().into_std());
                let (live, dispatcher) = (live.clone(), dispatcher.clone());
                connections.spawn(async move { live.reap(&*dispatcher).await });
                continue;
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                let entered = match config.gate.enter(peer.ip(), Instant::now().into_std()) {
                    Ok(entered) => entered,
                    Err(why) => {
                        if FAILURES.allows() {
                            tracing::warn!(%peer, daemon = %config.name, "connection refused: {why}");
                        }
                        continue;
                    }
                };
                let (config, dispatcher, shutdown) = (config.clone(), dispatcher.clone(), shutdown.clone());
                let live = live.clone();
                connections.spawn(async move {
                    let Some(established) = accept(socket, peer, &config).await else {
                        return;
                    };
                    let _place = entered;
                    if established.1.link.is_some() {
                        run_lossless(established, &config, &live, dispatcher, shutdown).await;
                    } else {
                        run(established, &config, dispatcher, shutdown).await;
                    }
                });
            }
            Err(error) => {
                if FAILURES.allows() {
                    tracing::warn!(%error, "accepting failed");
                }
                sleep(BACKOFF).await;
            }
        }
    }
    drop(listener);
    live.close();
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, all_ended).await.is_err() {
        connections.shutdown().await;
    }
    live.reap(&*dispatcher).await;
}

async fn accept(
    mut socket: TcpStream,
    peer: SocketAddr,
    config: &Arc<ServerConfig>,
) -> Option<(TcpStream, Established)> {
    // Replies are small and awaited.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
    }
    let handshake = config.gate.begin();
    let mut connection = Connection::server(config.clone(), peer, Instant::now().into_std());
    let result = tokio::select! {
        result = shake_hands(&mut socket, &mut connection) => result,
        () = handshake.is_cut() => Err(io::Error::other("others need its place").into()),
    };
    let refusals = connection.refusals();
    config
        .gate
        .refused(peer.ip(), refusals, Instant::now().into_std());
    match result.and_then(|()| finished(connection)) {
        Ok(established) => Some((socket, established)),
        Err(error) => {
            if FAILURES.allows() {
                tracing::info!(%peer, daemon = %config.name, %error, "handshake failed");
            }
            None
        }
    }
}

async fn run(
    (socket, established): (TcpStream, Established),
    config: &ServerConfig,
    dispatcher: Arc<dyn Dispatcher>,
    mut shutdown: watch::Receiver<bool>,
) {
    let socket = Arc::new(socket);
    let session = Arc::new(Session::new(
        established.peer,
        established.mon_auth,
        established.write,
        socket.clone(),
        config.budget.clone(),
    ));
    tracing::debug!(session = session.id(), peer = ?session.peer(), daemon = %config.name, "session begins");
    let mut running = std::pin::pin!(run_session(session.clone(), established.read, socket, dispatcher));
    tokio::select! {
        () = &mut running => return,
        _ = shutdown.wait_for(|stop| *stop) => session.close(),
    }
    running.await;
}

/// Runs one connection of a lossless session.
async fn run_lossless(
    (socket, established): (TcpStream, Established),
    config: &ServerConfig,
    live: &Live,
    dispatcher: Arc<dyn Dispatcher>,
    mut shutdown: watch::Receiver<bool>,
) {
    let Some(link) = established.link.clone() else {
        return;
    };
    let socket = Arc::new(socket);
    let (session, transport, read) = live.enter(&link, established, &socket, config);
    // The session that this one replaces, if it does, is over before this one begins.
    live.reap(&*dispatcher).await;
    tracing::debug!(session = session.id(), transport, peer = ?session.peer(), daemon = %config.name, "session has a connection");
    let running = run_connection(session.clone(), transport, read, socket, dispatcher);
    let mut running = std::pin::pin!(running);
    tokio::select! {
        () = &mut running => return,
        _ = shutdown.wait_for(|stop| *stop) => session.close(),
    }
    running.await;
}
