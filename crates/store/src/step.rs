//! A store without threads: whoever holds it runs its stages, one step at a time, so that a simulation takes the same
//! course whenever it is run.

use crate::{
    core::Core,
    directs,
    error::{Result, StoreError},
    journal::Journal,
    stages::{self, Checkpoint},
};

/// What a store's threads do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The direct writes of one transaction.
    Direct,
    /// One batch of the journal.
    Journal,
    /// One transaction is written to the volumes.
    Apply,
    /// A checkpoint is begun; or ended, once everything that it takes up has been applied.
    Checkpoint,
}

impl Stage {
    /// All of them, in the order of a transaction's way.
    pub const ALL: [Self; 4] = [Self::Direct, Self::Journal, Self::Apply, Self::Checkpoint];
}

/// What the threads of a store hold.
pub(crate) struct Stepper {
    journal: Journal,
    checkpoint: Option<Checkpoint>,
}

impl Stepper {
    pub(crate) fn new(journal: Journal) -> Self {
        Self {
            journal,
            checkpoint: None,
        }
    }

    fn run(&mut self, core: &Core, stage: Stage) -> Result<bool> {
        match stage {
            Stage::Direct => Ok(directs::step(core)),
            Stage::Journal => stages::step_journal(core, &mut self.journal),
            Stage::Apply => stages::step_apply(core),
            Stage::Checkpoint => self.step_checkpoint(core),
        }
    }

    fn step_checkpoint(&mut self, core: &Core) -> Result<bool> {
        let (submitted, applied, checkpointed) = {
            let order = core.order.lock();
            (order.submitted, order.applied(), order.checkpointed)
        };
        match self.checkpoint.take() {
            None if submitted == checkpointed => return Ok(false),
            None => self.checkpoint = Some(Checkpoint::begin(core)),
            Some(begun) if applied >= begun.seq => begun.finish(core)?,
            waiting => {
                self.checkpoint = waiting;
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Core {
    /// Runs a stage once. An error ends the store, as it does where threads run it.
    pub(crate) fn step(&self, stage: Stage) -> Result<bool> {
        self.check_failed()?;
        let mut stepper = self.stepper.lock();
        let stepper = stepper.as_mut().ok_or(StoreError::Closed)?;
        let done = stepper.run(self, stage);
        if let Err(error) = &done {
            self.fail(
                match stage {
                    Stage::Direct => "direct write",
                    Stage::Journal => "journal",
                    Stage::Apply => "volume write",
                    Stage::Checkpoint => "checkpoint",
                },
                error,
            );
        }
        // A direct write has told of its failure itself.
        self.check_failed()?;
        done
    }

    /// Runs the first stage that has anything to do.
    pub(crate) fn step_any(&self) -> Result<bool> {
        for stage in Stage::ALL {
            if self.step(stage)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Closes the store: everything submitted becomes durable, with a checkpoint.
    pub(crate) fn step_to_the_end(&self) -> Result<()> {
        self.order.lock().closing = true;
        while self.step_any()? {}
        stages::close(self)?;
        *self.stepper.lock() = None;
        self.waiters.end(StoreError::Closed);
        Ok(())
    }
}
