//! Statistics of images: what is done to which (Ceph `src/pybind/mgr/rbd_support/perf.py`).
//!
//! Nothing is counted until somebody asks; a question that is not asked again for a minute is forgotten.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use encoding::Errno;
use parking_lot::{Condvar, Mutex};
use serde_json::{Map, Value, json};

use super::{
    Recovery,
    caller::Caller,
    failure::Failure,
    json as python,
    spec::{pool_spec, rbd_pools},
};
use crate::{
    osd::{
        Osd,
        image_stats::{ImageCounters, ImageKey},
    },
    rados::Rados,
    rbd::directory,
};

/// What is told of each image, in this order.
pub const COUNTERS: [&str; 6] = [
    "write_ops",
    "read_ops",
    "write_bytes",
    "read_bytes",
    "write_latency",
    "read_latency",
];
/// Where latencies are, and the number of requests that they are of.
const LATENCIES: [(usize, usize); 2] = [(4, 0), (5, 1)];

/// How often counters are read (`mgr_stats_period`).
const PERIOD: Duration = Duration::from_secs(5);
/// How long a question is remembered.
const EXPIRE: Duration = Duration::from_secs(60);
/// How long names of images are.
const NAMES_EXPIRE: Duration = Duration::from_secs(300);
/// A rate is taken of readings that are not further apart, in seconds.
const RATE_INTERVAL: u64 = 60;
/// Images in an answer.
const MAX_RESULTS: usize = 64;
/// How long the first answer waits for counters.
const FIRST: Duration = Duration::from_secs(5);

type Values = [u64; COUNTERS.len()];

/// The pool and namespace that a question is about; none is all.
type PoolKey = Option<(String, String)>;

fn values(counters: &ImageCounters) -> Values {
    [
        counters.write_ops,
        counters.read_ops,
        counters.write_bytes,
        counters.read_bytes,
        counters.write_latency,
        counters.read_latency,
    ]
}

/// What is known of an image for one question.
#[derive(Debug, Clone)]
struct ImageData {
    /// The last reading, with its time in seconds, and the one before.
    current: (u64, Values),
    previous: Option<(u64, Values)>,
    /// All since the question was asked first.
    sum: Values,
}

/// A question.
#[derive(Debug)]
struct Query {
    /// The names of the pools that it is about.
    pools: BTreeMap<i64, String>,
    images: BTreeMap<ImageName, ImageData>,
    asked: Instant,
}

/// An image, in the order of pools.
type ImageName = (i64, Bytes, Bytes);

#[derive(Default)]
struct State {
    queries: HashMap<PoolKey, Query>,
    /// By pool and namespace: ids and names.
    names: HashMap<(i64, Bytes), HashMap<Bytes, Bytes>>,
    names_read: Option<Instant>,
    rounds: u64,
    hurry: bool,
}

/// Which figures are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figures {
    /// Rates by second, and mean latencies.
    Stats,
    /// Sums.
    Counters,
}

/// The statistics.
pub struct Perf {
    rados: Arc<Rados>,
    osd: Arc<Osd>,
    recovery: Arc<Recovery>,
    state: Mutex<State>,
    changed: Condvar,
    stopped: AtomicBool,
}

impl Perf {
    /// Nothing is asked for yet.
    pub fn new(rados: &Arc<Rados>, osd: &Arc<Osd>, recovery: &Arc<Recovery>) -> Arc<Self> {
        Arc::new(Self {
            rados: Arc::clone(rados),
            osd: Arc::clone(osd),
            recovery: Arc::clone(recovery),
            state: Mutex::default(),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
        })
    }

    /// Reads counters until told to stop.
    pub fn run(&self) {
        let mut state = self.state.lock();
        while !self.stopped.load(Relaxed) {
            self.expire(&mut state);
            match self.process(&mut state) {
                Ok(()) => {}
                Err(Errno::EBLOCKLISTED) => {
                    if !self.stopped.load(Relaxed) {
                        self.recovery.request();
                    }
                    break;
                }
                Err(error) => tracing::error!(%error, "names of images could not be read"),
            }
            state.rounds += 1;
            self.changed.notify_all();
            let next = Instant::now() + if state.queries.is_empty() { EXPIRE } else { PERIOD };
            while !state.hurry && !self.stopped.load(Relaxed) {
                if self.changed.wait_until(&mut state, next).timed_out() {
                    break;
                }
            }
            state.hurry = false;
        }
        self.osd.image_stats().want(false);
    }

    /// Has [`Self::run`] end.
    pub fn stop(&self) {
        self.stopped.store(true, Relaxed);
        let _state = self.state.lock();
        self.changed.notify_all();
    }

    fn expire(&self, state: &mut State) {
        state.queries.retain(|_, query| query.asked.elapsed() <= EXPIRE);
        if state.queries.is_empty() {
            self.osd.image_stats().want(false);
        }
    }

    /// Reads the counters.
    fn process(&self, state: &mut State) -> Result<(), Errno> {
        if state.queries.is_empty() {
            return Ok(());
        }
        if state.names_read.is_some_and(|at| at.elapsed() > NAMES_EXPIRE) {
            state.names.clear();
        }
        let (now, read) = (seconds(), self.osd.image_stats().take());
        let mut unknown = BTreeSet::new();
        for (key, query) in &mut state.queries {
            query.merge(key, &read, now);
            for (pool, nspace, id) in query.images.keys() {
                let place = (*pool, nspace.clone());
                if !state
                    .names
                    .get(&place)
                    .is_some_and(|names| names.contains_key(id))
                {
                    unknown.insert(place);
                }
            }
        }
        if !unknown.is_empty() {
            state.names_read = Some(Instant::now());
            for (pool, nspace) in unknown {
                let names = self.read_names(pool, &nspace)?;
                state.names.insert((pool, nspace), names);
            }
            // Images that are gone, or never had a name.
            let State { queries, names, .. } = state;
            for query in queries.values_mut() {
                query.images.retain(|(pool, nspace, id), _| {
                    let known = names.get(&(*pool, nspace.clone()));
                    known.is_some_and(|known| known.contains_key(id))
                });
            }
        }
        Ok(())
    }

    fn read_names(&self, pool: i64, nspace: &Bytes) -> Result<HashMap<Bytes, Bytes>, Errno> {
        let ioctx = match self.rados.open_pool_id(pool) {
            Err(Errno::ENOENT) => return Ok(HashMap::new()),
            r => r?.with_namespace(nspace.clone()),
        };
        let images = match directory::images(&ioctx) {
            Err(Errno::ENOENT) => return Ok(HashMap::new()),
            r => r?,
        };
        Ok(images.into_iter().map(|(name, id)| (id, name)).collect())
    }

    /// Answers a question, as JSON. `sort_by`: an index into [`COUNTERS`].
    ///
    /// # Errors
    /// EINVAL if that names no pool, ENOENT if there is no such pool, EACCES if it may not be asked about.
    pub fn report(
        &self,
        caller: Caller<'_>,
        figures: Figures,
        pool: Option<&str>,
        sort_by: usize,
    ) -> Result<String, Failure> {
        let key = pool_spec(pool)?;
        let parts = key.as_ref().map(|(pool, ns)| (pool.as_str(), ns.as_str()));
        caller.authorize(parts.map(|p| p.0), parts.map(|p| p.1))?;
        let mut state = self.state.lock();
        self.expire(&mut state);
        self.ask(&mut state, &key)?;
        let State { queries, names, .. } = &*state;
        let (pools, images) = match queries.get(&key) {
            Some(query) => query.report(figures, sort_by, names),
            None => (Map::new(), Vec::new()),
        };
        let word = match figures {
            Figures::Stats => "stat",
            Figures::Counters => "counter",
        };
        let mut out = Map::new();
        out.insert("timestamp".to_owned(), json!(seconds() as f64));
        out.insert(format!("{word}_descriptors"), json!(COUNTERS));
        out.insert("pool_descriptors".to_owned(), Value::Object(pools));
        out.insert(format!("{word}s"), Value::Array(images));
        Ok(python::one_line(&Value::Object(out)))
    }

    /// Notes a question. A new one waits for a first reading.
    fn ask(&self, state: &mut parking_lot::MutexGuard<'_, State>, key: &PoolKey) -> Result<(), Failure> {
        let cluster = self.rados.cluster();
        if let Some(query) = state.queries.get_mut(key) {
            query.asked = Instant::now();
            if key.is_none() {
                query.pools = rbd_pools(cluster).into_iter().collect();
            }
            return Ok(());
        }
        let pools = match key {
            None => BTreeMap::new(),
            Some((name, _)) => {
                let id = cluster
                    .osdmap()
                    .pool_by_name(name)
                    .ok_or_else(|| Failure::rados(Errno::ENOENT, format!("Pool '{name}' not found")))?;
                BTreeMap::from([(id, name.clone())])
            }
        };
        let query = Query {
            pools,
            images: BTreeMap::new(),
            asked: Instant::now(),
        };
        state.queries.insert(key.clone(), query);
        self.osd.image_stats().want(true);
        state.hurry = true;
        self.changed.notify_all();
        let (seen, deadline) = (state.rounds, Instant::now() + FIRST);
        while state.rounds == seen && !self.changed.wait_until(state, deadline).timed_out() {}
        Ok(())
    }
}

fn seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}

impl Query {
    /// Takes in a reading.
    fn merge(&mut self, key: &PoolKey, read: &HashMap<ImageKey, ImageCounters>, now: u64) {
        for (image, counters) in read {
            let other_namespace = key.as_ref().is_some_and(|(_, ns)| ns.as_bytes() != image.nspace);
            if !self.pools.contains_key(&image.pool) || other_namespace {
                continue;
            }
            let name = (image.pool, image.nspace.clone(), image.id.clone());
            let new = values(counters);
            match self.images.get_mut(&name) {
                Some(data) => {
                    if data.current.0 < now {
                        data.previous = Some(data.current);
                        data.current = (now, new);
                    } else {
                        // Two readings within a second are one.
                        add(&mut data.current.1, &new);
                    }
                    add(&mut data.sum, &new);
                }
                None => {
                    let data = ImageData {
                        current: (now, new),
                        previous: None,
                        sum: new,
                    };
                    self.images.insert(name, data);
                }
            }
        }
        // Nothing was done to the others.
        for data in self.images.values_mut().filter(|d| d.current.0 < now) {
            data.previous = Some(data.current);
            data.current = (now, Values::default());
        }
    }

    fn report(
        &self,
        figures: Figures,
        sort_by: usize,
        names: &HashMap<(i64, Bytes), HashMap<Bytes, Bytes>>,
    ) -> (Map<String, Value>, Vec<Value>) {
        let mut busiest: Vec<_> = self
            .images
            .iter()
            .filter(|((pool, ..), _)| self.pools.contains_key(pool))
            .map(|(name, data)| (name, data, data.stat(sort_by).unwrap_or(0.0)))
            .collect();
        busiest.sort_by(|a, b| b.2.total_cmp(&a.2));
        busiest.truncate(MAX_RESULTS);
        let mut pools: Vec<String> = Vec::new();
        let mut out = Vec::new();
        for ((pool, nspace, id), data, _) in busiest {
            let name = names
                .get(&(*pool, nspace.clone()))
                .and_then(|known| known.get(id));
            let (Some(name), Some(pool)) = (name, self.pools.get(pool)) else {
                continue;
            };
            let mut descriptor = pool.clone();
            if !nspace.is_empty() {
                descriptor += &format!("/{}", String::from_utf8_lossy(nspace));
            }
            let index = pools.iter().position(|p| *p == descriptor).unwrap_or_else(|| {
                pools.push(descriptor);
                pools.len() - 1
            });
            if let Some(shown) = data.shown(figures) {
                out.push(json!({ format!("{index}/{}", String::from_utf8_lossy(name)): shown }));
            }
        }
        let pools = pools.into_iter().enumerate();
        (pools.map(|(n, pool)| (n.to_string(), pool.into())).collect(), out)
    }
}

fn add(to: &mut Values, values: &Values) {
    for (to, value) in to.iter_mut().zip(values) {
        *to = to.saturating_add(*value);
    }
}

impl ImageData {
    /// The rate of a counter by second, or the mean of a latency; none without two readings close enough.
    fn stat(&self, index: usize) -> Option<f64> {
        let (before, _) = self.previous?;
        let (now, values) = self.current;
        let span = now
            .checked_sub(before)
            .filter(|s| (1..=RATE_INTERVAL).contains(s))?;
        let rate = *values.get(index)? as f64 / span as f64;
        match LATENCIES.iter().find(|(latency, _)| *latency == index) {
            Some((_, ops)) => Some(rate / self.stat(*ops)?.max(1.0)),
            None => Some(rate),
        }
    }

    /// The figures as they are shown; none if they are all zero.
    fn shown(&self, figures: Figures) -> Option<Vec<Value>> {
        let values: Vec<Value> = match figures {
            Figures::Counters => self.sum.iter().map(|v| json!(v)).collect(),
            Figures::Stats => (0..COUNTERS.len())
                .map(|n| self.stat(n).map_or_else(|| json!(0), |v| json!(v)))
                .collect(),
        };
        values.iter().any(|v| v.as_f64() != Some(0.0)).then_some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(write_ops: u64, write_latency: u64) -> HashMap<ImageKey, ImageCounters> {
        let key = ImageKey {
            pool: 2,
            nspace: Bytes::new(),
            id: Bytes::from_static(b"10f"),
        };
        let counters = ImageCounters {
            write_ops,
            write_latency,
            ..ImageCounters::default()
        };
        HashMap::from([(key, counters)])
    }

    fn query() -> Query {
        Query {
            pools: BTreeMap::from([(2, "rbd".to_owned())]),
            images: BTreeMap::new(),
            asked: Instant::now(),
        }
    }

    fn shown(query: &Query, figures: Figures) -> Vec<Value> {
        let names = HashMap::from([(Bytes::from_static(b"10f"), Bytes::from_static(b"disk"))]);
        query
            .report(figures, 0, &HashMap::from([((2, Bytes::new()), names)]))
            .1
    }

    #[test]
    fn rates_need_two_readings_and_latencies_are_means() {
        let mut query = query();
        query.merge(&None, &reading(10, 50_000), 100);
        assert!(shown(&query, Figures::Stats).is_empty());
        query.merge(&None, &reading(20, 60_000), 105);
        assert_eq!(
            shown(&query, Figures::Stats),
            [json!({"0/disk": [4.0, 0.0, 0.0, 0.0, 3000.0, 0.0]})]
        );
        assert_eq!(
            shown(&query, Figures::Counters),
            [json!({"0/disk": [30, 0, 0, 0, 110_000, 0]})]
        );
    }

    #[test]
    fn an_image_that_nothing_is_done_to_is_not_shown_among_rates() {
        let mut query = query();
        query.merge(&None, &reading(10, 50_000), 100);
        query.merge(&None, &HashMap::new(), 105);
        assert!(shown(&query, Figures::Stats).is_empty());
        assert_eq!(shown(&query, Figures::Counters).len(), 1);
    }

    #[test]
    fn a_question_about_a_pool_is_not_about_its_namespaces() {
        let mut query = query();
        let key = Some(("rbd".to_owned(), "ns".to_owned()));
        query.merge(&key, &reading(1, 1), 100);
        assert!(query.images.is_empty());
        query.merge(&Some(("rbd".to_owned(), String::new())), &reading(1, 1), 100);
        assert_eq!(query.images.len(), 1);
    }
}
