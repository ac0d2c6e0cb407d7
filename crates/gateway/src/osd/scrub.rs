//! Scrubbing (`pg scrub`, `pg deep-scrub`): reads what is stored of a placement group's objects, so that what cannot be read is found
//! before somebody needs it. There is one copy: nothing can be compared, and nothing repaired.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use encoding::{
    Errno,
    types::{Pg, Utime},
};
use parking_lot::Mutex;
use store::{StoreError, VolumeId};

use super::{Osd, context::store_error};
use crate::{
    cluster::ScrubState,
    objects::{fetched::Access, id::ObjectId, keys, list::HashRange, onode::ObjectState},
};

/// How many objects are listed at a time.
const BATCH: usize = 256;
/// How much of an object is read at a time, in bytes.
const PIECE: u64 = 4 << 20;
/// How soon an object is tried again that a request works on.
const GATE_RETRY: Duration = Duration::from_millis(1);

/// Groups that wait for their scrub, and what became of the others since this process began.
#[derive(Debug, Default)]
pub(super) struct Scrubs {
    waiting: Mutex<VecDeque<(Pg, bool)>>,
    states: Mutex<BTreeMap<Pg, ScrubState>>,
}

impl Scrubs {
    /// Asks for a scrub; a group that waits already is not asked for twice.
    pub(super) fn ask(&self, pg: Pg, deep: bool) {
        let mut waiting = self.waiting.lock();
        match waiting.iter_mut().find(|(of, _)| *of == pg) {
            Some((_, is_deep)) => *is_deep |= deep,
            None => waiting.push_back((pg, deep)),
        }
    }

    /// What is known of each group that was scrubbed, or is.
    pub(super) fn states(&self) -> BTreeMap<Pg, ScrubState> {
        self.states.lock().clone()
    }

    fn change(&self, pg: Pg, change: impl FnOnce(&mut ScrubState)) {
        change(self.states.lock().entry(pg).or_default());
    }

    /// The next group, if none is being scrubbed. Until it is done no other is given.
    fn next(&self) -> Option<(Pg, bool)> {
        let mut states = self.states.lock();
        if states.values().any(|state| state.running.is_some()) {
            return None;
        }
        let (pg, deep) = self.waiting.lock().pop_front()?;
        states.entry(pg).or_default().running = Some(deep);
        Some((pg, deep))
    }

    /// Forgets the groups of pools that are gone.
    pub(super) fn forget_pool(&self, pool: i64) {
        let other = |pg: &Pg| i64::try_from(pg.pool) != Ok(pool);
        self.waiting.lock().retain(|(pg, _)| other(pg));
        self.states.lock().retain(|pg, _| other(pg));
    }
}

impl Osd {
    /// Begins a scrub that was asked for.
    pub(super) fn start_scrubs(self: &Arc<Self>) {
        let Some((pg, deep)) = self.scrubs.next() else {
            return;
        };
        let osd = Arc::clone(self);
        self.runtime.spawn_blocking(move || {
            tracing::info!(%pg, deep, "scrub starts");
            let errors = osd.scrub(pg, deep);
            let now = Utime::from_system_time(SystemTime::now());
            match errors {
                0 => tracing::info!(%pg, deep, "scrub ok"),
                errors => tracing::error!(%pg, deep, errors, "scrub found what cannot be read"),
            }
            osd.scrubs.change(pg, |state| {
                state.running = None;
                state.errors = errors;
                state.last = Some(now);
                if deep {
                    state.last_deep = Some(now);
                }
            });
        });
    }

    /// How many of these damaged blocks are of each group's objects, and how many of no group that is known.
    pub(super) fn damaged_groups(&self, damaged: &[(String, VolumeId, u64)]) -> (BTreeMap<Pg, u64>, u64) {
        let (mut groups, mut others) = (BTreeMap::new(), 0);
        if damaged.is_empty() {
            return (groups, others);
        }
        let owners = match self
            .objects
            .owners_of(damaged.iter().map(|(_, volume, at)| (*volume, *at)))
        {
            Ok(owners) => owners,
            Err(error) => {
                tracing::error!(%error, "cannot tell whose damaged blocks are");
                return (groups, damaged.len() as u64);
            }
        };
        let map = self.cluster.osdmap();
        others += (damaged.len() - owners.len()) as u64;
        for object in owners {
            match map.pools.get(&object.pool) {
                Some(pool) => {
                    let seed = pool.raw_seed_to_pg(object.hash());
                    let pool = object.pool.cast_unsigned();
                    *groups.entry(Pg { pool, seed }).or_default() += 1;
                }
                None => others += 1,
            }
        }
        (groups, others)
    }

    /// Reads a group; returns how many objects could not be read.
    fn scrub(self: &Arc<Self>, pg: Pg, deep: bool) -> u64 {
        let map = self.cluster.osdmap();
        let found = i64::try_from(pg.pool)
            .ok()
            .and_then(|id| Some((id, map.pools.get(&id)?)));
        // The pool may be gone by now.
        let Some((id, pool)) = found else { return 0 };
        let range = HashRange::of_pg(pg.seed, pool.pg_num);
        let (mut from, mut errors) = (None::<ObjectId>, 0);
        loop {
            let listed = self
                .objects
                .list(id, range, 0, from.as_ref(), BATCH + 1, |_| true);
            let mut listed = match listed {
                Ok(listed) => listed,
                Err(error) => {
                    tracing::error!(%pg, %error, "scrub: the objects cannot be listed");
                    return errors + 1;
                }
            };
            from = (listed.len() > BATCH).then(|| listed.pop()).flatten();
            for object in &listed {
                if let Err(error) = self.scrub_object(object, deep) {
                    tracing::error!(%pg, %object, %error, "scrub: an object cannot be read");
                    errors += 1;
                }
            }
            if from.is_none() {
                return errors;
            }
        }
    }

    /// Reads an object while nobody changes it: requests queue at its gate, so that no connection waits for the disk.
    fn scrub_object(self: &Arc<Self>, id: &ObjectId, deep: bool) -> Result<(), Errno> {
        let object = self.cache.get(id);
        while !object.try_close_gate() {
            std::thread::sleep(GATE_RETRY);
        }
        let outcome = {
            let _inner = object.inner.lock();
            self.read_object(id, deep)
                .map_err(|error| store_error(id, &error))
        };
        self.go_on(&object);
        outcome
    }

    /// Reads what is stored of an object, not what is remembered.
    fn read_object(&self, id: &ObjectId, deep: bool) -> Result<(), StoreError> {
        let head = self.objects.load(id)?;
        let clones = self.objects.clones(&head, 0)?;
        if !deep {
            return Ok(());
        }
        if head.exists {
            self.read_data(id, &head)?;
            self.read_rows(&head)?;
        }
        for clone in clones {
            if let Some(state) = self.objects.at_snap(&head, clone.id, true)? {
                self.read_data(id, &state)?;
            }
        }
        Ok(())
    }

    fn read_data(&self, id: &ObjectId, state: &ObjectState) -> Result<(), StoreError> {
        let mut offset = 0;
        while offset < state.size {
            let len = PIECE.min(state.size - offset);
            self.objects.forget_cached(id, state, offset, len)?;
            self.objects.read(id, state, offset, len, Access::Wait)?;
            offset += len;
        }
        Ok(())
    }

    /// Reads attributes and omap.
    fn read_rows(&self, state: &ObjectState) -> Result<(), StoreError> {
        self.objects.omap_header(state)?;
        for table in *b"XM" {
            let mut from = Bytes::new();
            loop {
                let rows = self.objects.rows(table, state, &from, BATCH)?;
                match rows.last() {
                    Some((key, _)) if rows.len() == BATCH => from = keys::after(key),
                    _ => break,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Pg = Pg { pool: 1, seed: 0 };
    const B: Pg = Pg { pool: 2, seed: 3 };

    #[test]
    fn groups_are_scrubbed_one_at_a_time_in_the_order_asked_for() {
        let scrubs = Scrubs::default();
        scrubs.ask(A, false);
        scrubs.ask(B, false);
        scrubs.ask(A, true);
        assert_eq!(scrubs.next(), Some((A, true)));
        assert_eq!(scrubs.next(), None);
        scrubs.change(A, |state| state.running = None);
        assert_eq!(scrubs.next(), Some((B, false)));
    }

    #[test]
    fn groups_of_a_pool_that_is_gone_are_forgotten() {
        let scrubs = Scrubs::default();
        scrubs.ask(B, false);
        scrubs.change(A, |state| state.errors = 1);
        scrubs.forget_pool(2);
        assert_eq!(scrubs.next(), None);
        scrubs.forget_pool(1);
        assert!(scrubs.states().is_empty());
    }
}
