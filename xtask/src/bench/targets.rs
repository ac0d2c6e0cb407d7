//! The targets: what is compared with what, and what the ratio is to be.

use super::jobs::{
    LARGE_READ, LARGE_WRITE, LEAN_LARGE_READ, LEAN_LARGE_WRITE, LEAN_MEDIUM_READ, LEAN_MEDIUM_WRITE,
    LEAN_READ_1, LEAN_READ_32, LEAN_READ_64, LEAN_READ_SECURE, LEAN_WRITE_1, LEAN_WRITE_32, LEAN_WRITE_64,
    LEAN_WRITE_SECURE, LEAN_WRITE_SNAPSHOT, MEDIUM_READ, MEDIUM_WRITE, MIX, READ_1, READ_32, SECURE_READ,
    SECURE_WRITE, WRITE_1, WRITE_4X32, WRITE_32, WRITE_SNAPSHOT,
};
use super::sample::Sample;

/// What of a sample is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    /// Operations a second.
    Iops,
    /// Bandwidth in MB/s.
    Bandwidth,
    /// Median latency in microseconds.
    P50,
    /// The server's CPU time for an operation, in microseconds.
    Cpu,
    /// Operations for each second of the server's CPU time.
    PerCpuSecond,
}

impl Figure {
    /// Its name with the unit.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Iops => "IOPS",
            Self::Bandwidth => "MB/s",
            Self::P50 => "p50 us",
            Self::Cpu => "server CPU us/op",
            Self::PerCpuSecond => "ops per CPU second",
        }
    }

    /// The figure of a sample.
    pub(super) fn of(self, sample: &Sample) -> f64 {
        match self {
            Self::Iops => sample.iops,
            Self::Bandwidth => sample.bandwidth / 1e6,
            Self::P50 => sample.p50,
            Self::Cpu => sample.cpu,
            Self::PerCpuSecond => 1e6 / sample.cpu,
        }
    }

    /// Digits behind the point.
    pub(super) fn digits(self) -> usize {
        usize::from(self == Self::Cpu)
    }
}

/// What a ratio is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    /// Whether a ratio is within it.
    pub(super) fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(bound) => ratio >= bound,
            Self::AtMost(bound) => ratio <= bound,
        }
    }
}

/// What else a figure is measured by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Yardstick {
    /// The same figure of the reference of a job.
    Reference(&'static str),
    /// The same plus a round trip over loopback TCP.
    ReferenceAndLoopback(&'static str),
    /// rbdgate's own figure in another job.
    Own(&'static str),
    /// A number that was set.
    Stated(f64),
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) job: &'static str,
    pub(super) figure: Figure,
    /// Against Ceph's daemons.
    pub(super) ceph: Option<Bound>,
    /// Against a limit.
    pub(super) limit: Option<(Yardstick, Bound)>,
}

const fn target(job: &'static str, figure: Figure) -> Target {
    Target {
        job,
        figure,
        ceph: None,
        limit: None,
    }
}

impl Target {
    const fn ceph(mut self, bound: Bound) -> Self {
        self.ceph = Some(bound);
        self
    }

    const fn limit(mut self, yardstick: Yardstick, bound: Bound) -> Self {
        self.limit = Some((yardstick, bound));
        self
    }
}

use Bound::{AtLeast, AtMost};
use Figure::{Bandwidth, Cpu, Iops, P50, PerCpuSecond};
use Yardstick::{Own, Reference, ReferenceAndLoopback, Stated};

/// The table of targets.
pub(super) const TARGETS: [Target; 32] = [
    target(WRITE_1, P50)
        .ceph(AtMost(0.5))
        .limit(ReferenceAndLoopback(WRITE_1), AtMost(1.3)),
    target(LEAN_WRITE_1, P50)
        .ceph(AtMost(0.5))
        .limit(ReferenceAndLoopback(WRITE_1), AtMost(1.3)),
    target(WRITE_32, Iops)
        .ceph(AtLeast(3.0))
        .limit(Reference(WRITE_32), AtLeast(0.7)),
    target(LEAN_WRITE_32, Iops)
        .ceph(AtLeast(3.0))
        .limit(Reference(WRITE_32), AtLeast(0.7)),
    target(WRITE_4X32, Iops)
        .ceph(AtLeast(3.0))
        .limit(Reference(WRITE_4X32), AtLeast(0.7)),
    target(READ_1, Iops)
        .ceph(AtLeast(2.0))
        .limit(Reference(READ_1), AtLeast(1.0)),
    target(LEAN_READ_1, Iops)
        .ceph(AtLeast(2.0))
        .limit(Reference(READ_1), AtLeast(1.0)),
    target(READ_32, Iops)
        .ceph(AtLeast(2.0))
        .limit(Reference(READ_32), AtLeast(1.0)),
    target(LEAN_READ_32, Iops)
        .ceph(AtLeast(2.0))
        .limit(Reference(READ_32), AtLeast(1.0)),
    target(MEDIUM_WRITE, Iops)
        .ceph(AtLeast(2.0))
        .limit(Reference(MEDIUM_WRITE), AtLeast(1.0)),
    target(MEDIUM_READ, Iops)
        .ceph(AtLeast(2.0))
        .limit(Reference(MEDIUM_READ), AtLeast(1.0)),
    target(LEAN_MEDIUM_WRITE, Iops)
        .ceph(AtLeast(2.0))
        .limit(Reference(MEDIUM_WRITE), AtLeast(1.0)),
    target(LEAN_MEDIUM_READ, Iops)
        .ceph(AtLeast(2.0))
        .limit(Reference(MEDIUM_READ), AtLeast(1.0)),
    target(LARGE_WRITE, Bandwidth)
        .ceph(AtLeast(1.5))
        .limit(Reference(LARGE_WRITE), AtLeast(0.85)),
    target(LARGE_READ, Bandwidth)
        .ceph(AtLeast(1.5))
        .limit(Reference(LARGE_READ), AtLeast(0.85)),
    target(LEAN_LARGE_WRITE, Bandwidth)
        .ceph(AtLeast(1.5))
        .limit(Reference(LARGE_WRITE), AtLeast(0.85)),
    target(LEAN_LARGE_READ, Bandwidth)
        .ceph(AtLeast(1.5))
        .limit(Reference(LARGE_READ), AtLeast(0.85)),
    target(WRITE_SNAPSHOT, Iops)
        .ceph(AtLeast(3.0))
        .limit(Own(WRITE_32), AtLeast(0.5)),
    target(LEAN_WRITE_SNAPSHOT, Iops)
        .ceph(AtLeast(3.0))
        .limit(Own(LEAN_WRITE_32), AtLeast(0.5)),
    target(MIX, Iops).ceph(AtLeast(2.0)),
    target(WRITE_1, Cpu).ceph(AtMost(0.25)),
    target(READ_1, Cpu).ceph(AtMost(0.25)),
    target(WRITE_32, Cpu)
        .ceph(AtMost(0.25))
        .limit(Stated(10.0), AtMost(1.0)),
    target(READ_32, Cpu)
        .ceph(AtMost(0.25))
        .limit(Stated(7.0), AtMost(1.0)),
    target(SECURE_WRITE, Cpu).limit(Own(WRITE_32), AtMost(1.5)),
    target(SECURE_READ, Cpu).limit(Own(READ_32), AtMost(1.5)),
    target(LEAN_WRITE_64, Cpu).limit(Stated(10.0), AtMost(1.0)),
    target(LEAN_READ_64, Cpu).limit(Stated(7.0), AtMost(1.0)),
    target(LEAN_WRITE_SECURE, Cpu).limit(Stated(15.0), AtMost(1.0)),
    target(LEAN_READ_SECURE, Cpu).limit(Stated(10.5), AtMost(1.0)),
    target(LEAN_WRITE_64, PerCpuSecond).limit(Stated(60_000.0), AtLeast(1.0)),
    target(LEAN_READ_64, PerCpuSecond).limit(Stated(150_000.0), AtLeast(1.0)),
];

#[cfg(test)]
mod tests {
    use super::super::jobs::JOBS;
    use super::{Bound, TARGETS, Yardstick};

    #[test]
    fn each_target_is_of_a_job_and_each_job_has_a_target() {
        for target in TARGETS {
            assert!(JOBS.iter().any(|job| job.name == target.job), "{target:?}");
        }
        for job in JOBS {
            assert!(TARGETS.iter().any(|target| target.job == job.name), "{job:?}");
        }
    }

    #[test]
    fn what_a_target_is_measured_by_is_measured() {
        for target in TARGETS {
            let (found, what) = match target.limit {
                Some((Yardstick::Reference(name) | Yardstick::ReferenceAndLoopback(name), _)) => (
                    JOBS.iter().any(|job| job.name == name && job.reference.is_some()),
                    name,
                ),
                Some((Yardstick::Own(name), _)) => (JOBS.iter().any(|job| job.name == name), name),
                Some((Yardstick::Stated(_), _)) | None => (true, ""),
            };
            assert!(found, "{target:?}: {what}");
            let on_ceph = JOBS.iter().any(|job| job.name == target.job && job.on_ceph());
            assert!(target.ceph.is_none() || on_ceph, "{target:?}");
        }
    }

    #[test]
    fn bounds_are_met_at_their_ends() {
        assert!(Bound::AtLeast(2.0).is_met(2.0) && !Bound::AtLeast(2.0).is_met(1.99));
        assert!(Bound::AtMost(0.5).is_met(0.5) && !Bound::AtMost(0.5).is_met(0.51));
    }
}
