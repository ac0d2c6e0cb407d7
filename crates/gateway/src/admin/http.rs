//! `/health`, `/metrics` and `/sessions` over HTTP. Read-only, without authentication: to everybody it tells figures,
//! never names of images, clients or keys. Sessions have names and addresses of clients, though no secrets: they are
//! told to clients on this host alone.

use std::{fmt::Write as _, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::{net::TcpListener, sync::watch};

use super::sessions::Sessions;
use crate::{VERSION, cluster::Cluster};

/// What requests are answered from.
#[derive(Clone)]
struct Web {
    cluster: Arc<Cluster>,
    sessions: Arc<Sessions>,
}

/// Serves until `shutdown` says true.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    cluster: Arc<Cluster>,
    sessions: Arc<Sessions>,
    mut shutdown: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let app = Router::new()
        .route(
            "/",
            get(|| async { format!("rbdgate {VERSION}\n/health\n/metrics\n/sessions\n") }),
        )
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/sessions", get(list_sessions))
        .with_state(Web { cluster, sessions })
        .into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            // A dropped sender means that the process ends as well.
            let _ = shutdown.wait_for(|stop| *stop).await;
        })
        .await
}

async fn health(State(web): State<Web>) -> String {
    let full = web
        .cluster
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

async fn metrics(State(web): State<Web>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        render(&web.cluster),
    )
}

async fn list_sessions(
    State(web): State<Web>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> impl IntoResponse {
    if !is_of_this_host(peer, &headers) {
        let text = "sessions are told on the server's own host alone\n".to_owned();
        return (
            StatusCode::FORBIDDEN,
            [(header::CONTENT_TYPE, "text/plain")],
            text,
        );
    }
    let mut text = web.sessions.list().to_string();
    text.push('\n');
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], text)
}

/// Whether a request was made on this host, for somebody on this host.
fn is_of_this_host(peer: SocketAddr, headers: &HeaderMap) -> bool {
    // A proxy here asks for somebody elsewhere.
    if [header::FORWARDED.as_str(), "x-forwarded-for"]
        .iter()
        .any(|name| headers.contains_key(*name))
    {
        return false;
    }
    // A page in a browser here asks by a name of its own that leads here; its author is elsewhere.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let named = host.is_none_or(|host| {
        let name = host
            .strip_prefix("localhost")
            .filter(|rest| rest.is_empty() || rest.starts_with(':'));
        name.is_some() || host.parse::<SocketAddr>().is_ok() || host.parse::<std::net::IpAddr>().is_ok()
    });
    peer.ip().to_canonical().is_loopback() && named
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
    let damage = stats.damage();
    let cache = stats.read_cache();
    for (name, help, kind, value) in [
        (
            "rbdgate_read_cache_bytes",
            "Memory with large pieces of images that may be read again",
            "gauge",
            cache.held.bytes,
        ),
        (
            "rbdgate_read_cache_found_bytes_total",
            "Bytes read from there",
            "counter",
            cache.found,
        ),
        (
            "rbdgate_read_cache_missed_bytes_total",
            "Bytes that had to be read to be kept there",
            "counter",
            cache.missed,
        ),
        (
            "rbdgate_damaged_blocks",
            "Blocks of 4 KiB that are not what was written",
            "gauge",
            damage.blocks.len() as u64,
        ),
        (
            "rbdgate_damaged_blocks_met_total",
            "How often one was met",
            "counter",
            damage.met,
        ),
        (
            "rbdgate_scrubbed_bytes_total",
            "Bytes read by scrubbing in the background",
            "counter",
            damage.scrubbed,
        ),
        (
            "rbdgate_scrubbed_volumes_total",
            "Volumes scrubbed to their end",
            "counter",
            damage.scrubs,
        ),
    ] {
        metric(name, help, kind, vec![(String::new(), value)]);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(peer: &str, headers: &[(&'static str, &str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        is_of_this_host(peer.parse().unwrap(), &headers.collect())
    }

    #[test]
    fn sessions_are_told_to_this_host_alone() {
        assert!(told("127.0.0.1:5000", &[("host", "127.0.0.1:9283")]));
        assert!(told("[::1]:5000", &[("host", "localhost:9283")]));
        assert!(told("[::ffff:127.0.0.1]:5000", &[]));
        assert!(!told("192.0.2.7:5000", &[("host", "192.0.2.1:9283")]));
    }

    #[test]
    fn sessions_are_not_told_through_proxies_and_foreign_pages() {
        let host = ("host", "127.0.0.1:9283");
        assert!(!told("127.0.0.1:5000", &[host, ("x-forwarded-for", "192.0.2.7")]));
        assert!(!told("127.0.0.1:5000", &[host, ("forwarded", "for=192.0.2.7")]));
        assert!(!told("127.0.0.1:5000", &[("host", "localhost.example.org:9283")]));
        assert!(!told("127.0.0.1:5000", &[("host", "rebound.example.org")]));
    }
}
