//! What the OSD does by the clock: watches that time out, notifies that nobody answers, records of clients that
//! are gone, pools that were deleted, and the full flag.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use encoding::{Errno, maps::osdmap_flags};
use store::StoreError;

use super::{Osd, cache::Object, context::store_error, reply_log};
use crate::objects::{
    id::ObjectId,
    mutation::{Change, Mutation, WatchRow},
};

/// How often timeouts are looked at.
const TICK: Duration = Duration::from_millis(250);
/// A client that was not connected for so long has no requests left to send again: clients give up their
/// sessions, and their ids, long before.
const FORGET_CLIENT: Duration = Duration::from_secs(3600);

/// The full flag is cleared when this much is available again, in bytes (or 1 % of a small disk).
const ENOUGH: u64 = 64 << 20;

impl Osd {
    /// Does what is due by the clock, until dropped.
    pub async fn run_ticker(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut pools: BTreeSet<i64> = self.cluster.osdmap().pools.keys().copied().collect();
        // What a deletion before the start did not come to.
        match self.cluster.deleted_pools() {
            Ok(deleted) => pools.extend(deleted),
            Err(error) => tracing::error!(%error, "cannot tell which pools were deleted"),
        }
        for tick in 0_u64.. {
            ticks.tick().await;
            self.expire_notifies();
            self.expire_watches();
            self.delete_pools(&mut pools);
            self.trim_snaps();
            self.start_scrubs();
            if tick.is_multiple_of(4) {
                self.hold_scrubs();
                self.update_full_flags();
                self.measure();
                self.objects.forget_idle_listings();
            }
            if tick.is_multiple_of(240) {
                self.forget_clients();
            }
        }
    }

    /// `ceph osd set nodeep-scrub` stops what reads data in the background.
    fn hold_scrubs(&self) {
        let flags = self.cluster.osdmap().flags;
        self.objects
            .store()
            .hold_scrubs(flags & osdmap_flags::NODEEP_SCRUB != 0);
    }

    fn expire_notifies(&self) {
        let now = Instant::now();
        let mut over = Vec::new();
        self.notifies.lock().retain(|notify| {
            let finished = notify.finished(now);
            if finished {
                over.push((notify.object.clone(), notify.id));
            }
            !finished
        });
        for (object, id) in over {
            let watched = self.watched.lock().get(&object).cloned();
            if let Some(object) = watched {
                object.inner.lock().watchers.forget(id);
            }
        }
    }

    fn expire_watches(&self) {
        let map = self.cluster.osdmap();
        let watched: Vec<Arc<Object>> = self.watched.lock().values().cloned().collect();
        for object in watched {
            let ended = {
                let watchers = &object.inner.lock().watchers;
                let mut ended = watchers.timed_out();
                // A fenced client must not look alive to those who take over from it.
                ended.extend(watchers.at(|addr| map.is_blocklisted(addr)));
                ended
            };
            for (client, cookie) in ended {
                tracing::info!(object = %object.id, client, cookie, "watch ends: timed out, or its client is blocklisted");
                if let Err(error) = self.end_watch(&object, client, cookie) {
                    tracing::error!(object = %object.id, %error, "cannot remove a watch that timed out");
                }
            }
        }
    }

    /// Removes a watch and its record.
    fn end_watch(&self, object: &Arc<Object>, client: i64, cookie: u64) -> Result<(), Errno> {
        let mut inner = object.inner.lock();
        let state = match &inner.state {
            Some(state) => state.clone(),
            None => self
                .objects
                .load(&object.id)
                .map_err(|e| store_error(&object.id, &e))?,
        };
        let row = WatchRow {
            client,
            cookie,
            value: None,
        };
        let mutation = Mutation {
            watches: vec![row],
            touched: true,
            ..Mutation::default()
        };
        let mut change = Change::new(state.clone(), state, mutation);
        if change.new.exists {
            self.objects
                .commit(&object.id, &mut change, |_| ())
                .map_err(|_| Errno::EIO)?;
        }
        inner.watchers.remove(client, cookie, true);
        inner.state = Some(change.new);
        if inner.watchers.is_empty() {
            self.watched.lock().remove(&object.id);
        }
        Ok(())
    }

    fn delete_pools(self: &Arc<Self>, known: &mut BTreeSet<i64>) {
        let map = self.cluster.osdmap();
        let gone: Vec<i64> = known
            .iter()
            .copied()
            .filter(|id| !map.pools.contains_key(id))
            .collect();
        known.extend(map.pools.keys());
        for pool in gone {
            known.remove(&pool);
            self.cache.forget_pool(pool);
            self.scrubs.forget_pool(pool);
            self.groups.forget_pool(pool);
            self.load.lock().forget_pool(pool);
            self.watched.lock().retain(|id, _| id.pool != pool);
            let osd = Arc::clone(self);
            self.runtime.spawn_blocking(move || osd.delete_pool(pool));
        }
    }

    /// Deletes the objects of a pool that is gone from the map; if that is interrupted, the next start goes on.
    fn delete_pool(&self, pool: i64) {
        // Who looked just before the pool went has stored by then what it stores; later ones store nothing.
        std::thread::sleep(TICK);
        if let Err(error) = self.objects.delete_pool(pool) {
            tracing::error!(pool, %error, "cannot delete a pool's objects: the next start tries again");
        } else if let Err(error) = self.cluster.pool_is_gone(pool) {
            tracing::error!(pool, %error, "cannot take down that a deleted pool's objects are gone");
        } else {
            tracing::info!(pool, "a deleted pool's objects are gone");
        }
    }

    /// A write failed: says so to the client, and makes the cluster full if that is why.
    pub(super) fn write_failed(self: &Arc<Self>, id: &ObjectId, error: &StoreError) -> Errno {
        if matches!(error, StoreError::NoSpace(_)) {
            self.set_full(true);
        }
        store_error(id, error)
    }

    /// Sets or clears the full flag of all pools by the space there is.
    fn update_full_flags(self: &Arc<Self>) {
        match self.objects.store().space() {
            Ok(space) if space.available == 0 => self.set_full(true),
            Ok(space) if space.available >= ENOUGH.min(space.total / 100) => self.set_full(false),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "cannot tell how much space there is"),
        }
    }

    fn set_full(self: &Arc<Self>, full: bool) {
        let map = self.cluster.osdmap();
        let pools: Vec<i64> = map
            .pools
            .iter()
            .filter(|(_, p)| p.is_full() != full)
            .map(|(id, _)| *id)
            .collect();
        if pools.is_empty() {
            return;
        }
        let osd = Arc::clone(self);
        self.runtime.spawn_blocking(move || {
            for pool in pools {
                match osd.cluster.set_pool_full(pool, full, false) {
                    Ok(()) if full => tracing::warn!(pool, "the disk is full: the pool is marked full"),
                    Ok(()) => tracing::info!(pool, "there is space again: the pool is no longer full"),
                    Err(error) => tracing::error!(pool, %error, "cannot change the pool's full flag"),
                }
            }
        });
    }

    fn forget_clients(&self) {
        let mut clients = self.clients.lock();
        let gone: Vec<i64> = clients
            .iter()
            .filter(|(_, p)| p.connections == 0 && p.since.elapsed() > FORGET_CLIENT)
            .map(|(client, _)| *client)
            .collect();
        for client in gone {
            clients.remove(&client);
            if let Err(error) = reply_log::forget(self.objects.store(), client) {
                tracing::warn!(client, %error, "cannot forget a client's recorded replies");
            }
        }
    }
}
