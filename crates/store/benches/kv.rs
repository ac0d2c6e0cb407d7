//! Metadata libraries under the load of checkpoints: batches of 10,000 small keys and 250 pages of 24 KiB, each
//! durable; then point reads, short scans, reopening after a crash. Prints times, and ratios to the first.
//! Run with `cargo bench -p rbdgate-store --features compare --bench kv [DIR]`.

#![allow(clippy::unwrap_used, reason = "a measuring program stops where it fails")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use fjall::{Database as Fjall, Keyspace, KeyspaceCreateOptions, PersistMode};
use redb::{Database as Redb, ReadableDatabase, TableDefinition};

const ROUNDS: u64 = 20;
const KEYS: u64 = 10_000;
const PAGES: u64 = 250;
const PAGE: usize = 24 << 10;
/// Distinct keys and pages: each round changes a part of them.
const ALL_KEYS: u64 = 100_000;
const ALL_PAGES: u64 = 2_000;
const READS: u64 = 20_000;
const CACHE: usize = 64 << 20;
const DIE: &str = "RBDGATE_BENCH_DIE";

/// The part of a library that the store needs.
trait Library: Sized {
    fn open(dir: &Path) -> Self;
    fn commit(&self, pairs: &[(Vec<u8>, Vec<u8>)]);
    fn get(&self, key: &[u8]) -> Option<usize>;
    fn scan(&self, from: &[u8], limit: usize) -> usize;
}

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("meta");

struct WithRedb(Redb);

impl Library for WithRedb {
    fn open(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        Self(
            Redb::builder()
                .set_cache_size(CACHE)
                .create(dir.join("redb"))
                .unwrap(),
        )
    }

    fn commit(&self, pairs: &[(Vec<u8>, Vec<u8>)]) {
        let mut tx = self.0.begin_write().unwrap();
        tx.set_quick_repair(true);
        {
            let mut table = tx.open_table(TABLE).unwrap();
            for (key, value) in pairs {
                table.insert(&key[..], &value[..]).unwrap();
            }
        }
        tx.commit().unwrap();
    }

    fn get(&self, key: &[u8]) -> Option<usize> {
        let table = self.0.begin_read().unwrap().open_table(TABLE).unwrap();
        table.get(key).unwrap().map(|value| value.value().len())
    }

    fn scan(&self, from: &[u8], limit: usize) -> usize {
        let table = self.0.begin_read().unwrap().open_table(TABLE).unwrap();
        table
            .range(from..)
            .unwrap()
            .take(limit)
            .map(|row| row.unwrap().1.value().len())
            .sum()
    }
}

struct WithFjall(Fjall, Keyspace);

impl Library for WithFjall {
    fn open(dir: &Path) -> Self {
        let db = Fjall::builder(dir).cache_size(CACHE as u64).open().unwrap();
        let keys = db.keyspace("meta", KeyspaceCreateOptions::default).unwrap();
        Self(db, keys)
    }

    fn commit(&self, pairs: &[(Vec<u8>, Vec<u8>)]) {
        let mut batch = self.0.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in pairs {
            batch.insert(&self.1, &key[..], &value[..]);
        }
        batch.commit().unwrap();
    }

    fn get(&self, key: &[u8]) -> Option<usize> {
        self.1.get(key).unwrap().map(|value| value.len())
    }

    fn scan(&self, from: &[u8], limit: usize) -> usize {
        self.1
            .range(from..)
            .take(limit)
            .map(|row| row.into_inner().unwrap().1.len())
            .sum()
    }
}

fn key(n: u64) -> Vec<u8> {
    format!("object/{:016x}/attr", scatter(n % ALL_KEYS)).into_bytes()
}

fn page(n: u64) -> Vec<u8> {
    format!("page/{:08}", n % ALL_PAGES).into_bytes()
}

fn batch(round: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let fill = |len: usize, n: u64| {
        (0..len as u64)
            .map(|at| scatter(at ^ n) as u8)
            .collect::<Vec<u8>>()
    };
    let keys = (0..KEYS)
        .map(|n| scatter(round * KEYS + n))
        .map(|n| (key(n), fill(50 + (n % 250) as usize, n)));
    let pages = (0..PAGES)
        .map(|n| scatter(round * PAGES + n))
        .map(|n| (page(n), fill(PAGE, n)));
    let mut all: Vec<_> = keys.chain(pages).collect();
    // Checkpoints come in key order.
    all.sort();
    all.dedup_by(|a, b| a.0 == b.0);
    all
}

/// Medians of: commit, get, scan of 20, get of a page, reopening after a crash; the worst commit; processor time;
/// bytes on disk.
fn measure<L: Library>(dir: &Path) -> Vec<(&'static str, f64)> {
    let batches: Vec<_> = (0..ROUNDS).map(batch).collect();
    let cpu_before = cpu();
    let store = L::open(dir);
    let mut commits: Vec<Duration> = batches.iter().map(|batch| time(|| store.commit(batch))).collect();
    commits.sort_unstable();
    let cpu = cpu() - cpu_before;
    let mut hits = 0;
    let get = time(|| (0..READS).for_each(|n| hits += usize::from(store.get(&key(scatter(n))).is_some())));
    let get_page = time(|| (0..READS / 10).for_each(|n| hits += store.get(&page(scatter(n))).unwrap_or(0)));
    let scan = time(|| (0..READS / 10).for_each(|n| hits += store.scan(&key(scatter(n)), 20)));
    assert!(hits > 0);
    drop(store);
    let disk = disk_bytes(dir);
    let reopen = time(|| drop(std::hint::black_box(L::open(dir))));
    vec![
        (
            "commit, median ms",
            commits[commits.len() / 2].as_secs_f64() * 1e3,
        ),
        ("commit, worst ms", commits.last().unwrap().as_secs_f64() * 1e3),
        ("cpu of a commit, ms", cpu.as_secs_f64() * 1e3 / ROUNDS as f64),
        ("get, us", get.as_secs_f64() * 1e6 / READS as f64),
        ("get of a page, us", get_page.as_secs_f64() * 1e7 / READS as f64),
        ("scan of 20, us", scan.as_secs_f64() * 1e7 / READS as f64),
        ("on disk, MB", disk as f64 / 1e6),
        ("reopen after closing, ms", reopen.as_secs_f64() * 1e3),
    ]
}

/// A child process writes and dies; this one opens what is left.
fn reopen_after_crash<L: Library>(name: &str, dir: &Path) -> f64 {
    let me = std::env::current_exe().unwrap();
    let status = Command::new(me).env(DIE, name).arg(dir).status().unwrap();
    assert!(!status.success(), "the child was to die");
    time(|| drop(std::hint::black_box(L::open(dir)))).as_secs_f64() * 1e3
}

fn die<L: Library>(dir: &Path) -> ! {
    let store = L::open(dir);
    (0..ROUNDS).for_each(|round| store.commit(&batch(round)));
    std::process::abort();
}

fn main() {
    let arg = std::env::args()
        .nth(1)
        .filter(|arg| !arg.starts_with('-'))
        .unwrap_or_else(|| ".".into());
    match std::env::var(DIE).as_deref() {
        Ok("redb") => die::<WithRedb>(Path::new(&arg)),
        Ok("fjall") => die::<WithFjall>(Path::new(&arg)),
        _ => {}
    }
    let root = tempfile::tempdir_in(arg).unwrap();
    let dir = |name: &str| -> PathBuf { root.path().join(name) };
    let mut redb = measure::<WithRedb>(&dir("redb"));
    let mut fjall = measure::<WithFjall>(&dir("fjall"));
    redb.push((
        "reopen after a crash, ms",
        reopen_after_crash::<WithRedb>("redb", &dir("redb-crash")),
    ));
    fjall.push((
        "reopen after a crash, ms",
        reopen_after_crash::<WithFjall>("fjall", &dir("fjall-crash")),
    ));
    println!("{:28} {:>10} {:>10} {:>8}", "", "redb", "fjall", "ratio");
    for ((what, a), (_, b)) in redb.into_iter().zip(fjall) {
        println!("{what:28} {a:10.2} {b:10.2} {:8.2}", b / a);
    }
}

fn time(f: impl FnOnce()) -> Duration {
    let started = Instant::now();
    f();
    started.elapsed()
}

fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                disk_bytes(&entry.path())
            } else {
                entry.metadata().unwrap().blocks() * 512
            }
        })
        .sum()
}

/// Processor time of this process, user and system, in the kernel's ticks of 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Spreads 0, 1, 2 ... over all numbers, the same way in each run.
fn scatter(n: u64) -> u64 {
    let mut x = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 31)
}
