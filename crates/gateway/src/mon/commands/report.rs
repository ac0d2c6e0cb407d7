//! `report`: all that there is to know of a cluster, for those who look into it (Ceph `src/mon/Monitor.cc`).

use std::time::SystemTime;

use encoding::{codec::ceph_crc32c, types::Utime};
use serde_json::{Map, Value, json};

use super::{CommandResult, Context, Handler, cluster, crush, health, mon, osd_dump, pg};
use crate::mon::{
    Format,
    reply::{CommandError, Reply},
    show::VERSION,
    time,
};

/// What a report's checksum begins with: the monitor's port for msgr v1 (`CEPH_MON_PORT_LEGACY`).
const OLD_PORT: u32 = 6789;

/// What another command says.
fn said(ctx: &Context<'_>, handler: Handler) -> Result<Value, CommandError> {
    let args = crate::mon::Args::parse(&[r#"{"prefix": "report"}"#.to_owned()])?;
    let ctx = Context {
        format: Format::Json,
        args: &args,
        ..ctx.clone()
    };
    let reply = handler(&ctx)?;
    Ok(serde_json::from_slice(&reply.data).unwrap_or(Value::Null))
}

/// `report [TAGS...]`.
pub(super) fn report(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let monmap = ctx.cluster().monmap();
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| drop(out.insert(name.to_owned(), value));
    put("cluster_fingerprint", ctx.cluster().fsid().to_string().into());
    put("version", VERSION.into());
    put("commit", crate::VERSION.into());
    put(
        "timestamp",
        time::local(Utime::from_system_time(SystemTime::now())).into(),
    );
    put("tag", ctx.args.list("tags").join(" ").into());
    put("health", health::full(ctx));
    put("monmap_first_committed", 1.into());
    put("monmap_last_committed", monmap.epoch.into());
    put("monmap", said(ctx, mon::dump)?);
    put("quorum", json!([0]));
    put("osdmap", said(ctx, osd_dump::dump)?);
    put("osdmap_first_committed", ctx.cluster().oldest_osdmap().into());
    put("osdmap_last_committed", map.epoch.into());
    put("crushmap", said(ctx, crush::dump)?);
    put("osd_metadata", said(ctx, super::osd::metadata)?);
    put("fsmap", said(ctx, cluster::fs_dump)?);
    let entities = ctx.cluster().entities().entities.len();
    put(
        "auth",
        json!({"first_committed": 1, "last_committed": map.epoch, "num_secrets": entities}),
    );
    put("pgmap", said(ctx, pg::dump)?["pg_map"].take());
    put(
        "servicemap",
        ctx.mon.services().map_value(super::mgr::created(ctx)),
    );
    put("features", cluster::features_value(ctx));
    let value = Value::Object(out);
    let reply = Reply::value(ctx.format, "report", &value);
    let checksum = ceph_crc32c(OLD_PORT, &reply.data);
    Ok(reply.with_status(format!("report {checksum}")))
}
