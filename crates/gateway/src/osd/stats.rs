//! What the OSD tells of itself: usage and rates for the monitor's commands.

use std::{
    collections::{BTreeMap, HashMap},
    mem::size_of,
    sync::Arc,
    time::{Duration, Instant},
};

use encoding::{maps::PgPool, types::Pg};
use parking_lot::Mutex;
use store::{CacheUse, Held};

use super::{Osd, cache::Object};
use crate::{
    cluster::{ClusterStats, DataDamage, Latency, PoolUsage, Rates, ScrubState, Space, WatcherAt},
    objects::usage::Figures,
    op_tracker::{OpTracker, Settings},
};

/// Over how long rates are taken.
const WINDOW: Duration = Duration::from_secs(5);

/// How busy pools are: from their figures now and a while ago.
#[derive(Debug, Default)]
pub(super) struct Load {
    before: HashMap<i64, (Instant, Figures)>,
    rates: HashMap<i64, Rates>,
    /// Of each OSD: when its commits were counted last, how many they were and how long they took, and how long one of the last ones took.
    commits: HashMap<i32, (Instant, (u64, u64), Latency)>,
    /// What pools had when their counters were reset.
    reset: HashMap<i64, Figures>,
}

impl Load {
    pub(super) fn forget_pool(&mut self, pool: i64) {
        self.before.remove(&pool);
        self.rates.remove(&pool);
        self.reset.remove(&pool);
    }
}

impl Osd {
    /// Takes new readings where the last ones are old enough.
    pub(super) fn measure(&self) {
        let now = Instant::now();
        let mut load = self.load.lock();
        for &pool in self.cluster.osdmap().pools.keys() {
            let figures = self.objects.usage().pool(pool).figures();
            let (since, before) = *load.before.entry(pool).or_insert((now, figures));
            let elapsed = now.duration_since(since);
            if elapsed < WINDOW {
                continue;
            }
            let per_second = |now: u64, then: u64| {
                (u128::from(now.saturating_sub(then)) * 1000 / elapsed.as_millis().max(1)) as u64
            };
            let rates = Rates {
                read_ops: per_second(figures.reads, before.reads),
                read_bytes: per_second(figures.read_bytes, before.read_bytes),
                write_ops: per_second(figures.writes, before.writes),
                write_bytes: per_second(figures.written_bytes, before.written_bytes),
            };
            load.rates.insert(pool, rates);
            load.before.insert(pool, (now, figures));
        }
        let trackers: Vec<_> = self
            .ops
            .lock()
            .iter()
            .map(|(id, t)| (*id, Arc::clone(t)))
            .collect();
        for (id, tracker) in trackers {
            let options = self.cluster.config_of(&format!("osd.{id}"));
            tracker.refresh(Settings::read(|name| options.get(name).cloned()));
            let commits = tracker.counters().commits;
            let (since, before, _) = *load
                .commits
                .entry(id)
                .or_insert((now, commits, Latency::default()));
            if now.duration_since(since) >= WINDOW {
                // Fewer than before: they were reset.
                let (ops, nanos) = (
                    commits.0.saturating_sub(before.0),
                    commits.1.saturating_sub(before.1),
                );
                let ms = nanos.checked_div(ops).unwrap_or(0) / 1_000_000;
                let latency = Latency {
                    commit_ms: ms,
                    apply_ms: ms,
                };
                load.commits.insert(id, (now, commits, latency));
            }
        }
    }
}

/// A count is used again for this many times as long as it took: so counting takes a twentieth of a processor at most, however often
/// somebody asks.
const REUSE: u32 = 20;

/// What the placement groups of a pool held.
#[derive(Debug, Clone)]
struct Counted {
    at: Instant,
    took: Duration,
    /// What the pool held then.
    of: Figures,
    groups: Vec<Figures>,
}

/// The last counts, by pool.
#[derive(Debug, Default)]
pub(super) struct GroupCounts {
    /// Held while a pool is counted: who asks as well waits for the same answer.
    last: Mutex<HashMap<i64, Counted>>,
}

impl GroupCounts {
    pub(super) fn forget_pool(&self, pool: i64) {
        self.last.lock().remove(&pool);
    }

    /// What the counts take.
    fn held(&self) -> Held {
        let last = self.last.lock();
        let groups: usize = last.values().map(|counted| counted.groups.len()).sum();
        Held::new(
            groups,
            groups * size_of::<Figures>() + last.len() * size_of::<Counted>(),
        )
    }

    /// What is in each group, counted again if that may have changed and is not too dear.
    fn of(&self, osd: &Osd, id: i64, pool: &PgPool) -> Vec<PoolUsage> {
        let work = osd.objects.usage().pool(id);
        let counted = self.counted(osd, id, pool).into_iter().enumerate();
        counted
            .map(|(seed, figures)| usage_of(&work.with_work(seed, figures)))
            .collect()
    }

    fn counted(&self, osd: &Osd, id: i64, pool: &PgPool) -> Vec<Figures> {
        let now = osd.objects.usage().pool(id).figures();
        let mut last = self.last.lock();
        if let Some(known) = last.get(&id) {
            let same = |f: &Figures| (f.objects, f.clones, f.bytes, f.writes);
            let fresh = known.at.elapsed() < known.took * REUSE || same(&known.of) == same(&now);
            if fresh && known.groups.len() == pool.pg_num as usize {
                return known.groups.clone();
            }
        }
        let begun = Instant::now();
        let groups = match osd.objects.count_groups(id, pool) {
            Ok(groups) => groups,
            Err(error) => {
                tracing::error!(pool = id, %error, "cannot count what placement groups hold");
                vec![Figures::default(); pool.pg_num as usize]
            }
        };
        let counted = Counted {
            at: Instant::now(),
            took: begun.elapsed(),
            of: now,
            groups,
        };
        let groups = counted.groups.clone();
        last.insert(id, counted);
        groups
    }
}

fn usage_of(f: &Figures) -> PoolUsage {
    PoolUsage {
        objects: f.objects,
        clones: f.clones,
        bytes_stored: f.bytes,
        bytes_used: f.bytes,
        read_ops: f.reads,
        read_bytes: f.read_bytes,
        write_ops: f.writes,
        write_bytes: f.written_bytes,
    }
}

impl ClusterStats for Osd {
    fn space(&self) -> Space {
        match self.objects.store().space() {
            Ok(space) => Space {
                // What others keep on the disk is not ours to count: all there is for us is used or available.
                total: space.used.saturating_add(space.available),
                used: space.used,
                avail: space.available,
            },
            Err(error) => {
                tracing::error!(%error, "cannot tell how much space there is");
                Space::default()
            }
        }
    }

    fn pool(&self, id: i64) -> PoolUsage {
        usage_of(&self.objects.usage().pool(id).figures())
    }

    fn rates(&self, pool: i64) -> Rates {
        self.load.lock().rates.get(&pool).copied().unwrap_or_default()
    }

    fn latency(&self, osd: i32) -> Latency {
        self.load
            .lock()
            .commits
            .get(&osd)
            .map_or_else(Latency::default, |(.., l)| *l)
    }

    fn ops(&self, osd: Option<i32>) -> Vec<Arc<OpTracker>> {
        let ops = self.ops.lock();
        let wanted = ops.iter().filter(|(id, _)| osd.is_none_or(|osd| osd == **id));
        wanted.map(|(_, tracker)| Arc::clone(tracker)).collect()
    }

    fn groups(&self, pool: i64) -> Vec<PoolUsage> {
        let map = self.cluster.osdmap();
        map.pools
            .get(&pool)
            .map_or_else(Vec::new, |p| self.groups.of(self, pool, p))
    }

    fn scrub(&self, pg: Pg, deep: bool) {
        self.scrubs.ask(pg, deep);
    }

    fn scrubs(&self) -> BTreeMap<Pg, ScrubState> {
        let mut states = self.scrubs.states();
        let damaged = self.objects.store().integrity().damaged;
        for (pg, blocks) in &self.damaged_groups(&damaged).groups {
            let state = states.entry(*pg).or_default();
            state.errors = state.errors.max(*blocks);
        }
        states
    }

    fn read_cache(&self) -> CacheUse {
        self.objects.store().read_cache()
    }

    fn damage(&self) -> DataDamage {
        let integrity = self.objects.store().integrity();
        let of_no_group = self.damaged_groups(&integrity.damaged).others;
        let blocks = integrity.damaged.into_iter();
        DataDamage {
            blocks: blocks.map(|(volume, _, offset)| (volume, offset)).collect(),
            of_no_group,
            met: integrity.met,
            scrubbed: integrity.scrubbed,
            scrubs: integrity.scrubs,
        }
    }

    fn memory(&self) -> BTreeMap<&'static str, Held> {
        let store = self.objects.store().memory();
        let trackers: Vec<_> = self.ops.lock().values().cloned().collect();
        let sum = |of: fn(&OpTracker) -> Held| trackers.iter().fold(Held::default(), |all, t| all + of(t));
        BTreeMap::from([
            ("bluestore_cache_data", store.buffers + self.read_cache().held),
            ("bluestore_cache_onode", self.cache.held()),
            ("bluestore_cache_meta", store.metadata),
            ("bluestore_cache_other", store.sums),
            ("bluestore_txc", store.queued),
            ("bluestore_writing_deferred", store.deferred),
            ("bluestore_writing", store.direct),
            ("buffer_anon", sum(OpTracker::requests_held)),
            ("osd", sum(OpTracker::notes_held)),
            ("pgmap", self.groups.held()),
        ])
    }

    fn compact(&self) -> Result<(), String> {
        self.objects
            .store()
            .checkpoint()
            .map_err(|error| error.to_string())
    }

    fn pool_counters(&self, id: i64) -> PoolUsage {
        let now = self.objects.usage().pool(id).figures();
        let reset = self.load.lock().reset.get(&id).copied().unwrap_or_default();
        usage_of(&now.since(&reset))
    }

    fn reset_pool_counters(&self, id: i64) {
        let now = self.objects.usage().pool(id).figures();
        self.load.lock().reset.insert(id, now);
    }

    fn watchers(&self) -> Vec<WatcherAt> {
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let objects: Vec<_> = self.watched.lock().values().cloned().collect();
        let of = |object: Arc<Object>| {
            let items = object.inner.lock().watchers.items();
            items.into_iter().map(move |item| WatcherAt {
                namespace: text(&object.id.nspace),
                object: text(&object.id.name),
                item,
            })
        };
        objects.into_iter().flat_map(of).collect()
    }
}
