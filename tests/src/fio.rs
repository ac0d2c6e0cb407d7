//! fio with its rbd engine.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::exec::{Outcome, Program};

/// fio on an image of the pool `rbd`, with what all tests want: a report in JSON, and an end at the first wrong block.
#[must_use]
pub fn fio(cluster: &Cluster, image: &str, options: &[&str]) -> Program {
    Program::new("fio")
        .args([
            "--output-format=json",
            "--ioengine=rbd",
            "--clientname=admin",
            "--pool=rbd",
            "--thread=1",
        ])
        .args([format!("--rbdname={image}")])
        .args(["--verify_fatal=1", "--randrepeat=1"])
        .args(options)
        // The engine has no option for the ceph.conf.
        .env("CEPH_CONF", cluster.conf())
        .folder(cluster.folder())
        .deadline(Duration::from_secs(180))
}

/// What a run did, all jobs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    /// Bytes written.
    pub written: u64,
    /// Errors.
    pub errors: u64,
    /// The longest that a request took.
    pub slowest: Duration,
}

/// The sums in fio's report.
///
/// # Panics
/// If it is none: that is a failed test.
#[must_use]
#[track_caller]
pub fn sums(outcome: &Outcome) -> Sums {
    let report = outcome.json();
    let jobs = report["jobs"].as_array().cloned().unwrap_or_default();
    let number = |value: &serde_json::Value| value.as_u64().unwrap_or(0);
    let slowest = jobs
        .iter()
        .flat_map(|job| ["read", "write"].map(|way| number(&job[way]["lat_ns"]["max"])));
    Sums {
        written: jobs.iter().map(|job| number(&job["write"]["io_bytes"])).sum(),
        errors: jobs
            .iter()
            .map(|job| number(&job["error"]) + number(&job["total_err"]))
            .sum(),
        slowest: Duration::from_nanos(slowest.max().unwrap_or(0)),
    }
}
