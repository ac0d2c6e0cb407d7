//! Op vectors without a client: what a command of our own changes while no server runs.

use std::time::SystemTime;

use encoding::{
    Errno, Features,
    types::{EntityAddr, EntityName, OsdOp, Utime},
};

use super::{
    context::{Context, Request, store_error},
    erasure::PoolKind,
    ops::{self, Effects, WatchView},
    watch::Watchers,
};
use crate::objects::{Objects, commit::CommitError, fetched::Access, id::ObjectId, mutation::WriterSnaps};

/// Runs a vector on an object and waits until what it changed is durable.
///
/// # Errors
/// The vector's.
pub fn run(objects: &Objects, id: &ObjectId, vector: &mut [OsdOp]) -> Result<(), Errno> {
    let failed = |error| store_error(id, &error);
    let state = objects.load(id).map_err(failed)?;
    let watchers = Watchers::default();
    let view = WatchView {
        watchers: &watchers,
        next_notify_id: &|| 0,
    };
    let request = Request {
        origin: EntityName::default(),
        addr: EntityAddr::default(),
        features: Features::ALL,
        now: Utime::from_system_time(SystemTime::now()),
        require_osd_release: 0,
        min_compat_client: 0,
        pool: PoolKind::Replicated,
    };
    let mut ctx = Context::new(
        objects,
        id,
        &state,
        &[],
        request,
        WriterSnaps::default(),
        Access::Wait,
    );
    let result = ops::run(&mut ctx, vector, &[], &view, &mut Effects::default());
    if result < 0 {
        return Err(Errno(-result));
    }
    if !ctx.modified() {
        return Ok(());
    }
    let mut change = ctx.into_change();
    change.new.version = objects.next_version().map_err(failed)?;
    change.new.mtime = request.now;
    let seq = objects
        .commit(id, &mut change, |_| ())
        .map_err(|error| match error {
            CommitError::Store(error) => failed(error),
            _ => Errno::EIO,
        })?;
    objects.store().wait(seq).map_err(failed)
}
