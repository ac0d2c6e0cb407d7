//! `MPoolOp`: pools and snapshots as libraries, not commands, ask for them (Ceph `src/mon/OSDMonitor.cc`).

use std::{collections::BTreeMap, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use encoding::messages::{MPoolOp, MPoolOpReply, PaxosHeader, PoolOpCode};
use msgr::cephx::KeyServer;
use rustix::io::Errno;

use super::{run::Asker, shared::MonShared};
use crate::cluster::{
    Cluster, ClusterError, PoolLayout, PoolRequest,
    caps::{CommandAccess, OsdCaps},
};

/// Placement groups of pools that are made this way.
const PG_NUM: u32 = 32;

/// Does the operation; `may_write` says whether the client may change the OSD map at will.
pub(super) async fn run(
    shared: &Arc<MonShared>,
    asker: &Asker,
    may_write: bool,
    message: MPoolOp,
) -> MPoolOpReply {
    let (shared_there, asker) = (shared.clone(), asker.clone());
    let done = tokio::task::spawn_blocking(move || operate(&shared_there, &asker, may_write, &message)).await;
    let result = done.unwrap_or_else(|error| {
        tracing::error!(%error, "a pool operation panicked");
        Err(Errno::IO)
    });
    let cluster = shared.cluster();
    let epoch = cluster.osdmap().epoch;
    let code = result.as_ref().err().map_or(0, |e| -e.raw_os_error());
    MPoolOpReply {
        paxos: PaxosHeader::new(epoch.into()),
        fsid: cluster.fsid(),
        result: code,
        epoch,
        response: result.unwrap_or(None),
    }
}

/// Whether the client may manage snapshot ids of the pool: by its monitor capabilities, or because it may write
/// the pool's objects.
fn may_snap(cluster: &Cluster, asker: &Asker, pool: Option<&str>) -> bool {
    let args: BTreeMap<String, String> = pool
        .map(|name| ("poolname".to_owned(), name.to_owned()))
        .into_iter()
        .collect();
    let by_mon = asker.caps.allows(&CommandAccess {
        service: "osd",
        module: "",
        command: "osd pool op unmanaged-snap",
        args: &args,
        read: false,
        write: true,
        exec: false,
        peer: asker.peer,
    });
    by_mon || {
        let text = cluster.entity(&asker.entity).and_then(|e| e.caps_text("osd"));
        let caps = text.and_then(|t| OsdCaps::parse(&t).ok());
        caps.is_some_and(|c| c.may_write_pool(pool))
    }
}

fn operate(
    shared: &MonShared,
    asker: &Asker,
    may_write: bool,
    message: &MPoolOp,
) -> Result<Option<Bytes>, Errno> {
    let cluster = shared.cluster();
    let pool = i64::from(message.pool);
    let map = cluster.osdmap();
    let snap_op = matches!(
        message.op,
        PoolOpCode::CREATE_UNMANAGED_SNAP | PoolOpCode::DELETE_UNMANAGED_SNAP
    );
    let allowed = match snap_op {
        true => may_snap(cluster, asker, map.pool_names.get(&pool).map(String::as_str)),
        false => may_write,
    };
    if !allowed {
        tracing::info!(entity = asker.entity, op = ?message.op, "pool operation without capability refused");
        return Err(Errno::PERM);
    }
    if message.fsid != cluster.fsid() {
        return Err(Errno::INVAL);
    }
    let none = |()| None;
    let done = match message.op {
        PoolOpCode::CREATE => return create(cluster, &message.name),
        PoolOpCode::DELETE if !shared.pools_deletable() => return Err(Errno::PERM),
        PoolOpCode::DELETE => cluster.delete_pool(pool).map(none),
        PoolOpCode::CREATE_UNMANAGED_SNAP => cluster.create_snap(pool).map(|id| {
            let mut response = BytesMut::new();
            response.put_u64_le(id);
            Some(response.freeze())
        }),
        PoolOpCode::DELETE_UNMANAGED_SNAP => match cluster.remove_snap(pool, message.snapid) {
            // A pool without any snapshots so far.
            Err(ClusterError::SnapMode(_)) if map.pools.get(&pool).is_some_and(|p| p.snaps.is_empty()) => {
                return Err(Errno::OPNOTSUPP);
            }
            other => other.map(none),
        },
        PoolOpCode::CREATE_SNAP => match cluster.create_pool_snap(pool, &message.name) {
            Err(ClusterError::Exists(_)) => return Ok(None),
            other => other.map(none),
        },
        PoolOpCode::DELETE_SNAP => cluster.remove_pool_snap(pool, &message.name).map(|_| None),
        _ => return Err(Errno::OPNOTSUPP),
    };
    done.map_err(|error| {
        tracing::info!(entity = asker.entity, op = ?message.op, %error, "pool operation failed");
        error.errno()
    })
}

fn create(cluster: &Cluster, name: &str) -> Result<Option<Bytes>, Errno> {
    let request = PoolRequest {
        name: name.to_owned(),
        pg_num: PG_NUM,
        layout: PoolLayout::copies(1),
    };
    match cluster.create_pool(&request) {
        Ok(_) => Ok(None),
        Err(error) => Err(error.errno()),
    }
}
