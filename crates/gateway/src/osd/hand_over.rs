//! Taking an image from the OSDs while they serve: nobody can open it meanwhile, and nothing of it stays in memory.

use std::{sync::Arc, thread::sleep, time::Duration};

use encoding::types::{EntityAddr, EntityName};

use super::{Osd, cache::Object};
use crate::objects::{creators::header_of, id::ObjectId};

/// How often, and how many times, an object is looked at whose requests wait for the disk.
const LOOK: Duration = Duration::from_millis(20);
const LOOKS: u32 = 250;

/// Clients that watch an image, or requests for its header that do not end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InUse {
    /// These clients have it open.
    #[error("{}", describe(.0))]
    Watched(Vec<(EntityName, EntityAddr)>),
    /// Requests for its header wait for the disk.
    #[error("requests for its header are under way: try again")]
    Busy,
}

fn describe(watchers: &[(EntityName, EntityAddr)]) -> String {
    let all: Vec<_> = watchers
        .iter()
        .map(|(name, addr)| format!("{name} {addr}"))
        .collect();
    format!("it is open, watched by {}: close it first", all.join(", "))
}

impl Osd {
    /// Does `work` while no request reaches the header of an image, so that nobody can open it; then forgets what is in memory of
    /// the image. `image` has the image's id for a name. Blocks.
    ///
    /// # Errors
    /// If somebody has it open; nothing was done then.
    pub fn take_image<T>(self: &Arc<Self>, image: &ObjectId, work: impl FnOnce() -> T) -> Result<T, InUse> {
        let header = self.cache.get(&header_of(image));
        self.close_gate(&header)?;
        let watchers = header.inner.lock().watchers.clients();
        let done = match watchers.is_empty() {
            true => Ok(work()),
            false => Err(InUse::Watched(watchers)),
        };
        if done.is_ok() {
            header.inner.lock().state = None;
            let prefix = [b"rbd_data.", image.name.as_ref(), b"."].concat();
            for object in self.cache.named(image.pool, &image.nspace, &prefix) {
                object.inner.lock().state = None;
            }
        }
        self.go_on(&header);
        done
    }

    fn close_gate(&self, object: &Object) -> Result<(), InUse> {
        for _ in 0..LOOKS {
            if object.try_close_gate() {
                return Ok(());
            }
            sleep(LOOK);
        }
        Err(InUse::Busy)
    }
}
