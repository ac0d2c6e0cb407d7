//! Durable 4 KiB writes through the store at several queue depths, against raw `pwrite` and `fdatasync` in the same
//! run, and the processor time of each write; then what checksums cost, in turns with and without. Run with
//! `cargo bench -p rbdgate-store --bench store [DIR]`; with `checksums` behind DIR for the latter alone.

#![allow(clippy::unwrap_used, reason = "a measuring program stops where it fails")]

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rbdgate_store::{Options, Store, Transaction, VolumeId};

const RUN: Duration = Duration::from_secs(1);
const SPAN: u64 = 1 << 30;

struct Figures {
    per_second: f64,
    p50: f64,
    p99: f64,
    cpu_us: f64,
}

fn main() {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let base = args.first().map_or(".", String::as_str);
    let dir = tempfile::tempdir_in(base).unwrap();
    if args.get(1).is_none_or(|only| only != "checksums") {
        against_raw(dir.path());
    }
    with_and_without_checksums(dir.path());
}

fn open(dir: &Path, checksums: bool) -> (Store, VolumeId) {
    let store = Store::open(Options {
        reserve_bytes: 0,
        checksums,
        ..Options::new(dir)
    })
    .unwrap();
    let volume = store.volume("bench").unwrap();
    for at in (0..SPAN).step_by(4 << 20) {
        let mut tx = Transaction::new();
        tx.write(volume, at, vec![1; 4 << 20]);
        store.submit(tx).unwrap();
    }
    store.wait(store.progress().submitted).unwrap();
    (store, volume)
}

fn against_raw(dir: &Path) {
    let raw = raw(&dir.join("raw"));
    println!(
        "{:34} {:>9} {:>9} {:>9} {:>9} {:>7}",
        "", "writes/s", "p50 us", "p99 us", "cpu us", "x raw"
    );
    print("raw pwrite+fdatasync, qd 1", &raw, &raw);
    let (store, volume) = open(&dir.join("store"), true);
    for depth in [1, 32, 128] {
        for (name, pages) in [("data", false), ("data + key + page patch", true)] {
            let figures = drive(&store, depth, |n, tx| {
                let block = scatter(n) % (SPAN / 4096);
                tx.write(volume, block * 4096, Bytes::from(vec![n as u8; 4096]));
                if pages {
                    tx.put(format!("log/{:04}", n % 4096), vec![0; 120]);
                    tx.patch(
                        format!("page/{:04}", block % 256),
                        block % 1000 * 24,
                        vec![n as u8; 24],
                    );
                }
            });
            print(&format!("store, {name}, qd {depth}"), &figures, &raw);
        }
    }
    let started = Instant::now();
    let figures = drive(&store, 8, |n, tx| {
        tx.write(volume, n * (4 << 20) % SPAN, vec![2; 4 << 20]);
    });
    println!(
        "4 MiB direct writes, qd 8: {:.0} MB/s",
        figures.per_second * 4.194_304
    );
    drop(store);
    println!(
        "closed after {:.1} s",
        started.elapsed().as_secs_f64() - RUN.as_secs_f64()
    );
}

/// One job on a store: operations a second, and processor time of each in microseconds.
type Job = fn(&Store, VolumeId) -> (f64, f64);

fn with_and_without_checksums(dir: &Path) {
    const ROUNDS: usize = 9;
    let stores = [false, true].map(|checksums| open(&dir.join(checksums.to_string()), checksums));
    let jobs: [(&str, Job); 5] = [
        ("4 KiB write, qd 32", |store, volume| {
            let data = Bytes::from(vec![3; 4096]);
            let figures = drive(store, 32, |n, tx| {
                tx.write(volume, scatter(n) % (SPAN / 4096) * 4096, data.clone());
            });
            (figures.per_second, figures.cpu_us)
        }),
        ("512 byte write, qd 32", |store, volume| {
            let data = Bytes::from(vec![3; 512]);
            let figures = drive(store, 32, |n, tx| {
                tx.write(volume, scatter(n) % (SPAN / 512) * 512, data.clone());
            });
            (figures.per_second, figures.cpu_us)
        }),
        ("4 MiB write, qd 8", |store, volume| {
            let data = Bytes::from(vec![3; 4 << 20]);
            let figures = drive(store, 8, |n, tx| {
                tx.write(volume, n * (4 << 20) % SPAN, data.clone());
            });
            (figures.per_second, figures.cpu_us)
        }),
        ("4 KiB read, cached", |store, volume| reads(store, volume, 4096)),
        ("4 MiB read, cached", |store, volume| {
            reads(store, volume, 4 << 20)
        }),
    ];
    println!("| job | cpu us without | with | more | per second without | with |\n|---|---|---|---|---|---|");
    for (name, job) in jobs {
        let mut found = [Vec::new(), Vec::new()];
        // What came before is not to be counted.
        for (store, _) in &stores {
            store.wait(store.progress().submitted).unwrap();
        }
        for round in 0..ROUNDS {
            for turn in [round % 2, (round + 1) % 2] {
                let (store, volume) = &stores[turn];
                found[turn].push(job(store, *volume));
            }
        }
        let median = |which: usize, of: fn(&(f64, f64)) -> f64| {
            let mut values: Vec<f64> = found[which].iter().map(of).collect();
            values.sort_unstable_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let (without, with) = (median(0, |f| f.1), median(1, |f| f.1));
        println!(
            "| {name} | {without:.2} | {with:.2} | {:+.1} % | {:.0} | {:.0} |",
            (with / without - 1.0) * 100.0,
            median(0, |f| f.0),
            median(1, |f| f.0)
        );
    }
}

fn reads(store: &Store, volume: VolumeId, len: usize) -> (f64, f64) {
    // All of it is in the page cache then.
    for at in (0..SPAN).step_by(1 << 20) {
        store.read(volume, at, 1 << 20).unwrap();
    }
    let (before, started) = (cpu(), Instant::now());
    let mut n = 0;
    while started.elapsed() < RUN {
        for _ in 0..(64 << 10) / len.min(64 << 10) {
            let at = scatter(n) % (SPAN / len as u64) * len as u64;
            let cached = store.try_read_cached(volume, at, len).unwrap();
            if cached.is_none() {
                store.read(volume, at, len).unwrap();
            }
            n += 1;
        }
    }
    let each = (cpu() - before).as_secs_f64() * 1e6 / n as f64;
    (n as f64 / started.elapsed().as_secs_f64(), each)
}

fn print(name: &str, figures: &Figures, raw: &Figures) {
    let Figures {
        per_second,
        p50,
        p99,
        cpu_us,
    } = figures;
    let ratio = per_second / raw.per_second;
    println!("{name:34} {per_second:9.0} {p50:9.0} {p99:9.0} {cpu_us:9.1} {ratio:7.2}");
}

fn raw(path: &Path) -> Figures {
    let file = File::create(path).unwrap();
    let zeros = vec![0; 1 << 20];
    for at in (0..256u64 << 20).step_by(1 << 20) {
        file.write_all_at(&zeros, at).unwrap();
    }
    file.sync_all().unwrap();
    let block = vec![1; 4096];
    let mut latencies = Vec::new();
    let cpu = cpu();
    let started = Instant::now();
    let mut n = 0;
    while started.elapsed() < RUN {
        let at = Instant::now();
        file.write_all_at(&block, scatter(n) % (64 << 10) * 4096).unwrap();
        file.sync_data().unwrap();
        latencies.push(at.elapsed());
        n += 1;
    }
    figures(latencies, started.elapsed(), cpu)
}

/// Keeps `depth` transactions under way.
fn drive(store: &Store, depth: usize, mut fill: impl FnMut(u64, &mut Transaction)) -> Figures {
    let (told, done) = mpsc::channel();
    let mut latencies = Vec::new();
    let cpu = cpu();
    let started = Instant::now();
    let mut n = 0;
    let mut submit = || {
        let mut tx = Transaction::new();
        fill(n, &mut tx);
        n += 1;
        let told = told.clone();
        let at = Instant::now();
        let seq = store.submit(tx).unwrap();
        store.after(seq, move |outcome| {
            outcome.unwrap();
            let _ = told.send(at.elapsed());
        });
    };
    for _ in 0..depth {
        submit();
    }
    while started.elapsed() < RUN {
        latencies.push(done.recv().unwrap());
        submit();
    }
    for _ in 0..depth {
        latencies.push(done.recv().unwrap());
    }
    figures(latencies, started.elapsed(), cpu)
}

fn figures(mut latencies: Vec<Duration>, took: Duration, cpu_before: Duration) -> Figures {
    let cpu = cpu() - cpu_before;
    latencies.sort_unstable();
    let at = |part: usize| latencies[latencies.len() * part / 100].as_secs_f64() * 1e6;
    Figures {
        per_second: latencies.len() as f64 / took.as_secs_f64(),
        p50: at(50),
        p99: at(99),
        cpu_us: cpu.as_secs_f64() * 1e6 / latencies.len() as f64,
    }
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
