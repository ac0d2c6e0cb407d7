//! Operations on images whose journal others read: they learn of them there (`librbd::Journal::append_op_event`,
//! `commit_op_event`).

use std::time::SystemTime;

use encoding::{Errno, cls::image_journal::JournalEvent, types::Utime};

use super::{Journal, recorder::Recorder};
use crate::rados::IoCtx;

/// The only operation of its tag.
const OP_TID: u64 = 1;

fn now() -> Utime {
    Utime::from_system_time(SystemTime::now())
}

/// An operation that the journal tells of: begun, and not ended. Where the server ends meanwhile, it is begun again by whoever tries it
/// again.
pub(crate) struct Operation(Recorder);

impl Operation {
    /// Tells that the image of that id is being flattened, which is to be done then. Its lock must be held.
    ///
    /// # Errors
    /// ENOENT if there is no journal; EROFS if the image is not the primary one; EOPNOTSUPP if its last client was interrupted: what it
    /// left in the journal is to be done first, which the next one to open the image does.
    pub(crate) fn flatten(ioctx: &IoCtx, id: &[u8]) -> Result<Self, Errno> {
        let journal = Journal::open(ioctx, id)?.ok_or(Errno::ENOENT)?;
        let own = journal.own_client()?;
        if !journal.is_taken_in(&own)? {
            return Err(Errno::EOPNOTSUPP);
        }
        let mut recorder = Recorder::begin(journal, own)?;
        recorder.append(&JournalEvent::flatten(OP_TID, now()))?;
        Ok(Self(recorder))
    }

    /// Tells how the operation has ended.
    ///
    /// # Errors
    /// If that cannot be written: it counts as interrupted then.
    pub(crate) fn end(mut self, outcome: Result<(), Errno>) -> Result<(), Errno> {
        let result = outcome.err().map_or(0, |error| -error.0);
        self.0.append(&JournalEvent::op_finish(OP_TID, result, now()))?;
        self.0.commit()
    }
}
