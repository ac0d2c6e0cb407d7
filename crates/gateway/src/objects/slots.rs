//! Slots: 64 KiB pieces of a pool's slot volume, for the data of objects that are not image data.
//!
//! One byte a slot, in pages of 4096, says whether it is taken; a byte and not a bit so that transactions of
//! different objects never write the same byte.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;
use store::{Store, StoreError, Transaction, VolumeId};

use super::keys;

/// Bytes of a slot.
pub const SLOT_SIZE: u64 = 64 * 1024;
/// Bytes of a unit, the least that a clone keeps for itself.
pub const UNIT: u64 = 4096;
/// Units of a slot.
pub const SLOT_UNITS: u64 = SLOT_SIZE / UNIT;
/// Slots of a page, a byte each.
pub const PAGE_SLOTS: u64 = 4096;

#[derive(Debug)]
struct PoolSlots {
    volume: VolumeId,
    /// Slots below `end` that are free.
    free: Vec<u64>,
    end: u64,
}

/// The slot allocators of all pools.
#[derive(Debug, Default)]
pub struct Slots {
    pools: Mutex<HashMap<i64, PoolSlots>>,
}

impl Slots {
    /// The pool's slot volume.
    ///
    /// # Errors
    /// If the store fails.
    pub fn volume(&self, store: &Store, pool: i64) -> Result<VolumeId, StoreError> {
        self.with(store, pool, |p| p.volume)
    }

    /// Takes a slot and records it in `tx`. The caller overwrites or discards the slot's content.
    ///
    /// # Errors
    /// If the store fails.
    pub fn take(&self, store: &Store, pool: i64, tx: &mut Transaction) -> Result<u64, StoreError> {
        let slot = self.with(store, pool, |p| {
            p.free.pop().unwrap_or_else(|| {
                p.end += 1;
                p.end - 1
            })
        })?;
        mark(tx, pool, slot, 1);
        Ok(slot)
    }

    /// Records in `tx` that a slot is free and gives its space back. It may be taken again only when `tx` is
    /// durable: call [`release`](Self::release) then.
    ///
    /// # Errors
    /// If the store fails.
    pub fn free(&self, store: &Store, pool: i64, slot: u64, tx: &mut Transaction) -> Result<(), StoreError> {
        let volume = self.volume(store, pool)?;
        tx.discard(volume, slot * SLOT_SIZE, SLOT_SIZE);
        mark(tx, pool, slot, 0);
        Ok(())
    }

    /// Makes freed slots available again.
    pub fn release(&self, pool: i64, slots: &[u64]) {
        if let Some(p) = self.pools.lock().get_mut(&pool) {
            p.free.extend_from_slice(slots);
        }
    }

    /// Forgets a deleted pool.
    pub fn forget(&self, pool: i64) {
        self.pools.lock().remove(&pool);
    }

    fn with<T>(
        &self,
        store: &Store,
        pool: i64,
        f: impl FnOnce(&mut PoolSlots) -> T,
    ) -> Result<T, StoreError> {
        let mut pools = self.pools.lock();
        if let Some(p) = pools.get_mut(&pool) {
            return Ok(f(p));
        }
        let p = load(store, pool)?;
        Ok(f(pools.entry(pool).or_insert(p)))
    }
}

fn mark(tx: &mut Transaction, pool: i64, slot: u64, taken: u8) {
    let page = u32::try_from(slot / PAGE_SLOTS).unwrap_or(u32::MAX);
    tx.patch(
        keys::slots(pool, page),
        slot % PAGE_SLOTS,
        Bytes::copy_from_slice(&[taken]),
    );
}

fn load(store: &Store, pool: i64) -> Result<PoolSlots, StoreError> {
    let volume = store.volume(&format!("pool-{pool}.slots"))?;
    let (mut free, mut end) = (Vec::new(), 0);
    for row in store.rows(keys::pool_range(b'S', pool)).at_a_time(256) {
        let (key, page) = row?;
        let number = key
            .get(9..13)
            .and_then(|b| b.try_into().ok())
            .map_or(0, u32::from_be_bytes);
        let first = u64::from(number) * PAGE_SLOTS;
        // Pages before this one may be missing only if all their slots are free.
        free.extend(end..first);
        free.extend(
            page.iter()
                .zip(first..)
                .filter(|(taken, _)| **taken == 0)
                .map(|(_, slot)| slot),
        );
        end = first + page.len() as u64;
    }
    free.reverse();
    Ok(PoolSlots { volume, free, end })
}
