//! What a run of a job measures.

use std::fmt;

use rbdgate_tests::fio::Report;

use crate::{Failure, Result};

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
    /// Microseconds of the server's CPU time (user and system) for each operation. Zero if no server is asked.
    pub(crate) cpu: f64,
}

impl Sample {
    /// From fio's report and the microseconds of CPU time that the server used.
    pub(super) fn of(report: &Report, cpu_micros: u64) -> Result<Self> {
        let operations = report.operations();
        let percentiles = report.percentile("50.000000").zip(report.percentile("99.000000"));
        match percentiles {
            Some((p50, p99)) if operations > 0.0 => Ok(Self {
                iops: report.iops(),
                bandwidth: report.bandwidth(),
                p50,
                p99,
                cpu: cpu_micros as f64 / operations,
            }),
            _ => Err(Failure(format!("fio's report has no figures: {report:?}"))),
        }
    }
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

/// The median; none of nothing.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied()?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    values
        .get(middle.checked_sub(1)?)
        .map(|lower| (lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn median_of_odd_and_even_counts() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }
}
