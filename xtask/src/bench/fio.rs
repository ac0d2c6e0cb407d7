//! The jobs and what fio says of them.

use std::fmt;
use std::time::Duration;

use rbdgate_tests::exec::{Outcome, Program};
use serde_json::Value;

use super::Plan;
use super::server::Server;
use crate::{Failure, Result};

const IMAGE: &str = "bench";

/// A load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    /// Its name in the tables.
    pub(crate) name: &'static str,
    rw: &'static str,
    block: &'static str,
    depth: u32,
}

/// A job.
pub(super) const fn job(name: &'static str, rw: &'static str, block: &'static str, depth: u32) -> Job {
    Job {
        name,
        rw,
        block,
        depth,
    }
}

/// The table of jobs.
pub(crate) const JOBS: [Job; 9] = [
    job("4k random write, qd 1", "randwrite", "4k", 1),
    job("4k random write, qd 32", "randwrite", "4k", 32),
    job("4k random read, qd 1", "randread", "4k", 1),
    job("4k random read, qd 32", "randread", "4k", 32),
    job("64k random write, qd 16", "randwrite", "64k", 16),
    job("64k random read, qd 16", "randread", "64k", 16),
    job("4M write, qd 8", "write", "4M", 8),
    job("4M read, qd 8", "read", "4M", 8),
    job("16k 70/30 mix, qd 16", "randrw", "16k", 16),
];

/// What one run of a job measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Operations a second, reads and writes.
    pub(crate) iops: f64,
    /// Bytes a second.
    pub(crate) bandwidth: f64,
    /// Median completion latency in microseconds; of the writes where there are both.
    pub(crate) p50: f64,
    /// 99th percentile of the same.
    pub(crate) p99: f64,
    /// Microseconds of the server's CPU time (user and system) for each operation.
    pub(crate) cpu: f64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>8.0} IOPS {:>7.1} MB/s  p50 {:>8.0} us  p99 {:>8.0} us  CPU {:>6.1} us/op",
            self.iops,
            self.bandwidth / 1e6,
            self.p50,
            self.p99,
            self.cpu
        )
    }
}

fn program(server: &Server, options: &[String]) -> Program {
    Program::new("fio")
        .args([
            "--output-format=json",
            "--ioengine=rbd",
            "--clientname=admin",
            "--pool=rbd",
            "--thread=1",
        ])
        .args([
            format!("--rbdname={IMAGE}"),
            "--name=bench".to_owned(),
            "--randrepeat=1".to_owned(),
        ])
        .args(["--randrepeat=1", "--refill_buffers=1", "--rwmixread=70"])
        .args(options)
        // The engine has no option for it.
        .env("CEPH_CONF", server.conf())
        .deadline(Duration::from_secs(900))
}

/// Creates the image and writes all of it.
pub(crate) fn fill(server: &Server, size: u64) -> Result<()> {
    let conf = server.conf().display().to_string();
    let create = ["-c", &conf, "create", "--size", &format!("{size}B"), IMAGE];
    Program::new("rbd").args(create).run()?.success()?;
    let options = [
        "--rw=write".to_owned(),
        "--bs=4M".to_owned(),
        "--iodepth=8".to_owned(),
        format!("--size={size}"),
    ];
    program(server, &options).run()?.success().map(drop)
}

/// Runs `job` on `server`.
pub(crate) fn run(server: &Server, job: Job, plan: Plan) -> Result<Sample> {
    let options = [
        format!("--rw={}", job.rw),
        format!("--bs={}", job.block),
        format!("--iodepth={}", job.depth),
        format!("--size={}", plan.image),
        format!("--runtime={}", plan.seconds),
        "--time_based=1".to_owned(),
    ];
    let before = server.cpu_micros();
    let outcome = program(server, &options).run()?.success()?;
    let cpu = server.cpu_micros().saturating_sub(before);
    sample(&outcome, cpu).ok_or_else(|| Failure::new("fio's report has no figures", outcome))
}

fn sample(outcome: &Outcome, cpu_micros: u64) -> Option<Sample> {
    // fio may print warnings before its report.
    let start = outcome.stdout.iter().position(|&byte| byte == b'{')?;
    let report: Value = serde_json::from_slice(outcome.stdout.get(start..)?).ok()?;
    let job = report.get("jobs")?.get(0)?;
    let (read, write) = (job.get("read")?, job.get("write")?);
    let sum = |name: &str| Some(read.get(name)?.as_f64()? + write.get(name)?.as_f64()?);
    let operations = sum("total_ios")?;
    let timed = if write.get("total_ios")?.as_u64()? > 0 {
        write
    } else {
        read
    };
    let percentile = |name: &str| Some(timed.get("clat_ns")?.get("percentile")?.get(name)?.as_f64()? / 1e3);
    (operations > 0.0).then_some(Sample {
        iops: sum("iops")?,
        bandwidth: sum("bw_bytes")?,
        p50: percentile("50.000000")?,
        p99: percentile("99.000000")?,
        cpu: cpu_micros as f64 / operations,
    })
}
