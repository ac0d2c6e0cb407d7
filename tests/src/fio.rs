//! fio: its rbd engine on an image of the pool `rbd`, and its reports.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::exec::{Outcome, Program};
use crate::{Failure, Result};

/// fio with a report in JSON.
#[must_use]
pub fn with_report() -> Program {
    Program::new("fio").args(["--output-format=json", "--randrepeat=1"])
}

/// fio with its rbd engine, as the administrator of the cluster that `conf` leads to. The options have to name the image.
#[must_use]
pub fn rbd(conf: &Path) -> Program {
    with_report()
        .args(["--ioengine=rbd", "--clientname=admin", "--pool=rbd", "--thread=1"])
        // The engine has no option for the ceph.conf.
        .env("CEPH_CONF", conf)
}

/// fio on an image of a test's cluster; it ends at the first wrong block.
#[must_use]
pub fn fio(cluster: &Cluster, image: &str, options: &[&str]) -> Program {
    rbd(&cluster.conf())
        .args([format!("--rbdname={image}")])
        .args(["--verify_fatal=1"])
        .args(options)
        .folder(cluster.folder())
        .deadline(Duration::from_secs(180))
}

/// What fio says of its jobs.
#[derive(Debug, Clone)]
pub struct Report {
    jobs: Vec<Value>,
}

impl Report {
    /// The report in what fio wrote; warnings may stand before it.
    pub fn of(outcome: &Outcome) -> Result<Self> {
        let start = outcome.stdout.iter().position(|&byte| byte == b'{');
        let text = outcome
            .stdout
            .get(start.unwrap_or_default()..)
            .unwrap_or_default();
        let report: Value =
            serde_json::from_slice(text).map_err(|e| Failure(format!("fio's report: {e}\n{outcome}")))?;
        let jobs = report["jobs"].as_array().cloned();
        let jobs = jobs.ok_or_else(|| Failure(format!("fio's report has no jobs\n{outcome}")))?;
        Ok(Self { jobs })
    }

    /// A figure of reads and one of writes of each job, all together.
    fn sum(&self, figure: &str) -> f64 {
        let both = self.jobs.iter().flat_map(|job| [&job["read"], &job["write"]]);
        both.filter_map(|way| way[figure].as_f64()).sum()
    }

    /// Operations done.
    #[must_use]
    pub fn operations(&self) -> f64 {
        self.sum("total_ios")
    }

    /// Operations a second.
    #[must_use]
    pub fn iops(&self) -> f64 {
        self.sum("iops")
    }

    /// Bytes a second.
    #[must_use]
    pub fn bandwidth(&self) -> f64 {
        self.sum("bw_bytes")
    }

    /// A percentile (as fio writes it: `50.000000`) of the completion latency of the first job's writes, in microseconds; of its
    /// reads if it wrote nothing.
    #[must_use]
    pub fn percentile(&self, which: &str) -> Option<f64> {
        let job = self.jobs.first()?;
        let writes = job["write"]["total_ios"].as_u64() > Some(0);
        let way = if writes { "write" } else { "read" };
        Some(job[way]["clat_ns"]["percentile"][which].as_f64()? / 1e3)
    }

    /// Bytes written.
    #[must_use]
    pub fn written(&self) -> u64 {
        let of = |job: &Value| job["write"]["io_bytes"].as_u64();
        self.jobs.iter().filter_map(of).sum()
    }

    /// Errors.
    #[must_use]
    pub fn errors(&self) -> u64 {
        let of = |job: &Value| job["error"].as_u64().unwrap_or(0) + job["total_err"].as_u64().unwrap_or(0);
        self.jobs.iter().map(of).sum()
    }

    /// The longest that a request took.
    #[must_use]
    pub fn slowest(&self) -> Duration {
        let both = self.jobs.iter().flat_map(|job| [&job["read"], &job["write"]]);
        let slowest = both.filter_map(|way| way["lat_ns"]["max"].as_u64()).max();
        Duration::from_nanos(slowest.unwrap_or(0))
    }
}
