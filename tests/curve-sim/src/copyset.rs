//! Raft groups, as their clients see them: a leader with a term, and a log that is applied in order.

use std::sync::{Arc, Mutex};

use crate::store::lock;

/// Who leads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leadership {
    /// Id of a chunkserver.
    pub(crate) leader: Option<u32>,
    /// Whom followers name while there is none.
    pub(crate) last: Option<u32>,
    /// Grows with each change.
    pub(crate) term: u64,
    /// Nobody is to lead.
    pub(crate) held: bool,
}

/// A copyset. All its members share it.
pub(crate) struct Copyset {
    pub(crate) members: Vec<u32>,
    leadership: Mutex<Leadership>,
    applied: Mutex<u64>,
    /// The log: what is proposed waits here, first come, first served, whoever leads.
    pub(crate) log: Arc<tokio::sync::Mutex<()>>,
}

impl Copyset {
    pub(crate) fn new(members: Vec<u32>, leader: u32) -> Self {
        Self {
            members,
            leadership: Mutex::new(Leadership {
                leader: Some(leader),
                last: Some(leader),
                term: 1,
                held: false,
            }),
            applied: Mutex::new(0),
            log: Arc::default(),
        }
    }

    pub(crate) fn leadership(&self) -> Leadership {
        *lock(&self.leadership)
    }

    pub(crate) fn set_leader(&self, leader: Option<u32>) {
        let mut leadership = lock(&self.leadership);
        let leader = leader.filter(|_| !leadership.held);
        if leadership.leader != leader {
            leadership.leader = leader;
            leadership.last = leader.or(leadership.last);
            leadership.term += 1;
        }
    }

    /// Nobody leads until this is taken back.
    pub(crate) fn hold(&self, held: bool) {
        lock(&self.leadership).held = held;
        if held {
            self.set_leader(None);
        }
    }

    pub(crate) fn next_index(&self) -> u64 {
        let mut applied = lock(&self.applied);
        *applied += 1;
        *applied
    }

    pub(crate) fn index(&self) -> u64 {
        *lock(&self.applied)
    }
}
