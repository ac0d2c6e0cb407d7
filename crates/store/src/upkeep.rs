//! What operators ask for.

use crate::{
    error::{Result, StoreError},
    store::Store,
};

impl Store {
    /// Makes a checkpoint of everything that was submitted, and blocks until it is made: the journal is free then, and an opening has
    /// nothing to replay. What waits for its device is left in the journal, as in every checkpoint.
    ///
    /// # Errors
    /// If the store has failed, now or before, or is closed.
    pub fn checkpoint(&self) -> Result<()> {
        let core = self.core();
        core.check_failed()?;
        if core.options.stepped {
            return self.step_checkpoint();
        }
        let mut order = core.order.lock();
        // One that is being made began before: what came since is the next one's.
        let wanted = order.checkpoints + 1 + u64::from(order.checkpointing);
        let newest = order.submitted;
        while order.checkpointed < newest && order.checkpoints < wanted {
            order.want_checkpoint(core);
            core.progress.wait(&mut order);
            if core.has_failed() || order.closing {
                break;
            }
        }
        drop(order);
        core.check_failed()
    }

    /// Where there are no threads, does their work until all is in a checkpoint.
    fn step_checkpoint(&self) -> Result<()> {
        let core = self.core();
        let newest = core.order.lock().submitted;
        while core.order.lock().checkpointed < newest {
            if !core.step_any()? {
                return Err(StoreError::Closed);
            }
        }
        Ok(())
    }
}
