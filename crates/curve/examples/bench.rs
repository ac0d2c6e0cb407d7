//! What the client and a cluster do in a second, or the client and the simulator:
//!
//! ```text
//! cargo run --release -p rbdgate-curve --example bench                      # a simulator in memory, in this process
//! cargo run --release -p rbdgate-curve --example bench -- 127.0.0.1:6666    # a cluster; makes and keeps /bench
//! ```
//!
//! A line for each job: operations and MiB a second, mean and median time of an operation. `SECONDS_EACH` is how long a job runs,
//! `MAX_RPC_KIB` the largest request.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use curve_sim::{Sim, SimConfig};
use rand::RngExt as _;
use rbdgate_curve::{Buffers, Client, Config, CreateVolume, Identity, OpenOptions, Result, Volume};

const SPAN: u64 = 1 << 30;

struct Job {
    name: &'static str,
    write: bool,
    size: usize,
    depth: usize,
}

const fn job(name: &'static str, write: bool, size: usize, depth: usize) -> Job {
    Job {
        name,
        write,
        size,
        depth,
    }
}

const JOBS: [Job; 8] = [
    job("write 4K qd1", true, 4096, 1),
    job("read  4K qd1", false, 4096, 1),
    job("write 4K qd32", true, 4096, 32),
    job("read  4K qd32", false, 4096, 32),
    job("write 4M qd1", true, 4 << 20, 1),
    job("read  4M qd1", false, 4 << 20, 1),
    job("write 4M qd4", true, 4 << 20, 4),
    job("read  4M qd4", false, 4 << 20, 4),
];

async fn run(volume: &Volume, job: &Job, seconds: u64) -> Result<()> {
    let data = Buffers::from(Bytes::from(vec![0x5a; job.size]));
    let times = Arc::new(Mutex::new(Vec::new()));
    let started = Instant::now();
    let end = started + Duration::from_secs(seconds);
    let mut workers = Vec::new();
    for _ in 0..job.depth {
        let (volume, data, times) = (volume.clone(), data.clone(), times.clone());
        let (write, size) = (job.write, job.size);
        workers.push(tokio::spawn(async move {
            let mut mine = Vec::new();
            while Instant::now() < end {
                let offset = rand::rng().random_range(0..SPAN / size as u64) * size as u64;
                let one = Instant::now();
                if write {
                    volume.write(offset, data.clone()).await?;
                } else {
                    volume.read(offset, size).await?;
                }
                mine.push(one.elapsed().as_micros() as u64);
            }
            times
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .append(&mut mine);
            Ok::<_, rbdgate_curve::Error>(())
        }));
    }
    for worker in workers {
        worker.await.unwrap_or(Err(rbdgate_curve::Error::Closed))?;
    }
    let elapsed = started.elapsed().as_secs_f64();
    let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
    times.sort_unstable();
    let (done, sum) = (times.len().max(1), times.iter().sum::<u64>());
    println!(
        "{:14} {:9.0} op/s {:8.1} MiB/s {:8.0} us mean {:8} us median",
        job.name,
        done as f64 / elapsed,
        (done * job.size) as f64 / elapsed / f64::from(1 << 20),
        sum as f64 / done as f64,
        times.get(done / 2).copied().unwrap_or(0),
    );
    Ok(())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let seconds = std::env::var("SECONDS_EACH")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(3);
    let (addresses, _sim) = match std::env::args().nth(1) {
        Some(list) => (
            list.split(',')
                .filter_map(|address| address.parse().ok())
                .collect(),
            None,
        ),
        None => {
            let sim = Sim::start(SimConfig::default()).await?;
            (sim.mds_addresses(), Some(sim))
        }
    };
    let mut config = Config::new(addresses, Identity::owner("lab"));
    if let Some(kib) = std::env::var("MAX_RPC_KIB")
        .ok()
        .and_then(|text| text.parse::<usize>().ok())
    {
        config.max_rpc = kib << 10;
    }
    let client = Client::new(config)?;
    if client.mds().file("/bench").await.is_err() {
        let volume = CreateVolume {
            length: 10 << 30,
            ..Default::default()
        };
        client.mds().create_volume("/bench", &volume).await?;
    }
    let volume = client.open("/bench", OpenOptions::fenced()).await?;
    // Chunks exist before anything is measured.
    for chunk in 0..SPAN >> 24 {
        volume.write(chunk << 24, vec![1; 4096]).await?;
    }
    for job in &JOBS {
        run(&volume, job, seconds).await?;
    }
    volume.close().await?;
    Ok(())
}
