//! Storing the units that a clone keeps.
//!
//! A block that is kept as a whole gets a slot of its own. Other units fill the clone's open slot one after another, whichever blocks
//! they are of: so random small writes after a snapshot take little space, and write it in order.

use bytes::{Bytes, BytesMut};
use store::{StoreError, Transaction, VolumeId};

use super::{
    Objects,
    clones::{CloneRecord, OpenSlot},
    commit::{CommitError, SlotChanges},
    kept::{Kept, Run, bits, runs_of_bits},
    keys,
    slots::{SLOT_SIZE, SLOT_UNITS, UNIT},
};

/// Neighbouring units of one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptUnits {
    block: u32,
    /// The first one, within the block.
    first: u8,
    /// What they hold: whole units. What the object does not have of its last one is zeros.
    pub(super) data: Bytes,
}

impl KeptUnits {
    fn count(&self) -> u8 {
        (self.data.len() as u64 / UNIT) as u8
    }
}

/// The units of data that begins at `offset`, where a unit does, and lies in one block: runs without the units that are all zeros.
pub(super) fn data_of_units(offset: u64, data: &Bytes) -> Result<Vec<KeptUnits>, StoreError> {
    const ZEROS: [u8; UNIT as usize] = [0; UNIT as usize];
    let block =
        u32::try_from(offset / SLOT_SIZE).map_err(|_| StoreError::Corrupt("a clone's size".into()))?;
    let first = (offset % SLOT_SIZE / UNIT) as u8;
    let mut found = Vec::new();
    let mut start = None;
    for at in (0..data.len()).step_by(ZEROS.len()) {
        let unit = &data[at..data.len().min(at + ZEROS.len())];
        match (*unit == ZEROS[..unit.len()], start) {
            (false, None) => start = Some(at),
            (true, Some(from)) => {
                found.push((from, at));
                start = None;
            }
            _ => {}
        }
    }
    found.extend(start.map(|from| (from, data.len())));
    let units = |(from, to): (usize, usize)| KeptUnits {
        block,
        first: first + (from / ZEROS.len()) as u8,
        data: whole_units(data.slice(from..to)),
    };
    Ok(found.into_iter().map(units).collect())
}

/// Data with zeros behind it, up to the end of its last unit: a device need not be asked for the rest, and sums are of whole units.
fn whole_units(data: Bytes) -> Bytes {
    let len = data.len().next_multiple_of(UNIT as usize);
    if data.len() == len {
        return data;
    }
    let mut out = BytesMut::zeroed(len);
    out[..data.len()].copy_from_slice(&data);
    out.freeze()
}

impl Objects {
    /// Adds to `tx` what a clone, which is `made` by it or was before, comes to keep.
    pub(super) fn stage_units(
        &self,
        pool: i64,
        clone: &mut CloneRecord,
        made: bool,
        units: &[KeptUnits],
        tx: &mut Transaction,
        slots: &mut SlotChanges,
    ) -> Result<(), CommitError> {
        let Some(number) = clone.state.onode else {
            return Ok(());
        };
        let volume = self.slots.volume(self.store(), pool)?;
        let mut writer = UnitWriter {
            objects: self,
            pool,
            volume,
            clone,
            tx,
            slots,
        };
        for of_block in units.chunk_by(|a, b| a.block == b.block) {
            let Some(block) = of_block.first().map(|units| units.block) else {
                continue;
            };
            // Not only what is durable: an earlier transaction may be under way.
            let mut kept = match made {
                true => Kept::default(),
                false => self.kept_of(Some(number), block.into())?,
            };
            let before = kept.units();
            for units in of_block {
                writer.add(units, &mut kept)?;
            }
            if kept.units() != before {
                writer.tx.put(keys::block(number, block), kept.encode());
            }
        }
        Ok(())
    }
}

struct UnitWriter<'a> {
    objects: &'a Objects,
    pool: i64,
    volume: VolumeId,
    clone: &'a mut CloneRecord,
    tx: &'a mut Transaction,
    slots: &'a mut SlotChanges,
}

impl UnitWriter<'_> {
    fn add(&mut self, units: &KeptUnits, kept: &mut Kept) -> Result<(), CommitError> {
        if kept.is_empty() && u64::from(units.count()) == SLOT_UNITS {
            let slot = self.take()?;
            self.tx.write(self.volume, slot * SLOT_SIZE, units.data.clone());
            *kept = Kept::whole(slot);
            return Ok(());
        }
        // Before there were units, whole blocks were kept: units that the clone did not have to keep were, too, and are what
        // they were then.
        let lacking = bits(units.first, units.count()) & !kept.units();
        for (first, count) in runs_of_bits(lacking) {
            let from = usize::from(first - units.first) * UNIT as usize;
            let len = usize::from(count) * UNIT as usize;
            self.append(first, units.data.slice(from..from + len), kept)?;
        }
        Ok(())
    }

    /// Adds units to the open slot, and to more if that is full.
    fn append(&mut self, mut first: u8, mut data: Bytes, kept: &mut Kept) -> Result<(), CommitError> {
        while !data.is_empty() {
            let OpenSlot { slot, used } = match self.clone.open {
                Some(open) => open,
                None => OpenSlot {
                    slot: self.take()?,
                    used: 0,
                },
            };
            let room = SLOT_UNITS - u64::from(used);
            let part = data.split_to(data.len().min((room * UNIT) as usize));
            let count = (part.len() as u64 / UNIT) as u8;
            let run = Run {
                first,
                count,
                at: slot * SLOT_UNITS + u64::from(used),
            };
            self.tx.write(self.volume, run.offset(), part);
            kept.add(run);
            first += count;
            let used = used + count;
            self.clone.open = (u64::from(used) < SLOT_UNITS).then_some(OpenSlot { slot, used });
        }
        Ok(())
    }

    fn take(&mut self) -> Result<u64, CommitError> {
        let slot = self
            .objects
            .slots
            .take(self.objects.store(), self.pool, self.tx)?;
        self.slots.taken.push(slot);
        Ok(slot)
    }
}
