//! What the OSD tells of itself: usage and rates for the monitor's commands, and its own commands.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use encoding::Errno;
use serde_json::{Value, json};
use store::Store;

use super::{Osd, bench};
use crate::{
    VERSION,
    cluster::{ClusterStats, Latency, PoolUsage, Rates, Space},
    objects::usage::Figures,
};

/// Over how long rates are taken.
const WINDOW: Duration = Duration::from_secs(5);

/// How busy pools are: from their figures now and a while ago.
#[derive(Debug, Default)]
pub struct Load {
    before: HashMap<i64, (Instant, Figures)>,
    rates: HashMap<i64, Rates>,
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
    }
}

/// Runs a command sent to an OSD itself (`ceph tell osd.N`): result, text, output. May block.
pub fn command(words: &[String], uptime: Duration, store: &Store) -> (i32, String, String) {
    let parsed: Option<Value> = words.first().and_then(|w| serde_json::from_str(w).ok());
    let prefix = parsed
        .as_ref()
        .and_then(|v| v.get("prefix"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let row = |help: &str, prefix: &str| json!({ "sig": [prefix], "help": help, "module": "osd", "perm": "r", "flags": 0 });
    let out = match prefix {
        "get_command_descriptions" => json!({
            "cmd000": row("report version of the OSD", "version"),
            "cmd001": row("seconds since the OSD was started", "uptime"),
            "cmd002": {
                "sig": [
                    "bench",
                    {"name": "count", "type": "CephInt", "req": false},
                    {"name": "size", "type": "CephInt", "req": false},
                ],
                "help": "write COUNT bytes in writes of SIZE and tell how fast that went",
                "module": "osd", "perm": "rw", "flags": 0,
            },
        }),
        "bench" => match bench::run(store, parsed.as_ref().unwrap_or(&Value::Null)) {
            Ok(results) => results,
            Err((error, text)) => return (-error.0, text, String::new()),
        },
        "version" => json!({ "version": VERSION }),
        "uptime" => json!({ "seconds": uptime.as_secs() }),
        other => {
            let text = format!("command '{other}' is not known to this OSD; 'version', 'uptime' and 'bench' are");
            return (-Errno::EINVAL.0, text, String::new());
        }
    };
    (0, String::new(), out.to_string())
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
        let f = self.objects.usage().pool(id).figures();
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

    fn rates(&self, pool: i64) -> Rates {
        self.load.lock().rates.get(&pool).copied().unwrap_or_default()
    }

    fn latency(&self, _: i32) -> Latency {
        Latency::default()
    }
}
