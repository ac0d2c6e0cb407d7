//! Vectors of operations that are sent to an OSD one after the other, and what it answers: the same list to rbdgate
//! and to Ceph's own OSD, whose answers are kept in `tests/testdata/op_vectors.txt`.
//!
//! [`catalogue`] has every operation and its edges, [`random`] what chance finds, [`classes`] calls of class methods; all are the same at every run.

pub mod build;
pub mod catalogue;
pub mod catalogue_more;
pub mod classes;
pub mod client;
pub mod essence;
pub mod random;

use encoding::types::{NOSNAP, OsdFlags, OsdOp};

/// A request.
#[derive(Debug, Clone)]
pub struct Step {
    /// What it is about, for messages and for the list of known differences.
    pub group: &'static str,
    /// Whether it goes to the second pool.
    pub other_pool: bool,
    /// The object.
    pub oid: String,
    /// Its namespace.
    pub nspace: String,
    /// Its locator key.
    pub key: String,
    /// Flags besides those that every request has.
    pub flags: OsdFlags,
    /// The snapshot that is read.
    pub snapid: u64,
    /// The writer's newest snapshot.
    pub snap_seq: u64,
    /// The writer's snapshots, newest first.
    pub snaps: Vec<u64>,
    /// Seconds of the client's time; 0 for none.
    pub time: u32,
    /// The operations.
    pub ops: Vec<OsdOp>,
}

/// The list as it is built.
#[derive(Debug, Default)]
pub struct Script {
    /// The requests so far.
    pub steps: Vec<Step>,
    group: &'static str,
    snap_seq: u64,
    snaps: Vec<u64>,
}

impl Script {
    /// The whole list. `pool` is the number of the first pool, which copies name.
    #[must_use]
    pub fn whole(pool: i64) -> Self {
        let mut script = Self::default();
        catalogue::add(&mut script);
        catalogue_more::add(&mut script, pool);
        for seed in 1..=6 {
            random::add(&mut script, seed, 100);
        }
        for seed in 1..=3 {
            classes::add(&mut script, seed, 60);
        }
        script
    }

    /// `count` vectors that chance makes of a seed.
    #[must_use]
    pub fn random(seed: u64, count: usize) -> Self {
        let mut script = Self::default();
        // So that the placement group has a version, which also failures answer with.
        script.on("first", [build::create()]);
        random::add(&mut script, seed, count);
        script
    }

    /// What follows is about `group`, by a writer that knows of no snapshots.
    pub fn group(&mut self, group: &'static str) {
        self.group = group;
        self.snap_seq = 0;
        self.snaps.clear();
    }

    /// What follows is by a writer that knows of these snapshots.
    pub fn snaps(&mut self, seq: u64, snaps: &[u64]) {
        self.snap_seq = seq;
        self.snaps = snaps.to_vec();
    }

    /// Adds a request on an object; to be changed further where it is not a common one.
    pub fn on(&mut self, oid: &str, ops: impl Into<Vec<OsdOp>>) -> &mut Step {
        let at = self.steps.len();
        self.steps.push(Step {
            group: self.group,
            other_pool: false,
            oid: oid.to_owned(),
            nspace: String::new(),
            key: String::new(),
            flags: OsdFlags::empty(),
            snapid: NOSNAP,
            snap_seq: self.snap_seq,
            snaps: self.snaps.clone(),
            time: 1_700_000_000 + u32::try_from(at).unwrap_or_default(),
            ops: ops.into(),
        });
        &mut self.steps[at]
    }

    /// Adds the removal of an object, which need not exist.
    pub fn remove(&mut self, oid: &str) {
        self.on(oid, [build::delete().failok()]);
    }
}

impl Step {
    /// Reads at a snapshot.
    pub fn at(&mut self, snapid: u64) -> &mut Self {
        self.snapid = snapid;
        self
    }

    /// Adds flags.
    pub fn flagged(&mut self, flags: OsdFlags) -> &mut Self {
        self.flags |= flags;
        self
    }
}

use build::Flagged;
