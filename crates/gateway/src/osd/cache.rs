//! Objects in memory: each has its lock, under which its ops run one at a time and in the order they came.

use std::{collections::VecDeque, hash::BuildHasher, mem::size_of, sync::Arc};

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use parking_lot::Mutex;
use store::{Held, Seq};

use super::{request::PendingOp, watch::Watchers};
use crate::objects::{id::ObjectId, onode::ObjectState};

/// An object that ops work on.
#[derive(Debug)]
pub(super) struct Object {
    /// Its name.
    pub id: ObjectId,
    /// Who may work on it. Taken before `inner`, and never while `inner` is held.
    pub gate: Mutex<Gate>,
    /// What the lock protects.
    pub inner: Mutex<Inner>,
}

impl Object {
    /// Closes the gate if it is open: requests that come from now on queue there, until `Osd::go_on`.
    pub(super) fn try_close_gate(&self) -> bool {
        let mut gate = self.gate.lock();
        !std::mem::replace(&mut gate.busy, true)
    }
}

/// The queue in front of an object.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// An op waits for the disk; later ones queue.
    pub busy: bool,
    /// Ops that wait for that one, in order.
    pub waiting: VecDeque<Box<PendingOp>>,
}

/// The mutable side of an object.
#[derive(Debug, Default)]
pub(super) struct Inner {
    /// The stored state; none until it is loaded.
    pub state: Option<ObjectState>,
    /// The last transaction that changed it: replies that tell of the change wait until it is durable.
    pub last_seq: Option<Seq>,
    /// The last transaction that preserved old data: until it is durable no data may be written in place.
    pub preserved: Option<Seq>,
    /// Its watches.
    pub watchers: Watchers,
}

const SHARDS: usize = 64;

/// Recently used objects.
pub(super) struct Cache {
    shards: Vec<Mutex<HashTable<Arc<Object>>>>,
    /// Of names, for the shard and within it. Keyed: clients choose the names.
    hasher: RandomState,
    shard_capacity: usize,
    /// Whether a transaction is durable.
    is_durable: Box<dyn Fn(Seq) -> bool + Send + Sync>,
}

impl Cache {
    /// A cache of about `capacity` objects; objects in use, with watches, or with changes that are not durable yet do not count.
    pub(super) fn new(capacity: usize, is_durable: impl Fn(Seq) -> bool + Send + Sync + 'static) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
            shard_capacity: (capacity / SHARDS).max(1),
            is_durable: Box::new(is_durable),
        }
    }

    /// The object of that name.
    pub(super) fn get(&self, id: &ObjectId) -> Arc<Object> {
        let hash = self.hasher.hash_one(id);
        // The table goes by other bits: its groups by the lowest, what it compares by the highest.
        let shard = &self.shards[(hash >> 32) as usize % SHARDS];
        let mut objects = shard.lock();
        if let Some(object) = objects.find(hash, |object| object.id == *id) {
            return Arc::clone(object);
        }
        if objects.len() >= self.shard_capacity {
            evict(&mut objects, &*self.is_durable);
        }
        let object = Arc::new(Object {
            id: id.detached(),
            gate: Mutex::default(),
            inner: Mutex::default(),
        });
        let hash_of = |object: &Arc<Object>| self.hasher.hash_one(&object.id);
        objects.insert_unique(hash, Arc::clone(&object), hash_of);
        object
    }

    /// The objects in memory whose names begin so.
    pub(super) fn named(&self, pool: i64, nspace: &[u8], prefix: &[u8]) -> Vec<Arc<Object>> {
        let wanted = |id: &ObjectId| id.pool == pool && id.nspace == nspace && id.name.starts_with(prefix);
        let mut found = Vec::new();
        for shard in &self.shards {
            let objects = shard.lock();
            found.extend(objects.iter().filter(|object| wanted(&object.id)).cloned());
        }
        found
    }

    /// The objects in memory, and roughly what they take.
    pub(super) fn held(&self) -> Held {
        let mut held = Held::default();
        for shard in &self.shards {
            let objects = shard.lock();
            let names = |id: &ObjectId| id.nspace.len() + id.key.len() + id.name.len();
            let each = size_of::<Object>() + size_of::<Arc<Object>>();
            held.items += objects.len() as u64;
            let bytes = objects.iter().map(|object| (each + names(&object.id)) as u64);
            held.bytes += bytes.sum::<u64>();
        }
        held
    }

    /// Forgets all objects of a pool.
    pub(super) fn forget_pool(&self, pool: i64) {
        for shard in &self.shards {
            shard.lock().retain(|object| object.id.pool != pool);
        }
    }
}

/// Makes room: drops a part of what nobody uses (an op that waits for the disk holds its object). The table's order is random, which is as good as any.
/// What of an object is not durable yet must be remembered: replies wait for it.
fn evict(objects: &mut HashTable<Arc<Object>>, is_durable: &dyn Fn(Seq) -> bool) {
    let mut quota = (objects.len() / 8).max(1);
    objects.retain(|object| {
        let idle = Arc::strong_count(object) == 1
            && object
                .inner
                .try_lock()
                .is_some_and(|inner| inner.watchers.is_empty() && inner.last_seq.is_none_or(is_durable));
        let drop = idle && quota > 0;
        quota -= usize::from(drop);
        !drop
    });
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_kept_object_does_not_keep_the_message_that_named_it() {
        let message = Bytes::from(vec![b'x'; 4 << 20]);
        let id = ObjectId::new(1, message.slice(0..3), message.slice(3..9));
        let kept = Cache::new(64, |_| true).get(&id);
        assert_eq!(kept.id, id);
        drop(id);
        assert!(message.is_unique());
    }

    #[test]
    fn an_object_with_changes_that_are_not_durable_is_not_forgotten() {
        let cache = Cache::new(64, |seq| seq < 7);
        let id = |n: u32| ObjectId::new(1, "", format!("object {n}"));
        for n in 0..100 {
            cache.get(&id(n)).inner.lock().last_seq = Some(if n < 10 { 7 } else { 6 });
        }
        for n in 100..1000 {
            let _ = cache.get(&id(n));
        }
        assert!((0..10).all(|n| cache.get(&id(n)).inner.lock().last_seq == Some(7)));
    }
}
