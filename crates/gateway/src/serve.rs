//! `rbdgate serve`: opens the data, listens, tells that it is ready, and ends in order.

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use encoding::types::EntityAddrVec;
use store::{Seq, Store};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    backend::BackendStats,
    client_files::{conf_path, write_conf, write_keyring},
    cluster::{Cluster, ClusterStats},
    config::{Auth, Settings},
    listeners::Listeners,
    open::{ServeError, connect_backend, open_store},
    osd::Osd,
    rbd_support::RbdSupport,
};

/// How long sessions have to end, and the store to close, once the process is told to stop.
const STOP_DEADLINE: Duration = Duration::from_millis(4500);
/// Whose key is written for the administrator of the host.
const ADMIN: &str = "client.admin";
/// How often keys are looked at for rotation, and blocklist entries for expiry.
const CLUSTER_TICK: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT. Returns when everything is on disk.
///
/// # Errors
/// If it cannot start, or the store fails while it runs.
pub fn run(settings: &Settings) -> Result<(), ServeError> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(settings));
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

/// Each client takes descriptors: takes as many as the system allows.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    ) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

async fn serve(settings: &Settings) -> Result<(), ServeError> {
    // Signals that come while the data is opened must end the process in order, too.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let devices = connect_backend(settings)?;
    let store = open_store(&settings.data, settings, devices.as_ref())?;
    let listeners = Listeners::bind(settings).await?;
    let cluster = Cluster::open(Arc::new(store.clone()), &listeners.endpoints()?)?;
    cluster.set_auth_method(match settings.auth {
        Auth::Cephx => "cephx",
        Auth::None => "none",
    });
    let osd = Osd::open(store.clone(), Arc::clone(&cluster))?;
    let stats: Arc<dyn ClusterStats> = Arc::clone(&osd) as _;
    cluster.set_stats(match &devices {
        Some(devices) => {
            devices.set_cluster(&cluster);
            Arc::new(BackendStats::new(stats, devices.clone()))
        }
        None => stats,
    });
    write_client_files(settings, &cluster)?;

    let (stop, stopping) = watch::channel(false);
    let rbd_support = RbdSupport::new(Arc::clone(&cluster), Arc::clone(&osd));
    let mut servers = listeners.start(
        settings,
        &cluster,
        &osd,
        devices.as_ref(),
        &rbd_support,
        &stopping,
    )?;
    rbd_support.start();
    servers.spawn(tick_cluster(Arc::clone(&cluster), stopping.clone()));
    let ticker = tokio::spawn(Arc::clone(&osd).run_ticker());
    announce(&settings.data)?;

    let failed = async {
        // Nothing ever becomes durable up to there: it ends only with an error. On devices the server goes on, and refuses.
        match store.durable_at(Seq::MAX).await {
            Err(error) if !store.on_devices() => error,
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        error = failed => {
            tracing::error!(%error, "the store failed: stopping; everything acknowledged is there at the next start, with a disk that works");
        }
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        // A server ends by itself only if something is broken.
        Some(ended) = servers.join_next() => tracing::error!(?ended, "a server ended: stopping"),
    }
    stop.send_replace(true);
    let module = tokio::task::spawn_blocking(move || rbd_support.stop());
    if tokio::time::timeout(STOP_DEADLINE / 4, module).await.is_err() {
        tracing::warn!("a task is still at work: it is taken up at the next start");
    }
    ticker.abort();
    let all_ended = async { while servers.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_DEADLINE / 2, all_ended).await.is_err() {
        tracing::warn!("clients are still connected: they are cut off");
        servers.abort_all();
    }
    close_store(store).await
}

async fn close_store(store: Store) -> Result<(), ServeError> {
    let closed = tokio::task::spawn_blocking(move || store.close());
    match tokio::time::timeout(STOP_DEADLINE / 2, closed).await {
        Ok(Ok(closed)) => Ok(closed?),
        Ok(Err(panicked)) => Err(io::Error::other(panicked).into()),
        // What was acknowledged is in the journal: the next start brings it to its place.
        Err(_) => {
            tracing::warn!("the disk is slow: the next start takes up the journal");
            Ok(())
        }
    }
}

fn write_client_files(settings: &Settings, cluster: &Cluster) -> Result<(), ServeError> {
    let data = &settings.data;
    let fail = |reason| ServeError::Data {
        dir: data.clone(),
        reason,
    };
    let mon: Vec<_> = cluster
        .monmap()
        .mons
        .values()
        .flat_map(|m| m.public_addrs.0.clone())
        .collect();
    let mon = EntityAddrVec(mon);
    write_conf(data, cluster.fsid(), &mon, settings.auth).map_err(fail)?;
    let mut keyring = cluster.entities();
    keyring.entities.retain(|name, _| name == ADMIN);
    // An administrator without a key (removed on purpose) gets no file; an old one is not touched.
    if !keyring.entities.is_empty() {
        write_keyring(data, &keyring.format()).map_err(fail)?;
    }
    Ok(())
}

/// The one line on standard output.
fn announce(data: &Path) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "rbdgate is ready: ceph -c {} -s", conf_path(data).display())?;
    out.flush()
}

async fn tick_cluster(cluster: Arc<Cluster>, mut stopping: watch::Receiver<bool>) -> io::Result<()> {
    let mut ticks = tokio::time::interval(CLUSTER_TICK);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopping.wait_for(|stop| *stop) => return Ok(()),
        }
        let cluster = Arc::clone(&cluster);
        let ticked = tokio::task::spawn_blocking(move || cluster.tick(SystemTime::now())).await;
        match ticked {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the cluster's periodic work failed"),
            Err(panicked) => return Err(io::Error::other(panicked)),
        }
    }
}
