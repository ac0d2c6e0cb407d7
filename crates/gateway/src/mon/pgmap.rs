//! What the manager says of all placement groups in a line, and says in the cluster's log again and again (Ceph
//! `src/mgr/DaemonServer.cc`, `send_report`).

use std::{sync::Arc, time::Duration};

use encoding::types::{EntityName, EntityType};
use tokio::sync::watch;

use super::{
    commands::{io_line, states},
    format::bytes,
    log::LogLevel,
    shared::MonShared,
    show::pg_count,
};
use crate::cluster::{Cluster, MGR_NAME, PoolUsage, Rates};

/// `mgr_tick_period`.
const PERIOD: Duration = Duration::from_secs(2);

/// The figures of all pools together.
pub(super) fn totals(cluster: &Cluster) -> (PoolUsage, Rates) {
    let stats = cluster.stats();
    let mut usage = PoolUsage::default();
    let mut rates = Rates::default();
    for id in cluster.osdmap().pools.keys() {
        let (u, r) = (stats.pool(*id), stats.rates(*id));
        usage.objects += u.objects;
        usage.clones += u.clones;
        usage.bytes_stored += u.bytes_stored;
        usage.bytes_used += u.bytes_used;
        rates.read_ops += r.read_ops;
        rates.read_bytes += r.read_bytes;
        rates.write_ops += r.write_ops;
        rates.write_bytes += r.write_bytes;
    }
    (usage, rates)
}

/// `33 pgs: 33 active+clean; 19 B data, 257 MiB used, 22 GiB / 23 GiB avail`, and what clients do.
pub(super) fn summary(cluster: &Cluster) -> String {
    let space = cluster.stats().space();
    let (usage, rates) = totals(cluster);
    let pgs = pg_count(&cluster.osdmap());
    let mut out = format!("{pgs} pgs: ");
    let states: Vec<_> = states(cluster)
        .iter()
        .map(|(state, n)| format!("{n} {state}"))
        .collect();
    out += &states.join(", ");
    out += &format!(
        "; {} data, {} used, {} / {} avail",
        bytes(usage.bytes_stored),
        bytes(space.used),
        bytes(space.avail),
        bytes(space.total)
    );
    if rates != Rates::default() {
        out += &format!("; {}", io_line(rates));
    }
    out
}

/// Says the summary in the log every two seconds, as a debugging message, until `stopping`. Clients wait for it.
pub(crate) async fn report(
    shared: Arc<MonShared>,
    mut stopping: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut ticks = tokio::time::interval(PERIOD);
    for version in 1_u64.. {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopping.wait_for(|stop| *stop) => break,
        }
        let shared = Arc::clone(&shared);
        let said = tokio::task::spawn_blocking(move || {
            let cluster = shared.cluster();
            let rank = EntityName {
                kind: EntityType::MGR,
                num: cluster.mgrmap().active_gid as i64,
            };
            let text = format!("pgmap v{version}: {}", summary(cluster));
            shared
                .log()
                .say_as(rank, MGR_NAME, "cluster", LogLevel::DEBUG, text);
        });
        said.await.map_err(std::io::Error::other)?;
    }
    Ok(())
}
