//! `/health` and `/metrics` over HTTP. Read-only, without authentication: it tells figures, never names of
//! images, clients or keys.

use std::{fmt::Write as _, sync::Arc};

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use tokio::{net::TcpListener, sync::watch};

use crate::{VERSION, cluster::Cluster};

/// Serves until `shutdown` says true.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    cluster: Arc<Cluster>,
    mut shutdown: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let app = Router::new()
        .route(
            "/",
            get(|| async { format!("rbdgate {VERSION}\n/health\n/metrics\n") }),
        )
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .with_state(cluster);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            // A dropped sender means that the process ends as well.
            let _ = shutdown.wait_for(|stop| *stop).await;
        })
        .await
}

async fn health(State(cluster): State<Arc<Cluster>>) -> String {
    let full = cluster
        .osdmap()
        .pools
        .values()
        .any(encoding::maps::PgPool::is_full);
    if full {
        "full: no space for new data\n".to_owned()
    } else {
        "ok\n".to_owned()
    }
}

async fn metrics(State(cluster): State<Arc<Cluster>>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        render(&cluster),
    )
}

fn render(cluster: &Cluster) -> String {
    let map = cluster.osdmap();
    let stats = cluster.stats();
    let space = stats.space();
    let mut out = String::new();
    let mut metric = |name: &str, help: &str, kind: &str, rows: Vec<(String, u64)>| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in rows {
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    };
    metric(
        "ceph_cluster_total_bytes",
        "Capacity of the backend",
        "gauge",
        vec![(String::new(), space.total)],
    );
    metric(
        "ceph_cluster_total_used_bytes",
        "Used of it",
        "gauge",
        vec![(String::new(), space.used)],
    );
    metric(
        "ceph_osdmap_epoch",
        "Epoch of the OSD map",
        "gauge",
        vec![(String::new(), map.epoch.into())],
    );
    type Figure = fn(&crate::cluster::PoolUsage) -> u64;
    let pools: [(&str, &str, &str, Figure); 6] = [
        ("ceph_pool_stored", "Bytes stored in the pool", "gauge", |p| {
            p.bytes_stored
        }),
        ("ceph_pool_objects", "Objects in the pool", "gauge", |p| p.objects),
        ("ceph_pool_rd", "Read operations", "counter", |p| p.read_ops),
        ("ceph_pool_rd_bytes", "Bytes read", "counter", |p| p.read_bytes),
        ("ceph_pool_wr", "Write operations", "counter", |p| p.write_ops),
        ("ceph_pool_wr_bytes", "Bytes written", "counter", |p| {
            p.write_bytes
        }),
    ];
    for (name, help, kind, figure) in pools {
        let rows = map
            .pools
            .keys()
            .map(|id| (format!("{{pool_id=\"{id}\"}}"), figure(&stats.pool(*id))));
        metric(name, help, kind, rows.collect());
    }
    out
}
