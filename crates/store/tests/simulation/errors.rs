//! Calls that fail: each call of a run once, with an error of the disk and with a full disk. Then the store refuses what it cannot
//! do, or ends; and what it acknowledged is there when it is opened again, whether the machine went on or not.

use disk_sim::{Call, Fault, Random, SimDisk};
use rbdgate_store::{Stage, Store, StoreError};
use rustix::io::Errno;

use crate::{
    model::{History, Wrong},
    run::options,
};

const ACTIONS: u64 = 40;

/// What a run with one failing call came to.
struct Failing {
    seed: u64,
    fault: Fault,
    history: History,
    acknowledged: u64,
}

impl Failing {
    fn new(seed: u64, fault: Fault) -> Self {
        Self {
            seed,
            fault,
            history: History::default(),
            acknowledged: 0,
        }
    }

    fn wrong(&self, what: &str, text: &str) -> ! {
        panic!("seed {}, {:?}: {what}: {text}", self.seed, self.fault)
    }

    /// Whether the store may go on after an error: only what was refused may have failed.
    fn goes_on(&self, store: &Store, error: &StoreError) -> bool {
        match error {
            StoreError::Failed(_) | StoreError::Meta(_) => false,
            _ if store.get(b"").is_ok() => true,
            _ => self.wrong("an error that is none of the disk", &error.to_string()),
        }
    }

    /// Runs until the store ends, or all is done. Returns the call that failed.
    fn run(&mut self, disk: &SimDisk) -> Option<Call> {
        let mut random = Random::new(self.seed);
        disk.fail(self.fault);
        if let Ok(store) = Store::open(options(disk)) {
            for _ in 0..ACTIONS {
                if !self.act(&store, &mut random) {
                    break;
                }
                let durable = self.history.durable(store.durable());
                self.acknowledged = self.acknowledged.max(durable);
            }
            if store.close().is_ok() {
                self.acknowledged = self.history.newest();
            }
        }
        disk.heal()
    }

    fn act(&mut self, store: &Store, random: &mut Random) -> bool {
        let stage = match random.below(20) {
            0..8 => None,
            8..11 => Some(Stage::Direct),
            11..14 => Some(Stage::Journal),
            14..17 => Some(Stage::Apply),
            17..19 => Some(Stage::Checkpoint),
            _ => {
                // What the store tells while it serves is never wrong.
                return match self.history.check(store, self.history.newest()) {
                    Ok(_) => true,
                    Err(Wrong::Store(error)) => self.goes_on(store, &error),
                    Err(Wrong::Content(text)) => self.wrong("while it serves", &text),
                };
            }
        };
        let done = match stage {
            None => self.history.submit(store, random),
            Some(stage) => store.step(stage).map(drop),
        };
        match done {
            Ok(()) => true,
            Err(error) if stage.is_none() => self.goes_on(store, &error),
            // A stage that fails is the end: nothing may be acknowledged any more.
            Err(_) => {
                if store.step(Stage::Journal).is_ok() || store.get(b"").is_ok() {
                    self.wrong("it goes on after a failed stage", "");
                }
                false
            }
        }
    }

    /// Opens the store again and starts from what is there.
    fn reopen(&mut self, disk: &SimDisk, what: &str) {
        let store = Store::open(options(disk));
        let store = store.unwrap_or_else(|error| self.wrong(what, &error.to_string()));
        match self.history.check(&store, self.acknowledged) {
            Ok((n, state)) => {
                self.history.restart(n, state);
                self.acknowledged = n;
            }
            Err(error) => self.wrong(what, &error.to_string()),
        }
    }
}

/// Has every call of a run fail, one after the other. Returns the kinds of calls that did.
fn fail_each_call(seed: u64, errno: Errno, stays: bool) -> Vec<Call> {
    let fault = |at| Fault { at, errno, stays };
    let disk = SimDisk::new(seed);
    Failing::new(seed, fault(u64::MAX)).run(&disk);
    let calls = disk.calls();
    let mut failed = Vec::new();
    for at in 0..calls {
        let disk = SimDisk::new(seed);
        let mut failing = Failing::new(seed, fault(at));
        failed.extend(failing.run(&disk));
        // The process ends, and the machine goes on with what its cache shows.
        failing.reopen(&disk, "opened again");
        // Then the power is lost: what the opened store showed must not change.
        let after = SimDisk::of(&disk.image(), at);
        failing.reopen(&after, "opened after a power loss");
    }
    failed.sort_unstable();
    failed.dedup();
    failed
}

#[test]
fn an_error_of_the_disk_at_any_call_is_reported_and_nothing_acknowledged_is_lost() {
    let mut failed = Vec::new();
    for seed in 1..4 {
        failed.extend(fail_each_call(seed, Errno::IO, false));
    }
    for call in [
        Call::Write,
        Call::WriteDurable,
        Call::Sync,
        Call::WriteBack,
        Call::SyncDir,
        Call::Read,
        Call::Punch,
    ] {
        assert!(failed.contains(&call), "{call:?} never failed");
    }
}

#[test]
fn a_full_disk_at_any_call_is_reported_and_nothing_acknowledged_is_lost() {
    let mut failed = Vec::new();
    for seed in 4..7 {
        failed.extend(fail_each_call(seed, Errno::NOSPC, true));
    }
    for call in [
        Call::Write,
        Call::WriteDurable,
        Call::Allocate,
        Call::Create,
        Call::SetLen,
    ] {
        assert!(failed.contains(&call), "{call:?} never failed");
    }
}
