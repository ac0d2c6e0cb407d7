//! End-to-end tests of rbdgate with stock Ceph clients, and what they need: a [`cluster::Cluster`] to test, programs
//! run with a deadline ([`exec`]), ports that survive a restart ([`ports`]), reproducible bytes ([`data`]).
//!
//! The tests themselves are in `tests/tests`, one file for each kind of client. They know the server by its command
//! line only. With `RBDGATE_TEST_TARGET=ceph` the same tests run against Ceph's own daemons (`ceph-mon`,
//! `ceph-osd`), which shows that what they demand is what Ceph does.

pub mod cluster;
pub mod crowd;
pub mod curve;
pub mod data;
pub mod exec;
pub mod fio;
pub mod generations;
pub mod images;
pub mod kernel;
pub mod old_client;
pub mod old_rules;
pub mod op_vectors;
pub mod peer;
pub mod playback;
pub mod ports;
pub mod process;
pub mod raw_client;
pub mod rbdgate;
pub mod record;
pub mod reference;
pub mod shapes;
pub mod small_disk;
pub mod suites;
pub mod table;
pub mod tasks;
pub mod verified_writer;

/// Why the harness could not do what a test asked of it: text for the person who reads the test's output.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

impl Failure {
    /// A failure while doing `what`, for the reason `why`.
    pub fn new(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {why}"))
    }
}

/// The result of a step of the harness.
pub type Result<T, E = Failure> = std::result::Result<T, E>;
