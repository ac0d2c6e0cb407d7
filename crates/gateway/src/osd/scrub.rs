//! Scrubbing (`pg scrub`, `pg deep-scrub`): reads what is stored of a placement group's objects, so that what cannot be read is found
//! before somebody needs it. There is one copy: nothing can be compared, and nothing repaired.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use encoding::{
    Errno,
    types::{Pg, Utime},
};
use parking_lot::Mutex;
use store::{StoreError, VolumeId};

use super::{Osd, context::store_error};
use crate::{
    cluster::ScrubState,
    objects::{
        Objects,
        fetched::Access,
        id::ObjectId,
        list::HashRange,
        onode::ObjectState,
        scrub_records::{self, ScrubRecord},
    },
};

/// How many objects are listed at a time.
const BATCH: usize = 256;
/// How much of an object is read at a time, in bytes.
const PIECE: u64 = 4 << 20;
/// How soon an object is tried again that a request works on.
const GATE_RETRY: Duration = Duration::from_millis(1);

/// How long it is taken for granted whose damaged blocks are: pools may come and go.
const OWNERS_MAX_AGE: Duration = Duration::from_secs(5);

/// A damaged block of 4 KiB: what it is of, its volume and the offset there.
pub(super) type DamagedBlock = (String, VolumeId, u64);

/// Whose damaged blocks are.
#[derive(Debug, Default)]
pub(super) struct DamagedGroups {
    /// How many are of each group's objects.
    pub(super) groups: BTreeMap<Pg, u64>,
    /// How many are of no group that is known.
    pub(super) others: u64,
}

/// Whose damaged blocks are: when it was found, and for which blocks.
#[derive(Debug)]
struct OwnersOfDamage {
    at: Instant,
    of: Vec<DamagedBlock>,
    found: Arc<DamagedGroups>,
}

/// Groups that wait for their scrub, and what became of the others.
#[derive(Debug, Default)]
pub(super) struct Scrubs {
    waiting: Mutex<VecDeque<(Pg, bool)>>,
    states: Mutex<BTreeMap<Pg, ScrubState>>,
    /// As was found last.
    damaged: Mutex<Option<OwnersOfDamage>>,
}

impl Scrubs {
    /// With what is recorded of earlier scrubs. Records of pools that are gone are removed.
    pub(super) fn open(objects: &Objects, is_there: impl Fn(i64) -> bool) -> Result<Self, StoreError> {
        let mut states = BTreeMap::new();
        for (pg, record) in scrub_records::all(objects.store())? {
            let pool = pg.pool.cast_signed();
            if !is_there(pool) {
                objects.forget_scrubs(pool)?;
                continue;
            }
            let state = ScrubState {
                running: None,
                last: record.last,
                last_deep: record.last_deep,
                errors: record.errors,
            };
            states.insert(pg, state);
        }
        Ok(Self {
            waiting: Mutex::default(),
            states: Mutex::new(states),
            damaged: Mutex::default(),
        })
    }

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

    /// Notes that a group's scrub has ended. Returns what is to be recorded; nothing if its pool is gone.
    fn ended(&self, pg: Pg, deep: bool, errors: u64, now: Utime) -> Option<ScrubRecord> {
        let mut states = self.states.lock();
        let state = states.get_mut(&pg)?;
        state.running = None;
        state.errors = errors;
        state.last = Some(now);
        if deep {
            state.last_deep = Some(now);
        }
        Some(ScrubRecord {
            last: state.last,
            last_deep: state.last_deep,
            errors,
        })
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
            let Some(record) = osd.scrubs.ended(pg, deep, errors, now) else {
                return;
            };
            if let Err(error) = osd.objects.record_scrub(pg, &record) {
                tracing::error!(%pg, %error, "cannot record that a scrub has ended");
            }
            osd.start_scrubs();
        });
    }

    /// Whose these damaged blocks are. What was found is used again for a moment, as long as they are the same ones: health is asked for
    /// often, and finding it walks the images.
    pub(super) fn damaged_groups(&self, damaged: &[DamagedBlock]) -> Arc<DamagedGroups> {
        if damaged.is_empty() {
            return Arc::default();
        }
        let mut known = self.scrubs.damaged.lock();
        if let Some(known) = &*known
            && known.at.elapsed() < OWNERS_MAX_AGE
            && known.of == damaged
        {
            return Arc::clone(&known.found);
        }
        let found = Arc::new(self.find_damaged_groups(damaged));
        *known = Some(OwnersOfDamage {
            at: Instant::now(),
            of: damaged.to_vec(),
            found: Arc::clone(&found),
        });
        found
    }

    fn find_damaged_groups(&self, damaged: &[DamagedBlock]) -> DamagedGroups {
        let mut found = DamagedGroups::default();
        let owners = match self
            .objects
            .owners_of(damaged.iter().map(|(_, volume, at)| (*volume, *at)))
        {
            Ok(owners) => owners,
            Err(error) => {
                tracing::error!(%error, "cannot tell whose damaged blocks are");
                found.others = damaged.len() as u64;
                return found;
            }
        };
        let map = self.cluster.osdmap();
        found.others = (damaged.len() - owners.len()) as u64;
        for object in owners {
            match map.pools.get(&object.pool) {
                Some(pool) => {
                    let seed = pool.raw_seed_to_pg(object.hash());
                    let pool = object.pool.cast_unsigned();
                    *found.groups.entry(Pg { pool, seed }).or_default() += 1;
                }
                None => found.others += 1,
            }
        }
        found
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
            for row in self.objects.each_row(table, state, &[]) {
                row?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

    use super::*;

    const A: Pg = Pg { pool: 1, seed: 0 };
    const B: Pg = Pg { pool: 2, seed: 3 };

    const NOW: Utime = Utime { sec: 9, nsec: 0 };

    fn objects(dir: &std::path::Path) -> Objects {
        let mut options = store::Options::new(dir);
        options.journal_bytes = 8 << 20;
        options.reserve_bytes = 0;
        Objects::open(store::Store::open(options).unwrap()).unwrap()
    }

    #[test]
    fn groups_are_scrubbed_one_at_a_time_in_the_order_asked_for() {
        let scrubs = Scrubs::default();
        scrubs.ask(A, false);
        scrubs.ask(B, false);
        scrubs.ask(A, true);
        assert_eq!(scrubs.next(), Some((A, true)));
        assert_eq!(scrubs.next(), None);
        scrubs.ended(A, true, 0, NOW);
        assert_eq!(scrubs.next(), Some((B, false)));
    }

    #[test]
    fn groups_of_a_pool_that_is_gone_are_forgotten() {
        let scrubs = Scrubs::default();
        scrubs.ask(A, false);
        scrubs.next();
        scrubs.ask(B, false);
        scrubs.forget_pool(2);
        scrubs.forget_pool(1);
        assert!(scrubs.states().is_empty());
        assert_eq!(scrubs.ended(A, false, 1, NOW), None);
        assert_eq!(scrubs.next(), None);
    }

    #[test]
    fn when_groups_were_scrubbed_is_known_after_a_restart_but_for_pools_that_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        {
            let objects = objects(dir.path());
            let scrubs = Scrubs::default();
            for (pg, deep, errors) in [(A, true, 0), (A, false, 3), (B, true, 0)] {
                scrubs.ask(pg, deep);
                scrubs.next();
                let now = Utime {
                    sec: NOW.sec + errors as u32,
                    nsec: 0,
                };
                let record = scrubs.ended(pg, deep, errors, now).unwrap();
                objects.record_scrub(pg, &record).unwrap();
            }
        }
        let objects = objects(dir.path());
        let scrubs = Scrubs::open(&objects, |pool| pool == 1).unwrap();
        let expected = ScrubState {
            running: None,
            last: Some(Utime { sec: 12, nsec: 0 }),
            last_deep: Some(NOW),
            errors: 3,
        };
        assert_eq!(scrubs.states(), BTreeMap::from([(A, expected)]));
        assert_eq!(scrub_records::all(objects.store()).unwrap().len(), 1);
    }
}
